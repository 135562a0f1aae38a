package service

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/odb"
)

// Tag is a tag as callers see it.
type Tag struct {
	Name string
	// Commit is what the tag names in the end, whether it is annotated or
	// not. For the rare tag of a tree or blob it is that object.
	Commit git.ObjectID
	Cursor string // of the page that begins after it; only in listings
}

// CreateTag makes a lightweight tag at a revision; Conflict if the name is
// taken.
func (s *Service) CreateTag(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, name string, at Revision) (tag Tag, err error) {
	err = onNewState(ctx, func() (err error) {
		tag, err = s.tryCreateTag(ctx, who, repo, name, at)
		return err
	})
	return tag, err
}

func (s *Service) tryCreateTag(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, name string, at Revision) (Tag, error) {
	sn, err := s.open(ctx, who, repo, cairn.GitWrite)
	if err != nil {
		return Tag{}, err
	}
	defer sn.Close()
	ref, err := tagRef(name)
	if err != nil {
		return Tag{}, err
	}
	if at.Name == "" {
		return Tag{}, cairn.Errorf(cairn.Invalid, "the commit to tag is required")
	}
	commit, err := at.resolve(ctx, sn)
	if err != nil {
		return Tag{}, err
	}
	exists := cairn.Errorf(cairn.Conflict, "tag %q already exists", cairn.Clip(name))
	if _, ok := sn.Ref(ref); ok {
		return Tag{}, exists
	}
	err = s.apply(ctx, sn, refWrite{Who: who, Updates: []cairn.RefUpdate{{Name: ref, New: commit}}})
	if conflict := (*cairn.RefConflict)(nil); errors.As(err, &conflict) {
		return Tag{}, exists
	} else if err != nil {
		return Tag{}, err
	}
	return Tag{Name: name, Commit: commit}, nil
}

func tagRef(name string) (git.RefName, error) {
	if strings.HasPrefix(name, "refs/") {
		return "", cairn.Errorf(cairn.Invalid, "tag name %q must not start with refs/", cairn.Clip(name))
	}
	ref, err := git.TagRef(name)
	if err != nil {
		return "", cairn.Errorf(cairn.Invalid, "%w", err)
	}
	return ref, nil
}

// TagPage is a part of the list of a repository's tags.
type TagPage struct {
	Tags []Tag
	Next string // the cursor of the next page; empty at the end
}

// TagsQuery says which tags to list.
type TagsQuery struct {
	At     time.Time // as they were then; zero is now; needs git:write
	Cursor string
	Limit  int
}

// ListTags returns tags by name.
func (s *Service) ListTags(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, q TagsQuery) (TagPage, error) {
	sn, err := s.openAt(ctx, who, repo, q.At)
	if err != nil {
		return TagPage{}, err
	}
	defer sn.Close()
	listing := list("tags", sn, stamp(q.At))
	position, err := listing.position(q.Cursor, 1)
	if err != nil {
		return TagPage{}, err
	}
	refs := sn.RefsBelow(git.TagPrefix)
	if position != nil {
		for len(refs) > 0 && string(refs[0].Name) <= git.TagPrefix+position[0] {
			refs = refs[1:]
		}
	}
	limit := clampLimit(q.Limit, refsPerPage, maxRefsPerPage)
	page := TagPage{Tags: []Tag{}}
	for _, ref := range refs[:min(limit, len(refs))] {
		tag, err := readTag(ctx, sn, ref)
		if err != nil {
			return TagPage{}, err
		}
		tag.Cursor = listing.cursor(tag.Name)
		page.Tags = append(page.Tags, tag)
	}
	if len(refs) > limit {
		page.Next = page.Tags[limit-1].Cursor
	}
	return page, nil
}

func readTag(ctx context.Context, sn *odb.Snapshot, ref cairn.Ref) (Tag, error) {
	id, _, err := sn.Peel(ctx, ref.Target)
	return Tag{Name: ref.Name.Short(), Commit: id}, err
}

// Tag returns the tag of exactly the revision's name.
func (s *Service) Tag(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, at Revision) (Tag, error) {
	sn, err := s.openAt(ctx, who, repo, at.At)
	if err != nil {
		return Tag{}, err
	}
	defer sn.Close()
	stored, err := tagRef(at.Name)
	if err != nil {
		return Tag{}, err
	}
	ref, ok := sn.Ref(stored)
	if !ok {
		return Tag{}, noTag(at.Name)
	}
	return readTag(ctx, sn, ref)
}

func noTag(name string) error {
	return cairn.Errorf(cairn.NotFound, "tag %q not found", cairn.Clip(name))
}

// DeleteTag deletes a tag; its commits stay for the retention time.
func (s *Service) DeleteTag(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, name string) error {
	if err := authorize(who, repo, cairn.GitWrite); err != nil {
		return err
	}
	ref, err := tagRef(name)
	if err != nil {
		return err
	}
	return s.deleteRef(ctx, who, repo, ref, func() error { return noTag(name) })
}
