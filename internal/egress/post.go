package egress

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
)

// Answer is what came back of a Post.
type Answer struct {
	Status int    // of HTTP
	Body   []byte // as much of it as was wanted
}

// Post sends a body to an address and returns the answer with at most the first
// keep bytes of its body. What does not come in the budget's time is an error;
// a status of failure is none. The header says all but the length.
func (e *Egress) Post(ctx context.Context, address string, header map[string]string, body []byte, keep int64, b Budget) (Answer, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return Answer{}, err
	}
	for name, value := range header {
		r.Header[name] = []string{value}
	}
	answer, err := e.Client(b).Do(r)
	if err != nil {
		return Answer{}, err
	}
	defer answer.Body.Close()
	kept, err := io.ReadAll(io.LimitReader(answer.Body, keep))
	if err == nil {
		// A little more, so that the connection can be used again.
		_, err = io.Copy(io.Discard, io.LimitReader(answer.Body, maxDiscarded))
	}
	if errors.Is(err, ErrTooMuch) {
		err = nil
	}
	return Answer{Status: answer.StatusCode, Body: kept}, err
}

const maxDiscarded = 16 << 10
