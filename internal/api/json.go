package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

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
	SetRetryAfter(w.Header(), status, err)
	title := http.StatusText(status)
	if status == statusClientClosed {
		title = "Client Closed Request"
	}
	_ = Write(w, status, Problem{Error: Text(err), Status: status, Title: title})
}

// Write answers with a value as JSON. Its error, if there is one, comes before
// the status is sent: what goes wrong later only the caller sees.
func Write(w http.ResponseWriter, status int, value any) error {
	a := &answer{}
	defer a.close()
	if out, ok := w.(*recorder); ok {
		a.scratch = out.scratch
	}
	if err := json.NewEncoder(a).Encode(value); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	if a.file != nil {
		_, _ = copyTo(w, a.file)
	} else {
		_, _ = w.Write(a.body)
	}
	return nil
}

// answer takes the one piece that the encoder writes when it has all, and keeps
// it for the client: a long one in a file, so that its memory is free while a
// slow client reads.
type answer struct {
	scratch func() (*os.File, error) // nil keeps all in memory
	body    []byte
	file    *os.File
}

func (a *answer) Write(p []byte) (int, error) {
	if a.scratch == nil || len(p) <= maxWaiting {
		a.body = append(a.body, p...)
		return len(p), nil
	}
	var err error
	a.file, err = spool(a.scratch, p)
	return len(p), err
}

func (a *answer) close() {
	if a.file != nil {
		a.file.Close()
	}
}

// maxWaiting is the longest JSON answer that waits in memory until its client
// has taken it. Longer ones wait in a file.
const maxWaiting = 1 << 20

// spool puts bytes into a scratch file and goes back to its start.
func spool(scratch func() (*os.File, error), data []byte) (*os.File, error) {
	file, err := scratch()
	if err != nil {
		return nil, fmt.Errorf("spool an answer: %w", err)
	}
	_, err = file.Write(data)
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("spool an answer: %w", err), file.Close())
	}
	return file, nil
}

// Decode reads the body as one JSON value of at most MaxJSON bytes, whatever
// its content type. An empty body gives the zero value. Members that T does
// not know are skipped.
func Decode[T any](w http.ResponseWriter, r *http.Request) (T, error) {
	return DecodeUpTo[T](w, r, MaxJSON)
}

// DecodeUpTo is Decode of a body of at most that many bytes.
func DecodeUpTo[T any](w http.ResponseWriter, r *http.Request, max int64) (T, error) {
	var value, zero T
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, max))
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
	case cairn.KindOf(err) == cairn.TimedOut:
		return err
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
