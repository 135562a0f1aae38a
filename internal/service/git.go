package service

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/cairn-storage/cairn/internal/admission"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/pack"
	"github.com/cairn-storage/cairn/internal/git/protocol"
	"github.com/cairn-storage/cairn/internal/odb"
)

// Remote is one of the addresses that a repository has for Git clients.
type Remote uint8

// The remotes of a repository.
const (
	// NormalRemote shows all refs but those of namespaces.
	NormalRemote Remote = iota
	// EphemeralRemote shows the ephemeral namespace as if it were all.
	EphemeralRemote
	// ImportRemote takes pushes as NormalRemote does and refuses fetches: it
	// is for bulk imports, after which nothing is read for long. It is lenient
	// about the defects of old history, see git.CheckOldObject.
	ImportRemote
)

func (r Remote) view() odb.View {
	if r == EphemeralRemote {
		return odb.EphemeralView
	}
	return odb.NormalView
}

// stored returns the stored name of a ref that a client of the remote names.
func (r Remote) stored(name git.RefName) git.RefName {
	if r == EphemeralRemote {
		return odb.EphemeralRef(name)
	}
	return name
}

// gitAgent is what the server calls itself towards Git clients.
const gitAgent = "cairn/1"

// GitSession is one request of a Git client that was let in. What goes wrong in
// it is told to the client in the protocol, and returned for the log. Close it
// in every case.
type GitSession struct {
	service *Service
	who     cairn.Actor
	remote  Remote
	write   bool // git-receive-pack
	sn      *odb.Snapshot
}

// OpenGit lets a Git client in: to fetch, or with write to push.
func (s *Service) OpenGit(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, remote Remote, write bool) (*GitSession, error) {
	scope := cairn.GitRead
	if write {
		scope = cairn.GitWrite
	}
	sn, err := s.open(ctx, who, repo, scope)
	if err != nil {
		return nil, err
	}
	if remote == ImportRemote && !write {
		sn.Close()
		return nil, cairn.Errorf(cairn.Denied, "the import remote is for pushes only; fetch from %s.git", repo)
	}
	return &GitSession{service: s, who: who, remote: remote, write: write, sn: sn}, nil
}

// Close ends the session.
func (g *GitSession) Close() { g.sn.Close() }

// Advertise writes the answer to a client's first question: in version 2 what
// the server can do, else its refs too.
func (g *GitSession) Advertise(ctx context.Context, w io.Writer, version int) error {
	out := newGitWriter(w)
	a := protocol.Advertisement{
		Version: version, Service: true, Agent: gitAgent, Format: g.sn.Repository().Format,
		Filter: true, AnyReachable: true, RefInWant: true, ObjectInfo: true, PushOptions: true,
	}
	if g.write {
		a.Version = min(version, 1) // there is no version 2 of pushing
	}
	var refs []protocol.Ref
	if a.Version < 2 {
		var err error
		if refs, err = g.sn.Advertise(ctx, g.remote.view(), !g.write, func(git.RefName) bool { return true }); err != nil {
			return out.refuse(err)
		}
	}
	if g.write {
		_ = protocol.AdvertiseReceivePack(out.Writer, refs, a)
	} else {
		_ = protocol.AdvertiseUploadPack(out.Writer, refs, a)
	}
	return out.finish()
}

// UploadPack answers one request of a client that fetches.
func (g *GitSession) UploadPack(ctx context.Context, r io.Reader, w io.Writer, version int) error {
	in, out := protocol.NewReader(r), newGitWriter(w)
	var err error
	if version < 2 {
		var q *protocol.FetchRequest
		if q, err = protocol.ReadUploadRequest(in, g.sn.Repository().Format, g.service.limits.Git); err == nil {
			readToEnd(r)
			err = g.fetch(ctx, q, out)
		}
	} else {
		err = g.command(ctx, r, in, out)
	}
	if err != nil {
		return out.refuse(err)
	}
	return out.finish()
}

// readToEnd reads what follows a request, which should be nothing: as long as
// there might be more, a server does not notice that its client leaves.
func readToEnd(r io.Reader) { _, _ = io.CopyN(io.Discard, r, maxRest) }

const maxRest = 64 << 10

// command carries out a request of version 2.
func (g *GitSession) command(ctx context.Context, r io.Reader, in *protocol.Reader, out *gitWriter) error {
	c, err := protocol.ReadCommand(in, g.sn.Repository().Format, g.service.limits.Git)
	if err == io.EOF {
		return nil
	}
	if err != nil {
		return err
	}
	switch c.Name {
	case "ls-refs":
		q, err := c.LsRefs()
		if err != nil {
			return err
		}
		refs, err := g.sn.Advertise(ctx, g.remote.view(), q.Peel, q.Matches)
		if err != nil {
			return err
		}
		return q.Write(out.Writer, refs)
	case "object-info":
		q, err := c.ObjectInfo()
		if err != nil {
			return err
		}
		return g.objectInfo(ctx, q, out)
	}
	q, err := c.Fetch()
	if err != nil {
		return err
	}
	readToEnd(r)
	return g.fetch(ctx, q, out)
}

