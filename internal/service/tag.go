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

// NewTag says what tag to make.
type NewTag struct {
	Name string
	At   Revision
	// Message makes it an annotated tag, by Tagger; empty makes a lightweight
	// one.
	Message string
	Tagger  Identity
}

// CreateTag makes a tag at a revision; Conflict if the name is taken.
func (s *Service) CreateTag(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, in NewTag) (tag Tag, err error) {
	err = onNewState(ctx, func() (err error) {
		tag, err = s.tryCreateTag(ctx, who, repo, in)
		return err
	})
	return tag, err
}

func (s *Service) tryCreateTag(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, in NewTag) (Tag, error) {
	sn, err := s.open(ctx, who, repo, cairn.GitWrite)
	if err != nil {
		return Tag{}, err
	}
	defer sn.Close()
	ref, err := tagRef(in.Name)
	if err != nil {
		return Tag{}, err
	}
	if in.At.Name == "" {
		return Tag{}, cairn.Errorf(cairn.Invalid, "the commit to tag is required")
	}
	commit, err := in.At.resolve(ctx, sn)
	if err != nil {
		return Tag{}, err
	}
	exists := cairn.Errorf(cairn.Conflict, "tag %q already exists", cairn.Clip(in.Name))
	if _, ok := sn.Ref(ref); ok {
		return Tag{}, exists
	}
	w := refWrite{Who: who, Updates: []cairn.RefUpdate{{Name: ref, New: commit}}}
	if in.Message != "" {
		if err := s.annotate(ctx, sn, &w, in, commit); err != nil {
			return Tag{}, err
		}
	}
	err = s.apply(ctx, sn, w)
	if err != nil && isRefused(err) {
		s.store.Discard(ctx, w.Packs...)
	}
	if conflict := (*cairn.RefConflict)(nil); errors.As(err, &conflict) {
		return Tag{}, exists
	} else if err != nil {
		return Tag{}, err
	}
	return Tag{Name: in.Name, Commit: commit}, nil
}

// annotate makes a write of a tag that of an annotated one.
func (s *Service) annotate(ctx context.Context, sn *odb.Snapshot, w *refWrite, in NewTag, commit git.ObjectID) error {
	message, err := checkMessage(in.Message)
	if err != nil {
		return err
	}
	tagger, err := signature("tagger", in.Tagger, s.now())
	if err != nil {
		return err
	}
	format := sn.Repository().Format
	data := (&git.Tag{Target: commit, Type: git.CommitObject, Name: in.Name, Tagger: tagger, Message: message}).Encode()
	if err := git.CheckObject(format, git.TagObject, data); err != nil {
		return cairn.Errorf(cairn.Invalid, "%w", err)
	}
	pack := s.store.NewPack(format)
	defer pack.Close()
	id, err := pack.Add(git.TagObject, data)
	if err != nil {
		return err
	}
	staged, err := pack.Finish(ctx, sn.Repository().Organization)
	if err != nil {
		return err
	}
	w.Packs, w.Updates[0].New, w.History = []odb.Staged{staged}, id, tagged{sn, id, commit}
	return nil
}

// tagged is a history with one more tag, which is not stored yet.
type tagged struct {
	history
	tag, commit git.ObjectID
}

// PeelToCommit follows tags to a commit, the new one too.
func (t tagged) PeelToCommit(ctx context.Context, id git.ObjectID) (git.ObjectID, error) {
	if id == t.tag {
		return t.commit, nil
	}
	return t.history.PeelToCommit(ctx, id)
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
