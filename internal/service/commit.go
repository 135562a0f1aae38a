package service

import (
	"bytes"
	"context"
	"strconv"
	"strings"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/odb"
)

// Bounds of listings of commits.
const (
	commitsPerPage    = 20
	maxCommitsPerPage = 100
)

// Commit is a commit as callers see it.
type Commit struct {
	ID        git.ObjectID
	Tree      git.ObjectID
	Parents   []git.ObjectID
	Message   string // without line feeds at its end
	Author    git.Signature
	Committer git.Signature
}

// Summary is the first line of the message that is not empty.
func (c Commit) Summary() string {
	line, _, _ := strings.Cut(strings.TrimLeft(c.Message, "\n"), "\n")
	return line
}

// SignedCommit is a commit with its signature and the bytes that it signs;
// both are empty for an unsigned one.
type SignedCommit struct {
	Commit
	Signature, Payload string
}

// CommitsQuery says which commits to list.
type CommitsQuery struct {
	Revision
	Path   string // keep the commits that changed this file or folder; empty keeps all
	Cursor string
	Limit  int
}

// CommitPage is a part of a history.
type CommitPage struct {
	Commits []Commit
	Next    string // the cursor of the next page; empty at the end
}

// listing is what the cursors of a log are bound to.
func (q CommitsQuery) listing(sn *odb.Snapshot, path string) query {
	return list("commits", sn, q.Name, flag(q.Ephemeral), path, stamp(q.At))
}

// ListCommits returns a history, newest first as git log does. Later pages go
// on from the commit at which the first began, wherever the branch is by then.
func (s *Service) ListCommits(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, q CommitsQuery) (CommitPage, error) {
	sn, err := s.openAt(ctx, who, repo, q.At)
	if err != nil {
		return CommitPage{}, err
	}
	defer sn.Close()
	q.Revision = q.orDefault(sn)
	path, err := cleanPath(q.Path)
	if err != nil {
		return CommitPage{}, err
	}
	listing := q.listing(sn, path)
	tip, skip, err := q.begin(ctx, sn, listing)
	if err != nil {
		return CommitPage{}, err
	}
	log, err := s.logs.open(ctx, sn, tip, path, skip)
	if err != nil {
		return CommitPage{}, err
	}
	limit := clampLimit(q.Limit, commitsPerPage, maxCommitsPerPage)
	page := CommitPage{Commits: make([]Commit, 0, limit)}
	for {
		id, more, err := log.next(ctx)
		if err != nil {
			return CommitPage{}, err
		}
		switch {
		case !more:
			return page, nil
		case len(page.Commits) == limit:
			log.putBack(id)
			page.Next = listing.cursor(tip.String(), strconv.Itoa(log.shown))
			s.logs.keep(log)
			return page, nil
		}
		c, err := readCommit(ctx, sn, id)
		if err != nil {
			return CommitPage{}, err
		}
		page.Commits = append(page.Commits, c)
	}
}

// begin is where a page begins: the commit of the first page and how many
// commits came before this one.
func (q CommitsQuery) begin(ctx context.Context, sn *odb.Snapshot, listing query) (tip git.ObjectID, skip int, err error) {
	position, err := listing.position(q.Cursor, 2)
	if err != nil {
		return tip, 0, err
	}
	if position == nil {
		tip, err = q.resolve(ctx, sn)
		return tip, 0, err
	}
	bad := cairn.Errorf(cairn.Invalid, "invalid cursor")
	if tip, err = git.ParseObjectID(position[0]); err != nil {
		return tip, 0, bad
	}
	if skip, err = strconv.Atoi(position[1]); err != nil || skip < 0 {
		return tip, 0, bad
	}
	seen, err := sn.Reachable(ctx, odb.FullView, tip)
	if err == nil && !seen {
		err = cairn.Errorf(cairn.Invalid, "invalid cursor: the history that it goes on in is gone; start again")
	}
	return tip, skip, err
}

// cleanPath takes a path to read; empty is the whole tree. A path that no tree
// can hold is not found later, so only what would be expensive is refused.
func cleanPath(path string) (string, error) {
	path = strings.Trim(path, "/")
	if len(path) > git.MaxPathLength {
		return "", cairn.Errorf(cairn.Invalid, "path %q is longer than %d bytes", cairn.Clip(path), git.MaxPathLength)
	}
	if strings.IndexByte(path, 0) >= 0 {
		return "", cairn.Errorf(cairn.Invalid, "path %q holds a NUL byte", cairn.Clip(path))
	}
	return path, nil
}

// Commit returns the commit that a revision names, with its signature.
func (s *Service) Commit(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, at Revision) (SignedCommit, error) {
	sn, err := s.openAt(ctx, who, repo, at.At)
	if err != nil {
		return SignedCommit{}, err
	}
	defer sn.Close()
	if at.Name == "" {
		return SignedCommit{}, cairn.Errorf(cairn.Invalid, "a revision is required")
	}
	id, err := at.resolve(ctx, sn)
	if err != nil {
		return SignedCommit{}, err
	}
	o, err := sn.Object(ctx, id)
	if err != nil {
		return SignedCommit{}, err
	}
	c, err := git.ParseCommit(sn.Repository().Format, o.Data)
	if err != nil {
		return SignedCommit{}, err
	}
	out := SignedCommit{Commit: newCommit(id, c)}
	if out.Signature = c.Signature(); out.Signature != "" {
		out.Payload = string(signedPayload(o.Data))
	}
	return out, nil
}

func readCommit(ctx context.Context, sn *odb.Snapshot, id git.ObjectID) (Commit, error) {
	c, err := sn.FullCommit(ctx, id)
	if err != nil {
		return Commit{}, err
	}
	return newCommit(id, c), nil
}

func newCommit(id git.ObjectID, c *git.Commit) Commit {
	latin1 := isLatin1(c.Encoding)
	text := func(s string) string {
		if latin1 {
			return fromLatin1(s)
		}
		return s
	}
	out := Commit{
		ID:        id,
		Tree:      c.Tree,
		Parents:   c.Parents,
		Message:   strings.TrimRight(text(c.Message), "\n"),
		Author:    c.Author,
		Committer: c.Committer,
	}
	for _, sig := range []*git.Signature{&out.Author, &out.Committer} {
		sig.Name, sig.Email = text(sig.Name), text(sig.Email)
	}
	return out
}

// isLatin1 tells whether a commit says that its text is in the one encoding
// other than UTF-8 that is common in old histories.
func isLatin1(encoding string) bool {
	switch strings.ToLower(encoding) {
	case "iso-8859-1", "iso8859-1", "latin1", "latin-1":
		return true
	}
	return false
}

func fromLatin1(s string) string {
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = rune(s[i])
	}
	return string(runes)
}

// signedPayload is a commit without its signature headers: what was signed.
func signedPayload(data []byte) []byte {
	out := make([]byte, 0, len(data))
	inSignature := false
	for len(data) > 0 && data[0] != '\n' {
		line, rest, found := bytes.Cut(data, []byte{'\n'})
		if !found {
			break
		}
		if line[0] != ' ' {
			inSignature = bytes.HasPrefix(line, []byte("gpgsig ")) || bytes.HasPrefix(line, []byte("gpgsig-sha256 "))
		}
		if !inSignature {
			out = append(append(out, line...), '\n')
		}
		data = rest
	}
	return append(out, data...)
}
