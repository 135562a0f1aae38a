package service

import (
	"context"
	"strings"

	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/odb"
)

// pathHistory is the history of one path as git log shows it by default: a
// commit that has the same at the path as one of its parents is passed over to
// that parent alone. It is a graph.Commits over the simplified history.
type pathHistory struct {
	src     *logSource
	format  git.ObjectFormat
	path    string
	names   []string // its components
	trails  map[git.ObjectID]trail
	changed map[git.ObjectID]bool // commits that changed the path
	// unchanged tells of commits that they did not change the path against
	// their first parent; not of all that did not.
	unchanged func(git.ObjectID) bool
}

// trail is what a commit has along the path: an entry for each component as
// far as the path exists.
type trail []git.TreeEntry

func newPathHistory(src *logSource, path string) *pathHistory {
	return &pathHistory{
		src:     src,
		format:  src.Repository().Format,
		path:    path,
		names:   strings.Split(path, "/"),
		trails:  map[git.ObjectID]trail{},
		changed: map[git.ObjectID]bool{},
	}
}

// useFilters takes the filters that a state of the repository has.
func (h *pathHistory) useFilters(ctx context.Context, sn *odb.Snapshot) error {
	filters, err := sn.PathFilters(ctx, h.path)
	h.unchanged = filters.Unchanged
	return err
}

// takeChanged tells whether a commit that the walk returned changed the path.
// It is asked once.
func (h *pathHistory) takeChanged(id git.ObjectID) bool {
	changed := h.changed[id]
	delete(h.changed, id)
	return changed
}

// Commit returns a commit with the parents that matter for the path, and
// notes whether the commit itself does.
func (h *pathHistory) Commit(ctx context.Context, id git.ObjectID) (git.CommitLinks, error) {
	links, err := h.src.Commit(ctx, id)
	if err != nil {
		return links, err
	}
	own, known := h.trails[id]
	delete(h.trails, id)
	if h.unchanged(id) {
		// The first parent has the same; a commit without parents has nothing.
		if len(links.Parents) > 1 {
			links.Parents = links.Parents[:1:1]
		}
		if known && len(links.Parents) > 0 {
			h.trails[links.Parents[0]] = own
		}
		return links, nil
	}
	if !known {
		if own, err = h.follow(ctx, links.Tree, nil); err != nil {
			return links, err
		}
	}
	for i, p := range links.Parents {
		parent, err := h.src.Commit(ctx, p)
		if err != nil {
			return links, err
		}
		other := own
		if parent.Tree != links.Tree {
			if other, err = h.follow(ctx, parent.Tree, own); err != nil {
				return links, err
			}
		}
		h.trails[p] = other
		if h.same(own, other) {
			links.Parents = links.Parents[i : i+1 : i+1]
			return links, nil
		}
	}
	if len(links.Parents) > 0 || len(own) == len(h.names) {
		h.changed[id] = true
	}
	return links, nil
}

// same tells whether two commits have the same thing, or nothing, at the path.
func (h *pathHistory) same(a, b trail) bool {
	n := len(h.names)
	if len(a) < n || len(b) < n {
		return len(a) < n && len(b) < n
	}
	return a[n-1].ID == b[n-1].ID && a[n-1].Mode == b[n-1].Mode
}

// follow reads the trail below a tree. Where it meets what a known trail has
// in the same place, the rest is the same and not read.
func (h *pathHistory) follow(ctx context.Context, tree git.ObjectID, known trail) (trail, error) {
	t := make(trail, 0, len(h.names))
	for i, name := range h.names {
		data, err := h.src.Tree(ctx, tree)
		if err != nil {
			return nil, err
		}
		e, ok, err := git.FindTreeEntry(h.format, data, name)
		if err != nil {
			return nil, err
		}
		if !ok {
			return t, nil
		}
		if i < len(known) && known[i].ID == e.ID && known[i].Mode == e.Mode {
			return append(append(t, e), known[i+1:]...), nil
		}
		t = append(t, e)
		if !e.Mode.IsTree() {
			return t, nil
		}
		tree = e.ID
	}
	return t, nil
}
