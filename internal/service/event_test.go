package service

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// TestEventStreamSeesWritesOfOtherProcesses writes past the service, which wakes
// no stream.
func TestEventStreamSeesWritesOfOtherProcesses(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	f.streamPoll = time.Millisecond
	repo := f.create(t, "acme", "site")
	who := f.actor(t, "acme", "site", cairn.GitRead)
	stream, err := f.FollowEvents(t.Context(), who, "site", EventFilter{}, "")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	id := f.commit(t, repo, "refs/heads/main", "refs/namespaces/hidden/refs/heads/x", "refs/namespaces/ephemeral/refs/heads/y")
	events, err := stream.Next(t.Context())
	if err != nil || len(events) != 2 || events[0].New != id || events[0].Ephemeral || events[1].Ref != "refs/heads/y" || !events[1].Ephemeral {
		t.Fatalf("events = %v, %v", events, err)
	}
	f.streamBeat, f.streamPoll = time.Millisecond, time.Hour
	if events, err = stream.Next(t.Context()); err != nil || len(events) != 0 {
		t.Fatalf("a sign of life is %v, %v", events, err)
	}
	if stream.Cursor() == "" {
		t.Error("no cursor")
	}
	f.streamBeat = time.Hour
	if _, err := f.DeleteRepository(t.Context(), f.actor(t, "acme", "site", cairn.RepoWrite), "site"); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Next(t.Context()); !errors.Is(err, io.EOF) {
		t.Errorf("a stream of a deleted repository: %v", err)
	}
}

// TestEventPagesAreBounded looks for what a long log does not have.
func TestEventPagesAreBounded(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	repo := f.create(t, "acme", "site")
	const writes, each = 26, 1000
	for v := range writes {
		err := f.metadata.Update(t.Context(), func(tx cairn.Tx) error {
			row, err := tx.Repositories().Advance(repo.RepositoryKey)
			if err != nil {
				return err
			}
			events := make([]cairn.Event, each)
			for i := range events {
				events[i] = cairn.Event{Version: row.Version, Ordinal: i, At: f.clock().Add(time.Duration(v)), RefUpdate: cairn.RefUpdate{Name: "refs/heads/main"}}
			}
			return tx.Events().Append(repo.RepositoryKey, events)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	who := f.actor(t, "acme", "site", cairn.GitRead)
	q := EventsQuery{EventFilter: EventFilter{RefPrefix: "refs/tags/"}, Limit: 10}
	pages := 0
	for {
		page, err := f.ListEvents(t.Context(), who, "site", q)
		if err != nil || len(page.Events) > 0 {
			t.Fatalf("%v, %v", page.Events, err)
		}
		if pages++; page.Next == "" {
			break
		}
		q.Cursor = page.Next
	}
	if pages != 2 {
		t.Errorf("%d events in %d pages, want 2", writes*each, pages)
	}
}
