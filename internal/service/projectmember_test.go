package service

import (
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// TestImportMembers takes the members of a project over into repositories that
// are made in every way.
func TestImportMembers(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	ctx := t.Context()
	f.user(t, "ada", "", false)
	f.user(t, "bob", "", false)
	who := f.actor(t, "acme", "", cairn.RepoWrite, cairn.GitWrite)
	who.Reach = new(cairn.Reach)
	project, err := f.CreateProject(ctx, who, "web")
	if err != nil {
		t.Fatal(err)
	}
	for user, role := range map[string]cairn.Role{"ada": cairn.AdminRole, "bob": cairn.WriterRole} {
		if err := f.SetProjectMember(ctx, who, project.ID, user, cairn.ReaderRole); err != nil {
			t.Fatal(err)
		}
		if err := f.SetProjectMember(ctx, who, project.ID, user, role); err != nil {
			t.Fatal(err)
		}
	}
	for name, in := range map[cairn.RepositoryName]NewRepository{
		"web/empty": {}, "web/begun": {First: &firstCommit}, "app/elsewhere": {}, "plain": {},
	} {
		in.Name, in.ImportMembers = name, true
		if _, err := f.CreateRepository(ctx, who, in); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.ForkRepository(ctx, who, NewFork{Name: "web/fork", Source: "web/begun", SourceActor: who, ImportMembers: true, Description: "d", Public: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.CreateRepository(ctx, who, NewRepository{Name: "web/without"}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[cairn.RepositoryName]int{"web/empty": 2, "web/begun": 2, "web/fork": 2, "web/without": 0, "app/elsewhere": 0, "plain": 0} {
		list, err := f.Collaborators(ctx, who, name)
		if err != nil || len(list) != want || want > 0 && (list[0].User.Name != "ada" || list[0].Role != cairn.AdminRole || list[1].Role != cairn.WriterRole) {
			t.Errorf("%s has %+v, %v", name, list, err)
		}
	}
	if fork, err := f.Repository(ctx, who, "web/fork"); err != nil || fork.Description != "d" || !fork.Public {
		t.Errorf("the fork is %+v, %v", fork, err)
	}
	weak := who
	weak.Scopes = []cairn.Scope{cairn.RepoWrite}
	_, err = f.CreateRepository(ctx, weak, NewRepository{Name: "web/weak", ImportMembers: true})
	wantKind(t, "members with more rights than their giver", err, cairn.Denied)
	if err := f.SetProjectMember(ctx, who, project.ID, "bob", cairn.NoRole); err != nil {
		t.Error(err)
	}
	if list, err := f.ProjectMembers(ctx, who, project.ID); err != nil || len(list) != 1 || list[0].User.Name != "ada" {
		t.Errorf("left %+v, %v", list, err)
	}
	wantKind(t, "no user", f.SetProjectMember(ctx, who, project.ID, "nobody", cairn.ReaderRole), cairn.NotFound)
	wantKind(t, "no project", f.SetProjectMember(ctx, who, "x", "ada", cairn.ReaderRole), cairn.NotFound)
	wantKind(t, "an owner", f.SetProjectMember(ctx, who, project.ID, "ada", cairn.OwnerRole), cairn.Invalid)
	one := f.actor(t, "acme", "web/empty", cairn.RepoWrite)
	one.Reach = &cairn.Reach{IDs: []cairn.RepositoryID{"x"}}
	wantKind(t, "a credential for one repository", f.SetProjectMember(ctx, one, project.ID, "ada", cairn.ReaderRole), cairn.Denied)
	_, err = f.ProjectMembers(ctx, f.actor(t, "acme", "web/empty", cairn.GitRead), project.ID)
	wantKind(t, "who may not make projects", err, cairn.Denied)
}
