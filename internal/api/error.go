package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/cairn-storage/cairn/internal/admission"
	"github.com/cairn-storage/cairn/internal/cairn"
)

// statusClientClosed is what the log says of a caller who went away: nobody
// reads this answer.
const statusClientClosed = 499

// statuses is the one table from kinds to statuses.
var statuses = map[cairn.Kind]int{
	cairn.Invalid:         http.StatusBadRequest,
	cairn.Unauthenticated: http.StatusUnauthorized,
	cairn.Denied:          http.StatusForbidden,
	cairn.NotFound:        http.StatusNotFound,
	cairn.Conflict:        http.StatusConflict,
	cairn.Reused:          http.StatusUnprocessableEntity,
	cairn.Stale:           http.StatusPreconditionFailed,
	cairn.Unconfigured:    http.StatusPreconditionFailed,
	cairn.TooLarge:        http.StatusRequestEntityTooLarge,
	cairn.TimedOut:        http.StatusRequestTimeout,
	cairn.RateLimited:     http.StatusTooManyRequests,
	cairn.Unavailable:     http.StatusServiceUnavailable,
	cairn.Internal:        http.StatusInternalServerError,
}

// Status returns the HTTP status for an error.
func Status(err error) int {
	var e *cairn.Error
	if errors.As(err, &e) && e.Kind != cairn.Internal && e.Kind != cairn.Unavailable {
		return statuses[e.Kind]
	}
	var tooLarge *http.MaxBytesError
	var conflict *cairn.RefConflict
	switch {
	case errors.As(err, &tooLarge):
		return http.StatusRequestEntityTooLarge
	case errors.As(err, &conflict):
		return http.StatusConflict
	case errors.Is(err, context.Canceled):
		return statusClientClosed
	case errors.Is(err, context.DeadlineExceeded):
		return http.StatusGatewayTimeout
	}
	return statuses[cairn.KindOf(err)]
}

// Text returns what a caller may read of an error. Of a fault of the server
// that is only that there was one: the cause is in the log.
func Text(err error) string {
	var e *cairn.Error
	if errors.As(err, &e) && e.Kind != cairn.Internal {
		return e.Text
	}
	var conflict *cairn.RefConflict
	if errors.As(err, &conflict) {
		return conflict.Error()
	}
	switch status := Status(err); status {
	case http.StatusInternalServerError:
		return "internal error; the server's log has the cause under this request's id"
	case http.StatusServiceUnavailable:
		return "a store cannot answer now; try again"
	case http.StatusRequestEntityTooLarge:
		return "the request's body is too large"
	case http.StatusGatewayTimeout:
		return "the request took longer than request-timeout allows"
	case statusClientClosed:
		return "the request was cancelled"
	default:
		return http.StatusText(status)
	}
}

// SetRetryAfter tells when to ask again, where the status says that it may help.
func SetRetryAfter(h http.Header, status int, err error) {
	after, ok := admission.RetryAfter(err)
	switch {
	case status == http.StatusServiceUnavailable, status == http.StatusTooManyRequests:
		if !ok {
			after = time.Second
		}
	case status == http.StatusConflict && ok: // with what is under way now
	default:
		return
	}
	h.Set("Retry-After", strconv.FormatInt(int64((after+time.Second-1)/time.Second), 10))
}
