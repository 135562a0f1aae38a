package service

import (
	"context"
	"io"
	"math"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/odb"
)

// Bounds of listings of events.
const (
	eventsPerPage    = 100
	maxEventsPerPage = 1000
	// eventBatch is how many events are read at a time.
	eventBatch = 1000
	// maxEventScan is how many events are looked at for one page: one for
	// which few match ends early.
	maxEventScan = 20_000
)

// Event is a change of a ref as callers see it.
type Event struct {
	Cursor    string // of what comes after it, in any listing or stream of the repository
	Version   int64  // of the repository after the write; events of one write share it
	At        time.Time
	Actor     string
	Kind      cairn.EventKind
	Ref       git.RefName // as clients name it
	Ephemeral bool
	Old, New  git.ObjectID // zero: there was, or is, no such ref
}

// EventFilter says which events are meant.
type EventFilter struct {
	RefPrefix string    // of the full name, as clients see it; empty keeps all
	Ephemeral *bool     // keeps the refs that are, or are not, of the ephemeral namespace
	Since     time.Time // keeps the events at or after it
}

// EventsQuery says which events to list.
type EventsQuery struct {
	EventFilter
	NewestFirst bool
	Cursor      string
	Limit       int
}

// EventPage is a part of a repository's log. A page that ends because too few
// of many events matched may hold less than was asked for, even nothing, and
// still have a next one.
type EventPage struct {
	Events []Event
	Next   string // the cursor of the next page; empty at the end
}

// ListEvents returns what happened to the refs that the actor may read, oldest
// first unless the query says otherwise.
func (s *Service) ListEvents(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, q EventsQuery) (EventPage, error) {
	scan, err := s.scanEvents(ctx, who, repo, q.EventFilter)
	if err != nil {
		return EventPage{}, err
	}
	scan.back = q.NewestFirst
	if scan.back {
		scan.at = eventPosition{version: math.MaxInt64}
	}
	if err := scan.begin(ctx, q.Cursor); err != nil {
		return EventPage{}, err
	}
	limit := clampLimit(q.Limit, eventsPerPage, maxEventsPerPage)
	page := EventPage{}
	var more bool
	if page.Events, more, err = scan.next(ctx, limit); err != nil {
		return EventPage{}, err
	}
	if more {
		page.Next = scan.cursor()
	}
	return page, nil
}

// eventPosition is a place in a repository's log: that of an event.
type eventPosition struct {
	version int64
	ordinal int
}

// eventScan goes over the log of one repository.
type eventScan struct {
	service *Service
	key     cairn.RepositoryKey
	filter  EventFilter
	back    bool
	at      eventPosition // of the last event that was looked at
}

// scanEvents checks the actor's right and begins at the log's start.
func (s *Service) scanEvents(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, filter EventFilter) (*eventScan, error) {
	if err := authorize(who, repo, cairn.GitRead); err != nil {
		return nil, err
	}
	if p := filter.RefPrefix; p != "" && !strings.HasPrefix(p, "refs/") {
		return nil, cairn.Errorf(cairn.Invalid, "ref prefix %q must begin with refs/, such as refs/heads/", cairn.Clip(p))
	}
	scan := &eventScan{service: s, filter: filter, at: eventPosition{ordinal: math.MaxInt32}}
	return scan, s.metadata.View(ctx, func(tx cairn.Tx) error {
		found, err := findRepository(tx, who, repo)
		scan.key = found.RepositoryKey
		return err
	})
}

// query binds a cursor to the log, and to no filter or order: it is a place.
func (c *eventScan) query() query {
	return query{"events", string(c.key.Organization), string(c.key.Repository)}
}

func (c *eventScan) cursor() string { return c.cursorOf(c.at) }

func (c *eventScan) cursorOf(p eventPosition) string {
	return c.query().cursor(strconv.FormatInt(p.version, 10), strconv.Itoa(p.ordinal))
}

// begin goes to the place after the cursor; without one to the time of the
// filter, if that saves looking at what lies before.
func (c *eventScan) begin(ctx context.Context, cursor string) error {
	position, err := c.query().position(cursor, 2)
	if err != nil {
		return err
	}
	if position == nil {
		if c.back || c.filter.Since.IsZero() {
			return nil
		}
		return c.service.metadata.View(ctx, func(tx cairn.Tx) error {
			c.at.version, err = tx.Events().VersionAt(c.key, c.filter.Since.Add(-time.Microsecond))
			return err
		})
	}
	c.at, err = parseEventPosition(position)
	return err
}

