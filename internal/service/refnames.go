package service

import (
	"iter"

	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/odb"
)

// refNames are the names of a repository's refs as a write will leave them: no
// ref is a folder of another.
type refNames struct {
	sn      *odb.Snapshot
	gone    map[git.RefName]bool // that the write deletes
	made    map[git.RefName]bool
	folders map[git.RefName]git.RefName // of those made, with one that is in it
}

func newRefNames(sn *odb.Snapshot) *refNames {
	return &refNames{sn, map[git.RefName]bool{}, map[git.RefName]bool{}, map[git.RefName]git.RefName{}}
}

// add adds the name of a new ref, or returns the one beside which it cannot be.
func (n *refNames) add(name git.RefName) (other git.RefName, clash bool) {
	if other, clash := n.clash(name); clash {
		return other, true
	}
	n.made[name] = true
	for folder := range foldersOf(name) {
		n.folders[folder] = name
	}
	return "", false
}

func (n *refNames) clash(name git.RefName) (git.RefName, bool) {
	if below, ok := n.folders[name]; ok {
		return below, true
	}
	for _, ref := range n.sn.RefsBelow(string(name) + "/") {
		if !n.gone[ref.Name] {
			return ref.Name, true
		}
	}
	for folder := range foldersOf(name) {
		if n.made[folder] {
			return folder, true
		}
		if _, exists := n.sn.Ref(folder); exists && !n.gone[folder] {
			return folder, true
		}
	}
	return "", false
}

// foldersOf returns the names that would be folders of a ref.
func foldersOf(name git.RefName) iter.Seq[git.RefName] {
	return func(yield func(git.RefName) bool) {
		for i := len(name) - 1; i > 0; i-- {
			if name[i] == '/' && !yield(name[:i]) {
				return
			}
		}
	}
}