func (g *GitSession) objectInfo(ctx context.Context, q protocol.ObjectInfoRequest, out *gitWriter) error {
	sizes := make([]int64, len(q.IDs))
	for i, id := range q.IDs {
		sizes[i] = -1
		ok, err := g.sn.Reachable(ctx, g.remote.view(), id)
		if err != nil {
			return err
		}
		if ok {
			if _, sizes[i], err = g.sn.Header(ctx, id); err != nil {
				return err
			}
		}
	}
	return q.Write(out.Writer, sizes)
}

// fetch answers with what is known and, when the client has said enough, with
// the pack.
func (g *GitSession) fetch(ctx context.Context, q *protocol.FetchRequest, out *gitWriter) error {
	if err := admission.Enter(ctx, admission.Fetch); err != nil {
		return err
	}
	f, err := g.sn.Negotiate(ctx, g.remote.view(), q)
	if err != nil {
		return err
	}
	if err := q.WriteAnswer(out.Writer, f.Answer); err != nil {
		return err
	}
	if !f.PackFollows {
		return nil
	}
	stream := q.NewPackStream(out.Writer)
	out.stream = stream
	if err := f.WritePack(ctx, stream, out.progress(q.NoProgress)); err != nil {
		return err
	}
	return stream.Close()
}

// gitWriter gathers short packets and sends them on where the client should
// see them.
type gitWriter struct {
	*protocol.Writer
	buffer *bufio.Writer
	to     io.Writer
	stream *protocol.PackStream // once a pack is on its way
	band   *protocol.Sideband   // of a push that was refused before it began
}

func newGitWriter(w io.Writer) *gitWriter {
	buffer := bufio.NewWriterSize(w, 16<<10)
	return &gitWriter{Writer: protocol.NewWriter(buffer), buffer: buffer, to: w}
}

// finish hands on what is gathered. A short answer then goes out as the session
// ends: whole, in one packet, with its length.
func (w *gitWriter) finish() error { return w.buffer.Flush() }

// flush sends what is gathered now, through what lies below too if it can.
func (w *gitWriter) flush() error {
	err := w.finish()
	if f, ok := w.to.(interface{ Flush() }); ok && err == nil {
		f.Flush()
	}
	return err
}

// keepAlive is how long a client that wants no progress is left in silence.
const keepAlive = 5 * time.Second

// progress returns what tells the client how far its pack is.
func (w *gitWriter) progress(quiet bool) func(string) {
	last := time.Now()
	return func(text string) {
		if !quiet {
			_ = w.stream.Progress(text)
		} else if time.Since(last) > keepAlive {
			last = time.Now()
			_ = w.stream.KeepAlive()
		}
		_ = w.flush()
	}
}

// throttled calls f at most five times a second.
func throttled(f func(int)) func(int) {
	last := time.Now()
	return func(n int) {
		if now := time.Now(); now.Sub(last) > 200*time.Millisecond {
			last = now
			f(n)
		}
	}
}

// refuse tells the client why its request ends and returns the reason, of such
// a kind that only what is the server's fault looks like it.
func (w *gitWriter) refuse(err error) error {
	if w.Err() != nil {
		return fmt.Errorf("client went away: %w: %w", context.Canceled, w.Err())
	}
	text := gitText(err)
	if cairn.KindOf(err) == cairn.Internal && isClients(err) {
		err = cairn.Errorf(cairn.Invalid, "%w", err)
	}
	switch {
	case w.stream != nil:
		_ = w.stream.Fatal(text)
		_ = w.stream.Close()
	case w.band != nil:
		_ = w.band.Fatal(text)
		_ = w.band.Close()
	default:
		_ = w.Error(text)
	}
	return errors.Join(err, w.finish())
}

// isClients tells the errors of the packages below that are about the request.
func isClients(err error) bool {
	var limit *protocol.LimitError
	var packLimit *pack.LimitError
	return errors.As(err, &limit) || errors.As(err, &packLimit) || errors.Is(err, protocol.ErrProtocol) || errors.Is(err, pack.ErrMalformed)
}

// gitText is what a Git client may read of an error. Of a fault of the server
// that is only that there was one.
func gitText(err error) string {
	var told *cairn.Error
	switch {
	case errors.As(err, &told) && told.Kind != cairn.Internal:
		return told.Text
	case isClients(err):
		if limit := (*protocol.LimitError)(nil); errors.As(err, &limit) && limit.Limit == protocol.RefUpdates {
			return err.Error() + " (max-refs-per-push)"
		}
		return err.Error()
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return "the request took too long"
	case cairn.KindOf(err) == cairn.Unavailable:
		return "a store cannot answer now; try again"
	}
	return "internal error"
}
