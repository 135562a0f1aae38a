package service

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// Keys that ssh-keygen made.
const (
	sshEd25519            = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB02MJaOggGqgJg1ZRRpcW6JRCl6BOogSpM4T8JK6pen ada@laptop"
	sshEd25519Fingerprint = "SHA256:gfkvjK1vRMIdrW7nUp8wZS+Vmv0W7EkjZxseH+HGzHY"
	sshDSA                = "ssh-dss AAAAB3NzaC1kc3MAAACBAJHT4Xn45B/E92jGzuR8okXV/CGfM3qWJH6ty2Wlp1BWeGR3MJapnXQSVuPn8qouav2CF+pEcYInhPkuFQ0qpLYiUutkJ9OjUBpJYwzE4JoKwIYV4/XkIX0oOL9I4O7O+tjarwngurULm37mxhD970OBnqsOGnrABuhJ+hwa1hntAAAAFQDsSFmz1XwqY5U/sirXAS0wgySflwAAAIBemdjlrRsru1d+UfQPpQkBryyq76FsV75JULlDHtPOA8Hw+qVZtdzDZygBaY28/8UpgFWE9YAvoMFsn+iUofqvIcnZE4oX7cOq0Z/9Lp4CNpy4lTr3wiytX9Y7YIBQcAPtA7ZEsNl8SwYcA7kIvPKkCpcNVb1B7M01MXjmOO2glgAAAIB/FZJFYFjTVBzqtzAnCjq75SK8Ba03lamp5HofQnV4JqyAYk0osflSKgz3XXcCIQKWyfXZJZgE35/Ssi86t/cpW0dKiS/CEJjwLDAAPE91BLowHxk008UC1gWntUobwXrmVkp9WNb3Y1X9Vah0obfKde7C8mRGcBjQUV2YYk8KPg=="
	sshRSA1024            = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQCwt6TSp7IlD9Dj4V21U2ToLJFb4oBMW8LDCSTGibCfH8gnkx5BGnmpP+jTEzU5IfWQ8++fSaJ/xZKO4Wa2ZCfX+v1JGfCa0rTxKsGqVWmTPU4iaidugLncyY8QQzI4ZPXzera2EDwNzCyO52txENKzSoT6Eu0GVJBO23IKQm/Cgw=="
	sshCertificate        = "ssh-ed25519-cert-v01@openssh.com AAAAIHNzaC1lZDI1NTE5LWNlcnQtdjAxQG9wZW5zc2guY29tAAAAIIEQJ2UhVN4LxIwtiWMTf28lEIdWTLMUMrGUcXUf+90qAAAAIB02MJaOggGqgJg1ZRRpcW6JRCl6BOogSpM4T8JK6penAAAAAAAAAAAAAAABAAAAAXgAAAAAAAAAAAAAAAD//////////wAAAAAAAACCAAAAFXBlcm1pdC1YMTEtZm9yd2FyZGluZwAAAAAAAAAXcGVybWl0LWFnZW50LWZvcndhcmRpbmcAAAAAAAAAFnBlcm1pdC1wb3J0LWZvcndhcmRpbmcAAAAAAAAACnBlcm1pdC1wdHkAAAAAAAAADnBlcm1pdC11c2VyLXJjAAAAAAAAAAAAAAAzAAAAC3NzaC1lZDI1NTE5AAAAIADhElipWvOPn6XAdEYMyUoXDtjGISO7dzLX3X5QtXhRAAAAUwAAAAtzc2gtZWQyNTUxOQAAAEAINvXeWuE2SWyLvkLVhGJo/9yImlmLcd3vwCNwkXA5bQ/kzY/xAnLC1VFt4lcNmmE6YV1EEv8Rm4FFkf4B2nsM"
)

