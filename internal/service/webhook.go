package service

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/secret"
)

// Bounds of webhooks.
const (
	maxWebhooks          = 20 // of one form, of one repository, and of the organization itself
	webhooksPerPage      = 20
	maxWebhooksPerPage   = 100
	deliveriesPerPage    = 20
	maxDeliveriesPerPage = 100
)

// pausedByRequest is why a webhook is paused that a user paused.
const pausedByRequest = "paused by request"

// Webhook is a webhook as its owner sees it.
type Webhook struct {
	cairn.Webhook
	RepositoryName cairn.RepositoryName // empty unless it is for one repository
	// Secret signs what is sent. It is shown by what makes it, and never again.
	Secret string
}

// webhookOwner is whose webhooks a caller manages: those of one form that are for
// one repository, or for any of the organization that the credential is good
// for.
type webhookOwner struct {
	cairn.RepositoryKey
	who  cairn.Actor
	form cairn.WebhookForm
	name cairn.RepositoryName
}

// mayManageWebhooks is the authorization of everything about webhooks: a token
// for a repository manages the webhooks of that repository and needs
// repo:write; one that names no repository manages all of the organization and
// needs org:read beside it, so that nobody gets there by leaving something out.
// Those of the Mesa API are managed as API keys are: repositories are those that
// a webhook is to be for.
func mayManageWebhooks(who cairn.Actor, form cairn.WebhookForm, repositories []cairn.RepositoryID) error {
	if form == cairn.MesaForm {
		return mayManage(who, cairn.OrgAdmin, repositories)
	}
	if who.Repository != "" {
		return authorize(who, who.Repository, cairn.RepoAdmin)
	}
	if err := authorize(who, "", cairn.RepoWrite); err != nil {
		return err
	}
	return authorize(who, "", cairn.OrgRead)
}

// webhookOwnerOf finds the owner that mayManageWebhooks let in.
func webhookOwnerOf(tx cairn.Tx, who cairn.Actor, form cairn.WebhookForm) (webhookOwner, error) {
	owner := webhookOwner{cairn.RepositoryKey{Organization: who.Organization.ID}, who, form, who.Repository}
	if who.Repository == "" {
		return owner, nil
	}
	r, err := findRepository(tx, who, who.Repository)
	owner.Repository = r.Repository
	return owner, err
}

// has tells whether a webhook is the owner's. It is of one form only: the others
// could not show what it is told.
func (o webhookOwner) has(w cairn.Webhook) bool {
	switch {
	case w.Form != o.form:
		return false
	case o.Repository != "":
		return slices.Contains(w.Repositories, o.Repository)
	}
	return o.who.Reach == nil || manages(o.who, w.Repositories)
}

// webhook finds a webhook of the owner; to others it is not there.
func (o webhookOwner) webhook(tx cairn.Tx, id cairn.WebhookID) (cairn.Webhook, error) {
	w, err := tx.Webhooks().Get(o.Organization, id)
	if err == nil && !o.has(w) {
		err = cairn.Errorf(cairn.NotFound, "webhook %q not found", cairn.Clip(string(id)))
	}
	return w, err
}

// show adds what the row does not say. A webhook whose repository is gone is on
// its way out too.
func (o webhookOwner) show(tx cairn.Tx, w cairn.Webhook) (Webhook, error) {
	shown := Webhook{Webhook: w, RepositoryName: o.name}
	if len(w.Repositories) != 1 || o.Repository != "" {
		return shown, nil
	}
	r, err := tx.Repositories().Get(cairn.RepositoryKey{Organization: o.Organization, Repository: w.Repositories[0]})
	if errors.Is(err, cairn.NotFound) {
		return shown, nil
	}
	shown.RepositoryName = r.Name
	return shown, err
}

// NewWebhook says what to subscribe to, and where to send it.
type NewWebhook struct {
	Form cairn.WebhookForm
	// Repositories are the only ones that it is for; nil means that which the
	// actor's credential names, or all.
	Repositories []cairn.RepositoryID
	Name         string
	URL          string
	Events       []cairn.EventType
	Options      cairn.Labels
	// Secret signs what is sent; empty has one made.
	Secret string
	Paused bool // from the beginning
}

// maxWebhookSecret is the longest secret that a caller may give, in bytes.
const maxWebhookSecret = 1024

// maxWebhookName is the longest name of a webhook in bytes, maxWatched how many
// repositories it may name.
const (
	maxWebhookName = 255
	maxWatched     = 100
)

