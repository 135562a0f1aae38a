package service

import (
	"errors"
	"fmt"
	"maps"
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/storage/storagetest"
)

// faultyChanges is a repository with three changes in a row, of which main names
// the second and topic the third, and one beside them that side names.
type faultyChanges struct {
	*changeTest
	first, last, side Change
}

func newFaultyChanges(t *testing.T, f *tenants, name cairn.RepositoryName) *faultyChanges {
	t.Helper()
	row := f.create(t, "acme", name)
	c := &faultyChanges{changeTest: &changeTest{f, t, f.actor(t, "acme", name, cairn.GitRead, cairn.GitWrite), name, row}}
	c.first = c.change(nobody, "first", file("a", "1\n2\n3\n"))
	second := c.change(c.first.ID, "second", file("b", "1"))
	c.last = c.change(second.ID, "last", file("c", "1"))
	c.side = c.change(c.first.ID, "side", file("d", "1"))
	c.point("main", second.ID)
	c.point("topic", c.last.ID)
	c.point("side", c.side.ID)
	return c
}

// changeWrites are the writes of changes that fail in TestChangeFaults.
var changeWrites = map[string]func(s *Service, c *faultyChanges) error{
	"create": func(s *Service, c *faultyChanges) error {
		_, err := s.CreateChange(c.t.Context(), c.who, c.name, NewChange{Base: c.last.ID, Files: []ChangeFile{file("new", "1")}})
		return err
	},
	"update with what follows": func(s *Service, c *faultyChanges) error {
		_, err := s.UpdateChange(c.t.Context(), c.who, c.name, c.first.ID, ChangeUpdate{Files: []ChangeFile{file("a", "1\nx\n3\n")}})
		return err
	},
	"merge": func(s *Service, c *faultyChanges) error {
		_, err := s.MergeBookmark(c.t.Context(), c.who, c.name, BookmarkMerge{Target: "main", Source: "side", DeleteSource: true})
		return err
	},
}

// state is where all refs are, hidden ones too.
func (c *faultyChanges) state() map[git.RefName]git.ObjectID {
	state := map[git.RefName]git.ObjectID{}
	for _, ref := range c.snapshot().Refs() {
		state[ref.Name] = ref.Target
	}
	return state
}

// TestChangeFaults lets each call of the store fail in turn, before or after its
// work, while changes are written. Then the repository is as it was, or wholly
// as it is to be, as after a read that failed beyond the write, and the same
// write goes well.
func TestChangeFaults(t *testing.T) {
	t.Parallel()
	fault := errors.New("the disk is on fire")
	for when, wrap := range map[string]func(cairn.Metadata, int, error) *storagetest.FaultyStore{
		"early": storagetest.FaultyMetadata, "late": storagetest.FaultyMetadataLate,
	} {
		for what, write := range changeWrites {
			t.Run(what+", "+when, func(t *testing.T) {
				t.Parallel()
				f := newTenants(t)
				moved := 0 // refs, by the write that goes well
				failed := 0
				for n := 1; ; n++ {
					c := newFaultyChanges(t, f, cairn.RepositoryName(fmt.Sprint("r", n)))
					before := c.state()
					faulty := wrap(f.metadata, n, fault)
					err := write(f.over(t, faulty), c)
					after := c.state()
					switch {
					case err == nil && maps.Equal(before, after):
						t.Errorf("call %d: acknowledged, and nothing is there", n)
					case err == nil:
						moved = differences(before, after)
					case !errors.Is(err, fault):
						t.Errorf("call %d: %v", n, err)
					default:
						failed++
					}
					c.wantWhole(what, before, after)
					if again := write(f.Service, c); again != nil && !(what == "merge" && cairn.KindOf(again) == cairn.NotFound && !maps.Equal(before, after)) {
						t.Errorf("call %d: the same write again: %v", n, again)
					}
					if n < 4 {
						c.export()
					}
					if faulty.Calls() < n {
						break
					}
				}
				if failed == 0 || moved == 0 {
					t.Errorf("%d faults met a write; %d refs moved without", failed, moved)
				}
			})
		}
	}
}

func differences(a, b map[git.RefName]git.ObjectID) (n int) {
	for name, id := range a {
		if b[name] != id {
			n++
		}
	}
	for name := range b {
		if _, ok := a[name]; !ok {
			n++
		}
	}
	return n
}

// wantWhole checks that all refs that a write moves have moved, or none.
func (c *faultyChanges) wantWhole(what string, before, after map[git.RefName]git.ObjectID) {
	c.t.Helper()
	all := map[string]int{"create": 1, "update with what follows": 3, "merge": 2}[what]
	if d := differences(before, after); d != 0 && d != all {
		c.t.Errorf("%d refs moved, want none or %d: from %v to %v", d, all, before, after)
	}
}
