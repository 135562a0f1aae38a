package protocol_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/graph"
	"github.com/cairn-storage/cairn/internal/git/protocol"
	"github.com/cairn-storage/cairn/internal/gittest"
)

// server speaks smart HTTP with this package for a repository of stock git,
// which makes and indexes the packs. It records what it hears and says.
type server struct {
	t    testing.TB
	repo *gittest.Repo
	http *httptest.Server
	url  string

	refInWant bool              // stock git puts the answer in an order that its client refuses for shallow fetches
	refuse    map[string]string // reasons by ref name, for pushes
	fatal     string            // said over the side-band instead of the pack's end
	denied    string            // said in an ERR packet instead of any answer

	mu        sync.Mutex
	exchanges []exchange
	pushes    []*protocol.PushRequest
	errs      []error
}

// exchange is one POST to git-upload-pack.
type exchange struct {
	version    int
	body       []byte
	beforePack []byte // the answer up to the pack or the end
}

func newServer(t testing.TB, repo *gittest.Repo) *server {
	s := &server{t: t, repo: repo, refuse: map[string]string{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /r.git/info/refs", s.handle(s.infoRefs))
	mux.HandleFunc("POST /r.git/git-upload-pack", s.handle(s.uploadPack))
	mux.HandleFunc("POST /r.git/git-receive-pack", s.handle(s.receivePack))
	s.http = httptest.NewServer(mux)
	s.url = s.http.URL + "/r.git"
	t.Cleanup(func() {
		s.http.Close()
		for _, err := range s.errs {
			t.Errorf("server: %v", err)
		}
	})
	return s
}

func (s *server) handle(do func(w http.ResponseWriter, r *http.Request, body io.Reader) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body := io.Reader(r.Body)
		if r.Header.Get("Content-Encoding") == "gzip" {
			z, err := gzip.NewReader(body)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			body = z
		}
		if err := do(w, r, body); err != nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.errs = append(s.errs, fmt.Errorf("%s %s: %w", r.Method, r.URL, err))
		}
	}
}

func (s *server) git(stdin io.Reader, args ...string) ([]byte, error) {
	cmd := gittest.Command(s.t, s.repo.GitDir(), args...)
	cmd.Stdin = stdin
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return out, fmt.Errorf("git %v: %w: %s", args, err, stderr.Bytes())
	}
	return out, nil
}

// refs returns what the repository shows, HEAD first.
func (s *server) refs() ([]protocol.Ref, error) {
	target, err := s.git(nil, "symbolic-ref", "HEAD")
	if err != nil {
		return nil, err
	}
	head := protocol.Ref{Name: git.HEAD, SymrefTarget: git.RefName(bytes.TrimSpace(target))}
	out, err := s.git(nil, "for-each-ref", "--format=%(objectname) %(refname) %(objecttype)")
	if err != nil {
		return nil, err
	}
	refs := []protocol.Ref{head}
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		r := protocol.Ref{ID: git.MustParseObjectID(f[0]), Name: git.RefName(f[1])}
		if f[2] == "tag" {
			peeled, err := s.git(nil, "rev-parse", f[0]+"^{}")
			if err != nil {
				return nil, err
			}
			r.Peeled = git.MustParseObjectID(strings.TrimSpace(string(peeled)))
		}
		if r.Name == head.SymrefTarget {
			refs[0].ID = r.ID
		}
		refs = append(refs, r)
	}
	return refs, nil
}

func (s *server) advertisement(version int) protocol.Advertisement {
	return protocol.Advertisement{
		Version: version, Service: true, Agent: "cairn/test", Format: git.SHA1, Filter: true, AnyReachable: true,
		RefInWant: s.refInWant, ObjectInfo: true, PushOptions: true,
	}
}

func (s *server) infoRefs(w http.ResponseWriter, r *http.Request, _ io.Reader) error {
	refs, err := s.refs()
	if err != nil {
		return err
	}
	service := r.URL.Query().Get("service")
	w.Header().Set("Content-Type", "application/x-"+service+"-advertisement")
	pw := protocol.NewWriter(w)
	version := protocol.Version(r.Header.Get("Git-Protocol"))
	if service == protocol.ReceivePack {
		return protocol.AdvertiseReceivePack(pw, refs, s.advertisement(min(version, 1)))
	}
	return protocol.AdvertiseUploadPack(pw, refs, s.advertisement(version))
}

