// Package upstream is a Git client: it lists, fetches and pushes the refs of
// repositories on other servers over smart HTTP (gitprotocol-http(5)). Its rule
// is that the other server is hostile: what it sends is bounded in bytes, lines
// and time, is parsed by package protocol and otherwise only handed on, and no
// credential comes into an error. Which addresses may be called is up to the
// HTTP client that it is given; what becomes of refs and packs, to the caller.
package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/protocol"
)

// agent is what the client calls itself. Some servers answer Git's requests
// only to what begins like this.
const agent = "git/cairn"

// Options are the bounds of a Client. A zero field means its default.
type Options struct {
	MaxRefs int   // lines of refs of one listing; default 200,000
	MaxList int64 // bytes of one listing; default 256 MiB
	MaxPack int64 // bytes of the answer to one fetch; default 17 GiB
	// Stall is how long an upstream may say nothing; default 2 minutes.
	Stall time.Duration
}

// Client speaks to upstreams. It is safe for concurrent use.
type Client struct {
	http    *http.Client
	options Options
}

// New returns a Client whose requests go through the HTTP client. Redirects are
// followed only to the same server, and only by the first request.
func New(h *http.Client, o Options) *Client {
	if o.MaxRefs == 0 {
		o.MaxRefs = 200_000
	}
	if o.MaxList == 0 {
		o.MaxList = 256 << 20
	}
	if o.MaxPack == 0 {
		o.MaxPack = 17 << 30
	}
	if o.Stall == 0 {
		o.Stall = 2 * time.Minute
	}
	copied := *h
	copied.CheckRedirect = checkRedirect
	return &Client{&copied, o}
}

// Remote is a repository on another server, and how to get in.
type Remote struct {
	URL      string // https://host/path, without credentials
	Username string
	Password string // empty: without credentials
}

// Session is a conversation with one repository, begun by the list of what it
// has. It is for one goroutine.
type Session struct {
	// Refs are HEAD, if the server tells it, and the branches and tags. In a
	// session for pushing they are all refs that the server shows.
	Refs []protocol.Ref

	client *Client
	remote Remote
	base   string // the repository's address as the server wants it
	hello  *protocol.ServerAdvertisement
}

// Format is the repository's object format.
func (s *Session) Format() git.ObjectFormat { return s.hello.Format }

// OpenFetch begins to fetch: it lists HEAD, branches and tags.
func (c *Client) OpenFetch(ctx context.Context, remote Remote) (*Session, error) {
	s, err := c.open(ctx, remote, protocol.UploadPack)
	if err != nil {
		return nil, remote.failed(err)
	}
	if s.hello.Version >= 2 {
		if err := s.list(ctx); err != nil {
			return nil, remote.failed(err)
		}
	}
	kept := s.Refs[:0]
	for _, r := range s.Refs {
		if r.Name == git.HEAD || r.Name.IsBranch() || r.Name.IsTag() {
			kept = append(kept, r)
		}
	}
	s.Refs = kept
	return s, nil
}

// OpenPush begins to push: it lists the refs that the server shows.
func (c *Client) OpenPush(ctx context.Context, remote Remote) (*Session, error) {
	s, err := c.open(ctx, remote, protocol.ReceivePack)
	if err == nil && s.hello.Version >= 2 {
		err = fmt.Errorf("%w: there is no version 2 of pushing", protocol.ErrProtocol)
	}
	if err != nil {
		return nil, remote.failed(err)
	}
	return s, nil
}

// open sends the first request.
func (c *Client) open(ctx context.Context, remote Remote, service string) (*Session, error) {
	address := strings.TrimRight(remote.URL, "/") + infoRefs + service
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	if service == protocol.UploadPack {
		r.Header.Set("Git-Protocol", "version=2")
	}
	answer, err := c.send(r, remote, "application/x-"+service+"-advertisement")
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	s := &Session{client: c, remote: remote}
	// A redirect by the same server moves the whole conversation.
	s.base = strings.TrimSuffix(answer.Request.URL.String(), infoRefs+service)
	s.hello, err = protocol.ReadAdvertisement(protocol.NewReader(bounded(answer.Body, c.options.MaxList)), service, c.options.MaxRefs)
	if err != nil {
		return nil, err
	}
	s.Refs = s.hello.Refs
	return s, nil
}

// infoRefs is what follows a repository's address in the first request, up to
// the service.
const infoRefs = "/info/refs?service="