func TestParseSSHKey(t *testing.T) {
	t.Parallel()
	line, fingerprint, err := parseSSHKey("  " + sshEd25519 + "\n")
	if err != nil || line != sshEd25519 || fingerprint != sshEd25519Fingerprint {
		t.Errorf("got %q, %q, %v", line, fingerprint, err)
	}
	bare := strings.TrimSuffix(sshEd25519, " ada@laptop")
	if line, again, err := parseSSHKey(bare); err != nil || line != bare || again != fingerprint {
		t.Errorf("without a comment: got %q, %q, %v", line, again, err)
	}
	for name, text := range map[string]string{
		"empty": " \n", "words": "not a key at all", "DSA": sshDSA, "a short RSA key": sshRSA1024, "a certificate": sshCertificate,
		"options": `command="sh" ` + sshEd25519, "two keys": sshEd25519 + "\n" + sshEd25519, "cut off": bare[:len(bare)-4],
		"of another algorithm": strings.Replace(sshEd25519, "ssh-ed25519", "ssh-rsa", 1), "too long": sshEd25519 + strings.Repeat("x", maxSSHKey),
		"a private key": "-----BEGIN OPENSSH PRIVATE KEY-----", "a comment with a control character": bare + " a\x1b[2Jb",
		"a long comment": bare + " " + strings.Repeat("x", maxSSHComment+1), "a marker of known_hosts": "@revoked * " + bare,
	} {
		_, _, err := parseSSHKey(text)
		wantKind(t, name, err, cairn.Invalid)
	}
}

// FuzzParseSSHKey holds what is taken to what is stored: one line, that is read
// again as the same key.
func FuzzParseSSHKey(f *testing.F) {
	for _, text := range []string{sshEd25519, sshDSA, sshRSA1024, sshCertificate, `from="a b" ` + sshEd25519, sshEd25519 + " \t\xff", "ssh-rsa AAAA"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		line, fingerprint, err := parseSSHKey(text)
		if err != nil {
			if !errors.Is(err, cairn.Invalid) {
				t.Errorf("got error %v", err)
			}
			return
		}
		again, same, err := parseSSHKey(line)
		if err != nil || again != line || same != fingerprint || strings.ContainsAny(line, "\r\n\x00") {
			t.Errorf("%q is stored as %q, which is %q, %q, %v", text, line, again, same, err)
		}
	})
}

// FuzzSSHPrivateKey reads what may be private keys.
func FuzzSSHPrivateKey(f *testing.F) {
	for _, key := range newSSHPrivateKeys(f) {
		f.Add(privateText(f, key))
	}
	f.Fuzz(func(t *testing.T, text string) {
		fingerprint, err := sshFingerprint(text)
		if err == nil && !strings.HasPrefix(fingerprint, "SHA256:") || err != nil && !errors.Is(err, cairn.Invalid) {
			t.Errorf("got %q, %v", fingerprint, err)
		}
		if err != nil && len(text) > 40 && strings.Contains(err.Error(), text[:40]) {
			t.Errorf("the error tells the key: %v", err)
		}
	})
}

func newSSHPrivateKeys(t testing.TB) []crypto.Signer {
	t.Helper()
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return []crypto.Signer{ed, ec, testRSA()}
}

// privateText is a private key as ssh-keygen writes it.
func privateText(t testing.TB, key crypto.PrivateKey) string {
	t.Helper()
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(block))
}

// publicText is its public half.
func publicText(t testing.TB, key crypto.Signer) string {
	t.Helper()
	public, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return string(ssh.MarshalAuthorizedKey(public))
}