// checkWebhookText checks what is given of a webhook beside its address and its
// events.
func checkWebhookText(name string, repositories []cairn.RepositoryID) error {
	if len(name) > maxWebhookName || !isPlainText(name) {
		return cairn.Errorf(cairn.Invalid, "name is at most %d bytes without control characters", maxWebhookName)
	}
	if len(repositories) > maxWatched || repositories != nil && len(repositories) == 0 {
		return cairn.Errorf(cairn.Invalid, "a webhook is for 1 to %d repositories, or for all", maxWatched)
	}
	return nil
}

// CreateWebhook subscribes an address to events of repositories.
func (s *Service) CreateWebhook(ctx context.Context, who cairn.Actor, in NewWebhook) (Webhook, error) {
	if err := mayManageWebhooks(who, in.Form, in.Repositories); err != nil {
		return Webhook{}, err
	}
	if err := checkWebhookText(in.Name, in.Repositories); err != nil {
		return Webhook{}, err
	}
	if err := s.checkWebhookURL(in.URL); err != nil {
		return Webhook{}, err
	}
	events, err := checkEvents(in.Form, in.Events)
	if err != nil {
		return Webhook{}, err
	}
	if len(in.Secret) > maxWebhookSecret {
		return Webhook{}, cairn.Errorf(cairn.Invalid, "the secret has more than %d bytes", maxWebhookSecret)
	}
	now := s.now().UTC()
	made := cairn.Webhook{
		Organization: who.Organization.ID, ID: cairn.WebhookID(cairn.NewID()), Form: in.Form, Customer: who.Organization.Name,
		Name: in.Name, URL: in.URL, Events: events, Options: in.Options, CreatedAt: now, UpdatedAt: now,
	}
	if in.Paused {
		made.Paused = pausedByRequest
	}
	plain := in.Secret
	if plain == "" {
		plain = s.newWebhookSecret(&made)
	} else {
		made.Secret = s.secrets.Seal([]byte(plain), webhookSecretPlace(made))
	}
	var shown Webhook
	err = s.metadata.Update(ctx, func(tx cairn.Tx) error {
		owner, err := webhookOwnerOf(tx, who, in.Form)
		if err != nil {
			return err
		}
		if made.Repositories, err = owner.choose(tx, in.Repositories, nil); err != nil {
			return err
		}
		if err := tx.Webhooks().Create(made); err != nil {
			return err
		}
		shown, err = owner.show(tx, made)
		return err
	})
	shown.Secret = plain
	return shown, err
}

// choose returns the repositories that a webhook of the owner is for: the owner's,
// or else the given ones, nil for all. Where it was not before there has to be
// room for it, which bounds what one event makes.
func (o webhookOwner) choose(tx cairn.Tx, given, before []cairn.RepositoryID) ([]cairn.RepositoryID, error) {
	if o.Repository != "" {
		given = []cairn.RepositoryID{o.Repository}
	}
	if err := checkRepositories(tx, o.who, given); err != nil {
		return nil, err
	}
	for _, place := range webhookPlaces(given) {
		if slices.Contains(before, place) {
			continue
		}
		n, err := tx.Webhooks().Count(o.Organization, o.form, place)
		if err != nil {
			return nil, err
		}
		if n >= maxWebhooks {
			return nil, cairn.Errorf(cairn.Conflict, "there are %d webhooks, the most there may be; delete one first", n)
		}
	}
	return slices.Compact(slices.Sorted(slices.Values(given))), nil
}

// webhookPlaces are where a webhook for some repositories is counted; empty
// stands for the organization itself.
func webhookPlaces(repositories []cairn.RepositoryID) []cairn.RepositoryID {
	if repositories == nil {
		return []cairn.RepositoryID{""}
	}
	return repositories
}

func (s *Service) checkWebhookURL(url string) error {
	if url == "" {
		return cairn.Errorf(cairn.Invalid, "url is required")
	}
	if s.egress == nil {
		return cairn.Errorf(cairn.Unavailable, "this server sends nothing")
	}
	if _, err := s.egress.Address(url); err != nil {
		return cairn.Errorf(cairn.Invalid, "url: %w", err)
	}
	return nil
}

