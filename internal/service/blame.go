package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/cairn-storage/cairn/internal/admission"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/blame"
	"github.com/cairn-storage/cairn/internal/gitexec"
	"github.com/cairn-storage/cairn/internal/odb"
)

// Bounds of a blame.
const (
	maxBlameRanges = 16
	// maxBlameFile is the largest file, in bytes. Git compares the versions of
	// a file as a whole, so ranges do not help.
	maxBlameFile = 8 << 20
	// maxBlameLines is how many lines one answer may tell of.
	maxBlameLines = 50_000
)

// BlameQuery says of which lines to tell where they come from.
type BlameQuery struct {
	Revision
	Path string
	// Ranges are what git blame -L takes; none means all lines.
	Ranges []string
	// DetectMoves looks for the origin of lines in other places of the file,
	// and in other files of the commit that changed them (git blame -M -C -C).
	DetectMoves bool
}

// Blame tells where the lines of a file come from.
type Blame struct {
	Ref    string // the revision as asked for, or the default branch
	Path   string
	Commit git.ObjectID
	Hunks  []blame.Hunk
	// Commits are those that the hunks name, but for the previous ones.
	Commits map[git.ObjectID]Commit
}

// BlameFile tells of lines of a file which commit brought them, as stock git
// does, which it calls.
func (s *Service) BlameFile(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, q BlameQuery) (Blame, error) {
	sn, err := s.openAt(ctx, who, repo, q.At)
	if err != nil {
		return Blame{}, err
	}
	defer sn.Close()
	out := Blame{Ref: q.orDefault(sn).Name, Commits: map[git.ObjectID]Commit{}}
	ranges, err := q.ranges()
	if err != nil {
		return Blame{}, err
	}
	if err := admission.Enter(ctx, admission.History); err != nil {
		return Blame{}, err
	}
	if out.Commit, out.Path, err = blameTarget(ctx, sn, q); err != nil {
		return Blame{}, err
	}
	if out.Hunks, err = gitBlame(ctx, sn, out.Commit, out.Path, ranges, q.DetectMoves); err != nil {
		return Blame{}, err
	}
	lines := 0
	for _, h := range out.Hunks {
		if lines += h.Lines; lines > maxBlameLines {
			return Blame{}, cairn.Errorf(cairn.TooLarge, "more than %d lines: ask for ranges of them", maxBlameLines)
		}
		if _, ok := out.Commits[h.Commit]; ok {
			continue
		}
		if out.Commits[h.Commit], err = readCommit(ctx, sn, h.Commit); err != nil {
			return Blame{}, err
		}
	}
	return out, nil
}

func (q BlameQuery) ranges() ([]blame.Range, error) {
	if len(q.Ranges) > maxBlameRanges {
		return nil, cairn.Errorf(cairn.Invalid, "more than %d ranges", maxBlameRanges)
	}
	ranges := make([]blame.Range, len(q.Ranges))
	for i, text := range q.Ranges {
		r, err := blame.ParseRange(text)
		if err != nil {
			return nil, cairn.Errorf(cairn.Invalid, "%w", err)
		}
		ranges[i] = r
	}
	return ranges, nil
}

// blameTarget finds the file, which git is then sure to find.
func blameTarget(ctx context.Context, sn *odb.Snapshot, q BlameQuery) (commit git.ObjectID, path string, err error) {
	if path, err = cleanPath(q.Path); err != nil {
		return commit, path, err
	}
	if path == "" {
		return commit, path, cairn.Errorf(cairn.Invalid, "a path is required")
	}
	if commit, err = q.orDefault(sn).resolve(ctx, sn); err != nil {
		return commit, path, err
	}
	e, err := lookup(ctx, sn, commit, path)
	if err != nil {
		return commit, path, err
	}
	if !e.Mode.IsFile() && !e.Mode.IsSymlink() {
		return commit, path, cairn.Errorf(cairn.NotFound, "path %q is not a file", cairn.Clip(path))
	}
	size, err := sn.BlobSize(ctx, e.ID)
	if err == nil && size > maxBlameFile {
		err = cairn.Errorf(cairn.TooLarge, "path %q has %d bytes, more than the %d of which lines are told", cairn.Clip(path), size, maxBlameFile)
	}
	return commit, path, err
}

// gitBlame calls git blame. The path is a file of the commit.
func gitBlame(ctx context.Context, sn *odb.Snapshot, commit git.ObjectID, path string, ranges []blame.Range, moves bool) ([]blame.Hunk, error) {
	view, err := sn.OpenGitView(ctx)
	if errors.Is(err, gitexec.ErrUnavailable) {
		return nil, cairn.Errorf(cairn.Unavailable, "the server has no git, which this needs")
	}
	if err != nil {
		return nil, err
	}
	defer view.Close() // what cannot be removed goes at the next start
	args := []string{"blame", "--incremental"}
	if moves {
		args = append(args, "-M", "-C", "-C")
	}
	for _, r := range ranges {
		args = append(args, "-L"+r.String())
	}
	out := boundedBuffer{left: maxBlameOutput}
	err = view.Run(ctx, gitexec.Command{
		Args:   append(args, commit.String()),
		Paths:  []string{path},
		Stdout: &out,
	})
	var exit *gitexec.ExitError
	switch {
	case out.left < 0:
		return nil, cairn.Errorf(cairn.TooLarge, "too many lines: ask for ranges of them")
	case errors.As(err, &exit):
		return nil, blameError(exit, len(ranges) > 0)
	case err != nil:
		return nil, err
	}
	return blame.Read(&out.data)
}

// blameError tells the errors of git that are about ranges: a line that the
// file has not, a pattern that is malformed or that nothing matches.
func blameError(exit *gitexec.ExitError, ranges bool) error {
	text, ok := strings.CutPrefix(strings.TrimSpace(exit.Stderr), "fatal: ")
	about := strings.HasPrefix(text, "-L ") || strings.HasPrefix(text, "file ") && strings.Contains(text, " has only ")
	if ok && ranges && exit.Code == 128 && about {
		return cairn.Errorf(cairn.Invalid, "invalid range: %s", cairn.Clip(strings.TrimPrefix(text, "-L ")))
	}
	return fmt.Errorf("blame: %w", exit)
}

// maxBlameOutput bounds what git may say, in bytes: about a kilobyte for each
// line.
const maxBlameOutput = maxBlameLines << 10

var errOutput = errors.New("the command says more than it may")

// boundedBuffer takes so many bytes and then fails, at which git ends.
type boundedBuffer struct {
	data bytes.Buffer
	left int
}

// Write fails for what is too much.
func (b *boundedBuffer) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, errOutput
	}
	return b.data.Write(p)
}