func (s *server) uploadPack(w http.ResponseWriter, r *http.Request, body io.Reader) error {
	w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
	whole, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	e := exchange{version: protocol.Version(r.Header.Get("Git-Protocol")), body: whole}
	beforePack, pack, err := s.answer(e)
	if err != nil {
		return err
	}
	e.beforePack = beforePack
	s.mu.Lock()
	s.exchanges = append(s.exchanges, e)
	s.mu.Unlock()
	if _, err := w.Write(beforePack); err != nil {
		return err
	}
	if pack != nil {
		return pack(protocol.NewWriter(w))
	}
	return nil
}

// answer returns what comes before a pack, and what writes the pack.
func (s *server) answer(e exchange) (beforePack []byte, pack func(*protocol.Writer) error, err error) {
	var out bytes.Buffer
	w := protocol.NewWriter(&out)
	if s.denied != "" {
		w.Error(s.denied)
		return out.Bytes(), nil, nil
	}
	r := protocol.NewReader(bytes.NewReader(e.body))
	if e.version < 2 {
		q, err := protocol.ReadUploadRequest(r, git.SHA1, protocol.DefaultLimits())
		if err != nil {
			return nil, nil, err
		}
		pack, err = s.fetch(w, q)
		return out.Bytes(), pack, err
	}
	c, err := protocol.ReadCommand(r, git.SHA1, protocol.DefaultLimits())
	if err != nil {
		return nil, nil, err
	}
	switch c.Name {
	case "ls-refs":
		q, err := c.LsRefs()
		if err != nil {
			return nil, nil, err
		}
		refs, err := s.refs()
		if err != nil {
			return nil, nil, err
		}
		err = q.Write(w, refs)
		return out.Bytes(), nil, err
	case "object-info":
		q, err := c.ObjectInfo()
		if err != nil {
			return nil, nil, err
		}
		sizes := make([]int64, len(q.IDs))
		for i, id := range q.IDs {
			size, err := s.git(nil, "cat-file", "-s", id.String())
			if err != nil {
				return nil, nil, err
			}
			if sizes[i], err = strconv.ParseInt(strings.TrimSpace(string(size)), 10, 64); err != nil {
				return nil, nil, err
			}
		}
		err = q.Write(w, sizes)
		return out.Bytes(), nil, err
	}
	q, err := c.Fetch()
	if err != nil {
		return nil, nil, err
	}
	pack, err = s.fetch(w, q)
	return out.Bytes(), pack, err
}

// commits is a graph.Commits of what a repository holds.
type commits map[git.ObjectID]git.CommitLinks

func (c commits) Commit(_ context.Context, id git.ObjectID) (git.CommitLinks, error) {
	links, ok := c[id]
	if !ok {
		return links, fmt.Errorf("no commit %s", id)
	}
	return links, nil
}

func (s *server) commits() (commits, error) {
	out, err := s.git(nil, "log", "--all", "--format=%H %T %ct %P")
	if err != nil {
		return nil, err
	}
	all := commits{}
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		links := git.CommitLinks{Tree: git.MustParseObjectID(f[1])}
		if links.Date, err = strconv.ParseInt(f[2], 10, 64); err != nil {
			return nil, err
		}
		for _, p := range f[3:] {
			links.Parents = append(links.Parents, git.MustParseObjectID(p))
		}
		all[git.MustParseObjectID(f[0])] = links
	}
	return all, nil
}

// onlyCommits returns the commits of ids, tags peeled.
func (s *server) onlyCommits(all commits, ids []git.ObjectID) (out []git.ObjectID) {
	for _, id := range ids {
		if _, ok := all[id]; !ok {
			hex, err := s.git(nil, "rev-parse", "--quiet", "--verify", id.String()+"^{commit}")
			if err != nil {
				continue
			}
			id = git.MustParseObjectID(strings.TrimSpace(string(hex)))
		}
		if _, ok := all[id]; ok {
			out = append(out, id)
		}
	}
	return out
}

// fetch answers a request in the way that a server is meant to.
func (s *server) fetch(w *protocol.Writer, q *protocol.FetchRequest) (pack func(*protocol.Writer) error, err error) {
	ctx := s.t.Context()
	all, err := s.commits()
	if err != nil {
		return nil, err
	}
	var a protocol.Answer
	for _, name := range q.WantRefs {
		out, err := s.git(nil, "rev-parse", "--verify", name)
		if err != nil {
			return nil, err
		}
		id := git.MustParseObjectID(strings.TrimSpace(string(out)))
		a.WantedRefs = append(a.WantedRefs, protocol.Ref{Name: git.RefName(name), ID: id})
		q.Wants = append(q.Wants, id)
	}
	a.Common, err = protocol.CommonHaves(q.Haves, func(id git.ObjectID) (bool, error) { _, ok := all[id]; return ok, nil })
	if err != nil {
		return nil, err
	}
	wants := s.onlyCommits(all, q.Wants)
	if a.Ready, err = graph.AllReachAny(ctx, all, wants, a.Common); err != nil {
		return nil, err
	}
	packFollows := q.PackFollows(len(a.Common), a.Ready)
	var boundary graph.Boundary
	if q.Deepens() || packFollows {
		if boundary, err = s.boundary(ctx, all, q, wants); err != nil {
			return nil, err
		}
		a.Shallow, a.Unshallow = boundary.Shallow, boundary.Unshallow
	}
	if err := q.WriteAnswer(w, a); err != nil || !packFollows {
		return nil, err
	}
	return func(w *protocol.Writer) error { return s.sendPack(w, q, a, boundary) }, nil
}

