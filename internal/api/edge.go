package api

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/cairn-storage/cairn/internal/admission"
	"github.com/cairn-storage/cairn/internal/cairn"
)

// Bounds of reading on after a refusal, see drain.
const (
	drainBytes = 256 << 20
	drainTime  = 30 * time.Second
)

// EdgeOptions are what surrounds every request.
type EdgeOptions struct {
	Logger  *slog.Logger
	Timeout time.Duration // from the header to the last byte
	Gate    *admission.Gate
	Pace    Pace
	// Uncounted tells the requests that the Gate does not count, such as the
	// questions whether the server is alive; nil is none.
	Uncounted func(*http.Request) bool
	// Scratch makes the files, without a name, in which long answers wait for
	// slow clients; nil keeps them in memory.
	Scratch func() (*os.File, error)
	// Fail answers requests that next does not see, or does not answer: refused
	// by the Gate, or ended by a panic; nil means the function Fail.
	Fail func(http.ResponseWriter, *http.Request, error)
	// Observe is told of every request that ended; nil is fine.
	Observe func(method, route string, status int, took time.Duration)
}

// Edge wraps the whole server: it gives each request an id, a deadline, a place
// in the Gate and one line in the log, and makes a panic an internal error.
// Nothing that a caller sends but the method gets into the log unescaped, and
// no address or header at all: they hold credentials.
func Edge(next http.Handler, o EdgeOptions) http.Handler {
	if o.Fail == nil {
		o.Fail = Fail
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		note := &note{id: requestID(r), unlimited: r.Context()}
		out := &recorder{ResponseWriter: w, scratch: o.Scratch}
		out.Header().Set("X-Request-Id", note.id)
		started := time.Now()
		end := started.Add(o.Timeout)
		ctx, cancel := context.WithDeadline(context.WithValue(r.Context(), noteKey{}, note), end)
		defer cancel()
		work, err := o.arrive(&ctx, r)
		r = r.WithContext(ctx)
		out.client = newClient(ctx, w, work, o.Pace, end)
		if r.Body != http.NoBody {
			r.Body = &body{r.Body, out.client}
		}
		defer func() {
			work.Leave()
			failure := recover()
			if failure != nil && failure != http.ErrAbortHandler { //nolint:errorlint // what was panicked with
				note.err = fmt.Errorf("panic: %v\n%s", failure, debug.Stack())
				if !out.wrote {
					o.Fail(out, r, note.err)
					failure = nil
				}
			}
			o.end(r, out, note, time.Since(started))
			if failure != nil {
				panic(http.ErrAbortHandler) // the answer is broken: so must be the connection
			}
			drain(out, r)
		}()
		if err != nil {
			o.Fail(out, r, err)
			return
		}
		next.ServeHTTP(out, r)
	})
}

// arrive asks the Gate in, if it counts the request. Without it the request
// that it returns stands for none.
func (o EdgeOptions) arrive(ctx *context.Context, r *http.Request) (work *admission.Request, err error) {
	if o.Uncounted == nil || !o.Uncounted(r) {
		*ctx, work, err = o.Gate.Arrive(*ctx)
	}
	return work, err
}

// end writes the request's line.
func (o EdgeOptions) end(r *http.Request, out *recorder, n *note, took time.Duration) {
	route := n.route
	if route == "" {
		route = r.Pattern[strings.IndexByte(r.Pattern, ' ')+1:]
	}
	if route == "" {
		route = "other"
	}
	status := out.status
	if status == 0 {
		status = http.StatusOK
	}
	method := r.Method
	if !knownMethods[method] {
		method = "other"
	}
	if o.Observe != nil {
		o.Observe(method, route, status, took)
	}
	remote, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		remote = r.RemoteAddr
	}
	level := slog.LevelInfo
	attributes := []slog.Attr{
		slog.String("method", method),
		slog.String("route", route),
		slog.Int("status", status),
		slog.Float64("duration_ms", float64(took.Microseconds())/1000),
		slog.Int64("bytes", out.bytes),
		slog.String("organization", n.organization),
		slog.String("request_id", n.id),
		slog.String("remote", remote),
	}
	_, refused := admission.RetryAfter(n.err)
	// An answer that began well may end badly.
	switch {
	case refused: // no fault, and there may be many
		attributes = append(attributes, slog.String("refused", n.err.Error()))
	case n.err != nil && (status >= 500 || Status(n.err) >= 500):
		level = slog.LevelError
		attributes = append(attributes, slog.String("error", n.err.Error()))
	}
	o.Logger.LogAttrs(r.Context(), level, "request", attributes...)
}

