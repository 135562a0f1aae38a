package protocol_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/protocol"
	"github.com/cairn-storage/cairn/internal/gittest"
)

func TestParseFilter(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, want string }{
		{"blob:none", "blob:none"},
		{"blob:limit=0", "blob:none"},
		{"blob:limit=1", "blob:limit=1"},
		{"blob:limit=1k", "blob:limit=1024"},
		{"blob:limit=2M", "blob:limit=2097152"},
		{"blob:limit=1g", "blob:limit=1073741824"},
		{"tree:0", "tree:0"},
		{"tree:7", "tree:7"},
		{"object:type=tag", "object:type=tag"},
		{"combine:blob:none", "blob:none"},
		{"combine:blob:none+tree:3", "combine:blob%3Anone+tree%3A3"},
		{"combine:blob%3Alimit%3D5+blob:limit=3", "blob:limit=3"},
		{"combine:tree:4+combine%3Atree%3A2+blob:none", "combine:blob%3Anone+tree%3A2"},
		{"combine:combine%3Atree%3A2%2Bblob%3Anone+tree:5", "combine:blob%3Anone+tree%3A2"},
		{"combine:object:type=blob+object:type=blob", "object:type=blob"},
		{"combine:object:type=tag+object:type=commit", "combine:object%3Atype%3Dblob+object%3Atype%3Dtree"},
	} {
		f, err := protocol.ParseFilter(c.in)
		if err != nil || f.String() != c.want {
			t.Errorf("%q: got %q, %v, want %q", c.in, f, err, c.want)
		}
		again, err := protocol.ParseFilter(f.String())
		if err != nil || again != f {
			t.Errorf("%q: its String gives %q, %v", c.in, again, err)
		}
	}
}

func TestParseFilterRefuses(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		"", "blob", "blob:", "blob:none ", "blob:limit", "blob:limit=", "blob:limit=k", "blob:limit=-1", "blob:limit=1kk",
		"blob:limit=1t", "blob:limit=9223372036854775807", "blob:limit=9999999999999999g", "tree", "tree:", "tree:-1", "tree:x",
		"tree:99999999999", "object:type=", "object:type=any", "sparse:oid=main:x", "sparse:path=x", "combine:", "combine:+",
		"combine:blob:none+", "combine:blob%3", "combine:blob%zz", "combine:tree:1+sparse%3Aoid%3Dx", "combine:blob:none tree:1",
		"combine:~", "auto", "\x00",
	} {
		if f, err := protocol.ParseFilter(in); !errors.Is(err, protocol.ErrProtocol) {
			t.Errorf("%q: got %q, %v, want ErrProtocol", in, f, err)
		}
	}
	nested := "blob:none"
	for range 5 {
		nested = "combine:" + strings.NewReplacer("%", "%25", ":", "%3A").Replace(nested)
	}
	for name, in := range map[string]string{
		"nested": nested, "many": "combine:" + strings.Repeat("tree:1+", 16) + "tree:1", "long": strings.Repeat("x", 5000),
	} {
		var limit *protocol.LimitError
		if _, err := protocol.ParseFilter(in); !errors.As(err, &limit) {
			t.Errorf("%s: got %v, want a LimitError", name, err)
		}
	}
}

func TestFilterSaysWhatIsIncluded(t *testing.T) {
	t.Parallel()
	types := []git.ObjectType{git.CommitObject, git.TreeObject, git.BlobObject, git.TagObject}
	for _, c := range []struct {
		filter string
		want   []bool // by type
	}{
		{"blob:none", []bool{true, true, false, true}},
		{"blob:limit=5", []bool{true, true, true, true}},
		{"tree:0", []bool{true, false, false, true}},
		{"tree:1", []bool{true, true, true, true}},
		{"object:type=blob", []bool{false, false, true, false}},
		{"combine:object:type=blob+object:type=tree", []bool{false, false, false, false}},
		{"combine:object:type=tree+tree:0", []bool{false, false, false, false}},
	} {
		f, err := protocol.ParseFilter(c.filter)
		if err != nil {
			t.Fatal(err)
		}
		for i, typ := range types {
			if got := f.Includes(typ); got != c.want[i] {
				t.Errorf("%s: includes %s: got %t, want %t", c.filter, typ, got, c.want[i])
			}
		}
	}
	f, _ := protocol.ParseFilter("blob:limit=5")
	if !f.IncludesBlob(4) || f.IncludesBlob(5) {
		t.Error("blob:limit=5 is for blobs of fewer than 5 bytes")
	}
	if none := (protocol.Filter{}); !none.IsZero() || none.String() != "" || !none.IncludesBlob(1<<60) {
		t.Error("the zero filter leaves something out")
	}
}

// TestFilterIsReadByGit hands what String writes to stock git.
func TestFilterIsReadByGit(t *testing.T) {
	t.Parallel()
	repo := gittest.Init(t)
	repo.Commit("main", "first", gittest.Files{"a": "1", "b/c": "22"})
	for _, in := range []string{
		"blob:none", "blob:limit=2", "tree:1", "object:type=commit", "combine:blob:limit=2+tree:9", "combine:object:type=tree+tree:1",
		"combine:object:type=tree+object:type=blob",
	} {
		f, err := protocol.ParseFilter(in)
		if err != nil {
			t.Fatal(err)
		}
		got := repo.Git("rev-list", "--objects", "--filter-provided-objects", "--filter="+f.String(), "main")
		want := repo.Git("rev-list", "--objects", "--filter-provided-objects", "--filter="+in, "main")
		if got != want {
			t.Errorf("%s as %s: got %q, want %q", in, f, got, want)
		}
	}
}

func FuzzFilter(f *testing.F) {
	for _, seed := range []string{
		"blob:none", "blob:limit=1k", "tree:3", "object:type=tag", "combine:blob:none+tree:1", "combine:combine%3Atree%3A1",
		"sparse:oid=x", "combine:%", "blob:limit=9223372036854775806",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		filter, err := protocol.ParseFilter(in)
		if err != nil {
			return
		}
		again, err := protocol.ParseFilter(filter.String())
		if err != nil || again != filter {
			t.Fatalf("%q gives %q, which gives %q, %v", in, filter, again, err)
		}
	})
}