// checkEvents returns the types in order, each once.
func checkEvents(form cairn.WebhookForm, events []cairn.EventType) ([]cairn.EventType, error) {
	subscribable := webhookForms[form].events
	if len(events) == 0 {
		return nil, cairn.Errorf(cairn.Invalid, "events is required: name at least one of %v", subscribable)
	}
	for _, e := range events {
		if !slices.Contains(subscribable, e) {
			return nil, cairn.Errorf(cairn.Invalid, "there is no event %q: name some of %v", cairn.Clip(string(e)), subscribable)
		}
	}
	sorted := slices.Sorted(slices.Values(events))
	return slices.Compact(sorted), nil
}

// newWebhookSecret gives a webhook a new secret and returns it.
func (s *Service) newWebhookSecret(w *cairn.Webhook) string {
	var random [32]byte
	rand.Read(random[:])
	plain := "whsec_" + base64.RawURLEncoding.EncodeToString(random[:])
	w.Secret = s.secrets.Seal([]byte(plain), webhookSecretPlace(*w))
	return plain
}

func webhookSecretPlace(w cairn.Webhook) secret.Place {
	return secret.Place{Organization: w.Organization, Purpose: "webhook secret", Row: string(w.ID)}
}

// WebhookPage is a part of the list of webhooks.
type WebhookPage struct {
	Webhooks []Webhook
	Next     string // the cursor of the next page; empty at the end
}

// ListWebhooks returns the webhooks of a form that the actor manages, the oldest
// first. A page may have fewer than were asked for, and others follow it.
func (s *Service) ListWebhooks(ctx context.Context, who cairn.Actor, form cairn.WebhookForm, cursor string, limit int) (WebhookPage, error) {
	if err := mayManageWebhooks(who, form, []cairn.RepositoryID{}); err != nil {
		return WebhookPage{}, err
	}
	limit = clampLimit(limit, webhooksPerPage, maxWebhooksPerPage)
	var page WebhookPage
	err := s.metadata.View(ctx, func(tx cairn.Tx) error {
		page = WebhookPage{}
		owner, err := webhookOwnerOf(tx, who, form)
		if err != nil {
			return err
		}
		listing := query{"webhooks", string(owner.Organization), string(owner.Repository), string(form)}
		position, err := listing.position(cursor, 1)
		if err != nil {
			return err
		}
		var after cairn.WebhookID
		if position != nil {
			after = cairn.WebhookID(position[0])
		}
		list, err := tx.Webhooks().List(owner.Organization, form, owner.Repository, after, limit+1)
		if err != nil {
			return err
		}
		page = WebhookPage{}
		if len(list) > limit {
			list = list[:limit]
			page.Next = listing.cursor(string(list[limit-1].ID))
		}
		for _, w := range list {
			if !owner.has(w) {
				continue
			}
			shown, err := owner.show(tx, w)
			if err != nil {
				return err
			}
			page.Webhooks = append(page.Webhooks, shown)
		}
		return nil
	})
	return page, err
}

// Webhook returns one webhook.
func (s *Service) Webhook(ctx context.Context, who cairn.Actor, form cairn.WebhookForm, id cairn.WebhookID) (shown Webhook, err error) {
	err = s.viewWebhook(ctx, who, form, id, func(tx cairn.Tx, owner webhookOwner, w cairn.Webhook) error {
		shown, err = owner.show(tx, w)
		return err
	})
	return shown, err
}

// WebhookChange says what to change; what is nil stays.
type WebhookChange struct {
	Name    *string
	URL     *string
	Events  []cairn.EventType
	Options cairn.Labels
	Active  *bool // false pauses it, true lets it go on
	// Repositories, if not nil, are those that it is for from now on; a nil list
	// means all.
	Repositories *[]cairn.RepositoryID
}

// check checks what is asked for, and whether the actor may ask for it.
func (in WebhookChange) check(s *Service, who cairn.Actor, form cairn.WebhookForm) error {
	manage := []cairn.RepositoryID{}
	if in.Repositories != nil {
		manage = *in.Repositories
	}
	if err := mayManageWebhooks(who, form, manage); err != nil {
		return err
	}
	name := ""
	if in.Name != nil {
		name = *in.Name
	}
	if in.Repositories == nil {
		manage = nil
	}
	if err := checkWebhookText(name, manage); err != nil || in.URL == nil {
		return err
	}
	return s.checkWebhookURL(*in.URL)
}

