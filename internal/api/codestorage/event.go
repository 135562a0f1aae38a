package codestorage

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/service"
)

const maxEventsPerPage = 1000

// eventBody is a line of a repository's log.
type eventBody struct {
	Cursor    string `json:"cursor"`
	Kind      string `json:"kind"`
	Action    string `json:"action"`
	Ref       string `json:"ref"`
	Ephemeral bool   `json:"ephemeral"`
	Old       string `json:"old_sha"` // zeros: there was no such ref
	New       string `json:"new_sha"` // zeros: there is none any more
	Actor     string `json:"actor"`
	At        string `json:"at"`
	Version   int64  `json:"version"`
}

func newEventBody(e service.Event) eventBody {
	out := eventBody{
		Cursor: e.Cursor, Kind: string(e.Kind), Action: "update", Ref: string(e.Ref), Ephemeral: e.Ephemeral,
		Old: e.Old.String(), New: e.New.String(), Actor: validText(e.Actor),
		At: exactTime(e.At), Version: e.Version,
	}
	switch {
	case e.Old.IsZero():
		out.Action = "create"
	case e.New.IsZero():
		out.Action = "delete"
	}
	return out
}

// events answers with a page of the log, or with a stream of server-sent events
// if that is what the client accepts.
func (f *face) events(w http.ResponseWriter, r *request) error {
	q := service.EventsQuery{EventFilter: service.EventFilter{RefPrefix: r.query.Get("ref_prefix")}, Cursor: r.query.Get("cursor")}
	var err error
	if q.Since, err = r.time("since"); err != nil {
		return err
	}
	if r.query.Has("ephemeral") {
		ephemeral, err := r.boolean(false, "ephemeral")
		if err != nil {
			return err
		}
		q.Ephemeral = &ephemeral
	}
	if r.Method == http.MethodGet && acceptsStream(r.Request) {
		return f.streamEvents(w, r, q.EventFilter, oneOf(r.Header.Get("Last-Event-ID"), q.Cursor))
	}
	switch order := r.query.Get("order"); order {
	case "", "oldest":
	case "newest":
		q.NewestFirst = true
	default:
		return cairn.Errorf(cairn.Invalid, "order is %q: use oldest or newest", cairn.Clip(order))
	}
	if q.Limit, err = r.limit(maxEventsPerPage); err != nil {
		return err
	}
	found, err := f.service.ListEvents(r.Context(), r.who, r.repo, q)
	if err != nil {
		return err
	}
	out := struct {
		Events []eventBody `json:"events"`
		page
	}{make([]eventBody, len(found.Events)), newPage(found.Next)}
	for i, e := range found.Events {
		out.Events[i] = newEventBody(e)
	}
	return api.Write(w, http.StatusOK, out)
}

const eventStreamType = "text/event-stream"

// acceptsStream tells whether a client asks for server-sent events.
func acceptsStream(r *http.Request) bool {
	for _, accept := range r.Header.Values("Accept") {
		for part := range strings.SplitSeq(accept, ",") {
			name, _, _ := strings.Cut(part, ";")
			if strings.EqualFold(strings.TrimSpace(name), eventStreamType) {
				return true
			}
		}
	}
	return false
}

// recheckEvery is how often the token of a stream is verified again: it may
// expire, or its key be revoked.
const recheckEvery = 15 * time.Second

// streamEvents sends events as they come, until the client goes, its token is
// not good any more, or the server stops. Nothing is kept for a slow client:
// what it has not taken is in the log. The id of each event is its cursor, so a
// client that comes back with it misses nothing.
func (f *face) streamEvents(w http.ResponseWriter, r *request, filter service.EventFilter, cursor string) error {
	unlimited, done := api.Unlimited(w, r.Request)
	defer done()
	stream, err := f.service.FollowEvents(unlimited.Context(), r.who, r.repo, filter, cursor)
	if err != nil {
		return err
	}
	defer stream.Close()
	h := w.Header()
	h.Set("Content-Type", eventStreamType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Accel-Buffering", "no") // which makes nginx pass on what comes
	w.WriteHeader(http.StatusOK)
	out := http.NewResponseController(w)
	checked := time.Now()
	// The first lines say that the stream is open, and where it begins.
	var events []service.Event
	for {
		if err := sendEvents(w, stream, events); err != nil {
			return gone(r, err)
		}
		if err := out.Flush(); err != nil {
			return gone(r, err)
		}
		if time.Since(checked) >= recheckEvery {
			if _, err := f.auth.Actor(unlimited); err != nil {
				return gone(r, err)
			}
			checked = time.Now()
		}
		if events, err = stream.Next(unlimited.Context()); err != nil {
			return gone(r, err)
		}
	}
}

// sendEvents sends some events, or a sign of life with the present place.
func sendEvents(w io.Writer, stream *service.EventStream, events []service.Event) error {
	if len(events) == 0 {
		_, err := fmt.Fprintf(w, ": alive\nid: %s\n\n", stream.Cursor())
		return err
	}
	for _, e := range events {
		body, err := json.Marshal(newEventBody(e))
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "id: %s\nevent: %s\ndata: %s\n\n", e.Cursor, e.Kind, body); err != nil {
			return err
		}
	}
	return nil
}

// gone ends a stream that has begun: its client comes back with the last id.
func gone(r *request, err error) error {
	if !errors.Is(err, io.EOF) {
		api.NoteError(r.Request, err)
	}
	return nil
}
