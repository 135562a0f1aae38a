package service

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/odb"
)

// Bookmark is a branch as the change that it names.
type Bookmark struct {
	Name    string
	Change  ChangeAt // zero for one at the virtual root
	Default bool
}

// BookmarkPage is a part of a list of bookmarks.
type BookmarkPage struct {
	Bookmarks []Bookmark
	Next      string // the cursor of the next page; empty at the end
}

// A bookmark at the virtual root is a hidden ref: there is no commit that a
// branch could name. It names the empty tree. The default bookmark needs none:
// it is always there.
const emptyBookmarkPrefix = odb.ChangePrefix + "empty/"

func emptyBookmark(ref git.RefName) git.RefName {
	return emptyBookmarkPrefix + git.RefName(ref.Short())
}

// foundBookmark is where a bookmark is stored.
type foundBookmark struct {
	name   string
	ref    git.RefName  // of the branch
	target git.ObjectID // of the branch; zero at the virtual root
	empty  bool         // it has a hidden ref
	isDef  bool
}

// bookmark finds a bookmark by name, the default one if that is empty.
func (c *changeState) bookmark(name string) (foundBookmark, error) {
	repo := c.Repository()
	if name == "" {
		name = repo.DefaultBranch.Short()
	}
	found, err := c.lookBookmark(name)
	if err == nil && found.target.IsZero() && !found.empty && !found.isDef {
		err = cairn.Errorf(cairn.NotFound, "bookmark %q not found", cairn.Clip(name))
	}
	return found, err
}

// lookBookmark is bookmark for one that need not be there.
func (c *changeState) lookBookmark(name string) (foundBookmark, error) {
	ref, err := storedBranch(name, false)
	if err != nil {
		return foundBookmark{}, err
	}
	branch, _ := c.Ref(ref)
	_, empty := c.Ref(emptyBookmark(ref))
	return foundBookmark{name, ref, branch.Target, empty, ref == c.Repository().DefaultBranch}, nil
}

func (c *changeState) showBookmark(ctx context.Context, b foundBookmark) (Bookmark, error) {
	at, err := c.at(ctx, b.target)
	return Bookmark{b.name, at, b.isDef}, err
}

// Bookmark returns a bookmark.
func (s *Service) Bookmark(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, name string) (Bookmark, error) {
	c, err := s.openChanges(ctx, who, repo, cairn.GitRead)
	if err != nil {
		return Bookmark{}, err
	}
	defer c.Close()
	if name == "" {
		return Bookmark{}, cairn.Errorf(cairn.Invalid, "the name of a bookmark is required")
	}
	found, err := c.bookmark(name)
	if err != nil {
		return Bookmark{}, err
	}
	return c.showBookmark(ctx, found)
}

// ListBookmarks returns the bookmarks by name, those that a pattern matches if
// there is one: "*" stands for any text and "?" for one character.
func (s *Service) ListBookmarks(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, pattern, cursor string, limit int) (BookmarkPage, error) {
	c, err := s.openChanges(ctx, who, repo, cairn.GitRead)
	if err != nil {
		return BookmarkPage{}, err
	}
	defer c.Close()
	listing := list("bookmarks", c.Snapshot, pattern)
	position, err := listing.position(cursor, 1)
	if err != nil {
		return BookmarkPage{}, err
	}
	after := ""
	if position != nil {
		after = position[0]
	}
	matches, err := namePattern(pattern)
	if err != nil {
		return BookmarkPage{}, err
	}
	limit = clampLimit(limit, changesPerPage, maxChangesPerPage)
	page := BookmarkPage{}
	for _, name := range c.bookmarkNames() {
		if name <= after || !matches(name) {
			continue
		}
		if len(page.Bookmarks) == limit {
			page.Next = listing.cursor(page.Bookmarks[limit-1].Name)
			break
		}
		found, err := c.bookmark(name)
		if err != nil {
			return BookmarkPage{}, err
		}
		shown, err := c.showBookmark(ctx, found)
		if err != nil {
			return BookmarkPage{}, err
		}
		page.Bookmarks = append(page.Bookmarks, shown)
	}
	return page, nil
}

