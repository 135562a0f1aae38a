package service

import (
	"cmp"
	"context"
	"slices"

	"github.com/cairn-storage/cairn/internal/admission"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/odb"
)

// Bounds of lists of refs with what they name. They are given whole, and read
// from one state of the repository.
const (
	maxTips     = 10_000   // refs
	maxTipsText = 32 << 20 // bytes of their messages together
)

// Tip is a branch or a tag with the commit that it leads to.
type Tip struct {
	Name   string
	Commit Commit
}

// BranchTips returns the branches by name, after so many of them; TagTips the
// tags, without those of no commit. Messages that do not fit in 32 MiB with the
// ones before are left out.
func (s *Service) BranchTips(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, skip, limit int) ([]Tip, error) {
	return s.tips(ctx, who, repo, git.BranchPrefix, skip, limit)
}

// TagTips is as BranchTips.
func (s *Service) TagTips(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, skip, limit int) ([]Tip, error) {
	return s.tips(ctx, who, repo, git.TagPrefix, skip, limit)
}

func (s *Service) tips(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, below string, skip, limit int) (list []Tip, err error) {
	room := maxTipsText
	err = s.eachRef(ctx, who, repo, below, func(sn *odb.Snapshot, ref cairn.Ref) error {
		if skip--; skip >= 0 || len(list) >= limit {
			return nil
		}
		id, kind, err := sn.Peel(ctx, ref.Target)
		if err != nil || kind != git.CommitObject {
			return err
		}
		commit, err := readCommit(ctx, sn, id)
		if room -= len(commit.Message); room < 0 {
			commit.Message = ""
		}
		list = append(list, Tip{ref.Name.Short(), commit})
		return err
	})
	return list, err
}

// eachRef calls f for refs by name, up to maxTips.
func (s *Service) eachRef(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, below string, f func(*odb.Snapshot, cairn.Ref) error) error {
	sn, err := s.open(ctx, who, repo, cairn.GitRead)
	if err != nil {
		return err
	}
	defer sn.Close()
	if err := admission.Enter(ctx, admission.List); err != nil {
		return err
	}
	refs := sn.RefsBelow(below)
	for _, ref := range refs[:min(maxTips, len(refs))] {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := f(sn, ref); err != nil {
			return err
		}
	}
	return nil
}

// Release is an annotated tag of a commit, as one publishes a version: what it
// says of itself.
type Release struct {
	Tag    string
	ID     git.ObjectID // of the tag object
	Commit git.ObjectID
	Title  string // the first paragraph of the message
	Text   string // the rest of it, without a signature
	// Tagger is who made it, and when; without one, who committed the commit.
	Tagger git.Signature
}

// Releases returns the annotated tags of commits, the newest first. Texts that
// do not fit in 32 MiB with the ones before, by name, are left out.
func (s *Service) Releases(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName) ([]Release, error) {
	list := []Release{}
	room := maxTipsText
	err := s.eachRef(ctx, who, repo, git.TagPrefix, func(sn *odb.Snapshot, ref cairn.Ref) error {
		r, ok, err := readRelease(ctx, sn, ref)
		if err != nil || !ok {
			return err
		}
		if room -= len(r.Title) + len(r.Text); room < 0 {
			r.Title, r.Text = "", ""
		}
		list = append(list, r)
		return nil
	})
	slices.SortStableFunc(list, func(a, b Release) int {
		return cmp.Or(b.Tagger.When.Compare(a.Tagger.When), cmp.Compare(b.Tag, a.Tag))
	})
	return list, err
}

func readRelease(ctx context.Context, sn *odb.Snapshot, ref cairn.Ref) (r Release, ok bool, err error) {
	if kind, _, err := sn.Header(ctx, ref.Target); err != nil || kind != git.TagObject {
		return r, false, err
	}
	o, err := sn.Object(ctx, ref.Target)
	if err != nil {
		return r, false, err
	}
	tag, err := git.ParseTag(sn.Repository().Format, o.Data)
	if err != nil {
		return r, false, err
	}
	r = Release{Tag: ref.Name.Short(), ID: ref.Target, Tagger: tag.Tagger}
	r.Title, r.Text = tag.Text()
	var kind git.ObjectType
	if r.Commit, kind, err = sn.Peel(ctx, ref.Target); err != nil || kind != git.CommitObject {
		return r, false, err
	}
	if tag.Tagger == (git.Signature{}) {
		commit, err := sn.FullCommit(ctx, r.Commit)
		if err != nil {
			return r, false, err
		}
		r.Tagger = commit.Committer
	}
	return r, true, nil
}
