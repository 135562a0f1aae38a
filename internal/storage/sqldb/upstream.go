package sqldb

import (
	"database/sql/driver"
	"encoding/json"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
)

// upstreamText is how an upstream is stored in its repository's row: one text,
// as every read of the row reads it too.
func upstreamText(u cairn.Upstream) string {
	if u.IsZero() {
		return ""
	}
	text, err := json.Marshal(u)
	if err != nil {
		panic(err) // it is a struct of strings
	}
	return string(text)
}

// upstream reads upstreamText. What cannot be read is no upstream.
func upstream(text string) (u cairn.Upstream) {
	if text != "" {
		_ = json.Unmarshal([]byte(text), &u)
	}
	return u
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

type upstreams struct{ *Tx }

func (t upstreams) Sync(key cairn.RepositoryKey) (cairn.Sync, error) {
	var s cairn.Sync
	found := false
	err := t.query(Read, `SELECT status, runs, requested_at, started_at, ended_at, succeeded_at, error FROM syncs
		WHERE organization = $1 AND repository = $2`, values(string(key.Organization), string(key.Repository)), func(r *Row) {
		found = true
		s = cairn.Sync{
			RepositoryKey: key, Status: cairn.SyncStatus(r.Text(0)), Runs: r.Int(1), RequestedAt: r.Moment(2),
			StartedAt: r.Moment(3), EndedAt: r.Moment(4), SucceededAt: r.Moment(5), Error: r.Text(6),
		}
	})
	if err == nil && !found {
		err = cairn.Errorf(cairn.NotFound, "the repository was never synced")
	}
	return s, err
}

func (t upstreams) PutSync(s cairn.Sync) error {
	_, err := t.exec(`INSERT INTO syncs (organization, repository, status, runs, requested_at, started_at, ended_at, succeeded_at, error)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		ON CONFLICT (organization, repository) DO UPDATE SET status = excluded.status, runs = excluded.runs, requested_at = excluded.requested_at,
			started_at = excluded.started_at, ended_at = excluded.ended_at, succeeded_at = excluded.succeeded_at, error = excluded.error`,
		string(s.Organization), string(s.Repository), string(s.Status), s.Runs, laterMicros(s.RequestedAt),
		laterMicros(s.StartedAt), laterMicros(s.EndedAt), laterMicros(s.SucceededAt), s.Error)
	return err
}

func (t upstreams) Tracked(key cairn.RepositoryKey) (names []git.RefName, err error) {
	err = t.query(Read, `SELECT name FROM upstream_refs WHERE organization = $1 AND repository = $2 ORDER BY name`,
		values(string(key.Organization), string(key.Repository)), func(r *Row) { names = append(names, git.RefName(r.Bytes(0))) })
	return names, err
}

func (t upstreams) Track(key cairn.RepositoryKey, names []git.RefName) error {
	return t.eachName(key, names, `INSERT INTO upstream_refs (organization, repository, name) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`)
}

func (t upstreams) Untrack(key cairn.RepositoryKey, names []git.RefName) error {
	return t.eachName(key, names, `DELETE FROM upstream_refs WHERE organization = $1 AND repository = $2 AND name = $3`)
}

func (t upstreams) eachName(key cairn.RepositoryKey, names []git.RefName, query string) error {
	if _, err := t.version(key); err != nil {
		return err
	}
	for _, name := range names {
		if _, err := t.exec(query, string(key.Organization), string(key.Repository), []byte(name)); err != nil {
			return err
		}
	}
	return nil
}

func (t upstreams) Forget(key cairn.RepositoryKey) error {
	for _, table := range []string{`syncs`, `upstream_refs`} {
		if _, err := t.exec(`DELETE FROM `+table+` WHERE organization = $1 AND repository = $2`, string(key.Organization), string(key.Repository)); err != nil {
			return err
		}
	}
	return nil
}

type credentials struct{ *Tx }

func (t credentials) Create(c cairn.Credential) error {
	n, err := t.exec(`INSERT INTO git_credentials (organization, id, repository, sealed, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`,
		string(c.Organization), c.ID, string(c.Repository), c.Sealed, micros(c.CreatedAt), micros(c.UpdatedAt))
	if err == nil && n == 0 {
		err = cairn.Errorf(cairn.Conflict, "the repository has a credential already")
	}
	return err
}

func (t credentials) Get(org cairn.OrganizationID, id string) (cairn.Credential, error) {
	return t.one(`WHERE organization = $1 AND id = $2`, string(org), id)
}

func (t credentials) Of(key cairn.RepositoryKey) (cairn.Credential, error) {
	return t.one(`WHERE organization = $1 AND repository = $2`, string(key.Organization), string(key.Repository))
}

func (t credentials) one(where string, org, key string) (c cairn.Credential, err error) {
	found := false
	err = t.query(Read, `SELECT organization, id, repository, sealed, created_at, updated_at FROM git_credentials `+where, values(org, key), func(r *Row) {
		found = true
		c = cairn.Credential{
			Organization: cairn.OrganizationID(r.Text(0)), ID: r.Text(1), Repository: cairn.RepositoryID(r.Text(2)),
			Sealed: r.Bytes(3), CreatedAt: r.Moment(4), UpdatedAt: r.Moment(5),
		}
	})
	if err == nil && !found {
		err = errNoCredential
	}
	return c, err
}

func (t credentials) Replace(org cairn.OrganizationID, id string, sealed []byte, at time.Time) error {
	return t.change(`UPDATE git_credentials SET sealed = $3, updated_at = $4 WHERE organization = $1 AND id = $2`, string(org), id, sealed, micros(at))
}

func (t credentials) Delete(org cairn.OrganizationID, id string) error {
	return t.change(`DELETE FROM git_credentials WHERE organization = $1 AND id = $2`, string(org), id)
}

func (t credentials) change(query string, args ...driver.Value) error {
	n, err := t.exec(query, args...)
	if err == nil && n == 0 {
		err = errNoCredential
	}
	return err
}

var errNoCredential = cairn.Errorf(cairn.NotFound, "credential not found")
