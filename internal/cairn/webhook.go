package cairn

import "time"

// WebhookID names a webhook within its organization.
type WebhookID string

// WebhookForm says whose receivers a webhook speaks to: which events there are,
// what is sent of each, and how it is signed.
type WebhookForm string

// The forms. The words are stored.
const (
	CodeStorageForm WebhookForm = ""
	MesaForm        WebhookForm = "mesa"
	GogsForm        WebhookForm = "gogs"
)

// Webhook is a subscription: what happens is told to an address.
type Webhook struct {
	Organization OrganizationID
	ID           WebhookID
	Form         WebhookForm
	// Repositories are the only ones whose events are told; nil means all of the
	// organization.
	Repositories []RepositoryID
	Customer     OrganizationName // the organization's, which payloads may name
	Name         string           // for people; may be empty
	URL          string
	Events       []EventType // of the form; in byte order, each once
	Secret       []byte      // sealed; signs what is sent
	// Options are what the form has to know beside.
	Options   Labels
	CreatedAt time.Time
	UpdatedAt time.Time // by a user
	// Paused says why nothing is sent; empty while it is active.
	Paused string
	// FailingSince is when the first of the attempts failed after which none
	// succeeded; zero after a success.
	FailingSince time.Time
}

// EventType is a kind of event that webhooks are told of, in the words of their
// form.
type EventType string

// The types of events of CodeStorageForm.
const (
	PushEvent          EventType = "push"
	SyncStartedEvent   EventType = "repo.sync.started"
	SyncSucceededEvent EventType = "repo.sync.succeeded"
	SyncFailedEvent    EventType = "repo.sync.failed"
	PingEvent          EventType = "ping" // asked for by a user; none subscribes to it
)

// DeliveryState says how far a delivery is.
type DeliveryState int

// The states. The numbers are stored.
const (
	DeliveryWaiting   DeliveryState = 0 // for its first or next attempt
	DeliverySucceeded DeliveryState = 1
	DeliveryFailed    DeliveryState = 2 // and is not tried again
)

// Delivery is one event on its way to one webhook, and how that went.
type Delivery struct {
	Organization OrganizationID
	Webhook      WebhookID
	// Repository is where it happened; empty if nowhere.
	Repository RepositoryID
	// Sequence orders the deliveries of one webhook and repository. The store
	// gives it.
	Sequence  int64
	ID        string // orders them by the time of their making, about
	Event     EventType
	Payload   []byte
	CreatedAt time.Time

	State    DeliveryState
	Attempts int
	EndedAt  time.Time // when it succeeded or failed; zero while it waits
	// What came of the last attempt.
	AttemptedAt time.Time
	Duration    time.Duration
	Status      int    // of HTTP; 0 if no answer came
	Answer      []byte // the beginning of its body
	Error       string // why there was no answer, or why it is not tried again
}

// Backlog is how many deliveries from a repository wait.
type Backlog struct {
	Repository RepositoryID
	Waiting    int64
}

// DeliveriesKept is how many deliveries that ended a store keeps for each
// webhook and repository.
const DeliveriesKept = 1000

// Webhooks are the webhooks of organizations with their deliveries.
type Webhooks interface {
	// Create returns Conflict if the organization has a webhook of that id.
	Create(Webhook) error
	// Get returns NotFound if there is no such webhook.
	Get(OrganizationID, WebhookID) (Webhook, error)
	// Update replaces all of a webhook but its place, Form, Customer and
	// CreatedAt; NotFound if there is no such webhook.
	Update(Webhook) error
	// Delete removes a webhook with its deliveries; NotFound as Get.
	Delete(OrganizationID, WebhookID) error
	// List returns up to limit webhooks of a form by id, after the given one:
	// those that name a repository or, if that is empty, all of the organization.
	List(org OrganizationID, form WebhookForm, repo RepositoryID, after WebhookID, limit int) ([]Webhook, error)
	// Count returns how many webhooks of a form name a repository or, if that is
	// empty, are for all of the organization.
	Count(org OrganizationID, form WebhookForm, repo RepositoryID) (int, error)
	// Watching returns by id the webhooks to which events of a repository are to
	// be told: those that name it and those of its whole organization, without
	// those that are paused. Repository.Watched tells whether that is worth a
	// question. A webhook goes with the last of the repositories that it names.
	Watching(RepositoryKey) ([]Webhook, error)

	// Announce adds deliveries of one webhook and repository, in their order,
	// after those that are there.
	Announce(OrganizationID, WebhookID, RepositoryID, []Delivery) error
	// Waiting returns the first deliveries of a webhook and repository that
	// wait, up to limit.
	Waiting(org OrganizationID, hook WebhookID, repo RepositoryID, limit int) ([]Delivery, error)
	// Backlog returns, for up to limit repositories from which deliveries of a
	// webhook wait, how many do.
	Backlog(org OrganizationID, hook WebhookID, limit int) ([]Backlog, error)
	// Attempted stores the state of a delivery and what came of its last
	// attempt. Of those that ended it forgets all but the last DeliveriesKept.
	// A delivery that is gone is no error.
	Attempted(Delivery) error
	// EndWaiting makes all deliveries of a webhook that wait failed.
	EndWaiting(org OrganizationID, hook WebhookID, at time.Time, reason string) error
	// Delivery returns NotFound if there is no such delivery.
	Delivery(org OrganizationID, hook WebhookID, id string) (Delivery, error)
	// Deliveries returns up to limit deliveries of a webhook with ids before
	// the given one, or from the last on if that is empty, backwards.
	Deliveries(org OrganizationID, hook WebhookID, before string, limit int) ([]Delivery, error)
	// Forget removes up to limit deliveries, of all organizations, that ended
	// before the time, and returns how many.
	Forget(before time.Time, limit int) (int, error)
}
