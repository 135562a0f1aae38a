package sqldb

import (
	"database/sql/driver"
	"slices"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
)

type webhooks struct{ *Tx }

// webhookColumns are what webhook reads.
const webhookColumns = `organization, id, form, repositories, customer, name, url, events, secret, options, created_at, updated_at, paused, failing_since`

func (t webhooks) Create(w cairn.Webhook) error {
	n, err := t.exec(`INSERT INTO webhooks (`+webhookColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT DO NOTHING`,
		string(w.Organization), string(w.ID), string(w.Form), repositoriesText(w.Repositories), string(w.Customer), w.Name, w.URL, joinWords(w.Events),
		w.Secret, labelsText(w.Options), micros(w.CreatedAt), micros(w.UpdatedAt), w.Paused, laterMicros(w.FailingSince))
	if err == nil && n == 0 {
		err = cairn.Errorf(cairn.Conflict, "webhook %q exists already", w.ID)
	}
	if err != nil {
		return err
	}
	return t.watch(w)
}

// watch lets a webhook be found by its repositories.
func (t webhooks) watch(w cairn.Webhook) error {
	for _, repo := range watchedBy(w) {
		_, err := t.exec(`INSERT INTO webhook_repositories (organization, repository, webhook) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
			string(w.Organization), string(repo), string(w.ID))
		if err != nil {
			return err
		}
	}
	return nil
}

func (t webhooks) unwatch(w cairn.Webhook) error {
	for _, repo := range watchedBy(w) {
		_, err := t.exec(`DELETE FROM webhook_repositories WHERE organization = $1 AND repository = $2 AND webhook = $3`,
			string(w.Organization), string(repo), string(w.ID))
		if err != nil {
			return err
		}
	}
	return nil
}

// watchedBy are the repositories by which a webhook is found.
func watchedBy(w cairn.Webhook) []cairn.RepositoryID {
	if w.Repositories == nil {
		return []cairn.RepositoryID{""}
	}
	return w.Repositories
}

func (t webhooks) Get(org cairn.OrganizationID, id cairn.WebhookID) (cairn.Webhook, error) {
	list, err := t.many(`SELECT `+webhookColumns+` FROM webhooks WHERE organization = $1 AND id = $2`, string(org), string(id))
	if err == nil && len(list) == 0 {
		return cairn.Webhook{}, errNoWebhook(id)
	}
	if err != nil {
		return cairn.Webhook{}, err
	}
	return list[0], nil
}

func errNoWebhook(id cairn.WebhookID) error {
	return cairn.Errorf(cairn.NotFound, "webhook %q not found", cairn.Clip(string(id)))
}

func (t webhooks) Update(w cairn.Webhook) error {
	before, err := t.Get(w.Organization, w.ID)
	if err != nil {
		return err
	}
	_, err = t.exec(`UPDATE webhooks SET repositories = $1, name = $2, url = $3, events = $4, secret = $5, options = $6, updated_at = $7, paused = $8,
		failing_since = $9 WHERE organization = $10 AND id = $11`,
		repositoriesText(w.Repositories), w.Name, w.URL, joinWords(w.Events), w.Secret, labelsText(w.Options), micros(w.UpdatedAt), w.Paused,
		laterMicros(w.FailingSince), string(w.Organization), string(w.ID))
	if err != nil || repositoriesText(w.Repositories) == repositoriesText(before.Repositories) {
		return err
	}
	if err := t.unwatch(before); err != nil {
		return err
	}
	return t.watch(w)
}

func (t webhooks) Delete(org cairn.OrganizationID, id cairn.WebhookID) error {
	w, err := t.Get(org, id)
	if err != nil {
		return err
	}
	if err := t.unwatch(w); err != nil {
		return err
	}
	for _, query := range []string{
		`DELETE FROM webhooks WHERE organization = $1 AND id = $2`, `DELETE FROM deliveries WHERE organization = $1 AND webhook = $2`,
	} {
		if _, err := t.exec(query, string(org), string(id)); err != nil {
			return err
		}
	}
	return nil
}