// list asks a server of version 2 for its refs.
func (s *Session) list(ctx context.Context) error {
	var body strings.Builder
	_ = s.hello.WriteLsRefs(protocol.NewWriter(&body), agent, git.BranchPrefix, git.TagPrefix)
	answer, err := s.post(ctx, protocol.UploadPack, strings.NewReader(body.String()))
	if err != nil {
		return err
	}
	defer answer.Close()
	s.Refs, err = s.hello.ReadLsRefs(protocol.NewReader(bounded(answer, s.client.options.MaxList)), s.client.options.MaxRefs)
	return err
}

// Fetch asks for all that the wants lead to and the haves do not, and gives
// take the pack, which is thin. An error of take is returned as it is, unless
// it came from reading.
func (s *Session) Fetch(ctx context.Context, wants, haves []git.ObjectID, take func(pack io.Reader) error) error {
	var body strings.Builder
	_ = s.hello.WriteFetch(protocol.NewWriter(&body), agent, wants, haves)
	answer, err := s.post(ctx, protocol.UploadPack, strings.NewReader(body.String()))
	if err != nil {
		return s.remote.failed(err)
	}
	defer answer.Close()
	pack, err := s.hello.ReadFetch(protocol.NewReader(bounded(answer, s.client.options.MaxPack)))
	if err != nil {
		return s.remote.failed(err)
	}
	in := &noting{r: pack}
	if err := take(in); err != nil {
		if in.err != nil {
			return s.remote.failed(in.err)
		}
		return err
	}
	return nil
}

// noting remembers the error of a reader, so that it can be told from those of
// who reads.
type noting struct {
	r   io.Reader
	err error
}

func (n *noting) Read(p []byte) (int, error) {
	k, err := n.r.Read(p)
	if err != nil && err != io.EOF {
		n.err = err
	}
	return k, err
}

// Push asks the server to move refs, each for itself, or if atomic all or none
// where the server can, see IsAtomic. write sends the pack; it is not called if
// all updates are deletions. An error of write is returned as it is, unless it
// came from writing.
func (s *Session) Push(ctx context.Context, updates []protocol.RefUpdate, atomic bool, write func(w io.Writer) error) (protocol.PushReport, error) {
	var commands strings.Builder
	_ = s.hello.WritePush(protocol.NewWriter(&commands), agent, updates, atomic)
	if !needsPack(updates) {
		answer, err := s.postPush(ctx, strings.NewReader(commands.String()))
		return s.report(answer, err, len(updates))
	}
	in, out := io.Pipe()
	packed := make(chan error, 1)
	go func() {
		err := write(out)
		out.CloseWithError(err)
		packed <- err
	}()
	answer, err := s.postPush(ctx, io.MultiReader(strings.NewReader(commands.String()), in))
	in.Close() // the server may have refused before it read all
	if err := <-packed; err != nil && !errors.Is(err, io.ErrClosedPipe) {
		if answer != nil {
			answer.Close()
		}
		return protocol.PushReport{}, err
	}
	return s.report(answer, err, len(updates))
}

// IsAtomic tells whether the server can move many refs all or none.
func (s *Session) IsAtomic() bool { return s.hello.Capabilities.Has("atomic") }

// maxWhole is the longest push whose length is told before it: not every server
// takes a body without.
const maxWhole = 1 << 20

func (s *Session) postPush(ctx context.Context, body io.Reader) (io.ReadCloser, error) {
	if !s.hello.Capabilities.Has("report-status") {
		return nil, fmt.Errorf("%w: the server does not report what becomes of a push", protocol.ErrProtocol)
	}
	var start bytes.Buffer
	switch _, err := io.CopyN(&start, body, maxWhole); {
	case err == io.EOF:
		body = &start
	case err != nil:
		return nil, err
	default:
		body = io.MultiReader(&start, body)
	}
	return s.post(ctx, protocol.ReceivePack, body)
}

// maxReport bounds the answer to a push.
const maxReport = 16 << 20

func (s *Session) report(answer io.ReadCloser, err error, refs int) (protocol.PushReport, error) {
	if err != nil {
		return protocol.PushReport{}, s.remote.failed(err)
	}
	defer answer.Close()
	report, err := s.hello.ReadReport(protocol.NewReader(bounded(answer, maxReport)), refs)
	if err != nil {
		return report, s.remote.failed(err)
	}
	report.Unpack, report.Messages = s.remote.scrub(report.Unpack), s.remote.scrub(report.Messages)
	for i := range report.Results {
		report.Results[i].Reason = s.remote.scrub(report.Results[i].Reason)
	}
	return report, nil
}

