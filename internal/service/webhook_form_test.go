package service

import (
	"context"
	"errors"
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/egress"
	"github.com/cairn-storage/cairn/internal/secret"
)

// TestDeletedWebhookHasNoNumber: the number that an API gave a webhook goes with
// it, through whichever API it is deleted.
func TestDeletedWebhookHasNoNumber(t *testing.T) {
	t.Parallel()
	c := newChangeTest(t)
	who := c.actor(t, "acme", c.name, cairn.RepoAdmin)
	keys, err := secret.Parse(secret.NewKey())
	if err != nil {
		t.Fatal(err)
	}
	s := New(Options{Store: c.store, Secrets: keys, Egress: egress.New(egress.Options{})})
	made, err := s.CreateWebhook(t.Context(), who, NewWebhook{URL: "https://hooks.example/", Events: []cairn.EventType{cairn.PushEvent}})
	if err != nil {
		t.Fatal(err)
	}
	find := func(n cairn.Number) error {
		return c.metadata.View(t.Context(), func(tx cairn.Tx) error {
			_, err := tx.Numbers().Find(cairn.WebhookNumber, n)
			return err
		})
	}
	numbers, err := s.Numbers(t.Context(), cairn.Numbered{Kind: cairn.WebhookNumber, RepositoryKey: c.row.RepositoryKey, ID: string(made.ID)})
	if err != nil || find(numbers[0]) != nil {
		t.Fatal(err, numbers)
	}
	if err := s.DeleteWebhook(t.Context(), who, cairn.CodeStorageForm, made.ID); err != nil {
		t.Fatal(err)
	}
	if err := find(numbers[0]); !errors.Is(err, cairn.NotFound) {
		t.Errorf("the number of a deleted webhook: %v", err)
	}
}

// TestFactsAreReadBetweenTransactions asks for facts in a transaction: each is
// read once, outside of it, however often the transaction is tried.
func TestFactsAreReadBetweenTransactions(t *testing.T) {
	t.Parallel()
	type key string
	reads, inside, tries := map[key]int{}, false, 0
	var f facts
	read := func(k key) (string, error) {
		return fact(&f, k, func(context.Context) (string, error) {
			if inside {
				t.Errorf("%s is read in the transaction", k)
			}
			reads[k]++
			return string(k), nil
		})
	}
	var got []string
	err := f.whileWanted(t.Context(), func() error {
		inside = true
		defer func() { inside = false }()
		tries++
		a, errA := read("a")
		b, errB := read("b")
		if err := errors.Join(errA, errB); err != nil {
			return err
		}
		c, err := read(key(a + b))
		got = []string{a, b, c}
		return err
	})
	if err != nil || tries != 3 || len(reads) != 3 || reads["a"] != 1 || got[2] != "ab" {
		t.Errorf("got %v, %v after %d tries with the reads %v", got, err, tries, reads)
	}

	failure := cairn.Errorf(cairn.Internal, "no")
	err = f.whileWanted(t.Context(), func() error {
		_, err := fact(&f, key("broken"), func(context.Context) (int, error) { return 0, failure })
		return err
	})
	if !errors.Is(err, failure) {
		t.Errorf("got %v, want what reading failed with", err)
	}
}
