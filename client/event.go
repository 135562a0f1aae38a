package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"
	"strings"
	"time"
)

// Event is a line of a repository's log: a ref that changed.
type Event struct {
	Cursor    string    `json:"cursor"` // after which Follow goes on
	Kind      string    `json:"kind"`
	Action    string    `json:"action"` // create, update or delete
	Ref       string    `json:"ref"`
	Ephemeral bool      `json:"ephemeral"`
	Old       string    `json:"old_sha"` // zeros: it was not there
	New       string    `json:"new_sha"` // zeros: it is not there any more
	Actor     string    `json:"actor"`
	At        time.Time `json:"at"`
	Version   int64     `json:"version"` // of the repository after the write
}

// EventsQuery says which events to go through.
type EventsQuery struct {
	RefPrefix   string    // such as refs/heads/
	Since       time.Time // zero is from the beginning for Events, from now on for Follow
	NewestFirst bool      // for Events
	After       string    // a cursor, which wins over Since
}

// Events goes through what happened to the refs. It ends after an error.
func (r *Repo) Events(ctx context.Context, q EventsQuery) iter.Seq2[Event, error] {
	values := query("ref_prefix", q.RefPrefix, "since", q.Since, "limit", 1000, "cursor", q.After)
	if q.NewestFirst {
		values.Set("order", "newest")
	}
	return list[Event](ctx, r.client, r.get("/events", values), "events")
}

// Follow goes through events as they happen, for as long as the context lives.
// When the connection breaks it connects again and goes on where it was, so no
// event is left out and none comes twice. It ends after an error that trying
// again would not mend.
func (r *Repo) Follow(ctx context.Context, q EventsQuery) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		last, failures := q.After, 0
		for {
			stopped, err := r.follow(ctx, q, &last, func(e Event) bool {
				failures = 0
				return yield(e, nil)
			})
			if stopped {
				return
			}
			if err != nil && (failures >= r.client.retries || !temporary(ctx, err)) || ctx.Err() != nil {
				yield(Event{}, errors.Join(ctx.Err(), err))
				return
			}
			select {
			case <-time.After(pause(failures, err)):
			case <-ctx.Done():
				yield(Event{}, ctx.Err())
				return
			}
			failures++
		}
	}
}

// maxEventLine bounds a line of a stream.
const maxEventLine = 1 << 20

// follow reads one stream to its end. stopped says that the caller has enough.
func (r *Repo) follow(ctx context.Context, q EventsQuery, last *string, yield func(Event) bool) (stopped bool, err error) {
	if *last != "" {
		q.Since = time.Time{}
	}
	c := r.get("/events", query("ref_prefix", q.RefPrefix, "since", q.Since))
	c.header = http.Header{"Accept": {"text/event-stream"}}
	if *last != "" {
		c.header.Set("Last-Event-ID", *last)
	}
	response, err := r.client.send(ctx, c)
	if err != nil {
		return false, err
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, maxEventLine)
	var id, data string
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case name == "id":
			id = value
		case name == "data":
			data += value
		case lines.Text() == "":
			if data != "" {
				var e Event
				if err := json.Unmarshal([]byte(data), &e); err != nil {
					return false, err
				}
				if !yield(e) {
					return true, nil
				}
			}
			if id != "" {
				*last = id
			}
			id, data = "", ""
		}
	}
	if err := lines.Err(); err != nil {
		return false, err
	}
	return false, io.ErrUnexpectedEOF // a stream has no end of its own
}
