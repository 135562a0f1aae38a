package client_test

import (
	"iter"
	"testing"

	"github.com/cairn-storage/cairn/client"
)

// only returns the one of a list that is so, or the zero value.
func only[T any](t *testing.T, list iter.Seq2[T, error], is func(T) bool) (found T) {
	t.Helper()
	for v, err := range list {
		if err != nil {
			t.Fatal(err)
		}
		if is(v) {
			found = v
		}
	}
	return found
}

func TestUsersOfTheServer(t *testing.T) {
	t.Parallel()
	made, err := operator.CreateUser(t.Context(), client.NewUser{Name: "ada", FullName: "Ada L.", Email: "ada@example.com", Password: "correct horse"})
	if err != nil || made.ID == "" || made.Name != "ada" || made.Admin {
		t.Fatalf("got %+v, %v", made, err)
	}
	isAda := func(u client.User) bool { return u.ID == made.ID }
	same(t, "listed", only(t, operator.Users(t.Context()), isAda), made)
	if _, err := operator.CreateUser(t.Context(), client.NewUser{Name: "ada"}); err == nil {
		t.Error("a second user has the name")
	}

	token, err := operator.CreateUserToken(t.Context(), "ada", "laptop")
	if err != nil || token.Token == "" {
		t.Fatalf("got %+v, %v", token, err)
	}
	tokens, err := operator.UserTokens(t.Context(), "ada")
	if err != nil || len(tokens) != 1 || tokens[0].Name != "laptop" || tokens[0].Token != "" {
		t.Errorf("got %+v, %v", tokens, err)
	}
	if err := operator.DeleteUserToken(t.Context(), "ada", "laptop"); err != nil {
		t.Fatal(err)
	}
	if tokens, err := operator.UserTokens(t.Context(), "ada"); err != nil || len(tokens) != 0 {
		t.Errorf("after it was deleted: %+v, %v", tokens, err)
	}

	if err := operator.DeleteUser(t.Context(), "ada"); err != nil {
		t.Fatal(err)
	}
	if u := only(t, operator.Users(t.Context()), isAda); u.ID != "" {
		t.Errorf("after it was deleted: %+v", u)
	}
}

func TestAccessKeysOfAnOrganization(t *testing.T) {
	t.Parallel()
	made, err := operator.CreateAccessKey(t.Context(), "acme", client.NewAccessKey{Name: "ci", Scopes: []string{"git:read"}})
	if err != nil || made.ID == "" || made.Secret == "" {
		t.Fatalf("got %+v, %v", made, err)
	}
	find := func() (found client.AccessKey) {
		t.Helper()
		list, err := operator.AccessKeys(t.Context(), "acme")
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range list {
			if k.ID == made.ID {
				found = k
			}
		}
		return found
	}
	if k := find(); k.Name != "ci" || k.Secret != "" || len(k.Scopes) != 1 || k.RevokedAt != nil {
		t.Errorf("listed as %+v", k)
	}
	if err := operator.RevokeAccessKey(t.Context(), "acme", made.ID); err != nil {
		t.Fatal(err)
	}
	if k := find(); k.RevokedAt == nil {
		t.Errorf("after it was revoked: %+v", k)
	}
}

func TestProjectsOfAnOrganization(t *testing.T) {
	t.Parallel()
	made, err := operator.CreateProject(t.Context(), "acme", "apollo")
	if err != nil || len(made.ID) != 32 {
		t.Fatalf("got %+v, %v", made, err)
	}
	same(t, "listed", only(t, operator.Projects(t.Context(), "acme"), func(p client.Project) bool { return p.Name == "apollo" }), made)
	if _, err := operator.CreateUser(t.Context(), client.NewUser{Name: "apollonia"}); err != nil {
		t.Fatal(err)
	}
	member := client.ProjectMember{Name: "apollonia", Role: "write"}
	if err := operator.SetProjectMember(t.Context(), "acme", made.ID, member); err != nil {
		t.Fatal(err)
	}
	list, err := operator.ProjectMembers(t.Context(), "acme", made.ID)
	if err != nil || len(list) != 1 || list[0] != member {
		t.Errorf("the members are %+v, %v", list, err)
	}
	if err := operator.SetProjectMember(t.Context(), "acme", made.ID, client.ProjectMember{Name: "apollonia", Role: "owner"}); err == nil {
		t.Error("there is a role owner")
	}
	if err := operator.RemoveProjectMember(t.Context(), "acme", made.ID, "apollonia"); err != nil {
		t.Error(err)
	}
	if list, err = operator.ProjectMembers(t.Context(), "acme", made.ID); err != nil || len(list) != 0 {
		t.Errorf("left are %+v, %v", list, err)
	}
	if _, err := operator.CreateProject(t.Context(), "acme", "apollo"); err == nil {
		t.Error("a second project has the name")
	}
}
