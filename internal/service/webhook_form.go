package service

import (
	"context"
	"errors"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// webhookForm is how webhooks of one form are spoken to. What happened is noted
// once, in the core's own terms; each form makes of it what its receivers read.
type webhookForm struct {
	// events are those that a webhook may ask for.
	events []cairn.EventType
	// tell returns what a webhook is told of what happened, in order. What it
	// does not ask for may be among it.
	tell func(*announcement, cairn.Webhook) ([]message, error)
	// ping is a message that tells nothing but that messages arrive; nil if there
	// is none.
	ping func(cairn.Webhook) (message, error)
	// header is the header of an attempt at a time, signed with the webhook's
	// secret.
	header func(w cairn.Webhook, d cairn.Delivery, secret []byte, at time.Time) map[string]string
}

// webhookForms has all forms.
var webhookForms = map[cairn.WebhookForm]*webhookForm{
	cairn.CodeStorageForm: &codeStorageWebhooks,
	cairn.MesaForm:        &mesaWebhooks,
	cairn.GogsForm:        &gogsWebhooks,
}

func (f *webhookForm) pingFor(w cairn.Webhook) (message, error) {
	if f.ping == nil {
		return message{}, cairn.Errorf(cairn.Invalid, "there is no ping for webhooks of this API")
	}
	return f.ping(w)
}

// message is an event as a webhook is told of it.
type message struct {
	Event cairn.EventType
	Body  []byte
}

// announcement is something that happened in a repository, while it is told.
type announcement struct {
	service *Service
	tx      cairn.Tx
	repo    cairn.Repository // as it is after it
	at      time.Time
	what    happening
	facts   *facts
}

// happening is what happened: refsMoved, repositoryEvent or syncEvent.
type happening interface{ happens() }

// facts are what forms have to know of a repository's objects. To read them
// takes time, which a transaction has not: what is asked for in one and not known
// is read when that was given up, and then the transaction is tried again.
type facts struct {
	known  map[any]any
	wanted map[any]func(context.Context) (any, error)
	told   bool // a webhook is told of something
}

// tell runs a transaction that may announce something, and has that sent.
func (s *Service) tell(ctx context.Context, transaction func(cairn.Tx, *facts) error) error {
	var f facts
	err := f.whileWanted(ctx, func() error {
		f.told = false
		return s.metadata.Update(ctx, func(tx cairn.Tx) error { return transaction(tx, &f) })
	})
	if err == nil && f.told {
		s.enqueued(WebhookJob)
	}
	return err
}

// errFactsWanted gives a transaction up.
var errFactsWanted = errors.New("a webhook is told of what has to be read first")

// fact returns what read finds. While that is not known, the error is
// errFactsWanted. The key says all that it depends on, in a type that no other
// facts have for keys: the commits of a batch share their facts.
func fact[T any](f *facts, key any, read func(context.Context) (T, error)) (T, error) {
	if known, ok := f.known[key]; ok {
		return known.(T), nil
	}
	if f.wanted == nil {
		f.wanted = map[any]func(context.Context) (any, error){}
	}
	f.wanted[key] = func(ctx context.Context) (any, error) { return read(ctx) }
	var none T
	return none, errFactsWanted
}

// whileWanted runs a transaction, and reads what it wants to know, until it
// wants nothing more.
func (f *facts) whileWanted(ctx context.Context, transaction func() error) error {
	for {
		err := transaction()
		if !errors.Is(err, errFactsWanted) {
			return err
		}
		if f.known == nil {
			f.known = map[any]any{}
		}
		for key, read := range f.wanted {
			if f.known[key], err = read(ctx); err != nil {
				return err
			}
		}
		clear(f.wanted)
	}
}
