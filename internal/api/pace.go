package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/cairn-storage/cairn/internal/admission"
	"github.com/cairn-storage/cairn/internal/cairn"
)

// Pace is how slow a client may be. Each direction has its own account.
type Pace struct {
	// Stall is how long nothing at all may move; 0 is for ever.
	Stall time.Duration
	// Rate is the least number of bytes a second, averaged over all the time
	// that was waited for the client, of which the first Stall is free. 0 is
	// no floor.
	Rate int64
}

const (
	// pieceSize is how much is written under one deadline. Of a longer write
	// it would not be seen that it moves.
	pieceSize = 16 << 10
	// lastWords is how long after the end of its time a request may still say
	// why it ended.
	lastWords = 10 * time.Second
)

// account adds up what a client moved in one direction, and how long it was
// waited for.
type account struct {
	Pace
	end    time.Time // the latest deadline
	moved  int64
	waited time.Duration
}

// deadline is when the next read or write must have moved something.
func (a *account) deadline(now time.Time) time.Time {
	if a.Stall == 0 {
		return a.end
	}
	left := a.Stall
	if a.Rate > 0 {
		// Seconds; there may be more of them than a Duration holds.
		earned := min(float64(a.moved)/float64(a.Rate), time.Duration(math.MaxInt64/4).Seconds())
		left = min(left, a.Stall+time.Duration(earned*float64(time.Second))-a.waited)
	}
	if at := now.Add(left); at.Before(a.end) {
		return at
	}
	return a.end
}

func (a *account) add(n int, waited time.Duration) {
	a.moved += int64(n)
	a.waited += waited
}

// client is the other end of a request: its body and its answer pass here, with
// a deadline for every piece. While one is under way the request lends its slot
// for work. One goroutine reads and one writes at a time.
type client struct {
	ctx     context.Context // of the request, with its time limit
	work    *admission.Request
	control *http.ResponseController
	in, out account
}

func newClient(ctx context.Context, w http.ResponseWriter, work *admission.Request, pace Pace, end time.Time) *client {
	c := &client{ctx: ctx, work: work, control: http.NewResponseController(w)}
	c.in = account{Pace: pace, end: end}
	c.out = account{Pace: pace, end: end.Add(lastWords)}
	// A connection that cannot have deadlines is one of a test.
	_ = c.control.SetReadDeadline(end)
	_ = c.control.SetWriteDeadline(c.out.deadline(time.Now()))
	return c
}

// Unlimited lifts the time limit of a request whose answer goes on for as long
// as its client takes it. A client that takes nothing is still cut off. It
// returns the request to go on with; the caller calls done at its end.
func Unlimited(w http.ResponseWriter, r *http.Request) (unlimited *http.Request, done func()) {
	outer := noteOf(r).unlimited
	if outer == nil { // outside of Edge nothing is limited
		return r, func() {}
	}
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(r.Context()))
	stop := context.AfterFunc(outer, func() { cancel(context.Cause(outer)) })
	if out, ok := w.(*recorder); ok {
		out.client.unlimited(ctx)
	}
	return r.WithContext(ctx), func() { stop(); cancel(nil) }
}

// never is a time that does not come.
const never = 100 * 365 * 24 * time.Hour

func (c *client) unlimited(ctx context.Context) {
	c.ctx = ctx
	c.in.end, c.out.end = time.Now().Add(never), time.Now().Add(never)
	_ = c.control.SetReadDeadline(time.Time{})
}

// write writes all of p, a piece at a time.
func (c *client) write(w io.Writer, p []byte) (int, error) {
	written := 0
	for {
		piece := p[written:min(len(p), written+pieceSize)]
		n, err := c.writePiece(w, piece)
		written += n
		if err != nil || written == len(p) {
			return written, err
		}
	}
}

func (c *client) writePiece(w io.Writer, piece []byte) (int, error) {
	began := time.Now()
	_ = c.control.SetWriteDeadline(c.out.deadline(began))
	c.work.BeginWait()
	n, err := w.Write(piece)
	c.out.add(n, time.Since(began))
	if again := c.work.EndWait(c.ctx, n); err == nil {
		err = again
	} else {
		err = gone(err)
	}
	return n, err
}

// flush sends what lies in buffers.
func (c *client) flush() {
	began := time.Now()
	_ = c.control.SetWriteDeadline(c.out.deadline(began))
	c.work.BeginWait()
	_ = c.control.Flush()
	c.out.add(0, time.Since(began))
	_ = c.work.EndWait(c.ctx, 0) // the next write has the same error
}

// gone is the error of a write that nobody waits for any more.
func gone(err error) error {
	return fmt.Errorf("client went away: %w: %w", context.Canceled, err)
}

// body is the body of a request on its way in.
type body struct {
	io.ReadCloser
	client *client
}

// Read waits for the client as long as its pace allows.
func (b *body) Read(p []byte) (int, error) {
	c := b.client
	began := time.Now()
	_ = c.control.SetReadDeadline(c.in.deadline(began))
	c.work.BeginWait()
	n, err := b.ReadCloser.Read(p)
	waited := time.Since(began)
	c.in.add(n, waited)
	again := c.work.EndWait(c.ctx, n)
	if err == nil {
		return n, again
	}
	if err == io.EOF { // from now on net/http looks whether the client is still there
		_ = c.control.SetReadDeadline(c.in.end)
	}
	return n, c.bodyError(err, waited)
}

// bodyError says whose doing it is that the body ends with an error.
func (c *client) bodyError(err error, waited time.Duration) error {
	var network net.Error
	switch {
	case err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF):
		return err
	case errors.Is(err, os.ErrDeadlineExceeded) && !time.Now().Before(c.in.end):
		return cairn.Errorf(cairn.TimedOut, "the request's body did not end within request-timeout")
	case errors.Is(err, os.ErrDeadlineExceeded) && waited >= c.in.Stall:
		return cairn.Errorf(cairn.TimedOut, "the request's body stopped: nothing of it came for %s (stall-timeout)", c.in.Stall)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return cairn.Errorf(cairn.TimedOut, "the request's body comes too slowly: less than %d bytes a second on average (min-rate)", c.in.Rate)
	case errors.As(err, &network) || c.ctx.Err() != nil:
		return gone(err)
	}
	return cairn.Errorf(cairn.Invalid, "the request's body cannot be read: %w", err)
}

// copyBuffers are for answers that are read from somewhere as they are sent.
var copyBuffers = sync.Pool{New: func() any { return new([2 * pieceSize]byte) }}

// copyTo sends all that r holds.
func copyTo(w io.Writer, r io.Reader) (int64, error) {
	buffer := copyBuffers.Get().(*[2 * pieceSize]byte)
	defer copyBuffers.Put(buffer)
	return io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{r}, buffer[:])
}
