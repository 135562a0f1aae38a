package client_test

import (
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/cairn-storage/cairn/client"
)

// forgetful loses the first answer after the server gave it.
type forgetful struct{ answers atomic.Int32 }

// RoundTrip sends a request.
func (f *forgetful) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := http.DefaultTransport.RoundTrip(request)
	if err == nil && f.answers.Add(1) == 1 {
		response.Body.Close()
		return nil, &net.OpError{Op: "read", Err: errors.New("connection reset by peer")}
	}
	return response, err
}

// TestWriteWithLostAnswerIsDoneOnce loses the answer to a commit that was made:
// the client asks again, and the server knows the commit by its key.
func TestWriteWithLostAnswerIsDoneOnce(t *testing.T) {
	t.Parallel()
	newRepo(t, connect(t), "once")
	lossy := &forgetful{}
	r := connect(t, client.WithHTTPClient(&http.Client{Transport: lossy})).Repo("once")
	made := must[client.CommitResult](t)(r.Commit(t.Context(), client.NewCommit{
		Branch: "main", Message: "Once", Author: ada, Changes: []client.Change{client.PutString("once", "x")},
	}))
	same(t, "answers", lossy.answers.Load(), 2)
	commits := collect(t, r.Log(t.Context(), client.LogQuery{}))
	if len(commits) != 3 || commits[0].SHA != made.SHA || commits[1].Message == "Once" {
		t.Errorf("the history is %+v after %+v", commits, made)
	}
}
