package api

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// MaxJSON bounds the JSON body of one request, where a face says nothing else.
const MaxJSON = 1 << 20

// Handler is an http.Handler that may fail.
type Handler func(w http.ResponseWriter, r *http.Request) error

// ServeHTTP writes the error, if there is one, in the shape of Fail.
func (h Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := h(w, r); err != nil {
		Fail(w, r, err)
	}
}

// Problem is the body of an error.
type Problem struct {
	Error  string `json:"error"`
	Status int    `json:"status"`
	Title  string `json:"title"`
}

// Fail answers with an error as JSON and leaves its cause to the request's line
// in the log.
func Fail(w http.ResponseWriter, r *http.Request, err error) {
	status := Status(err)
	NoteError(r, err)
	if status == http.StatusUnauthorized && w.Header().Get("WWW-Authenticate") == "" {
		w.Header().Set("WWW-Authenticate", `Bearer realm="cairn"`)
	}
	if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "1")
	}
	title := http.StatusText(status)
	if status == statusClientClosed {
		title = "Client Closed Request"
	}
	_ = Write(w, status, Problem{Error: Text(err), Status: status, Title: title})
}

// Write answers with a value as JSON. Its error is always nil: what goes wrong
// once the status is sent can only be seen by the caller. It returns one so
// that a Handler can end with it.
func Write(w http.ResponseWriter, status int, value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
	return nil
}

// Decode reads the body as one JSON value of at most MaxJSON bytes, whatever
// its content type. An empty body gives the zero value. Members that T does
// not know are skipped.
func Decode[T any](w http.ResponseWriter, r *http.Request) (T, error) {
	var value, zero T
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, MaxJSON))
	err := dec.Decode(&value)
	if err == nil {
		// Another value would be ignored; whoever sent it meant something.
		if _, more := dec.Token(); !errors.Is(more, io.EOF) {
			return zero, badJSON(more)
		}
		return value, nil
	}
	if errors.Is(err, io.EOF) {
		return zero, nil
	}
	return zero, badJSON(err)
}

func badJSON(err error) error {
	var tooLarge *http.MaxBytesError
	var kind *json.UnmarshalTypeError
	switch {
	case err == nil:
		return cairn.Errorf(cairn.Invalid, "the body holds more than one JSON value")
	case errors.As(err, &tooLarge):
		return cairn.Errorf(cairn.TooLarge, "the body is larger than %d bytes", tooLarge.Limit)
	case errors.As(err, &kind):
		return cairn.Errorf(cairn.Invalid, "%q cannot be a %s", cairn.Clip(kind.Field), kind.Value)
	}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) || errors.Is(err, io.ErrUnexpectedEOF) {
		return cairn.Errorf(cairn.Invalid, "the body is not JSON: %w", err)
	}
	return cairn.Errorf(cairn.Invalid, "the body cannot be read: %w", err)
}