func parseEventPosition(fields []string) (eventPosition, error) {
	version, err1 := strconv.ParseInt(fields[0], 10, 64)
	ordinal, err2 := strconv.ParseInt(fields[1], 10, 32)
	if err1 != nil || err2 != nil {
		return eventPosition{}, cairn.Errorf(cairn.Invalid, "invalid cursor")
	}
	return eventPosition{version, int(ordinal)}, nil
}

// next returns up to limit events that match and tells whether there may be
// more.
func (c *eventScan) next(ctx context.Context, limit int) (found []Event, more bool, err error) {
	for looked := 0; looked < maxEventScan; {
		batch, err := c.read(ctx, min(limit+1, eventBatch))
		if err != nil {
			return nil, false, err
		}
		for i, e := range batch {
			if c.back && e.At.Before(c.filter.Since) {
				return found, false, nil // what is before it is older still
			}
			if len(found) == limit && c.matches(e) {
				return found, true, nil
			}
			c.at = eventPosition{e.Version, e.Ordinal}
			if c.matches(e) {
				found = append(found, c.event(batch[i]))
			}
		}
		if len(batch) < min(limit+1, eventBatch) {
			return found, false, nil
		}
		looked += len(batch)
	}
	return found, true, nil
}

// read returns the next events, whether they match or not.
func (c *eventScan) read(ctx context.Context, n int) (batch []cairn.Event, err error) {
	err = c.service.metadata.View(ctx, func(tx cairn.Tx) error {
		list := tx.Events().List
		if c.back {
			list = tx.Events().ListBack
		}
		batch, err = list(c.key, c.at.version, c.at.ordinal, n)
		return err
	})
	return batch, err
}

func (c *eventScan) matches(e cairn.Event) bool {
	name, ephemeral := odb.VisibleName(e.Name)
	return odb.FullView.Shows(e.Name) &&
		strings.HasPrefix(string(name), c.filter.RefPrefix) &&
		(c.filter.Ephemeral == nil || *c.filter.Ephemeral == ephemeral) &&
		!e.At.Before(c.filter.Since)
}

func (c *eventScan) event(e cairn.Event) Event {
	name, ephemeral := odb.VisibleName(e.Name)
	return Event{
		Cursor: c.cursorOf(eventPosition{e.Version, e.Ordinal}), Version: e.Version, At: e.At, Actor: e.Actor, Kind: e.Kind,
		Ref: name, Ephemeral: ephemeral, Old: e.Old, New: e.New,
	}
}

// Times of event streams.
const (
	// streamBeat is the longest that EventStream.Next waits.
	streamBeat = 15 * time.Second
	// streamPoll is how often a stream looks for writes of other processes.
	// Those of this one wake it.
	streamPoll = 5 * time.Second
)

// streams are the event streams that are open. They are safe for concurrent use.
type streams struct {
	open atomic.Int64 // so that a write without anybody who follows it costs nothing

	mu            sync.Mutex
	repositories  map[cairn.RepositoryKey]map[*EventStream]bool
	organizations map[cairn.OrganizationID]int
	ended         bool
	end           chan struct{} // closed with ended
}

// EventStream follows the events of one repository. It is used by one
// goroutine; the caller closes it.
type EventStream struct {
	scan *eventScan
	wake chan struct{} // one token: something was written
	seen int64         // the version up to which the log was read
}

// FollowEvents opens a stream of the events after the cursor; without one, of
// those since the time of the filter; without that too, of those to come. It
// returns RateLimited if the organization has too many streams, Unavailable if
// the server is stopping.
func (s *Service) FollowEvents(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, filter EventFilter, cursor string) (*EventStream, error) {
	scan, err := s.scanEvents(ctx, who, repo, filter)
	if err != nil {
		return nil, err
	}
	stream := &EventStream{scan: scan, wake: make(chan struct{}, 1), seen: -1}
	if err := s.streams.add(stream, s.limits.EventStreams); err != nil {
		return nil, err
	}
	if cursor == "" && filter.Since.IsZero() {
		err = scan.beginAtEnd(ctx)
	} else {
		err = scan.begin(ctx, cursor)
	}
	if err != nil {
		stream.Close()
		return nil, err
	}
	return stream, nil
}

