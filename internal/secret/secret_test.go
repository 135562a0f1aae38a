package secret

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
)

var place = Place{Organization: "acme", Purpose: "test", Row: "1"}

func parse(t *testing.T, text string) *Keyring {
	t.Helper()
	ring, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func TestSealAndOpen(t *testing.T) {
	t.Parallel()
	ring := parse(t, NewKey()+"\n")
	for _, plain := range [][]byte{nil, []byte("s"), bytes.Repeat([]byte("long "), 1000)} {
		sealed := ring.Seal(plain, place)
		if len(sealed) != len(plain)+overhead || len(plain) > 3 && bytes.Contains(sealed, plain[:4]) {
			t.Errorf("sealed %d bytes as %d", len(plain), len(sealed))
		}
		got, err := ring.Open(sealed, place)
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("got %q, %v, want %q", got, err, plain)
		}
	}
	if bytes.Equal(ring.Seal([]byte("x"), place), ring.Seal([]byte("x"), place)) {
		t.Error("the same bytes were sealed alike")
	}
}

func TestTamperedSecret(t *testing.T) {
	t.Parallel()
	ring := parse(t, NewKey())
	sealed := ring.Seal([]byte("secret"), place)
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		if got, err := ring.Open(changed, place); err == nil {
			t.Errorf("byte %d changed: got %q", i, got)
		}
		if _, err := ring.Open(sealed[:i], place); err == nil {
			t.Errorf("cut to %d bytes it can be opened", i)
		}
	}
}

func TestSecretOfAnotherPlace(t *testing.T) {
	t.Parallel()
	ring := parse(t, NewKey())
	sealed := ring.Seal([]byte("secret"), place)
	for _, other := range []Place{
		{"acme", "test", "2"}, {"acme", "other", "1"}, {"evil", "test", "1"}, {"acmet", "est", "1"}, {"acme", "test1", ""}, {},
	} {
		if got, err := ring.Open(sealed, other); !errors.Is(err, cairn.Internal) {
			t.Errorf("%+v: got %q, %v", other, got, err)
		}
	}
}

func TestLostKey(t *testing.T) {
	t.Parallel()
	sealed := parse(t, NewKey()).Seal([]byte("secret"), place)
	_, err := parse(t, NewKey()).Open(sealed, place)
	if !errors.Is(err, cairn.Unavailable) || !strings.Contains(err.Error(), "secret-key") {
		t.Errorf("got error %v, want one that tells what to restore", err)
	}
}

func TestRotation(t *testing.T) {
	t.Parallel()
	old, new := NewKey(), NewKey()
	before := parse(t, old).Seal([]byte("secret"), place)
	both := parse(t, "# rotated\n"+new+"\n  # before\n"+old+"\n")
	if got, err := both.Open(before, place); err != nil || string(got) != "secret" {
		t.Errorf("got %q, %v", got, err)
	}
	after := both.Seal([]byte("secret"), place)
	if !both.IsStale(before) || both.IsStale(after) || !both.IsStale(nil) {
		t.Error("it is not told which secrets are under the old key")
	}
	if _, err := parse(t, new).Open(after, place); err != nil {
		t.Errorf("the first key did not seal: %v", err)
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	key := NewKey()
	for _, text := range []string{"", "\n# only words\n", "short", key + "x", key[:40], "c2hvcnQ=", strings.Repeat(NewKey()+",", maxKeys+1)} {
		if _, err := Parse(text); !errors.Is(err, cairn.Invalid) || strings.Contains(err.Error(), key[:10]) {
			t.Errorf("%.60q: got error %v", text, err)
		}
	}
	if ring := parse(t, key+","+NewKey()+" "+NewKey()); len(ring.keys) != 3 {
		t.Errorf("got %d keys, want 3", len(ring.keys))
	}
}

func FuzzOpen(f *testing.F) {
	ring, err := Parse(NewKey())
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte{})
	f.Add(ring.Seal([]byte("x"), place)[:20])
	f.Fuzz(func(t *testing.T, sealed []byte) {
		if _, err := ring.Open(sealed, place); err == nil {
			t.Error("bytes from elsewhere were opened")
		}
	})
}