// UpdateWebhook changes a webhook. What waits for its next attempt is tried at
// once, unless it is paused: then that has failed, and nothing comes after it.
func (s *Service) UpdateWebhook(ctx context.Context, who cairn.Actor, form cairn.WebhookForm, id cairn.WebhookID, in WebhookChange) (Webhook, error) {
	if err := in.check(s, who, form); err != nil {
		return Webhook{}, err
	}
	var events []cairn.EventType
	if in.Events != nil {
		var err error
		if events, err = checkEvents(form, in.Events); err != nil {
			return Webhook{}, err
		}
	}
	return s.updateWebhook(ctx, who, form, id, func(tx cairn.Tx, owner webhookOwner, w *cairn.Webhook) error {
		if in.Repositories != nil {
			var err error
			if w.Repositories, err = owner.choose(tx, *in.Repositories, webhookPlaces(w.Repositories)); err != nil {
				return err
			}
		}
		if in.Name != nil {
			w.Name = *in.Name
		}
		if in.URL != nil {
			w.URL = *in.URL
		}
		if in.Options != nil {
			w.Options = in.Options
		}
		if events != nil {
			w.Events = events
		}
		switch {
		case in.Active == nil:
		case *in.Active:
			w.Paused = ""
			w.FailingSince = time.Time{}
		case w.Paused == "":
			return s.pauseWebhook(tx, w, pausedByRequest)
		}
		return nil
	})
}

// RotateWebhookSecret gives a webhook a new secret, with which everything is
// signed from now on.
func (s *Service) RotateWebhookSecret(ctx context.Context, who cairn.Actor, form cairn.WebhookForm, id cairn.WebhookID) (Webhook, error) {
	var plain string
	shown, err := s.updateWebhook(ctx, who, form, id, func(_ cairn.Tx, _ webhookOwner, w *cairn.Webhook) error {
		plain = s.newWebhookSecret(w)
		return nil
	})
	shown.Secret = plain
	return shown, err
}

// DeleteWebhook removes a webhook with its deliveries, those that wait too.
func (s *Service) DeleteWebhook(ctx context.Context, who cairn.Actor, form cairn.WebhookForm, id cairn.WebhookID) error {
	return s.changeWebhook(ctx, who, form, id, func(tx cairn.Tx, _ webhookOwner, w cairn.Webhook) error {
		for _, repo := range w.Repositories { // in which an API may have numbered it
			thing := cairn.Numbered{Kind: cairn.WebhookNumber, RepositoryKey: cairn.RepositoryKey{Organization: w.Organization, Repository: repo}, ID: string(w.ID)}
			if err := tx.Numbers().Forget(thing); err != nil {
				return err
			}
		}
		return tx.Webhooks().Delete(w.Organization, w.ID)
	})
}

// PingWebhook sends a webhook an event of the type ping, after what waits.
func (s *Service) PingWebhook(ctx context.Context, who cairn.Actor, form cairn.WebhookForm, id cairn.WebhookID) (made cairn.Delivery, err error) {
	err = s.changeWebhook(ctx, who, form, id, func(tx cairn.Tx, _ webhookOwner, w cairn.Webhook) error {
		ping, err := webhookForms[form].pingFor(w)
		if err != nil {
			return err
		}
		var repo cairn.RepositoryID
		if len(w.Repositories) > 0 {
			repo = w.Repositories[0]
		}
		made, err = s.sendNow(tx, w, repo, ping)
		return err
	})
	return made, err
}

// Redeliver sends what a delivery sent once more, as a new delivery after what
// waits.
func (s *Service) Redeliver(ctx context.Context, who cairn.Actor, form cairn.WebhookForm, id cairn.WebhookID, delivery string) (made cairn.Delivery, err error) {
	err = s.changeWebhook(ctx, who, form, id, func(tx cairn.Tx, _ webhookOwner, w cairn.Webhook) error {
		old, err := tx.Webhooks().Delivery(w.Organization, w.ID, delivery)
		if err != nil {
			return err
		}
		made, err = s.sendNow(tx, w, old.Repository, message{old.Event, old.Payload})
		return err
	})
	return made, err
}

// sendNow adds a delivery that a user asked for, and has it sent at once.
func (s *Service) sendNow(tx cairn.Tx, w cairn.Webhook, repo cairn.RepositoryID, m message) (cairn.Delivery, error) {
	if w.Paused != "" {
		return cairn.Delivery{}, cairn.Errorf(cairn.Conflict, "the webhook is paused: set active to true first")
	}
	made := newDelivery(w, repo, m, s.now().UTC())
	if err := tx.Webhooks().Announce(w.Organization, w.ID, repo, []cairn.Delivery{made}); err != nil {
		return cairn.Delivery{}, err
	}
	return made, tx.Jobs().Enqueue(s.webhookJob(w, repo))
}