var knownMethods = map[string]bool{
	http.MethodGet: true, http.MethodHead: true, http.MethodPost: true, http.MethodPut: true,
	http.MethodPatch: true, http.MethodDelete: true, http.MethodOptions: true,
}

// requestID returns the caller's own id if it is a plain word, else a new one.
func requestID(r *http.Request) string {
	id := r.Header.Get("X-Request-Id")
	if id == "" || len(id) > 64 {
		return cairn.NewID()
	}
	for i := range len(id) {
		c := id[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.') {
			return cairn.NewID()
		}
	}
	return id
}

// drain reads on for a while after a refusal. A client that streams its body
// would else see its connection break instead of the answer that says why.
func drain(out *recorder, r *http.Request) {
	if out.status < 400 || out.status == http.StatusRequestTimeout || r.ProtoMajor != 1 || r.ContentLength == 0 || r.Header.Get("Expect") != "" {
		return
	}
	out.Flush()
	out.client.in = account{Pace: out.client.in.Pace, end: time.Now().Add(drainTime)}
	_, _ = io.CopyN(io.Discard, r.Body, drainBytes)
}

// note is what the layers below tell the request's line in the log. Only the
// request's own goroutine uses it.
type note struct {
	id           string
	unlimited    context.Context // of the request, without its time limit
	route        string
	organization string
	err          error
}

type noteKey struct{}

func noteOf(r *http.Request) *note {
	n, ok := r.Context().Value(noteKey{}).(*note)
	if !ok {
		return new(note) // outside of Edge nobody reads it
	}
	return n
}

// NoteRoute names the route of the request for the log and the metrics, where
// that is not the pattern of a ServeMux. It must be one of few.
func NoteRoute(r *http.Request, route string) { noteOf(r).route = route }

// NoteOrganization says whose request it is.
func NoteOrganization(r *http.Request, name cairn.OrganizationName) {
	noteOf(r).organization = string(name)
}

// NoteError keeps the cause of a failed request; the log has it if the status
// is a fault of the server.
func NoteError(r *http.Request, err error) { noteOf(r).err = err }

// RequestID returns the id under which the log has this request.
func RequestID(r *http.Request) string { return noteOf(r).id }

// recorder remembers the status and the size of an answer, and has its client
// take it at a pace.
type recorder struct {
	http.ResponseWriter
	client  *client
	scratch func() (*os.File, error)
	status  int
	wrote   bool
	bytes   int64
}

// WriteHeader notes the first final status.
func (w *recorder) WriteHeader(status int) {
	if !w.wrote && status >= 200 {
		w.status, w.wrote = status, true
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write counts bytes.
func (w *recorder) Write(p []byte) (int, error) {
	w.begin()
	n, err := w.client.write(w.ResponseWriter, p)
	w.bytes += int64(n)
	return n, err
}

// ReadFrom copies through a buffer that requests share.
func (w *recorder) ReadFrom(r io.Reader) (int64, error) { return copyTo(w, r) }

func (w *recorder) begin() {
	if !w.wrote {
		w.status, w.wrote = http.StatusOK, true
	}
}

// Flush sends what was written so far.
func (w *recorder) Flush() {
	w.begin()
	w.client.flush()
}

// Unwrap is for http.ResponseController.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