func (c *eventScan) beginAtEnd(ctx context.Context) error {
	return c.service.metadata.View(ctx, func(tx cairn.Tx) error {
		last, err := tx.Events().ListBack(c.key, math.MaxInt64, 0, 1)
		for _, e := range last {
			c.at = eventPosition{e.Version, e.Ordinal}
		}
		return err
	})
}

// Cursor is the place up to which the stream has come.
func (e *EventStream) Cursor() string { return e.scan.cursor() }

// Next waits for the next events and returns them, oldest first; none if
// nothing came for a while. io.EOF is the end: the server stops, or the
// repository was deleted.
func (e *EventStream) Next(ctx context.Context) ([]Event, error) {
	s := e.scan.service
	beat := time.NewTimer(s.streamBeat)
	defer beat.Stop()
	for {
		found, err := e.read(ctx)
		if err != nil || len(found) > 0 {
			return found, err
		}
		poll := time.NewTimer(s.streamPoll)
		select {
		case <-e.wake:
		case <-poll.C:
		case <-beat.C:
			poll.Stop()
			return nil, nil
		case <-s.streams.end:
			poll.Stop()
			return nil, io.EOF
		case <-ctx.Done():
			poll.Stop()
			return nil, ctx.Err()
		}
		poll.Stop()
	}
}

// read returns the events that have come, if the repository was written to.
func (e *EventStream) read(ctx context.Context) ([]Event, error) {
	var row cairn.Repository
	err := e.scan.service.metadata.View(ctx, func(tx cairn.Tx) (err error) {
		row, err = tx.Repositories().Get(e.scan.key)
		return err
	})
	if err != nil && cairn.KindOf(err) != cairn.NotFound {
		return nil, err
	}
	if err != nil || !row.DeletedAt.IsZero() {
		return nil, io.EOF
	}
	for row.Version != e.seen {
		found, more, err := e.scan.next(ctx, eventsPerPage)
		if err != nil {
			return nil, err
		}
		if !more {
			e.seen = row.Version
		}
		if len(found) > 0 {
			return found, nil
		}
	}
	return nil, nil
}

// Close ends the stream.
func (e *EventStream) Close() { e.scan.service.streams.remove(e) }

func newStreams() *streams {
	return &streams{
		repositories:  map[cairn.RepositoryKey]map[*EventStream]bool{},
		organizations: map[cairn.OrganizationID]int{},
		end:           make(chan struct{}),
	}
}

// add counts a stream among those that are woken.
func (f *streams) add(e *EventStream, limit int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := e.scan.key
	switch {
	case f.ended:
		return cairn.Errorf(cairn.Unavailable, "the server is stopping")
	case f.organizations[key.Organization] >= limit:
		return cairn.Errorf(cairn.RateLimited, "the organization has %d event streams open already (max-event-streams)", limit)
	}
	if f.repositories[key] == nil {
		f.repositories[key] = map[*EventStream]bool{}
	}
	f.repositories[key][e] = true
	f.organizations[key.Organization]++
	f.open.Add(1)
	return nil
}

func (f *streams) remove(e *EventStream) {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := e.scan.key
	if !f.repositories[key][e] {
		return
	}
	delete(f.repositories[key], e)
	if len(f.repositories[key]) == 0 {
		delete(f.repositories, key)
	}
	if f.organizations[key.Organization]--; f.organizations[key.Organization] == 0 {
		delete(f.organizations, key.Organization)
	}
	f.open.Add(-1)
}

// wake tells the streams of a repository that it was written to. It never
// blocks.
func (f *streams) wake(key cairn.RepositoryKey) {
	if f.open.Load() == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for e := range f.repositories[key] {
		select {
		case e.wake <- struct{}{}:
		default: // it is awake already
		}
	}
}

// EndEventStreams ends all streams and refuses new ones: the server stops.
func (s *Service) EndEventStreams() {
	f := s.streams
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.ended {
		f.ended = true
		close(f.end)
	}
}

// EventStreams is how many streams are open.
func (s *Service) EventStreams() int { return int(s.streams.open.Load()) }
