package codestorage

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"

	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/cairn"
)

const (
	idempotencyKey     = "Idempotency-Key"
	idempotentReplayed = "Idempotent-Replayed"
	// maxKeptAnswer is the longest answer that is kept for who asks again.
	maxKeptAnswer = 64 << 10
)

// once carries out a write at most once for each idempotency key. Whoever asks
// again gets the first answer, if the request is the same.
func (f *face) once(w http.ResponseWriter, r *request, route route) error {
	repo := r.repo
	if repo == "" {
		repo = r.who.Repository // what a route about no repository does may depend on it
	}
	attempt, err := f.service.BeginAttempt(r.who, repo, route.operation(), r.Header.Get(idempotencyKey))
	if err != nil {
		return err
	}
	defer attempt.Close()
	body, err := digestBody(r.Request, attempt.Rights())
	if err != nil {
		return err
	}
	first, known, err := attempt.Find(r.Context())
	if err != nil {
		return err
	}
	if known {
		return replay(w, body, first)
	}
	again := *r
	again.Request = r.WithContext(attempt.Context(r.Context(), body.sum))
	again.Body = body
	out := &keeper{ResponseWriter: w}
	if err := route.handle(f, out, &again); err != nil {
		return err
	}
	if out.status >= 200 && out.status < 300 {
		answer := out.body
		if out.passed || route.secret {
			answer = nil // it cannot be had again, but nothing is done twice
		}
		if err := attempt.Answered(r.Context(), out.status, answer); err != nil {
			api.NoteError(r.Request, fmt.Errorf("keep the answer: %w", err))
		}
	}
	out.pass()
	return nil
}

// operation names the route, in both families.
func (r route) operation() string {
	if r.preferred != "" {
		return r.method + " " + r.preferred
	}
	return r.method + " " + r.v1
}

// replay answers with what was answered first.
func replay(w http.ResponseWriter, body *digestedBody, first cairn.Receipt) error {
	if _, err := io.Copy(io.Discard, body); err != nil {
		return err
	}
	sum, err := body.sum()
	if err != nil {
		return err
	}
	if sum != first.Request {
		return cairn.Errorf(cairn.Reused, "the idempotency key was used for another request, or with other rights: use a new one")
	}
	w.Header().Set(idempotentReplayed, "true")
	if first.Status == http.StatusNoContent {
		w.WriteHeader(first.Status)
		return nil
	}
	if len(first.Answer) == 0 {
		return api.Write(w, http.StatusOK, struct {
			Message string `json:"message"`
		}{"the first request with this idempotency key was carried out; its answer is not kept"})
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(first.Status)
	_, _ = w.Write(first.Answer)
	return nil
}

// digestedBody is the body of a request that is digested as it is read.
type digestedBody struct {
	io.Reader
	io.Closer
	digest hash.Hash
	rest   io.Reader // that is not digested yet
	whole  bool
}

// digestBody reads the body's beginning, which is all of most, and begins a
// digest of the request with it.
func digestBody(r *http.Request, rights string) (*digestedBody, error) {
	b := &digestedBody{Closer: r.Body, digest: sha256.New(), rest: r.Body}
	fmt.Fprintf(b.digest, "%q %q %q\n", r.URL.EscapedPath(), r.URL.RawQuery, rights)
	beginning, err := io.ReadAll(io.LimitReader(restReader{b}, api.MaxJSON+1))
	if err != nil {
		return nil, err
	}
	b.Reader = io.MultiReader(bytes.NewReader(beginning), restReader{b})
	return b, nil
}

// restReader digests what it reads.
type restReader struct{ b *digestedBody }

func (r restReader) Read(p []byte) (int, error) {
	n, err := r.b.rest.Read(p)
	r.b.digest.Write(p[:n])
	if errors.Is(err, io.EOF) {
		r.b.whole = true
	}
	return n, err
}

// sum is the digest of the request. The body must have been read to its end.
func (b *digestedBody) sum() ([32]byte, error) {
	if !b.whole {
		return [32]byte{}, cairn.Errorf(cairn.Invalid, "the request has a body that this route does not read")
	}
	return [32]byte(b.digest.Sum(nil)), nil
}

// keeper holds an answer back until it is known whether it is one to keep. One
// that is too long is passed on.
type keeper struct {
	http.ResponseWriter
	status int
	body   []byte
	passed bool
}

// WriteHeader notes the status.
func (k *keeper) WriteHeader(status int) {
	if k.status == 0 {
		k.status = status
	}
}

// Write keeps or passes on.
func (k *keeper) Write(p []byte) (int, error) {
	if k.status == 0 {
		k.status = http.StatusOK
	}
	if !k.passed && len(k.body)+len(p) <= maxKeptAnswer {
		k.body = append(k.body, p...)
		return len(p), nil
	}
	k.pass()
	return k.ResponseWriter.Write(p)
}

// pass sends what was held back.
func (k *keeper) pass() {
	if k.passed || k.status == 0 {
		return
	}
	k.passed = true
	k.ResponseWriter.WriteHeader(k.status)
	_, _ = k.ResponseWriter.Write(k.body)
}
