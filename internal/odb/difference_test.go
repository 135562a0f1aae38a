package odb

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cairn-storage/cairn/internal/git"
)

// TestEachDifference compares random trees with random others by looking each
// entry up.
func TestEachDifference(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 9))
	randomID := func(n int) git.ObjectID { return git.MustParseObjectID(fmt.Sprintf("%040x", 1+random.IntN(n))) }
	for range 3000 {
		var entries []git.TreeEntry
		for i := range random.IntN(30) {
			mode := []git.FileMode{git.ModeFile, git.ModeTree, git.ModeExecutable}[random.IntN(3)]
			entries = append(entries, git.TreeEntry{Mode: mode, Name: fmt.Sprintf("%c%d", 'a'+i/10, i), ID: randomID(1 << 20)})
		}
		edited := func() []byte {
			list := slices.Clone(entries)
			for range random.IntN(4) {
				if len(list) == 0 {
					break
				}
				switch i := random.IntN(len(list)); random.IntN(3) {
				case 0:
					list[i].ID = git.MustParseObjectID(list[i].ID.String()[:39] + fmt.Sprintf("%x", random.IntN(16))) // the last byte alone
				case 1:
					list = slices.Delete(list, i, i+1)
				default:
					list = append(list, git.TreeEntry{Mode: git.ModeFile, Name: fmt.Sprintf("%c-%d", 'a'+random.IntN(4), i), ID: randomID(1 << 20)})
				}
			}
			git.SortTree(list)
			list = slices.CompactFunc(list, func(a, b git.TreeEntry) bool { return a.Name == b.Name })
			return git.EncodeTree(list)
		}
		tree := edited()
		var bases []base
		has := map[string]bool{}
		for range random.IntN(3) {
			other := edited()
			parsed, err := git.ParseTree(git.SHA1, other)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range parsed {
				has[fmt.Sprint(e.Name, e.ID, e.Mode.ObjectType())] = true
			}
			b := base{reader: git.NewTreeReader(git.SHA1, other)}
			if b.more, err = b.reader.Next(); err != nil {
				t.Fatal(err)
			}
			bases = append(bases, b)
		}
		var got, want []string
		err := eachDifference(git.SHA1, git.ObjectID{}, tree, bases, func(r *git.TreeReader) error {
			got = append(got, string(r.Name))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := git.ParseTree(git.SHA1, tree)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range parsed {
			if !has[fmt.Sprint(e.Name, e.ID, e.Mode.ObjectType())] {
				want = append(want, e.Name)
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("got %v\nwant %v", got, want)
		}
	}
}
