package client

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Delivery is a webhook delivery that was verified.
type Delivery struct {
	Event string // push, repo.sync.started, repo.sync.succeeded or repo.sync.failed
	Body  []byte
}

// PushEvent is the body of a push.
type PushEvent struct {
	Repository struct {
		ID  string `json:"id"`
		URL string `json:"url"` // the name
	} `json:"repository"`
	Ref          string    `json:"ref"`
	Before       string    `json:"before"` // zeros: the ref is new
	After        string    `json:"after"`  // zeros: the ref was deleted
	Organization string    `json:"customer_id"`
	PushedAt     time.Time `json:"pushed_at"`
}

// Push returns the body of a push.
func (d Delivery) Push() (PushEvent, error) {
	var e PushEvent
	if d.Event != "push" {
		return e, fmt.Errorf("the delivery is of %s, not of a push", d.Event)
	}
	err := json.Unmarshal(d.Body, &e)
	return e, err
}

// ErrSignature says that a delivery is not from who knows the secret, or that it
// is too old.
var ErrSignature = errors.New("the delivery is not signed with the secret")

// Bounds of what a delivery may be like.
const (
	maxDeliveryAge  = 5 * time.Minute
	maxDeliveryLead = time.Minute // the clocks of two machines differ
	maxDelivery     = 1 << 20
)

// ReadDelivery reads a request of a webhook and verifies that it was sent, a
// moment ago, by who knows the subscription's secret; else ErrSignature. Answer
// with a status below 300 once it is dealt with: otherwise, and perhaps anyway,
// it comes again.
func ReadDelivery(r *http.Request, secret string) (Delivery, error) {
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxDelivery))
	if err != nil {
		return Delivery{}, err
	}
	if err := verifyDelivery(r.Header.Get("X-Pierre-Signature"), body, secret, time.Now()); err != nil {
		return Delivery{}, err
	}
	return Delivery{r.Header.Get("X-Pierre-Event"), body}, nil
}

// verifyDelivery checks a signature of the form t=SECONDS,sha256=HEX.
func verifyDelivery(signature string, body []byte, secret string, now time.Time) error {
	var at, given string
	for part := range strings.SplitSeq(signature, ",") {
		switch name, value, _ := strings.Cut(strings.TrimSpace(part), "="); name {
		case "t":
			at = value
		case "sha256":
			given = value
		}
	}
	seconds, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return ErrSignature
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(at + "."))
	mac.Write(body)
	sum, err := hex.DecodeString(given)
	if err != nil || !hmac.Equal(sum, mac.Sum(nil)) {
		return ErrSignature
	}
	if age := now.Sub(time.Unix(seconds, 0)); age > maxDeliveryAge || age < -maxDeliveryLead {
		return fmt.Errorf("%w: it was sent %s ago", ErrSignature, age.Round(time.Second))
	}
	return nil
}
