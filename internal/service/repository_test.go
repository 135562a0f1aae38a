package service

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/odb"
)

// actor is somebody of acme or evil with a token for one repository.
func (f *tenants) actor(t testing.TB, org cairn.OrganizationName, repo cairn.RepositoryName, scopes ...cairn.Scope) cairn.Actor {
	t.Helper()
	who, err := f.Operator(t.Context(), operator, org)
	if err != nil {
		t.Fatal(err)
	}
	return cairn.Actor{Organization: who.Organization, Repository: repo, Scopes: scopes, Name: "test"}
}

func (f *tenants) create(t testing.TB, org cairn.OrganizationName, name cairn.RepositoryName) cairn.Repository {
	t.Helper()
	made, err := f.CreateRepository(t.Context(), f.actor(t, org, name, cairn.RepoWrite), NewRepository{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// commit puts a commit without parents on a ref of a repository.
func (f *tenants) commit(t testing.TB, repo cairn.Repository, refs ...git.RefName) git.ObjectID {
	t.Helper()
	b := f.store.NewPack(git.SHA1)
	defer b.Close()
	tree, err := b.Add(git.TreeObject, nil)
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("tree %s\nauthor A <a@example.com> 1767225600 +0000\ncommitter A <a@example.com> 1767225600 +0000\n\n%s %s\n", tree, repo.Name, refs[0])
	id, err := b.Add(git.CommitObject, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	staged, err := b.Finish(t.Context(), repo.Organization)
	if err != nil {
		t.Fatal(err)
	}
	u := odb.Update{Packs: []odb.Staged{staged}}
	for _, ref := range refs {
		u.Refs = append(u.Refs, cairn.RefUpdate{Name: ref, New: id})
	}
	if _, err := f.store.Apply(t.Context(), repo.RepositoryKey, u); err != nil {
		t.Fatal(err)
	}
	return id
}

func (f *tenants) refs(t testing.TB, repo cairn.Repository) map[git.RefName]git.ObjectID {
	t.Helper()
	sn, err := f.store.SnapshotOf(t.Context(), repo.RepositoryKey)
	if err != nil {
		t.Fatal(err)
	}
	defer sn.Close()
	refs := make(map[git.RefName]git.ObjectID)
	for _, ref := range sn.Refs() {
		refs[ref.Name] = ref.Target
	}
	return refs
}

func wantKind(t *testing.T, name string, err error, want cairn.Kind) {
	t.Helper()
	if err == nil || cairn.KindOf(err) != want {
		t.Errorf("%s: got the error %v, want %s", name, err, want)
	}
}

func TestRepositoryLife(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	who := f.actor(t, "acme", "team/app", cairn.RepoWrite)
	made, err := f.CreateRepository(t.Context(), who, NewRepository{Name: "team/app", DefaultBranch: "trunk"})
	if err != nil || made.DefaultBranch != "refs/heads/trunk" {
		t.Fatalf("got %+v, %v", made, err)
	}
	_, err = f.CreateRepository(t.Context(), who, NewRepository{Name: "team/app"})
	wantKind(t, "again", err, cairn.Conflict)
	found, err := f.Repository(t.Context(), who, "team/app")
	if err != nil || found.RepositoryKey != made.RepositoryKey {
		t.Errorf("got %+v, %v", found, err)
	}
	if _, err := f.DeleteRepository(t.Context(), who, "team/app"); err != nil {
		t.Fatal(err)
	}
	_, err = f.Repository(t.Context(), who, "team/app")
	wantKind(t, "show after delete", err, cairn.NotFound)
	_, err = f.DeleteRepository(t.Context(), who, "team/app")
	wantKind(t, "delete after delete", err, cairn.NotFound)
	next, err := f.CreateRepository(t.Context(), who, NewRepository{Name: "team/app"})
	if err != nil || next.Repository == made.Repository {
		t.Errorf("the name's next repository is %+v, %v", next, err)
	}
}

func TestDefaultBranchNames(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	for name, want := range map[string]git.RefName{"": "refs/heads/main", "a/b": "refs/heads/a/b", "refs/heads/x": "refs/heads/x"} {
		made, err := f.CreateRepository(t.Context(), f.actor(t, "acme", "r", cairn.RepoWrite), NewRepository{Name: "r", DefaultBranch: name})
		if err != nil || made.DefaultBranch != want {
			t.Errorf("%q: got %q, %v", name, made.DefaultBranch, err)
		}
		if _, err := f.DeleteRepository(t.Context(), f.actor(t, "acme", "r", cairn.RepoWrite), "r"); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"-x", "HEAD", "a..b", "a b", "x.lock", "/x", "x/", "refs/heads/"} {
		_, err := f.CreateRepository(t.Context(), f.actor(t, "acme", "r", cairn.RepoWrite), NewRepository{Name: "r", DefaultBranch: name})
		wantKind(t, name, err, cairn.Invalid)
	}
}

func TestListRepositories(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	var want []string
	for i := range 25 {
		name := cairn.RepositoryName(fmt.Sprintf("Team-%02d/app", i))
		f.create(t, "acme", name)
		want = append(want, string(name))
	}
	f.create(t, "acme", "zebra")
	f.create(t, "evil", "team-evil")
	who := f.actor(t, "acme", "org", cairn.OrgRead)
	var got []string
	cursor, pages := "", 0
	for {
		page, err := f.ListRepositories(t.Context(), who, " tEAm ", cursor, 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Repositories {
			got = append(got, string(r.Name))
		}
		pages++
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	if pages != 3 || !slices.Equal(got, want) {
		t.Errorf("got %d pages with %q", pages, got)
	}
	first, err := f.ListRepositories(t.Context(), who, "", "", 0)
	if err != nil || len(first.Repositories) != repositoriesPerPage || first.Next == "" {
		t.Errorf("got %d repositories, %v", len(first.Repositories), err)
	}
	for _, cursor := range []string{"x", first.Next + "A", strings.Repeat("A", 20_000)} {
		_, err = f.ListRepositories(t.Context(), who, "", cursor, 0)
		wantKind(t, "cursor", err, cairn.Invalid)
	}
	_, err = f.ListRepositories(t.Context(), f.actor(t, "evil", "org", cairn.OrgRead), "", first.Next, 0)
	wantKind(t, "cursor of another organization", err, cairn.Invalid)
}

// TestAuthorizationMatrix goes through every operation of this file with every
// kind of caller: nothing passes but what a line allows.
func TestAuthorizationMatrix(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	f.create(t, "acme", "app")
	f.create(t, "acme", "other")
	f.create(t, "evil", "app")
	scopes := []cairn.Scope{"", cairn.GitRead, cairn.GitWrite, cairn.RepoWrite, cairn.OrgRead, "admin", "*"}
	for _, op := range []struct {
		name    string
		call    func(context.Context, cairn.Actor) error
		allowed map[cairn.Scope]bool
		orgWide bool
		admin   bool // only the operator may
	}{
		{"create", func(ctx context.Context, who cairn.Actor) error {
			_, err := f.CreateRepository(ctx, who, NewRepository{Name: "app"})
			return err
		}, map[cairn.Scope]bool{cairn.RepoWrite: true}, false, false},
		{"show", func(ctx context.Context, who cairn.Actor) error {
			_, err := f.Repository(ctx, who, "app")
			return err
		}, map[cairn.Scope]bool{cairn.GitRead: true, cairn.GitWrite: true, cairn.RepoWrite: true}, false, false},
		{"list", func(ctx context.Context, who cairn.Actor) error {
			_, err := f.ListRepositories(ctx, who, "", "", 0)
			return err
		}, map[cairn.Scope]bool{cairn.OrgRead: true}, true, false},
		{"fork", func(ctx context.Context, who cairn.Actor) error {
			_, err := f.ForkRepository(ctx, who, NewFork{Name: "app", Source: "app", SourceActor: who})
			return err
		}, nil, false, false}, // needs two scopes
		{"create organization", func(ctx context.Context, who cairn.Actor) error {
			_, err := f.CreateOrganization(ctx, who, "acme")
			return err
		}, nil, false, true},
		{"list organizations", func(ctx context.Context, who cairn.Actor) error {
			_, err := f.ListOrganizations(ctx, who, "", 0)
			return err
		}, nil, false, true},
		{"delete organization", func(ctx context.Context, who cairn.Actor) error {
			return f.DeleteOrganization(ctx, who, "acme")
		}, nil, false, true},
		{"add key", func(ctx context.Context, who cairn.Actor) error {
			_, err := f.AddKey(ctx, who, "acme", "")
			return err
		}, nil, false, true},
		{"list keys", func(ctx context.Context, who cairn.Actor) error {
			_, err := f.ListKeys(ctx, who, "acme")
			return err
		}, nil, false, true},
		{"revoke key", func(ctx context.Context, who cairn.Actor) error {
			return f.RevokeKey(ctx, who, "acme", "x")
		}, nil, false, true},
		{"act as operator", func(ctx context.Context, who cairn.Actor) error {
			_, err := f.Operator(ctx, who, "acme")
			return err
		}, nil, false, true},
		{"fsck", func(ctx context.Context, who cairn.Actor) error {
			_, err := f.CheckRepository(ctx, who, "app", nil)
			return err
		}, nil, false, true},
		{"gc", func(ctx context.Context, who cairn.Actor) error {
			_, err := f.CollectGarbage(ctx, who, func(GarbageResult) {})
			return err
		}, nil, false, true},
		{"delete", func(ctx context.Context, who cairn.Actor) error {
			_, err := f.DeleteRepository(ctx, who, "absent")
			return err
		}, nil, false, false}, // no actor of the matrix is for that name
	} {
		refused := func(err error) bool {
			return cairn.KindOf(err) == cairn.Denied || cairn.KindOf(err) == cairn.Unauthenticated
		}
		for _, scope := range scopes {
			for _, repo := range []cairn.RepositoryName{"app", "other", "", "APP", "org"} {
				who := f.actor(t, "acme", repo, scope)
				allowed := op.allowed[scope] && (op.orgWide || repo == "app")
				if err := op.call(t.Context(), who); refused(err) == allowed {
					t.Errorf("%s with %q for %q: got the error %v, allowed is %v", op.name, scope, repo, err, allowed)
				}
			}
		}
		if err := op.call(t.Context(), cairn.Actor{}); !refused(err) {
			t.Errorf("%s with no credential: got the error %v", op.name, err)
		}
		who, err := f.Operator(t.Context(), operator, "acme")
		if err != nil {
			t.Fatal(err)
		}
		if op.name == "delete organization" || op.name == "revoke key" {
			continue
		}
		if err := op.call(t.Context(), who); refused(err) {
			t.Errorf("%s by the operator: got the error %v", op.name, err)
		}
	}
}

func TestFork(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	source := f.create(t, "acme", "source")
	first := f.commit(t, source, "refs/heads/main", "refs/tags/v1")
	second := f.commit(t, source, "refs/heads/feature")
	f.commit(t, source, "refs/notes/commits")
	hidden := f.commit(t, source, odb.EphemeralRef("refs/heads/secret"))

	fork := func(name cairn.RepositoryName, in NewFork) (map[git.RefName]git.ObjectID, cairn.Repository, error) {
		in.Name, in.Source = name, "source"
		in.SourceActor = f.actor(t, "acme", "source", cairn.GitRead)
		made, err := f.ForkRepository(t.Context(), f.actor(t, "acme", name, cairn.RepoWrite), in)
		if err != nil {
			return nil, made, err
		}
		return f.refs(t, made), made, nil
	}

	for _, c := range []struct {
		name   cairn.RepositoryName
		in     NewFork
		branch git.RefName
		want   map[git.RefName]git.ObjectID
	}{
		{"all", NewFork{}, "refs/heads/main", map[git.RefName]git.ObjectID{"refs/heads/main": first, "refs/tags/v1": first, "refs/heads/feature": second}},
		{"all-other-head", NewFork{DefaultBranch: "feature"}, "refs/heads/feature", map[git.RefName]git.ObjectID{"refs/heads/main": first, "refs/tags/v1": first, "refs/heads/feature": second}},
		{"branch", NewFork{Ref: "feature"}, "refs/heads/main", map[git.RefName]git.ObjectID{"refs/heads/main": second}},
		{"tag", NewFork{Ref: "v1", DefaultBranch: "work"}, "refs/heads/work", map[git.RefName]git.ObjectID{"refs/heads/work": first}},
		{"sha-wins", NewFork{Ref: "main", SHA: second.String()}, "refs/heads/main", map[git.RefName]git.ObjectID{"refs/heads/main": second}},
		{"SHA", NewFork{SHA: strings.ToUpper(second.String()[:12])}, "refs/heads/main", map[git.RefName]git.ObjectID{"refs/heads/main": second}},
	} {
		refs, made, err := fork(c.name, c.in)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if made.DefaultBranch != c.branch || !equalRefs(refs, c.want) {
			t.Errorf("%s: HEAD is %s and the refs are %v, want %s and %v", c.name, made.DefaultBranch, refs, c.branch, c.want)
		}
		if result, err := f.store.Check(t.Context(), made.RepositoryKey, nil); err != nil || len(result.Problems) > 0 {
			t.Errorf("%s: %v %v", c.name, result.Problems, err)
		}
	}

	_, _, err := fork("hidden", NewFork{SHA: hidden.String()})
	wantKind(t, "a commit of the ephemeral namespace", err, cairn.NotFound)
	_, _, err = fork("hidden", NewFork{Ref: "refs/namespaces/ephemeral/refs/heads/secret"})
	wantKind(t, "a ref of the ephemeral namespace", err, cairn.NotFound)
	_, _, err = fork("absent", NewFork{SHA: strings.Repeat("1", 40)})
	wantKind(t, "an unknown commit", err, cairn.NotFound)
	_, _, err = fork("absent", NewFork{SHA: "main"})
	wantKind(t, "a name as sha", err, cairn.Invalid)
	_, _, err = fork("absent", NewFork{Ref: "--upload-pack=x"})
	wantKind(t, "an option as ref", err, cairn.Invalid)
	_, _, err = fork("all", NewFork{})
	wantKind(t, "a name that is taken", err, cairn.Conflict)
	if _, err := f.Repository(t.Context(), f.actor(t, "acme", "absent", cairn.GitRead), "absent"); cairn.KindOf(err) != cairn.NotFound {
		t.Errorf("a fork that failed is there: %v", err)
	}
}

func equalRefs(a, b map[git.RefName]git.ObjectID) bool {
	if len(a) != len(b) {
		return false
	}
	for name, id := range a {
		if b[name] != id {
			return false
		}
	}
	return true
}

// TestForkChecksBothTokens is item 10 of what attackers try: a token for one
// repository that reaches into another as the source of a fork.
func TestForkChecksBothTokens(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	f.commit(t, f.create(t, "acme", "secret"), "refs/heads/main")
	f.commit(t, f.create(t, "evil", "secret"), "refs/heads/main")
	mine := f.actor(t, "acme", "mine", cairn.RepoWrite, cairn.GitRead)
	for name, c := range map[string]struct {
		source cairn.Actor
		want   cairn.Kind
	}{
		"the token of the target":          {mine, cairn.Denied},
		"no token":                         {cairn.Actor{}, cairn.Unauthenticated},
		"a token without git:read":         {f.actor(t, "acme", "secret", cairn.RepoWrite, cairn.OrgRead), cairn.Denied},
		"a token for all of nothing":       {f.actor(t, "acme", "", cairn.GitRead), cairn.Denied},
		"another organization's own token": {f.actor(t, "evil", "secret", cairn.GitRead), cairn.Invalid},
	} {
		_, err := f.ForkRepository(t.Context(), mine, NewFork{Name: "mine", Source: "secret", SourceActor: c.source})
		wantKind(t, name, err, c.want)
	}
	_, err := f.ForkRepository(t.Context(), f.actor(t, "acme", "mine", cairn.GitWrite), NewFork{Name: "mine", Source: "secret", SourceActor: f.actor(t, "acme", "secret", cairn.GitRead)})
	wantKind(t, "no repo:write", err, cairn.Denied)
}

func TestBoundedMap(t *testing.T) {
	t.Parallel()
	m := boundedMap[int, int]{size: 10}
	for i := range 1000 {
		m.put(i, i)
		m.put(-1, i)
	}
	if got := len(m.young) + len(m.old); got > 20 {
		t.Errorf("%d entries are kept", got)
	}
	if v, ok := m.get(-1); !ok || v != 999 {
		t.Errorf("got %d, %v", v, ok)
	}
	m.remove(-1)
	if _, ok := m.get(-1); ok {
		t.Error("a removed entry is there")
	}
}