// forgetRepository takes a repository out of the webhooks that name it. Those
// that name no other go.
func (t webhooks) forgetRepository(key cairn.RepositoryKey) error {
	list, err := t.many(`SELECT `+webhookColumns+` FROM webhooks WHERE organization = $1 AND id IN `+naming, string(key.Organization), string(key.Repository))
	if err != nil {
		return err
	}
	for _, w := range list {
		w.Repositories = slices.DeleteFunc(w.Repositories, func(id cairn.RepositoryID) bool { return id == key.Repository })
		if len(w.Repositories) == 0 {
			err = t.Delete(w.Organization, w.ID)
		} else {
			err = t.Update(w)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// naming selects the ids of the webhooks that name a repository.
const naming = `(SELECT webhook FROM webhook_repositories WHERE organization = $1 AND repository = $2)`

func (t webhooks) List(org cairn.OrganizationID, form cairn.WebhookForm, repo cairn.RepositoryID, after cairn.WebhookID, n int) ([]cairn.Webhook, error) {
	if repo == "" {
		return t.many(`SELECT `+webhookColumns+` FROM webhooks WHERE organization = $1 AND form = $2 AND id > $3 ORDER BY id LIMIT CAST($4 AS BIGINT)`,
			string(org), string(form), string(after), limit(n))
	}
	return t.many(`SELECT `+webhookColumns+` FROM webhooks WHERE organization = $1 AND id IN `+naming+` AND form = $3 AND id > $4
		ORDER BY id LIMIT CAST($5 AS BIGINT)`, string(org), string(repo), string(form), string(after), limit(n))
}

func (t webhooks) Count(org cairn.OrganizationID, form cairn.WebhookForm, repo cairn.RepositoryID) (n int, err error) {
	err = t.query(Read, `SELECT COUNT(*) FROM webhooks WHERE organization = $1 AND id IN `+naming+` AND form = $3`,
		values(string(org), string(repo), string(form)), func(r *Row) { n = int(r.Int(0)) })
	return n, err
}

// watched tells whether a repository, of the row at hand, has a webhook.
const watched = `EXISTS (SELECT 1 FROM webhook_repositories AS watching WHERE watching.organization = repositories.organization
	AND watching.repository IN ('', repositories.id))`

func (t webhooks) Watching(key cairn.RepositoryKey) ([]cairn.Webhook, error) {
	return t.many(`SELECT `+webhookColumns+` FROM webhooks WHERE organization = $1 AND paused = ''
		AND id IN (SELECT webhook FROM webhook_repositories WHERE organization = $1 AND repository IN ('', $2)) ORDER BY id`,
		string(key.Organization), string(key.Repository))
}

func (t webhooks) many(query string, args ...driver.Value) (list []cairn.Webhook, err error) {
	err = t.query(Read, query, args, func(r *Row) {
		list = append(list, cairn.Webhook{
			Organization: cairn.OrganizationID(r.Text(0)), ID: cairn.WebhookID(r.Text(1)), Form: cairn.WebhookForm(r.Text(2)),
			Repositories: repositoryIDs(r.Text(3)), Customer: cairn.OrganizationName(r.Text(4)), Name: r.Text(5), URL: r.Text(6),
			Events: splitWords[cairn.EventType](r.Text(7)), Secret: append([]byte(nil), r.Bytes(8)...), Options: labels(r.Text(9)),
			CreatedAt: r.Moment(10), UpdatedAt: r.Moment(11), Paused: r.Text(12), FailingSince: r.Moment(13),
		})
	})
	return list, err
}

var deliveryInsertion = newInsertion("deliveries", []string{"organization", "webhook", "repository"},
	[]string{"sequence", "id", "event", "created_at", "state", "attempts", "ended_at", "attempted_at", "duration", "status", "error", "payload", "answer"})

func (t webhooks) Announce(org cairn.OrganizationID, hook cairn.WebhookID, repo cairn.RepositoryID, added []cairn.Delivery) error {
	var last int64
	shared := values(string(org), string(hook), string(repo))
	err := t.query(Read, `SELECT sequence FROM deliveries WHERE organization = $1 AND webhook = $2 AND repository = $3
		ORDER BY sequence DESC LIMIT 1`, shared, func(r *Row) { last = r.Int(0) })
	if err != nil {
		return err
	}
	done, err := t.insert(&deliveryInsertion, shared, len(added), func(args []driver.Value, i int) []driver.Value {
		d := &added[i]
		return append(args, last+1+int64(i), d.ID, string(d.Event), micros(d.CreatedAt), int64(d.State), int64(d.Attempts), laterMicros(d.EndedAt),
			laterMicros(d.AttemptedAt), d.Duration.Microseconds(), int64(d.Status), displayed(d.Error), notNil(d.Payload), notNil(d.Answer))
	})
	if err == nil && done < len(added) {
		err = t.spoil(cairn.Errorf(cairn.Conflict, "delivery %q exists already", added[done].ID))
	}
	return err
}

func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// deliveryColumns are what delivery reads.
const deliveryColumns = `organization, webhook, repository, sequence, id, event, created_at, state, attempts, ended_at, attempted_at,
	duration, status, error, payload, answer`

func (t webhooks) Waiting(org cairn.OrganizationID, hook cairn.WebhookID, repo cairn.RepositoryID, n int) ([]cairn.Delivery, error) {
	return t.deliveries(`SELECT `+deliveryColumns+` FROM deliveries WHERE organization = $1 AND webhook = $2 AND repository = $3 AND state = 0
		ORDER BY sequence LIMIT CAST($4 AS BIGINT)`, string(org), string(hook), string(repo), limit(n))
}

func (t webhooks) Backlog(org cairn.OrganizationID, hook cairn.WebhookID, n int) (list []cairn.Backlog, err error) {
	err = t.query(Read, `SELECT repository, COUNT(*) FROM deliveries WHERE organization = $1 AND webhook = $2 AND state = 0
		GROUP BY repository ORDER BY repository LIMIT CAST($3 AS BIGINT)`, values(string(org), string(hook), limit(n)), func(r *Row) {
		list = append(list, cairn.Backlog{Repository: cairn.RepositoryID(r.Text(0)), Waiting: r.Int(1)})
	})
	return list, err
}

func (t webhooks) Attempted(d cairn.Delivery) error {
	key := values(string(d.Organization), string(d.Webhook), string(d.Repository))
	_, err := t.exec(`UPDATE deliveries SET state = $5, attempts = $6, ended_at = $7, attempted_at = $8, duration = $9, status = $10, error = $11, answer = $12
		WHERE organization = $1 AND webhook = $2 AND repository = $3 AND sequence = $4`,
		append(key, d.Sequence, int64(d.State), int64(d.Attempts), laterMicros(d.EndedAt), laterMicros(d.AttemptedAt),
			d.Duration.Microseconds(), int64(d.Status), displayed(d.Error), notNil(d.Answer))...)
	if err != nil || d.State == cairn.DeliveryWaiting {
		return err
	}
	_, err = t.exec(`DELETE FROM deliveries WHERE organization = $1 AND webhook = $2 AND repository = $3 AND sequence <= $4 AND state <> 0`,
		append(key, d.Sequence-cairn.DeliveriesKept)...)
	return err
}

func (t webhooks) EndWaiting(org cairn.OrganizationID, hook cairn.WebhookID, at time.Time, reason string) error {
	_, err := t.exec(`UPDATE deliveries SET state = 2, ended_at = $3, error = $4 WHERE organization = $1 AND webhook = $2 AND state = 0`,
		string(org), string(hook), micros(at), displayed(reason))
	return err
}

func (t webhooks) Delivery(org cairn.OrganizationID, hook cairn.WebhookID, id string) (cairn.Delivery, error) {
	list, err := t.deliveries(`SELECT `+deliveryColumns+` FROM deliveries WHERE organization = $1 AND webhook = $2 AND id = $3`,
		string(org), string(hook), id)
	if err == nil && len(list) == 0 {
		return cairn.Delivery{}, cairn.Errorf(cairn.NotFound, "delivery %q not found", cairn.Clip(id))
	}
	if err != nil {
		return cairn.Delivery{}, err
	}
	return list[0], nil
}

func (t webhooks) Deliveries(org cairn.OrganizationID, hook cairn.WebhookID, before string, n int) ([]cairn.Delivery, error) {
	if before == "" {
		before = "~" // after every id
	}
	return t.deliveries(`SELECT `+deliveryColumns+` FROM deliveries WHERE organization = $1 AND webhook = $2 AND id < $3
		ORDER BY id DESC LIMIT CAST($4 AS BIGINT)`, string(org), string(hook), before, limit(n))
}

func (t webhooks) Forget(before time.Time, n int) (int, error) {
	forgotten, err := t.exec(`DELETE FROM deliveries WHERE (organization, webhook, repository, sequence) IN
		(SELECT organization, webhook, repository, sequence FROM deliveries WHERE ended_at IS NOT NULL AND ended_at < $1 LIMIT CAST($2 AS BIGINT))`,
		micros(before), limit(n))
	return int(forgotten), err
}

func (t webhooks) deliveries(query string, args ...driver.Value) (list []cairn.Delivery, err error) {
	err = t.query(Read, query, args, func(r *Row) {
		list = append(list, cairn.Delivery{
			Organization: cairn.OrganizationID(r.Text(0)), Webhook: cairn.WebhookID(r.Text(1)), Repository: cairn.RepositoryID(r.Text(2)),
			Sequence: r.Int(3), ID: r.Text(4), Event: cairn.EventType(r.Text(5)), CreatedAt: r.Moment(6),
			State: cairn.DeliveryState(r.Int(7)), Attempts: int(r.Int(8)), EndedAt: r.Moment(9), AttemptedAt: r.Moment(10),
			Duration: time.Duration(r.Int(11)) * time.Microsecond, Status: int(r.Int(12)), Error: r.Text(13),
			Payload: append([]byte(nil), r.Bytes(14)...), Answer: append([]byte(nil), r.Bytes(15)...),
		})
	})
	return list, err
}