// bookmarkNames returns the names of all bookmarks, sorted.
func (c *changeState) bookmarkNames() []string {
	names := map[string]bool{c.Repository().DefaultBranch.Short(): true}
	for _, ref := range c.RefsBelow(git.BranchPrefix) {
		names[ref.Name.Short()] = true
	}
	for _, ref := range c.RefsBelow(emptyBookmarkPrefix) {
		names[strings.TrimPrefix(string(ref.Name), emptyBookmarkPrefix)] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// CreateBookmark makes a bookmark at a change; Conflict if there is one of that
// name.
func (s *Service) CreateBookmark(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, name string, at git.ChangeID) (Bookmark, error) {
	_, out, err := s.writeBookmark(ctx, who, repo, name, at, func(_ context.Context, _ *changeDraft, b foundBookmark, _ git.ObjectID) error {
		if !b.target.IsZero() || b.empty || b.isDef && at.IsRoot() {
			return cairn.Errorf(cairn.Conflict, "bookmark %q exists already", cairn.Clip(name))
		}
		return nil
	})
	return out, err
}

// MoveBookmark moves a bookmark to a change, and tells where it was. Without
// backwards that has to come after the change where it is.
func (s *Service) MoveBookmark(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, name string, to git.ChangeID, backwards bool) (from ChangeAt, out Bookmark, err error) {
	return s.writeBookmark(ctx, who, repo, name, to, func(ctx context.Context, d *changeDraft, b foundBookmark, target git.ObjectID) error {
		if b.target.IsZero() && !b.empty && !b.isDef {
			return cairn.Errorf(cairn.NotFound, "bookmark %q not found", cairn.Clip(name))
		}
		if backwards || b.target.IsZero() || b.target == target {
			return nil
		}
		forward := false
		if !target.IsZero() {
			var err error
			if forward, err = isFastForward(ctx, d.Snapshot, b.target, target); err != nil {
				return err
			}
		}
		if !forward {
			return cairn.Errorf(cairn.Conflict, "bookmark %q would go backwards or sideways: %w", cairn.Clip(name), &TipError{name, b.target})
		}
		return nil
	})
}

// writeBookmark puts a bookmark at a change, if check allows it.
func (s *Service) writeBookmark(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, name string, to git.ChangeID,
	check func(context.Context, *changeDraft, foundBookmark, git.ObjectID) error) (from ChangeAt, out Bookmark, err error) {
	if _, err := storedBranch(name, false); err != nil {
		return from, out, err
	}
	err = s.draftChanges(ctx, who, repo, func(ctx context.Context, d *changeDraft) error {
		b, err := d.lookBookmark(name)
		if err != nil {
			return err
		}
		var target git.ObjectID
		if !to.IsRoot() {
			if target, err = d.find(ctx, to); err != nil {
				return err
			}
		}
		if err := check(ctx, d, b, target); err != nil {
			return err
		}
		if from, err = d.at(ctx, b.target); err != nil {
			return err
		}
		out = Bookmark{name, ChangeAt{to, target}, b.isDef}
		return d.moveBookmark(ctx, b, to, target)
	})
	return from, out, err
}

// moveBookmark puts a bookmark somewhere else. What only it led to is kept.
func (d *changeDraft) moveBookmark(ctx context.Context, b foundBookmark, to git.ChangeID, target git.ObjectID) error {
	d.move(b.ref, target)
	switch root := target.IsZero(); {
	case root && !b.isDef && !b.empty:
		empty, err := d.emit(git.TreeObject, nil)
		if err != nil {
			return err
		}
		d.move(emptyBookmark(b.ref), empty)
	case !root && b.empty:
		d.move(emptyBookmark(b.ref), git.ObjectID{})
	}
	if !target.IsZero() {
		d.unkeep(to, target)
	}
	return d.keepUnless(ctx, b.target, target)
}

// keepUnless keeps what a bookmark named, unless the commit where it goes leads
// to it.
func (d *changeDraft) keepUnless(ctx context.Context, old, target git.ObjectID) error {
	if old.IsZero() || old == target {
		return nil
	}
	if !target.IsZero() {
		if led, err := isFastForward(ctx, d, old, target); led || err != nil {
			return err
		}
	}
	return d.keep(ctx, old)
}

// DeleteBookmark deletes a bookmark. Its changes stay.
func (s *Service) DeleteBookmark(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, name string) error {
	return s.draftChanges(ctx, who, repo, func(ctx context.Context, d *changeDraft) error {
		if name == "" {
			return cairn.Errorf(cairn.Invalid, "the name of a bookmark is required")
		}
		b, err := d.bookmark(name)
		if err != nil {
			return err
		}
		if b.isDef {
			return cairn.Errorf(cairn.Conflict, "bookmark %q is the default one and cannot be deleted", cairn.Clip(name))
		}
		d.move(emptyBookmark(b.ref), git.ObjectID{})
		if b.target.IsZero() {
			return nil
		}
		d.move(b.ref, git.ObjectID{})
		return d.keepUnlessIn(ctx, b)
	})
}

// keepUnlessIn keeps what a bookmark named, unless the default one leads to it.
func (d *changeDraft) keepUnlessIn(ctx context.Context, b foundBookmark) error {
	ref, _ := d.Ref(d.Repository().DefaultBranch)
	if ref.Target == b.target {
		return nil
	}
	return d.keepUnless(ctx, b.target, ref.Target)
}

// maxPattern is the longest pattern of names in bytes.
const maxPattern = 1024

// namePattern returns what tells whether the short name of a ref matches a
// pattern: "*" stands for any text and "?" for one character. Every name matches
// an empty one.
func namePattern(pattern string) (func(string) bool, error) {
	if pattern == "" {
		return func(string) bool { return true }, nil
	}
	if len(pattern) > maxPattern {
		return nil, cairn.Errorf(cairn.Invalid, "the pattern is longer than %d bytes", maxPattern)
	}
	expression := strings.NewReplacer(`\*`, `.*`, `\?`, `.`).Replace(regexp.QuoteMeta(pattern))
	compiled, err := regexp.Compile(`^(?s:` + expression + `)$`)
	if err != nil {
		return nil, cairn.Errorf(cairn.Invalid, "pattern %q: %w", cairn.Clip(pattern), err)
	}
	return compiled.MatchString, nil
}
