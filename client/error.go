package client

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"
)

// The kinds of refusals, for errors.Is.
var (
	ErrInvalid         = errors.New("invalid")             // the request can never succeed as it is
	ErrUnauthenticated = errors.New("unauthenticated")     // no token, or not a good one
	ErrDenied          = errors.New("denied")              // the token, or a policy, does not allow it
	ErrNotFound        = errors.New("not found")           //
	ErrConflict        = errors.New("conflict")            // the state is not the one that the request assumes
	ErrGuard           = errors.New("guard does not hold") // a conflict: the branch is not where the caller said
	ErrTooLarge        = errors.New("too large")           // over a limit
	ErrUnavailable     = errors.New("unavailable")         // later it may work
)

// Error is a refusal by the server.
type Error struct {
	Status    int    // of HTTP
	Message   string // for people
	RequestID string // under which the server's log has the request
	// Result is the label of a refused write: precondition_failed, conflict,
	// invalid and so on. It is empty for other requests.
	Result string
	// Branch, OldSHA and NewSHA say where the branch of a refused write is.
	Branch, OldSHA, NewSHA string
	// ConflictType and ConflictPaths say why a merge was refused:
	// merge_conflict, target_moved or repo_changed.
	ConflictType  string
	ConflictPaths []string
	// RetryAfter is how long the server asks to wait; 0 if it does not.
	RetryAfter time.Duration
}

// Error returns the server's text.
func (e *Error) Error() string {
	if e.Status >= 500 && e.RequestID != "" {
		return e.Message + " (request " + e.RequestID + ")"
	}
	return e.Message
}

// Is tells the kind of the refusal.
func (e *Error) Is(kind error) bool {
	switch kind {
	case ErrGuard:
		return e.Result == "precondition_failed" || e.Status == http.StatusPreconditionFailed || e.ConflictType == "target_moved"
	case ErrConflict:
		return e.Status == http.StatusConflict || e.Status == http.StatusPreconditionFailed
	}
	return kind == kinds[e.Status]
}

var kinds = map[int]error{
	http.StatusBadRequest:            ErrInvalid,
	http.StatusUnprocessableEntity:   ErrInvalid,
	http.StatusUnauthorized:          ErrUnauthenticated,
	http.StatusForbidden:             ErrDenied,
	http.StatusNotFound:              ErrNotFound,
	http.StatusGone:                  ErrNotFound,
	http.StatusRequestEntityTooLarge: ErrTooLarge,
	http.StatusTooManyRequests:       ErrUnavailable,
	http.StatusBadGateway:            ErrUnavailable,
	http.StatusServiceUnavailable:    ErrUnavailable,
	http.StatusGatewayTimeout:        ErrUnavailable,
}

// maxRefusal bounds what is read of the text of a refusal.
const maxRefusal = 1 << 20

// refusal makes the error of an answer.
func refusal(response *http.Response) *Error {
	e := &Error{Status: response.StatusCode, RequestID: response.Header.Get("X-Request-Id")}
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && seconds > 0 {
		e.RetryAfter = time.Duration(seconds) * time.Second
	}
	var problem struct {
		Error         string   `json:"error"`
		ConflictType  string   `json:"conflict_type"`
		ConflictPaths []string `json:"conflict_paths"`
		Result        struct {
			Status string `json:"status"`
			Branch string `json:"branch"`
			Old    string `json:"old_sha"`
			New    string `json:"new_sha"`
		} `json:"result"`
	}
	body, _ := io.ReadAll(io.LimitReader(response.Body, maxRefusal))
	if json.Unmarshal(body, &problem) != nil || problem.Error == "" {
		problem.Error = "the server answers " + response.Status
	}
	e.Message = problem.Error
	e.ConflictType, e.ConflictPaths = problem.ConflictType, problem.ConflictPaths
	e.Result, e.Branch, e.OldSHA, e.NewSHA = problem.Result.Status, problem.Result.Branch, problem.Result.Old, problem.Result.New
	return e
}
