package upstream

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/egress"
	"github.com/cairn-storage/cairn/internal/git/protocol"
)

// Error is why an upstream could not be used. Its text is for the people whose
// repository it is and holds no credential.
type Error struct {
	Text string
	// Temporary tells that the same may go well later, by itself.
	Temporary bool
	err       error
}

// Error returns the text.
func (e *Error) Error() string { return e.Text }

// Unwrap returns what the text was made of.
func (e *Error) Unwrap() error { return e.err }

// failed makes what went wrong an *Error. Cancellation is nobody's fault and
// stays what it is.
func (remote Remote) failed(err error) error {
	if errors.Is(err, context.Canceled) && !errors.Is(err, errStalled) {
		return err
	}
	e := &Error{err: err}
	e.Text, e.Temporary = remote.describe(err)
	return e
}

// describe says what went wrong, and whether it may pass.
func (remote Remote) describe(err error) (text string, temporary bool) {
	var status *statusError
	var told *protocol.RemoteError
	var limit *protocol.LimitError
	switch {
	case errors.As(err, &status):
		return remote.describeStatus(status.status)
	case errors.As(err, &told):
		return "the upstream refuses: " + remote.scrub(told.Text), false
	case errors.As(err, &limit):
		text = "the upstream's answer is too large: " + limit.Error()
		if limit.Limit == protocol.ServerRefs {
			text += " (max-sync-refs)"
		}
		return text, false
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "the upstream's answer breaks off", true
	case errors.Is(err, protocol.ErrProtocol):
		return "the upstream does not speak Git's protocol: " + remote.scrub(err.Error()), false
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, errStalled):
		return "the upstream takes too long", true
	}
	var redirect redirectError
	if errors.As(err, &redirect) {
		return string(redirect), false
	}
	return "the upstream cannot be reached: " + egress.Reason(err), cairn.KindOf(err) != cairn.Invalid
}

func (remote Remote) describeStatus(status int) (text string, temporary bool) {
	switch {
	case status == http.StatusUnauthorized && remote.Password == "":
		return "the upstream wants a credential, or does not exist", false
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return "authentication failed", false
	case status == http.StatusNotFound, status == http.StatusGone:
		return "the upstream repository does not exist, or the credential may not see it", false
	case status == http.StatusOK:
		return "the upstream's answer is not Git's", false
	case status == http.StatusTooManyRequests, status == http.StatusRequestTimeout, status >= 500:
		return "the upstream answers with HTTP status " + http.StatusText(status), true
	}
	return "the upstream answers with HTTP status " + http.StatusText(status), false
}

// scrub takes the credential out of text that came from the upstream, which
// knows it.
func (remote Remote) scrub(text string) string {
	for _, secret := range []string{
		base64.StdEncoding.EncodeToString([]byte(remote.Username + ":" + remote.Password)),
		url.QueryEscape(remote.Password),
		remote.Password,
	} {
		if remote.Password != "" {
			text = strings.ReplaceAll(text, secret, "***")
		}
	}
	return text
}
