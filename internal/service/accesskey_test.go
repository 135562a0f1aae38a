package service

import (
	"strings"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
)

func (f *tenants) accessKey(t testing.TB, in NewAccessKey) AccessKeyWithSecret {
	t.Helper()
	key, err := f.CreateAccessKey(t.Context(), operator, "acme", in)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func signed(key AccessKeyWithSecret, at time.Time) Signed {
	return Signed{Key: key.ID, Text: "text", Signature: macOf([]byte(key.Secret), "text"), At: at}
}

func TestAccessKeyLetsIn(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	key := f.accessKey(t, NewAccessKey{Name: "robot"})
	if !IsAccessKeyID(string(key.ID)) || len(key.Secret) != secretLength || strings.Contains(string(key.Sealed), key.Secret) {
		t.Fatalf("got %+v", key)
	}
	who, err := f.AuthenticateSigned(t.Context(), signed(key, f.now))
	if err != nil || who.Organization.Name != "acme" || who.Name != "robot" || !who.Reach.All() || !who.Has(cairn.RepoWrite) {
		t.Fatalf("signed: got %+v, %v", who, err)
	}
	if who, err = f.AuthenticateSecret(t.Context(), key.ID, key.Secret); err != nil || who.AccessKey != key.ID {
		t.Errorf("secret: got %+v, %v", who, err)
	}
	token, _, err := f.NewAccessToken(t.Context(), key.ID, key.Secret)
	if err != nil {
		t.Fatal(err)
	}
	if who, err = f.AuthenticateAccessToken(t.Context(), token.Text); err != nil || who.AccessKey != key.ID {
		t.Errorf("token: got %+v, %v", who, err)
	}
	keys, err := f.ListAccessKeys(t.Context(), operator, "acme")
	if err != nil || len(keys) != 1 || keys[0].ID != key.ID {
		t.Errorf("listed %+v, %v", keys, err)
	}
}

// What is not signed by the key, at about this time, is refused; a revoked key
// is as one that never was.
func TestAccessKeyRefusals(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	key, other := f.accessKey(t, NewAccessKey{}), f.accessKey(t, NewAccessKey{})
	good := signed(key, f.now)
	forged, unknown, short := good, good, good
	forged.Signature = macOf([]byte(other.Secret), "text")
	unknown.Key = "CAK" + cairn.AccessKeyID(strings.Repeat("A", 17))
	short.Signature = nil
	for name, in := range map[string]Signed{
		"of another secret": forged, "of an unknown key": unknown, "empty": short, "of no key": {Text: "text", Signature: macOf(nil, "text"), At: f.now},
		"of the past": signed(key, f.now.Add(-signatureWindow-time.Second)), "of the future": signed(key, f.now.Add(signatureWindow+time.Second)),
	} {
		_, err := f.AuthenticateSigned(t.Context(), in)
		wantKind(t, name, err, cairn.Unauthenticated)
	}
	_, err := f.AuthenticateSecret(t.Context(), unknown.Key, "")
	wantKind(t, "the empty secret of no key", err, cairn.Unauthenticated)
	_, err = f.AuthenticateSecret(t.Context(), key.ID, other.Secret)
	wantKind(t, "another secret", err, cairn.Unauthenticated)

	token, _, err := f.NewAccessToken(t.Context(), key.ID, key.Secret)
	if err != nil {
		t.Fatal(err)
	}
	longer := strings.Replace(token.Text, ".", ".1", 1)
	for _, text := range []string{"", ".", "..", token.Text + "A", longer, strings.Replace(token.Text, string(key.ID), string(other.ID), 1), strings.Repeat("a.", 9000)} {
		_, err := f.AuthenticateAccessToken(t.Context(), text)
		wantKind(t, cairn.Clip(text), err, cairn.Unauthenticated)
	}

	wantKind(t, "revoked by another", f.RevokeAccessKey(t.Context(), operator, "evil", key.ID), cairn.NotFound)
	if err := f.RevokeAccessKey(t.Context(), operator, "acme", key.ID); err != nil {
		t.Fatal(err)
	}
	_, err = f.AuthenticateSigned(t.Context(), good)
	wantKind(t, "revoked", err, cairn.Unauthenticated)
	_, err = f.AuthenticateAccessToken(t.Context(), token.Text)
	wantKind(t, "token of a revoked key", err, cairn.Unauthenticated)
}

func TestAccessKeyForSomeRepositories(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	mine, other := f.create(t, "acme", "web/mine"), f.create(t, "acme", "web/other")
	key := f.accessKey(t, NewAccessKey{Scopes: []cairn.Scope{cairn.GitRead, cairn.OrgRead}, Repositories: []cairn.RepositoryName{"web/mine"}})
	who, err := f.AuthenticateSigned(t.Context(), signed(key, f.now))
	if err != nil {
		t.Fatal(err)
	}
	if _, found, err := f.RepositoryByID(t.Context(), who, mine.Repository); err != nil || found.Name != "web/mine" {
		t.Errorf("got %+v, %v", found, err)
	}
	_, _, err = f.RepositoryByID(t.Context(), who, other.Repository)
	wantKind(t, "another repository", err, cairn.Denied)
	list, total, err := f.FindRepositories(t.Context(), who, RepositoriesQuery{Folder: "web/"})
	if err != nil || total != 1 || len(list) != 1 || list[0].Name != "web/mine" {
		t.Errorf("listed %+v, %d, %v", list, total, err)
	}
	_, err = f.CreateProject(t.Context(), who, "new")
	wantKind(t, "a project", err, cairn.Denied)
}

func TestAccessKeyThatIsNotMade(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	for name, in := range map[string]NewAccessKey{
		"a scope": {Scopes: []cairn.Scope{"admin"}}, "no scope": {Scopes: []cairn.Scope{}}, "a name": {Name: "a\nb"},
	} {
		_, err := f.CreateAccessKey(t.Context(), operator, "acme", in)
		wantKind(t, name, err, cairn.Invalid)
	}
	_, err := f.CreateAccessKey(t.Context(), operator, "acme", NewAccessKey{Repositories: []cairn.RepositoryName{"absent"}})
	wantKind(t, "a repository", err, cairn.NotFound)
	_, err = f.CreateAccessKey(t.Context(), cairn.Actor{}, "acme", NewAccessKey{})
	wantKind(t, "not by the operator", err, cairn.Denied)
}

func TestProjects(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	who, err := f.Operator(t.Context(), operator, "acme")
	if err != nil {
		t.Fatal(err)
	}
	web, err := f.CreateProject(t.Context(), who, "web")
	if err != nil || len(web.ID) != 32 {
		t.Fatalf("got %+v, %v", web, err)
	}
	_, err = f.CreateProject(t.Context(), who, "web")
	wantKind(t, "twice", err, cairn.Conflict)
	for _, name := range []string{"", "1a", "a/b", "a.b", strings.Repeat("a", 129)} {
		_, err = f.CreateProject(t.Context(), who, name)
		wantKind(t, name, err, cairn.Invalid)
	}
	repos := []cairn.Repository{f.create(t, "acme", "web/a"), f.create(t, "acme", "web"), f.create(t, "acme", "other/a")}
	found, err := f.ProjectsOf(t.Context(), who, repos...)
	if err != nil || len(found) != 1 || found["web"].ID != web.ID {
		t.Errorf("got %+v, %v", found, err)
	}
	page, err := f.ListProjects(t.Context(), who, "", 0)
	if err != nil || len(page.Projects) != 1 {
		t.Errorf("listed %+v, %v", page, err)
	}
}
