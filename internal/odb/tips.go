package odb

import (
	"sync"
	"sync/atomic"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
)

// tipSet answers whether a ref names an object. The first questions look
// through the refs; a caller that goes on asking, as a push of many refs does,
// gets a table. It is safe for concurrent use.
type tipSet struct {
	asked atomic.Int32
	once  sync.Once
	views map[git.ObjectID]viewSet
}

// viewSet has a bit for each View.
type viewSet uint8

// tipSetAfter is how many questions are answered without a table.
const tipSetAfter = 16

// has tells whether one of refs, which are always the same, has that target
// and is shown by the view.
func (t *tipSet) has(refs []cairn.Ref, view View, id git.ObjectID) bool {
	if t.asked.Load() < tipSetAfter {
		t.asked.Add(1)
		for i := range refs {
			if refs[i].Target == id && view.Shows(refs[i].Name) {
				return true
			}
		}
		return false
	}
	t.once.Do(func() { t.views = viewsOfTargets(refs) })
	return t.views[id]&(1<<view) != 0
}

// viewsOfTargets tells for each target of a ref which views show it.
func viewsOfTargets(refs []cairn.Ref) map[git.ObjectID]viewSet {
	views := make(map[git.ObjectID]viewSet, len(refs))
	for i := range refs {
		for v := range viewCount {
			if View(v).Shows(refs[i].Name) {
				views[refs[i].Target] |= 1 << v
			}
		}
	}
	return views
}
