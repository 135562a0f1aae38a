package odb

import (
	"slices"
	"strings"
	"sync"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
)

// Bounds of a refList: one of up to smallRefs refs is copied by every write, a
// larger one when maxRefChanges refs differ from its base.
const (
	smallRefs     = 1024
	maxRefChanges = 256
)

// refList is the refs of one state of a repository. It never changes. That of
// the next state shares most of it, so that a commit to a repository of very
// many refs costs no more than any other. It is safe for concurrent use.
type refList struct {
	base    []cairn.Ref // by name
	changed []cairn.Ref // by name, instead of what base has; a zero target: deleted

	once  sync.Once
	whole []cairn.Ref // all by name, once somebody asked
}

// newRefList keeps refs, which are in the order of their names.
func newRefList(refs []cairn.Ref) *refList { return &refList{base: refs} }

func findRef(refs []cairn.Ref, name git.RefName) (int, bool) {
	return slices.BinarySearchFunc(refs, name, func(r cairn.Ref, name git.RefName) int {
		return strings.Compare(string(r.Name), string(name))
	})
}

// get returns the ref of that name.
func (l *refList) get(name git.RefName) (cairn.Ref, bool) {
	if i, ok := findRef(l.changed, name); ok {
		return l.changed[i], !l.changed[i].Target.IsZero()
	}
	if i, ok := findRef(l.base, name); ok {
		return l.base[i], true
	}
	return cairn.Ref{}, false
}

// all returns all refs by name. The slice is shared.
func (l *refList) all() []cairn.Ref {
	if len(l.changed) == 0 {
		return l.base
	}
	l.once.Do(func() { l.whole = l.merged() })
	return l.whole
}

// merged is base with what has changed.
func (l *refList) merged() []cairn.Ref {
	out := make([]cairn.Ref, 0, len(l.base)+len(l.changed))
	rest := l.base
	for _, c := range l.changed {
		i, found := findRef(rest, c.Name)
		out = append(out, rest[:i]...)
		if rest = rest[i:]; found {
			rest = rest[1:]
		}
		if !c.Target.IsZero() {
			out = append(out, c)
		}
	}
	return append(out, rest...)
}

// update returns the refs after the updates, done one after the other; at holds
// what new refs are stored with.
func (l *refList) update(updates []cairn.RefUpdate, at cairn.Ref) *refList {
	next := &refList{base: l.base, changed: slices.Clone(l.changed)}
	for _, u := range updates {
		ref, exists := next.get(u.Name)
		if !exists {
			ref = cairn.Ref{Name: u.Name, CreatedAt: at.CreatedAt, Created: at.Created}
		}
		ref.Target = u.New
		if i, ok := findRef(next.changed, u.Name); ok {
			next.changed[i] = ref
		} else {
			next.changed = slices.Insert(next.changed, i, ref)
		}
		if len(next.changed) > maxRefChanges {
			next.base, next.changed = next.merged(), nil
		}
	}
	if len(next.base) <= smallRefs {
		next.base, next.changed = next.merged(), nil
	}
	return next
}
