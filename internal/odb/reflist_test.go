package odb

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
)

func testTarget(n int) git.ObjectID { return git.MustParseObjectID(fmt.Sprintf("%040x", n)) }

func testRefs(n int) []cairn.Ref {
	refs := make([]cairn.Ref, n)
	for i := range refs {
		refs[i] = cairn.Ref{Name: git.RefName(fmt.Sprintf("refs/heads/%06d", 2*i)), Target: testTarget(i + 1), Created: 1}
	}
	return refs
}

// TestRefList compares lists, small and large, with a map through many updates.
// No update changes the list that it starts from.
func TestRefList(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 3, smallRefs, smallRefs + 1, 3 * smallRefs} {
		rng := rand.New(rand.NewPCG(uint64(size), 1))
		list := newRefList(testRefs(size))
		model := map[git.RefName]cairn.Ref{}
		for _, ref := range list.all() {
			model[ref.Name] = ref
		}
		shared := 0
		for turn := range 400 {
			before, old := slices.Clone(list.all()), list
			at := cairn.Ref{Created: int64(turn + 2), CreatedAt: time.Unix(int64(turn), 0)}
			var updates []cairn.RefUpdate
			for range 1 + rng.IntN(4) {
				name := git.RefName(fmt.Sprintf("refs/heads/%06d", rng.IntN(2*size+10)))
				u := cairn.RefUpdate{Name: name, Old: model[name].Target}
				ref, exists := model[name]
				if !exists {
					ref = cairn.Ref{Name: name, Created: at.Created, CreatedAt: at.CreatedAt}
				}
				if rng.IntN(3) == 0 {
					delete(model, name)
				} else {
					u.New = testTarget(rng.IntN(1 << 30))
					ref.Target = u.New
					model[name] = ref
				}
				updates = append(updates, u)
			}
			list = old.update(updates, at)
			if len(list.changed) > 0 {
				shared++
			}
			want := slices.Collect(maps.Values(model))
			slices.SortFunc(want, func(a, b cairn.Ref) int { return compareNames(a.Name, b.Name) })
			if turn%7 == 0 && !slices.Equal(list.all(), want) {
				t.Fatalf("%d refs, turn %d: the list is not what it should be", size, turn)
			}
			for _, u := range updates {
				got, ok := list.get(u.Name)
				if ref, exists := model[u.Name]; ok != exists || ok && got != ref {
					t.Fatalf("%d refs, turn %d: %s is %v, want %v", size, turn, u.Name, got, ref)
				}
			}
			if !slices.Equal(old.all(), before) {
				t.Fatalf("%d refs, turn %d: the list before has changed", size, turn)
			}
		}
		if size > 2*smallRefs && shared < 300 {
			t.Errorf("%d refs: all were copied in %d of 400 turns", size, 400-shared)
		}
	}
}

func compareNames(a, b git.RefName) int {
	if a < b {
		return -1
	}
	return 1
}

// BenchmarkRefListUpdate moves one of very many refs.
func BenchmarkRefListUpdate(b *testing.B) {
	list := newRefList(testRefs(100_000))
	b.ReportAllocs()
	for turn := 0; b.Loop(); turn++ {
		name := list.base[turn%len(list.base)].Name
		list = list.update([]cairn.RefUpdate{{Name: name, New: testTarget(turn + 1)}}, cairn.Ref{})
	}
}