func needsPack(updates []protocol.RefUpdate) bool {
	for _, u := range updates {
		if !u.IsDelete() {
			return true
		}
	}
	return false
}

// post sends a request of the service and returns the body of the answer.
func (s *Session) post(ctx context.Context, service string, body io.Reader) (io.ReadCloser, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.base+"/"+service, body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/x-"+service+"-request")
	if s.hello.Version >= 2 {
		r.Header.Set("Git-Protocol", "version=2")
	}
	answer, err := s.client.send(r, s.remote, "application/x-"+service+"-result")
	if err != nil {
		return nil, err
	}
	return answer.Body, nil
}

// send sends a request with the remote's credential and returns the answer if
// it is a good one of that type.
func (c *Client) send(r *http.Request, remote Remote, contentType string) (*http.Response, error) {
	r.Header.Set("User-Agent", agent)
	r.Header.Set("Accept", contentType)
	if remote.Password != "" {
		r.SetBasicAuth(remote.Username, remote.Password)
	}
	ctx, stop := context.WithCancelCause(r.Context())
	watch := time.AfterFunc(c.options.Stall, func() { stop(errStalled) })
	if r.Body != nil {
		r.Body = &sentBody{r.Body, func() { watch.Reset(c.options.Stall) }}
	}
	answer, err := c.http.Do(r.WithContext(ctx))
	if err != nil {
		watch.Stop()
		stop(nil)
		return nil, causeOf(ctx, err)
	}
	answer.Body = &watchedBody{answer.Body, ctx, stop, watch, c.options.Stall}
	got, _, _ := strings.Cut(answer.Header.Get("Content-Type"), ";")
	if answer.StatusCode != http.StatusOK || strings.TrimSpace(got) != contentType {
		answer.Body.Close()
		return nil, &statusError{answer.StatusCode}
	}
	return answer, nil
}

// errStalled ends a conversation in which the upstream says nothing.
var errStalled = errors.New("the upstream says nothing")

// causeOf adds why a conversation was ended by this side.
func causeOf(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); err != nil && err != io.EOF && errors.Is(cause, errStalled) {
		return errors.Join(errStalled, err)
	}
	return err
}

// sentBody is a request that takes its time, which is not the upstream's.
type sentBody struct {
	io.ReadCloser
	alive func()
}

func (b *sentBody) Read(p []byte) (int, error) {
	b.alive()
	return b.ReadCloser.Read(p)
}

// watchedBody is an answer that must go on.
type watchedBody struct {
	io.ReadCloser
	ctx   context.Context
	stop  context.CancelCauseFunc
	watch *time.Timer
	stall time.Duration
}

func (b *watchedBody) Read(p []byte) (int, error) {
	b.watch.Reset(b.stall)
	n, err := b.ReadCloser.Read(p)
	b.watch.Stop() // the reader's own time does not count
	return n, causeOf(b.ctx, err)
}

func (b *watchedBody) Close() error {
	b.watch.Stop()
	err := b.ReadCloser.Close()
	b.stop(nil)
	return err
}

// statusError is an answer that is not one of Git's.
type statusError struct{ status int }

func (e *statusError) Error() string { return fmt.Sprintf("HTTP status %d", e.status) }

// redirectError is why a redirect is not followed.
type redirectError string

func (e redirectError) Error() string { return string(e) }

// maxRedirects bounds the redirects of one request.
const maxRedirects = 5

// checkRedirect lets a server send the first request elsewhere on itself, as
// for a repository that was renamed. Nothing is sent to another server: the
// credential is not for it, nor was it asked for.
func checkRedirect(next *http.Request, via []*http.Request) error {
	first := via[0]
	switch {
	case len(via) > maxRedirects:
		return redirectError("the upstream redirects without end")
	case first.Method != http.MethodGet:
		return redirectError("the upstream redirects in the middle of a conversation")
	case next.URL.Scheme != first.URL.Scheme || !strings.EqualFold(next.URL.Host, first.URL.Host) || next.URL.User != nil:
		return redirectError("the upstream redirects to another server")
	case !strings.HasSuffix(next.URL.Path, "/info/refs") || next.URL.RawQuery != first.URL.RawQuery:
		return redirectError("the upstream redirects to what is no Git repository")
	}
	return nil
}

// bounded makes reading more than limit bytes a LimitError.
func bounded(r io.Reader, limit int64) io.Reader { return &boundedReader{r, limit, limit} }

type boundedReader struct {
	r           io.Reader
	left, limit int64
}

func (b *boundedReader) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, &protocol.LimitError{Limit: "bytes in an answer", Max: int(b.limit)}
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
