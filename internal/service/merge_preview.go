package service

import (
	"bytes"
	"context"
	"unicode/utf8"

	"github.com/cairn-storage/cairn/internal/admission"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/odb"
)

// Bounds of what a preview shows of conflicts. Their paths are all told.
const (
	maxConflictFiles   = 100
	maxConflictContent = 64 << 10 // bytes of one version of a file
	maxConflictTotal   = 4 << 20  // bytes of all versions
	// binaryWithin is how far git looks for a NUL byte, which makes a file
	// binary.
	binaryWithin = 8000
)

// MergePreview is what a merge would come to.
type MergePreview struct {
	Kind           MergeKind // MergeCommit, FastForward or NoOp
	Source, Target git.ObjectID
	Base           git.ObjectID // zero if the two have nothing in common
	Paths          []string     // that do not merge; none if the merge is clean
	Conflicts      []ConflictDetail
	Filtered       []FilteredConflict
}

// ConflictDetail is a path that does not merge, with its versions.
type ConflictDetail struct {
	Path                       string
	Result, Base, Ours, Theirs ConflictVersion
}

// ConflictVersion is one version of a file in a conflict; its ID is zero where
// it does not exist. The result's has conflict markers, if git could write them.
type ConflictVersion struct {
	ID        git.ObjectID
	Content   *string // if asked for: text, from its start
	Truncated bool    // Content is not all of it
	Binary    bool    // so there is no Content
}

// FilteredConflict is a path whose versions are not shown.
type FilteredConflict struct{ Path, Reason string }

const tooManyConflicts = "max_conflict_files_exceeded"

// PreviewMerge tells what a merge of the pair would come to, and writes
// nothing.
func (s *Service) PreviewMerge(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, in MergePair, content bool) (MergePreview, error) {
	sn, err := s.open(ctx, who, repo, cairn.GitRead)
	if err != nil {
		return MergePreview{}, err
	}
	defer sn.Close()
	target, err := findBranch(sn, in.Target, in.TargetEphemeral)
	if err != nil {
		return MergePreview{}, err
	}
	out := MergePreview{Kind: MergeCommit}
	if out.Source, err = in.Source.resolve(ctx, sn); err != nil {
		return MergePreview{}, err
	}
	if err := admission.Enter(ctx, admission.Merge); err != nil {
		return MergePreview{}, err
	}
	rel, err := relate(ctx, sn, target.Target, out.Source)
	if err != nil {
		return MergePreview{}, err
	}
	out.Target, out.Base = rel.ours, rel.base()
	switch {
	case rel.upToDate():
		out.Kind = NoOp
		return out, nil
	case rel.forward():
		out.Kind = FastForward
		return out, nil
	case rel.unrelated():
		return MergePreview{}, errUnrelated
	}
	merged, err := sn.Merge(ctx, in.order(rel, false))
	if err != nil {
		return MergePreview{}, err
	}
	defer merged.Close()
	out.Paths = paths(merged.Conflicts)
	p := previewer{merge: merged, content: content, left: maxConflictTotal}
	for i, c := range merged.Conflicts {
		if i >= maxConflictFiles {
			out.Filtered = append(out.Filtered, FilteredConflict{c.Path, tooManyConflicts})
			continue
		}
		detail, err := p.detail(ctx, c)
		if err != nil {
			return MergePreview{}, err
		}
		out.Conflicts = append(out.Conflicts, detail)
	}
	return out, nil
}

// previewer shows conflicts.
type previewer struct {
	merge   *odb.Merge
	content bool
	left    int // bytes of content that may still be shown
}

func (p *previewer) detail(ctx context.Context, c odb.Conflict) (ConflictDetail, error) {
	out := ConflictDetail{Path: c.Path}
	result, err := p.merge.Entry(ctx, c.Path)
	if err != nil {
		return out, err
	}
	for _, v := range []struct {
		entry git.TreeEntry
		to    *ConflictVersion
	}{{result, &out.Result}, {c.Base, &out.Base}, {c.Ours, &out.Ours}, {c.Theirs, &out.Theirs}} {
		if *v.to, err = p.version(ctx, v.entry); err != nil {
			return out, err
		}
	}
	return out, nil
}

// version shows one version. A folder or a submodule has an id and no content.
func (p *previewer) version(ctx context.Context, e git.TreeEntry) (ConflictVersion, error) {
	v := ConflictVersion{ID: e.ID}
	if !e.Mode.IsFile() && !e.Mode.IsSymlink() {
		return v, nil
	}
	want := binaryWithin
	if p.content {
		want = max(want, min(maxConflictContent, p.left))
	}
	data, size, err := p.merge.Blob(ctx, e.ID, int64(want))
	if err != nil {
		return v, err
	}
	v.Binary = bytes.IndexByte(data[:min(len(data), binaryWithin)], 0) >= 0
	if !p.content || v.Binary {
		return v, nil
	}
	data = data[:min(len(data), p.left)]
	if v.Truncated = int64(len(data)) < size; v.Truncated {
		data = wholeRunes(data)
	}
	p.left -= len(data)
	text := string(data)
	v.Content = &text
	return v, nil
}

// wholeRunes cuts off the beginning of a character at the end of a text.
func wholeRunes(b []byte) []byte {
	for i := 1; i < utf8.UTFMax && i <= len(b); i++ {
		if utf8.RuneStart(b[len(b)-i]) {
			if !utf8.FullRune(b[len(b)-i:]) {
				return b[:len(b)-i]
			}
			break
		}
	}
	return b
}