// TestSecurityForgedSSHPrivateKey gives a file that says of itself the public
// half of somebody else's key.
func TestSecurityForgedSSHPrivateKey(t *testing.T) {
	t.Parallel()
	_, victim, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	forged := append(append(ed25519.PrivateKey{}, make([]byte, ed25519.SeedSize)...), victim[ed25519.SeedSize:]...)
	if got, err := sshFingerprint(privateText(t, forged)); !errors.Is(err, cairn.Invalid) {
		t.Errorf("the forged key is taken for %q, %v", got, err)
	}
	if _, err := sshFingerprint(privateText(t, victim)); err != nil {
		t.Errorf("the victim's own: %v", err)
	}
	locked, err := ssh.MarshalPrivateKeyWithPassphrase(victim, "", []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"with a passphrase": string(pem.EncodeToMemory(locked)), "a public key": sshEd25519, "empty": "",
		"two": privateText(t, victim) + privateText(t, victim), "long": strings.Repeat(" ", maxSSHPrivateKey) + privateText(t, victim),
	} {
		if _, err := sshFingerprint(text); !errors.Is(err, errSSHPrivateKey) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestSSHKeysAreTheirHolders(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	ctx := t.Context()
	ada, bob := f.user(t, "ada", "", false), f.user(t, "bob", "", false)
	made := f.accessKey(t, NewAccessKey{})
	robot, err := f.AuthenticateSecret(ctx, made.ID, made.Secret)
	if err != nil {
		t.Fatal(err)
	}
	f.create(t, "acme", "site")
	keys := newSSHPrivateKeys(t)
	hers, err := f.SSHKeysOf(ada.Actor(), "").Add(ctx, NewSSHKey{Title: "laptop", Text: publicText(t, keys[0]), CanPush: true})
	if err != nil || hers.Number != 1 || hers.CanPush {
		t.Fatalf("got %+v, %v", hers, err)
	}
	its, err := f.SSHKeysOf(robot, "").Add(ctx, NewSSHKey{Title: "laptop", Text: publicText(t, keys[1])})
	if err != nil || its.Number != 2 {
		t.Fatalf("got %+v, %v", its, err)
	}
	deployed, err := f.DeployKeys(robot, "site").Add(ctx, NewSSHKey{Title: "laptop", Text: publicText(t, keys[2]), CanPush: true})
	if err != nil || deployed.Number != 3 || !deployed.CanPush {
		t.Fatalf("got %+v, %v", deployed, err)
	}
	reader := robot
	reader.Scopes = []cairn.Scope{cairn.GitWrite}
	foreign := cairn.Actor{Organization: f.actor(t, "evil", "").Organization, Scopes: accessKeyScopes, Reach: new(cairn.Reach), AccessKey: "CAKEVIL"}
	for name, c := range map[string]struct {
		ring SSHKeyRing
		list error
		may  cairn.Number // the one key that it holds
	}{
		"ada":                      {f.SSHKeysOf(ada.Actor(), ""), nil, 1},
		"ada by name":              {f.SSHKeysOf(ada.Actor(), "Ada"), nil, 1},
		"the operator for ada":     {f.SSHKeysOf(operator, "ada"), nil, 1},
		"the operator":             {f.SSHKeysOf(operator, ""), cairn.NotFound, 0},
		"bob":                      {f.SSHKeysOf(bob.Actor(), ""), nil, 0},
		"bob for ada":              {f.SSHKeysOf(bob.Actor(), "ada"), cairn.Denied, 0},
		"an access key":            {f.SSHKeysOf(robot, ""), nil, 2},
		"an access key for ada":    {f.SSHKeysOf(robot, "ada"), cairn.Unauthenticated, 0},
		"another access key":       {f.SSHKeysOf(foreign, ""), nil, 0},
		"nobody":                   {f.SSHKeysOf(cairn.Actor{}, ""), cairn.Unauthenticated, 0},
		"the repository":           {f.DeployKeys(robot, "site"), nil, 3},
		"who may push only":        {f.DeployKeys(reader, "site"), cairn.Denied, 0},
		"another organization":     {f.DeployKeys(foreign, "site"), cairn.NotFound, 0},
		"ada without a role":       {f.DeployKeys(ada.Actor(), "site"), cairn.Denied, 0},
		"a repository of no name":  {f.DeployKeys(robot, "nothing"), cairn.NotFound, 0},
		"nobody at the repository": {f.DeployKeys(cairn.Actor{}, "site"), cairn.Unauthenticated, 0},
	} {
		list, err := c.ring.List(ctx)
		if !errors.Is(err, c.list) || len(list) > 1 || len(list) == 1 != (c.may > 0) || c.may > 0 && list[0].Number != c.may {
			t.Errorf("%s: listed %+v, %v", name, list, err)
		}
		for n := cairn.Number(0); n < 5; n++ {
			got, err := c.ring.Get(ctx, n)
			if n == c.may && n > 0 {
				if err != nil || got.Number != n {
					t.Errorf("%s: got %+v, %v", name, got, err)
				}
				continue
			}
			want := c.list
			if want == nil {
				want = cairn.NotFound
			}
			wantKind(t, name, err, want.(cairn.Kind))
			wantKind(t, name+" deletes", c.ring.Delete(ctx, n), want.(cairn.Kind))
		}
	}
	for _, in := range []NewSSHKey{{Text: sshEd25519}, {Title: "\x00", Text: sshEd25519}, {Title: strings.Repeat("x", 256), Text: sshEd25519}, {Title: "x", Text: "x"}} {
		_, err := f.SSHKeysOf(ada.Actor(), "").Add(ctx, in)
		wantKind(t, "added "+in.Title, err, cairn.Invalid)
	}
	for _, ring := range []SSHKeyRing{f.SSHKeysOf(ada.Actor(), ""), f.SSHKeysOf(robot, ""), f.DeployKeys(robot, "site")} {
		list, err := ring.List(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := ring.Delete(ctx, list[0].Number); err != nil {
			t.Error(err)
		}
		wantKind(t, "deleted twice", ring.Delete(ctx, list[0].Number), cairn.NotFound)
	}
}

func TestSSHKeysAreBounded(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	ring := f.SSHKeysOf(f.user(t, "ada", "", false).Actor(), "")
	for i := range maxSSHKeys + 1 {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		_, err = ring.Add(t.Context(), NewSSHKey{Title: strings.Repeat("x", i+1), Text: publicText(t, key)})
		if want := i == maxSSHKeys; errors.Is(err, cairn.Conflict) != want || err != nil && !want {
			t.Fatalf("key %d: %v", i, err)
		}
	}
}

// A private key opens what its public half may use, and is refused alike
// everywhere else.
func TestVerifySSHPrivateKey(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	ctx := t.Context()
	f.create(t, "acme", "site")
	f.create(t, "acme", "shop")
	ada := f.user(t, "ada", "", false)
	made := f.accessKey(t, NewAccessKey{Repositories: []cairn.RepositoryName{"site"}})
	robot, err := f.AuthenticateSecret(ctx, made.ID, made.Secret)
	if err != nil {
		t.Fatal(err)
	}
	who := cairn.Actor{Organization: robot.Organization, Admin: true}
	keys := newSSHPrivateKeys(t)
	for i, ring := range []SSHKeyRing{f.SSHKeysOf(ada.Actor(), ""), f.SSHKeysOf(robot, ""), f.DeployKeys(who, "site")} {
		if _, err := ring.Add(ctx, NewSSHKey{Title: "t", Text: publicText(t, keys[i])}); err != nil {
			t.Fatal(err)
		}
	}
	verify := func(what string, key int, repo cairn.RepositoryName, want error) {
		t.Helper()
		if err := f.VerifySSHPrivateKey(ctx, who, repo, privateText(t, keys[key])); !errors.Is(err, want) {
			t.Errorf("%s in %s: got %v, want %v", what, repo, err, want)
		}
	}
	verify("a user without a role", 0, "site", errSSHKeyStranger)
	if err := f.Grant(ctx, who, "site", "ada", cairn.ReaderRole); err != nil {
		t.Fatal(err)
	}
	verify("a user with a role", 0, "site", nil)
	verify("a user without a role", 0, "shop", errSSHKeyStranger)
	verify("an access key", 1, "site", nil)
	verify("an access key for another", 1, "shop", errSSHKeyStranger)
	verify("a deploy key", 2, "site", nil)
	verify("a deploy key of another", 2, "shop", errSSHKeyStranger)
	disabled := true
	if _, err := f.UpdateUser(ctx, operator, "ada", UserEdit{Disabled: &disabled}); err != nil {
		t.Fatal(err)
	}
	verify("a user who is let in nowhere", 0, "site", errSSHKeyStranger)
	if err := f.RevokeAccessKey(ctx, operator, "acme", made.ID); err != nil {
		t.Fatal(err)
	}
	verify("a revoked access key", 1, "site", errSSHKeyStranger)
	if _, err := f.SSHKeysOf(ada.Actor(), "").Add(ctx, NewSSHKey{Title: "its", Text: publicText(t, keys[1])}); err != nil {
		t.Errorf("the key of a revoked access key is not free: %v", err)
	}
	err = f.VerifySSHPrivateKey(ctx, robot, "shop", privateText(t, keys[2]))
	wantKind(t, "who may not read the repository", err, cairn.Denied)
}
