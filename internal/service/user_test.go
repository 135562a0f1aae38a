package service

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// user makes a user with a password.
func (f *tenants) user(t testing.TB, name, password string, admin bool) Login {
	t.Helper()
	made, err := f.CreateUser(t.Context(), operator, NewUser{Name: name, Email: name + "@example.com", Password: password, Admin: admin})
	if err != nil {
		t.Fatal(err)
	}
	return Login{User: made, ByToken: true}
}

func TestUserLife(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	made, err := f.CreateUser(t.Context(), operator, NewUser{Name: "Ada.L", Email: "ada@example.com", FullName: "Ada Lovelace", Password: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	if made.Name != "ada.l" || made.Organization.Spelling != "Ada.L" {
		t.Errorf("made %+v", made)
	}
	if strings.Contains(made.Password, "secret") || !strings.HasPrefix(made.Password, "$argon2id$") {
		t.Errorf("the password is stored as %q", made.Password)
	}
	for name, in := range map[string]NewUser{
		"the same name": {Name: "ADA.l"}, "a name of an organization": {Name: "acme"}, "the same address": {Name: "bob", Email: "ADA@EXAMPLE.com"},
	} {
		_, err := f.CreateUser(t.Context(), operator, in)
		wantKind(t, name, err, cairn.Conflict)
	}
	for name, in := range map[string]NewUser{
		"no name": {}, "a path": {Name: "../x"}, "a reserved name": {Name: "API"}, "a bad address": {Name: "bob", Email: "bob"},
		"a long password": {Name: "bob", Password: strings.Repeat("x", MaxPassword+1)}, "a control character": {Name: "bob", FullName: "\x00"},
	} {
		_, err := f.CreateUser(t.Context(), operator, in)
		wantKind(t, name, err, cairn.Invalid)
	}
	_, err = f.CreateUser(t.Context(), Login{User: made}.Actor(), NewUser{Name: "bob"})
	wantKind(t, "a user makes another", err, cairn.Denied)
	wantKind(t, "the organization alone is deleted", f.DeleteOrganization(t.Context(), operator, "ada.l"), cairn.Denied)

	who, err := f.OwnerIn(t.Context(), Login{User: made}, "ada.l", "site")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.CreateRepository(t.Context(), who, NewRepository{Name: "site"}); err != nil {
		t.Fatal(err)
	}
	wantKind(t, "deleted with a repository", f.DeleteUser(t.Context(), operator, "ada.l"), cairn.Conflict)
	if _, err := f.DeleteRepository(t.Context(), who, "site"); err != nil {
		t.Fatal(err)
	}
	if err := f.DeleteUser(t.Context(), operator, "Ada.L"); err != nil {
		t.Fatal(err)
	}
	_, err = f.User(t.Context(), "ada.l")
	wantKind(t, "found when gone", err, cairn.NotFound)
	_, err = f.organization(t.Context(), operator, "ada.l")
	wantKind(t, "the organization of who is gone", err, cairn.NotFound)
}

func TestLogin(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	f.user(t, "ada", "secret", false)
	f.user(t, "bob", "", false)
	text, kept, err := f.CreateUserToken(t.Context(), operator, "ada", "ci")
	if err != nil {
		t.Fatal(err)
	}
	if len(text) != 40 || strings.Contains(string(kept.Digest[:]), text) {
		t.Errorf("the token is %q", text)
	}
	for _, c := range []struct{ what, name, password string }{
		{"the password", "ada", "secret"}, {"the password again", "ADA", "secret"}, {"the address", "Ada@example.com", "secret"},
		{"the token as the name", text, ""}, {"the token as the name and more", text, "x"}, {"the token as the password", "whoever", text},
	} {
		in, err := f.LoginGit(t.Context(), c.name, c.password)
		if err != nil || in.User.Name != "ada" {
			t.Errorf("%s: %v, %v", c.what, in.User.Name, err)
		}
	}
	for _, c := range []struct{ what, name, password string }{
		{"a wrong password", "ada", "Secret"}, {"none", "ada", ""}, {"nobody", "eve", "secret"}, {"nobody at all", "", ""},
		{"who has none", "bob", ""}, {"who has none, with one", "bob", "secret"}, {"a wrong token", strings.Repeat("0", 40), ""},
		{"a part of the token", text[:39], ""}, {"a long one", "ada", strings.Repeat("x", 1<<20)}, {"a token in capitals", strings.ToUpper(text), ""},
	} {
		_, err := f.LoginGit(t.Context(), c.name, c.password)
		wantKind(t, c.what, err, cairn.Unauthenticated)
	}
	yes := true
	if _, err := f.UpdateUser(t.Context(), operator, "ada", UserEdit{Disabled: &yes}); err != nil {
		t.Fatal(err)
	}
	for _, c := range [][2]string{{"ada", "secret"}, {text, ""}} {
		_, err := f.LoginGit(t.Context(), c[0], c[1])
		wantKind(t, "who is disabled", err, cairn.Unauthenticated)
	}
}

// TestPasswordChangeIsSeenAtOnce looks whether a password that was remembered
// lives on.
func TestPasswordChangeIsSeenAtOnce(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	f.user(t, "ada", "old", false)
	if _, err := f.LoginPassword(t.Context(), "ada", "old"); err != nil {
		t.Fatal(err)
	}
	text := "new"
	if _, err := f.UpdateUser(t.Context(), operator, "ada", UserEdit{Password: &text}); err != nil {
		t.Fatal(err)
	}
	_, err := f.LoginPassword(t.Context(), "ada", "old")
	wantKind(t, "the old password", err, cairn.Unauthenticated)
	if _, err := f.LoginPassword(t.Context(), "ada", "new"); err != nil {
		t.Error(err)
	}
}

// TestPasswordsAreBounded fills what computes digests: those over the bound are
// refused at once, those who wait leave with their request.
func TestPasswordsAreBounded(t *testing.T) {
	t.Parallel()
	p := newPasswords()
	for range cap(p.slots) {
		if err := p.enter(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	var wg sync.WaitGroup
	refused := make(chan error, 2*maxPasswordsWaiting*cap(p.slots))
	for range cap(refused) {
		wg.Go(func() {
			_, err := p.verify(ctx, nobodysDigest, "x")
			if errors.Is(err, cairn.RateLimited) {
				leave() // some were refused: let the others go
			}
			refused <- err
		})
	}
	wg.Wait()
	close(refused)
	limited := 0
	for err := range refused {
		switch {
		case errors.Is(err, cairn.RateLimited):
			limited++
		case !errors.Is(err, context.Canceled):
			t.Errorf("got %v", err)
		}
	}
	if limited == 0 {
		t.Error("none was refused")
	}
	if n := p.waiting.Load(); n != 0 {
		t.Errorf("%d still wait", n)
	}
}

func TestUserTokens(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	ada, bob := f.user(t, "ada", "", false), f.user(t, "bob", "", false)
	text, _, err := f.CreateUserToken(t.Context(), ada.Actor(), "ada", "ci")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.LoginToken(t.Context(), text); err != nil {
		t.Error(err)
	}
	_, _, err = f.CreateUserToken(t.Context(), ada.Actor(), "ada", "ci")
	wantKind(t, "the same name", err, cairn.Conflict)
	_, _, err = f.CreateUserToken(t.Context(), bob.Actor(), "ada", "evil")
	wantKind(t, "for another", err, cairn.Denied)
	_, _, err = f.CreateUserToken(t.Context(), Login{}.Actor(), "ada", "evil")
	wantKind(t, "for nobody", err, cairn.Unauthenticated)
	_, err = f.UserTokens(t.Context(), bob.Actor(), "ada")
	wantKind(t, "another's tokens", err, cairn.Denied)
	wantKind(t, "another's token is deleted", f.DeleteUserToken(t.Context(), bob.Actor(), "ada", "ci"), cairn.Denied)
	if err := f.DeleteUserToken(t.Context(), ada.Actor(), "ada", "ci"); err != nil {
		t.Fatal(err)
	}
	_, err = f.LoginToken(t.Context(), text)
	wantKind(t, "a deleted token", err, cairn.Unauthenticated)
	list, err := f.UserTokens(t.Context(), operator, "ada")
	if err != nil || len(list) != 0 {
		t.Errorf("tokens %v, %v", list, err)
	}
}

// TestRoles asks what each kind of user may do in a repository.
func TestRoles(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	ctx := t.Context()
	ada, root := f.user(t, "ada", "", false), f.user(t, "root", "", true)
	users := map[cairn.Role]Login{}
	for access, name := range map[cairn.Role]string{cairn.ReaderRole: "reader", cairn.WriterRole: "writer", cairn.AdminRole: "admin-of-it", cairn.NoRole: "stranger"} {
		users[access] = f.user(t, name, "", false)
	}
	users[cairn.OwnerRole] = ada
	who, err := f.OwnerIn(ctx, ada, "Ada", "Site")
	if err != nil {
		t.Fatal(err)
	}
	for name, public := range map[cairn.RepositoryName]bool{"Site": false, "open": true} {
		who.Repository = name
		if _, err := f.CreateRepository(ctx, who, NewRepository{Name: name, Public: public}); err != nil {
			t.Fatal(err)
		}
		for access, in := range users {
			if access == cairn.NoRole || access == cairn.OwnerRole {
				continue
			}
			if err := f.Grant(ctx, who, name, string(in.User.Name), access); err != nil {
				t.Fatal(err)
			}
		}
	}
	scopes := []cairn.Scope{cairn.GitRead, cairn.GitWrite, cairn.RepoAdmin, cairn.RepoWrite}
	expect := func(what string, in Login, repo string, access cairn.Role) {
		t.Helper()
		who, _, err := f.ActorIn(ctx, in, "ADA", repo)
		if access == cairn.NoRole {
			wantKind(t, what, err, cairn.NotFound)
			return
		}
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		for i, scope := range scopes {
			err := authorize(who, who.Repository, scope)
			if allowed := int(access) > i; (err == nil) != allowed {
				t.Errorf("%s: %s is %v", what, scope, err)
			}
			wantKind(t, what+" elsewhere", authorize(who, "other", scope), cairn.Denied)
		}
	}
	for access, in := range users {
		name := string(in.User.Name)
		expect(name, in, "site", access)
		expect(name+", public", in, "Open", max(access, cairn.ReaderRole))
	}
	expect("nobody", Login{}, "Site", cairn.NoRole)
	expect("nobody, public", Login{}, "open", cairn.ReaderRole)
	expect("an administrator with a token", root, "Site", cairn.OwnerRole)
	expect("an administrator with a password", Login{User: root.User}, "Site", cairn.NoRole)
	expect("the owner, what is not there", ada, "nothing", cairn.NoRole)

	who.Repository = "Site"
	wantKind(t, "more than admin", f.Grant(ctx, who, "Site", "reader", cairn.OwnerRole), cairn.Invalid)
	wantKind(t, "nobody known", f.Grant(ctx, who, "Site", "eve", cairn.ReaderRole), cairn.NotFound)
	writer, _, err := f.ActorIn(ctx, users[cairn.WriterRole], "ada", "Site")
	if err != nil {
		t.Fatal(err)
	}
	wantKind(t, "a writer gives access", f.Grant(ctx, writer, "Site", "stranger", cairn.ReaderRole), cairn.Denied)
	blind := who
	blind.Scopes = []cairn.Scope{cairn.RepoWrite}
	wantKind(t, "who cannot read lets read", f.Grant(ctx, blind, "Site", "stranger", cairn.ReaderRole), cairn.Denied)
	wantKind(t, "a writer takes access", f.Withdraw(ctx, writer, "Site", "reader"), cairn.Denied)
	_, err = f.DescribeRepository(ctx, writer, "Site", "", true)
	wantKind(t, "a writer publishes", err, cairn.Denied)
	if err := f.Withdraw(ctx, who, "Site", "writer"); err != nil {
		t.Fatal(err)
	}
	expect("who was a writer", users[cairn.WriterRole], "Site", cairn.NoRole)
	if _, err := f.DescribeRepository(ctx, who, "Site", "It is public.", true); err != nil {
		t.Fatal(err)
	}
	expect("nobody, when it is public", Login{}, "site", cairn.ReaderRole)
	_, err = f.OwnerIn(ctx, users[cairn.AdminRole], "ada", "new")
	wantKind(t, "another's organization", err, cairn.Denied)
	_, err = f.OwnerIn(ctx, ada, "nobody", "new")
	wantKind(t, "no organization", err, cairn.NotFound)
}