func (s *server) boundary(ctx context.Context, all commits, q *protocol.FetchRequest, wants []git.ObjectID) (graph.Boundary, error) {
	cut := graph.Cut{
		Depth: q.Depth, Infinite: q.Depth >= protocol.InfiniteDepth, Relative: q.DeepenRelative, Since: q.DeepenSince,
	}
	for _, name := range q.DeepenNot {
		out, err := s.git(nil, "rev-parse", "--verify", name+"^{commit}")
		if err != nil {
			return graph.Boundary{}, err
		}
		cut.Not = append(cut.Not, git.MustParseObjectID(strings.TrimSpace(string(out))))
	}
	return graph.Shallow(ctx, all, wants, s.onlyCommits(all, q.Shallow), cut)
}

func (s *server) sendPack(w *protocol.Writer, q *protocol.FetchRequest, a protocol.Answer, b graph.Boundary) error {
	args := []string{"--shallow-file", "", "pack-objects", "--revs", "--stdout", "--progress", "--shallow"}
	for option, on := range map[string]bool{
		"--thin": q.ThinPack, "--delta-base-offset": q.OfsDelta, "--include-tag": q.IncludeTag, "--filter=" + q.Filter.String(): !q.Filter.IsZero(),
	} {
		if on {
			args = append(args, option)
		}
	}
	var in strings.Builder
	list := func(prefix string, ids []git.ObjectID) {
		for _, id := range ids {
			fmt.Fprintf(&in, "%s%s\n", prefix, id)
		}
	}
	list("--shallow ", b.Roots)
	list("", q.Wants)
	list("", b.Wants)
	in.WriteString("--not\n")
	list("", a.Common)
	list("", b.Unshallow)
	data, err := s.git(strings.NewReader(in.String()), args...)
	if err != nil {
		return err
	}
	stream := q.NewPackStream(w)
	stream.Progress("Sending what you asked for\n")
	stream.KeepAlive()
	if s.fatal != "" {
		stream.Write(data[:len(data)/2])
		stream.Fatal(s.fatal)
		return stream.Close()
	}
	for part := range slices.Chunk(data, 10_000) {
		if _, err := stream.Write(part); err != nil {
			return err
		}
	}
	return stream.Close()
}

func (s *server) receivePack(w http.ResponseWriter, _ *http.Request, body io.Reader) error {
	w.Header().Set("Content-Type", "application/x-git-receive-pack-result")
	q, err := protocol.ReadPush(protocol.NewReader(body), git.SHA1, protocol.DefaultLimits())
	if err != nil {
		return err
	}
	if len(q.Commands) == 0 {
		return nil
	}
	s.mu.Lock()
	s.pushes = append(s.pushes, q)
	s.mu.Unlock()
	unpackError := ""
	if q.Pack != nil {
		if _, err := s.git(q.Pack, "index-pack", "--stdin", "--fix-thin", "--strict"); err != nil {
			unpackError = err.Error()
		}
	}
	var results []protocol.RefResult
	for _, u := range q.Commands {
		result := protocol.RefResult{Name: u.Name, Reason: s.refuse[u.Name]}
		if unpackError != "" {
			result.Reason = "unpacker error"
		}
		if result.Reason == "" {
			if _, err := s.git(nil, "update-ref", u.Name, u.New.String(), u.Old.String()); err != nil {
				result.Reason = err.Error()
			}
		}
		results = append(results, result)
	}
	out := protocol.NewWriter(w)
	if !q.Sideband() {
		return protocol.WriteReport(out, unpackError, results, q.ReportVersion())
	}
	band := protocol.NewSideband(out, protocol.Sideband64k)
	band.Progress("Thank you\n")
	if q.ReportVersion() > 0 {
		if err := protocol.WriteReport(protocol.NewWriter(band.DataWriter()), unpackError, results, q.ReportVersion()); err != nil {
			return err
		}
	}
	return band.Close()
}