// DeliveryPage is a part of the list of a webhook's deliveries.
type DeliveryPage struct {
	Deliveries []cairn.Delivery
	Next       string // the cursor of the next page; empty at the end
}

// ListDeliveries returns what was sent to a webhook, the newest first.
func (s *Service) ListDeliveries(ctx context.Context, who cairn.Actor, form cairn.WebhookForm, id cairn.WebhookID, cursor string, limit int) (DeliveryPage, error) {
	limit = clampLimit(limit, deliveriesPerPage, maxDeliveriesPerPage)
	listing := query{"deliveries", string(who.Organization.ID), string(id)}
	var page DeliveryPage
	err := s.viewWebhook(ctx, who, form, id, func(tx cairn.Tx, _ webhookOwner, w cairn.Webhook) error {
		page = DeliveryPage{}
		position, err := listing.position(cursor, 1)
		if err != nil {
			return err
		}
		before := ""
		if position != nil {
			before = position[0]
		}
		page.Deliveries, err = tx.Webhooks().Deliveries(w.Organization, w.ID, before, limit+1)
		if len(page.Deliveries) > limit {
			page.Deliveries = page.Deliveries[:limit]
			page.Next = listing.cursor(page.Deliveries[limit-1].ID)
		}
		return err
	})
	return page, err
}

// Delivery returns one delivery of a webhook.
func (s *Service) Delivery(ctx context.Context, who cairn.Actor, form cairn.WebhookForm, id cairn.WebhookID, delivery string) (found cairn.Delivery, err error) {
	err = s.viewWebhook(ctx, who, form, id, func(tx cairn.Tx, _ webhookOwner, w cairn.Webhook) error {
		found, err = tx.Webhooks().Delivery(w.Organization, w.ID, delivery)
		return err
	})
	return found, err
}

// viewWebhook runs f on a webhook that the actor manages.
func (s *Service) viewWebhook(ctx context.Context, who cairn.Actor, form cairn.WebhookForm, id cairn.WebhookID, f func(cairn.Tx, webhookOwner, cairn.Webhook) error) error {
	if err := mayManageWebhooks(who, form, []cairn.RepositoryID{}); err != nil {
		return err
	}
	return s.metadata.View(ctx, func(tx cairn.Tx) error { return onWebhook(tx, who, form, id, f) })
}

// changeWebhook is viewWebhook for what writes. What it enqueues runs at once.
func (s *Service) changeWebhook(ctx context.Context, who cairn.Actor, form cairn.WebhookForm, id cairn.WebhookID, f func(cairn.Tx, webhookOwner, cairn.Webhook) error) error {
	if err := mayManageWebhooks(who, form, []cairn.RepositoryID{}); err != nil {
		return err
	}
	err := s.metadata.Update(ctx, func(tx cairn.Tx) error { return onWebhook(tx, who, form, id, f) })
	if err == nil {
		s.enqueued(WebhookJob)
	}
	return err
}

func onWebhook(tx cairn.Tx, who cairn.Actor, form cairn.WebhookForm, id cairn.WebhookID, f func(cairn.Tx, webhookOwner, cairn.Webhook) error) error {
	owner, err := webhookOwnerOf(tx, who, form)
	if err != nil {
		return err
	}
	w, err := owner.webhook(tx, id)
	if err != nil {
		return err
	}
	return f(tx, owner, w)
}

// updateWebhook stores what f made of a webhook, and has tried at once what
// waits for it.
func (s *Service) updateWebhook(ctx context.Context, who cairn.Actor, form cairn.WebhookForm, id cairn.WebhookID, f func(cairn.Tx, webhookOwner, *cairn.Webhook) error) (shown Webhook, err error) {
	err = s.changeWebhook(ctx, who, form, id, func(tx cairn.Tx, owner webhookOwner, w cairn.Webhook) error {
		if err := f(tx, owner, &w); err != nil {
			return err
		}
		w.UpdatedAt = s.now().UTC()
		if err := tx.Webhooks().Update(w); err != nil {
			return fmt.Errorf("update webhook %s: %w", id, err)
		}
		if w.Paused == "" {
			if err := s.hurry(tx, w); err != nil {
				return err
			}
		}
		shown, err = owner.show(tx, w)
		return err
	})
	return shown, err
}
