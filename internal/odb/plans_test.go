package odb

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/protocol"
)

func TestPlanIsMadeOnceForAll(t *testing.T) {
	t.Parallel()
	var c planCache
	var made atomic.Int32
	plan := func() (*sharedPlan, error) {
		made.Add(1)
		return &sharedPlan{}, nil
	}
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if objects, err := c.get(t.Context(), selectionKey{}, plan); objects == nil || err != nil {
				t.Errorf("got %v, %v", objects, err)
			}
		})
	}
	wg.Wait()
	if made.Load() != 1 {
		t.Errorf("made %d times, want once", made.Load())
	}
}

func TestPlanThatFailsIsMadeByTheNext(t *testing.T) {
	t.Parallel()
	var c planCache
	inside, goOn := make(chan struct{}), make(chan struct{})
	first := make(chan error, 1)
	go func() {
		_, err := c.get(t.Context(), selectionKey{}, func() (*sharedPlan, error) {
			close(inside)
			<-goOn
			return nil, context.Canceled
		})
		first <- err
	}()
	<-inside
	second := make(chan error, 1)
	go func() {
		_, err := c.get(t.Context(), selectionKey{}, func() (*sharedPlan, error) { return &sharedPlan{}, nil })
		second <- err
	}()
	impatient, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.get(impatient, selectionKey{}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting with a cancelled context: %v", err)
	}
	close(goOn)
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("first: %v, want its own error", err)
	}
	if err := <-second; err != nil {
		t.Errorf("second: %v, want a plan of its own", err)
	}
}

func TestPlansOfDifferentSelectionsDiffer(t *testing.T) {
	t.Parallel()
	a, b := git.SHA1.EmptyTree(), git.MustParseObjectID("00000000000000000000000000000000000000ff")
	filter, err := protocol.ParseFilter("blob:none")
	if err != nil {
		t.Fatal(err)
	}
	keys := map[selectionKey]bool{}
	all := []selection{
		{wants: []git.ObjectID{a}}, {wants: []git.ObjectID{b}}, {wants: []git.ObjectID{a, b}},
		{wants: []git.ObjectID{a}, roots: []git.ObjectID{b}}, {wants: []git.ObjectID{a}, tags: []git.ObjectID{b}},
		{wants: []git.ObjectID{a}, filter: filter},
	}
	for _, s := range all {
		keys[s.key()] = true
	}
	if len(keys) != len(all) {
		t.Errorf("%d keys for %d selections", len(keys), len(all))
	}
}
