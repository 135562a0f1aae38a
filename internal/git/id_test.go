package git_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/gittest"
)

func TestHashObjectAgreesWithGit(t *testing.T) {
	t.Parallel()
	for _, format := range []git.ObjectFormat{git.SHA1, git.SHA256} {
		t.Run(format.String(), func(t *testing.T) {
			t.Parallel()
			r := gittest.Random(t, 11, gittest.Options{Format: format.String()})
			kinds := map[string]int{}
			for _, o := range r.Objects() {
				kind, err := git.ParseObjectType(o.Type)
				if err != nil {
					t.Fatal(err)
				}
				id, err := git.HashObject(format, kind, o.Data)
				if err != nil {
					t.Fatal(err)
				}
				if got, want := id.String(), o.ID; got != want {
					t.Errorf("%s: got id %s, want %s", o.Type, got, want)
				}
				kinds[o.Type]++
			}
			if len(kinds) != 4 {
				t.Errorf("got kinds %v, want all four", kinds)
			}
			if got, want := format.EmptyTree().String(), r.GitInput("", "hash-object", "-t", "tree", "--stdin"); got != want {
				t.Errorf("empty tree: got %s, want %s", got, want)
			}
		})
	}
}

func TestHasherTakesContentInPieces(t *testing.T) {
	t.Parallel()
	data := bytes.Repeat([]byte("some content\n"), 1000)
	want := hashOf(t, git.BlobObject, data)
	h := git.NewHasher(git.SHA1)
	for range 2 { // the second time after a Reset
		h.Reset(git.BlobObject, int64(len(data)))
		for chunk := range bytes.Lines(data) {
			h.Write(chunk)
		}
		if got, err := h.Sum(); got != want || err != nil {
			t.Errorf("got %s, %v, want %s", got, err, want)
		}
	}
}

func TestObjectIDText(t *testing.T) {
	t.Parallel()
	const sha1 = "0123456789abcdef0123456789abcdef01234567"
	for _, c := range []struct {
		name, text string
		ok         bool
	}{
		{"a SHA-1", sha1, true},
		{"a SHA-256", sha1 + sha1[:24], true},
		{"zeros", git.ZeroHex, true},
		{"an abbreviation", sha1[:39], false},
		{"too long", sha1 + "0", false},
		{"nothing", "", false},
		{"capitals", strings.ToUpper(sha1), false},
		{"no digits", strings.Repeat("g", 40), false},
		{"forty bytes of fewer characters", strings.Repeat("é", 20), false},
	} {
		id, err := git.ParseObjectID(c.text)
		if got := err == nil; got != c.ok {
			t.Errorf("%s: got %v, want ok %v", c.name, err, c.ok)
			continue
		}
		if !c.ok {
			continue
		}
		if id.String() != c.text {
			t.Errorf("%s: got %s, want %s", c.name, id, c.text)
		}
		raw, err := git.ObjectIDFromBytes(id.Bytes())
		if err != nil || raw != id || raw.Compare(id) != 0 {
			t.Errorf("%s: got %s, %v from bytes, want %s", c.name, raw, err, id)
		}
		if got, want := len(id.AppendTo(nil)), id.Format().Size(); got != want {
			t.Errorf("%s: got %d bytes, want %d", c.name, got, want)
		}
	}
}

func TestObjectIDInJSON(t *testing.T) {
	t.Parallel()
	const text = `["0123456789abcdef0123456789abcdef01234567","0000000000000000000000000000000000000000"]`
	var ids []git.ObjectID
	if err := json.Unmarshal([]byte(text), &ids); err != nil {
		t.Fatal(err)
	}
	if ids[0].IsZero() || ids[1] != (git.ObjectID{}) {
		t.Errorf("got %v, want an id and the zero value", ids)
	}
	if got, err := json.Marshal(ids); string(got) != text || err != nil {
		t.Errorf("got %s, %v, want %s", got, err, text)
	}
	if err := json.Unmarshal([]byte(`"12345"`), &ids[0]); err == nil {
		t.Error("a short id was taken")
	}
}

func TestObjectIDFromBytesRefusesOtherSizes(t *testing.T) {
	t.Parallel()
	for n := range 40 {
		_, err := git.ObjectIDFromBytes(make([]byte, n))
		if ok := n == 0 || n == 20 || n == 32; (err == nil) != ok {
			t.Errorf("%d bytes: got %v, want ok %v", n, err, ok)
		}
	}
}

func BenchmarkHashObject(b *testing.B) {
	data := bytes.Repeat([]byte("func main() { println() }\n"), 400)
	b.SetBytes(int64(len(data)))
	h := git.NewHasher(git.SHA1)
	for b.Loop() {
		h.Reset(git.BlobObject, int64(len(data)))
		h.Write(data)
		if _, err := h.Sum(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseObjectID(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := git.ParseObjectID("0123456789abcdef0123456789abcdef01234567"); err != nil {
			b.Fatal(err)
		}
	}
}
