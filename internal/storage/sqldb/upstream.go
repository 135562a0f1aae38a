package sqldb

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"strings"
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

// runColumns are what run reads.
const runColumns = `id, direction, follow, branches, tags, status, attempts, refs, error, requested_at, started_at, ended_at`

func (t upstreams) PutRun(r cairn.SyncRun) error {
	_, err := t.exec(`INSERT INTO sync_runs (organization, repository, sequence, `+runColumns+`)
		SELECT $1, $2, COALESCE(MAX(sequence), 0) + 1, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14 FROM sync_runs
			WHERE organization = $1 AND repository = $2
		ON CONFLICT (organization, repository, id) DO UPDATE SET status = excluded.status, attempts = excluded.attempts, refs = excluded.refs,
			error = excluded.error, requested_at = excluded.requested_at, started_at = excluded.started_at, ended_at = excluded.ended_at`,
		string(r.Organization), string(r.Repository), string(r.ID), string(r.Direction), flag(r.Follow), r.Branches, r.Tags, string(r.Status),
		int64(r.Attempts), syncRefsText(r.Refs), r.Error, micros(r.RequestedAt), laterMicros(r.StartedAt), laterMicros(r.EndedAt))
	return err
}

func (t upstreams) Run(key cairn.RepositoryKey, id cairn.SyncRunID) (cairn.SyncRun, error) {
	list, err := t.runs(key, `AND id = $3`, string(id))
	if err == nil && len(list) == 0 {
		return cairn.SyncRun{}, cairn.Errorf(cairn.NotFound, "sync not found")
	} else if err != nil {
		return cairn.SyncRun{}, err
	}
	return list[0], nil
}

func (t upstreams) Runs(key cairn.RepositoryKey, before cairn.SyncRunID, n int) ([]cairn.SyncRun, error) {
	const newest = `ORDER BY sequence DESC LIMIT CAST($3 AS BIGINT)`
	if before == "" {
		return t.runs(key, newest, limit(n))
	}
	return t.runs(key, `AND sequence < (SELECT sequence FROM sync_runs WHERE organization = $1 AND repository = $2 AND id = $4) `+newest,
		limit(n), string(before))
}

func (t upstreams) Waiting(key cairn.RepositoryKey) ([]cairn.SyncRun, error) {
	return t.runs(key, `AND ended_at IS NULL ORDER BY sequence`)
}

func (t upstreams) ForgetRuns(key cairn.RepositoryKey, keep int) error {
	_, err := t.exec(`DELETE FROM sync_runs WHERE organization = $1 AND repository = $2 AND ended_at IS NOT NULL AND sequence <=
		(SELECT sequence FROM sync_runs WHERE organization = $1 AND repository = $2 AND ended_at IS NOT NULL
			ORDER BY sequence DESC LIMIT 1 OFFSET CAST($3 AS BIGINT))`,
		string(key.Organization), string(key.Repository), int64(keep))
	return err
}

// runs reads those of a repository that the rest of the query chooses.
func (t upstreams) runs(key cairn.RepositoryKey, rest string, args ...driver.Value) (list []cairn.SyncRun, err error) {
	err = t.query(Read, `SELECT `+runColumns+` FROM sync_runs WHERE organization = $1 AND repository = $2 `+rest,
		append(values(string(key.Organization), string(key.Repository)), args...), func(r *Row) {
			list = append(list, cairn.SyncRun{
				RepositoryKey: key, ID: cairn.SyncRunID(r.Text(0)), Direction: cairn.SyncDirection(r.Text(1)), Follow: r.Int(2) != 0,
				Branches: r.Text(3), Tags: r.Text(4), Status: cairn.SyncStatus(r.Text(5)), Attempts: int(r.Int(6)), Refs: syncRefs(r.Bytes(7)),
				Error: r.Text(8), RequestedAt: r.Moment(9), StartedAt: r.Moment(10), EndedAt: r.Moment(11),
			})
		})
	return list, err
}

// syncRefsText is how the refs of a run are stored: a line for each, of outcome,
// both ids and the name, which may hold any byte but a line feed.
func syncRefsText(refs []cairn.SyncRef) []byte {
	text := []byte{}
	for _, r := range refs {
		text = fmt.Appendf(text, "%s %s %s %s\n", r.Outcome, r.Before, r.After, r.Name)
	}
	return text
}

// syncRefs reads syncRefsText.
func syncRefs(text []byte) (refs []cairn.SyncRef) {
	for line := range strings.Lines(string(text)) {
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 4)
		if len(fields) < 4 {
			continue
		}
		ref := cairn.SyncRef{Name: git.RefName(fields[3]), Outcome: cairn.SyncOutcome(fields[0])}
		if ref.Before.UnmarshalText([]byte(fields[1])) == nil && ref.After.UnmarshalText([]byte(fields[2])) == nil {
			refs = append(refs, ref)
		}
	}
	return refs
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
	for _, table := range []string{`syncs`, `sync_runs`, `upstream_refs`} {
		if _, err := t.exec(`DELETE FROM `+table+` WHERE organization = $1 AND repository = $2`, string(key.Organization), string(key.Repository)); err != nil {
			return err
		}
	}
	return nil
}

type credentials struct{ *Tx }

func (t credentials) Create(c cairn.Credential) error {
	n, err := t.exec(`INSERT INTO git_credentials (organization, id, repository, kind, sealed, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING`,
		string(c.Organization), c.ID, string(c.Repository), string(c.Kind), c.Sealed, micros(c.CreatedAt), micros(c.UpdatedAt))
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
	err = t.query(Read, `SELECT organization, id, repository, kind, sealed, created_at, updated_at FROM git_credentials `+where, values(org, key), func(r *Row) {
		found = true
		c = cairn.Credential{
			Organization: cairn.OrganizationID(r.Text(0)), ID: r.Text(1), Repository: cairn.RepositoryID(r.Text(2)),
			Kind: cairn.LoginKind(r.Text(3)), Sealed: r.Bytes(4), CreatedAt: r.Moment(5), UpdatedAt: r.Moment(6),
		}
	})
	if err == nil && !found {
		err = errNoCredential
	}
	return c, err
}

func (t credentials) Replace(org cairn.OrganizationID, id string, kind cairn.LoginKind, sealed []byte, at time.Time) error {
	return t.change(`UPDATE git_credentials SET kind = $3, sealed = $4, updated_at = $5 WHERE organization = $1 AND id = $2`,
		string(org), id, string(kind), sealed, micros(at))
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
