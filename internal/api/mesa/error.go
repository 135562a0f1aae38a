package mesa

import (
	"errors"
	"net/http"
	"strings"

	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/cairn"
)

// problem is an error that says more than its kind: another status or code, or
// details for a program. What is zero follows from err.
type problem struct {
	status  int
	code    string
	details any
	err     error
}

func (p *problem) Error() string { return p.err.Error() }
func (p *problem) Unwrap() error { return p.err }

// codes are the words for statuses. Clients go by the status; of the words only
// a few are published.
var codes = map[int]string{
	http.StatusBadRequest:            "BAD_REQUEST",
	http.StatusUnauthorized:          "UNAUTHENTICATED",
	http.StatusForbidden:             "FORBIDDEN",
	http.StatusNotFound:              "NOT_FOUND",
	http.StatusNotAcceptable:         "NOT_ACCEPTABLE",
	http.StatusRequestTimeout:        "TIMEOUT",
	http.StatusConflict:              "CONFLICT",
	http.StatusRequestEntityTooLarge: "PAYLOAD_TOO_LARGE",
	http.StatusTooManyRequests:       "RATE_LIMITED",
	http.StatusInternalServerError:   "INTERNAL_ERROR",
	http.StatusServiceUnavailable:    "UNAVAILABLE",
	http.StatusGatewayTimeout:        "TIMEOUT",
}

// statusOf is api.Status, in the statuses that clients of this API know: a
// guard that names another state is a conflict to them.
func statusOf(err error) int {
	status := api.Status(err)
	if status == http.StatusPreconditionFailed || status == http.StatusUnprocessableEntity {
		return http.StatusConflict
	}
	return status
}

// errorBody is the body of an error.
type errorBody struct {
	Error errorText `json:"error"`
}

type errorText struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Details any    `json:"details,omitempty"`
	TraceID string `json:"trace_id,omitempty"`
}

// Matches tells whether a path is one of this face's.
func Matches(path string) bool {
	return strings.HasPrefix(path, prefix) || strings.HasPrefix(path, Prefix+"/")
}

// Fail answers with an error and leaves its cause to the request's line in the
// log.
func Fail(w http.ResponseWriter, r *http.Request, err error) {
	api.NoteError(r, err)
	told := problem{err: err}
	if given := (*problem)(nil); errors.As(err, &given) {
		told = *given
	}
	if told.status == 0 {
		told.status = statusOf(err)
	}
	if told.code == "" {
		told.code = codes[told.status]
	}
	if told.code == "" {
		told.code = "ERROR"
	}
	body := errorBody{errorText{Code: told.code, Message: api.Text(err), Details: told.details}}
	if told.status >= http.StatusInternalServerError {
		body.Error.TraceID = api.RequestID(r)
	}
	if told.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="mesa"`)
	}
	api.SetRetryAfter(w.Header(), told.status, err)
	_ = api.Write(w, told.status, body)
}

// success is what deletions answer.
var success = struct {
	Success bool `json:"success"`
}{true}

// errNotAcceptable is for what the caller wants in a form that it does not have.
func errNotAcceptable(text string) error {
	return &problem{status: http.StatusNotAcceptable, err: cairn.Errorf(cairn.Invalid, "%s", text)}
}
