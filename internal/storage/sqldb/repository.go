package sqldb

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
)

type repositories struct{ *Tx }

// numRepositoryColumns is how many repositoryColumns are.
const numRepositoryColumns = 15

// repositoryColumns are what repository reads.
const repositoryColumns = `organization, id, name, default_branch, format, created_at, deleted_at, version, fence, upstream, syncing, purged_at, public, description, parent`

func (t repositories) Create(r cairn.Repository) (isWatched bool, err error) {
	made := false
	err = t.query(Write, `INSERT INTO repositories (`+repositoryColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) ON CONFLICT DO NOTHING
		RETURNING `+watched, values(string(r.Organization), string(r.Repository), string(r.Name), []byte(r.DefaultBranch), int64(r.Format),
		micros(r.CreatedAt), laterMicros(r.DeletedAt), r.Version, r.Fence, upstreamText(r.Upstream), flag(r.Syncing), laterMicros(r.PurgedAt),
		flag(r.Public), r.Description, string(r.Parent)), func(row *Row) {
		made, isWatched = true, row.Int(0) != 0
	})
	if err == nil && !made {
		err = cairn.Errorf(cairn.Conflict, "repository %q exists already", r.Name)
	}
	return isWatched, err
}

func (t repositories) Find(org cairn.OrganizationID, name cairn.RepositoryName) (cairn.Repository, error) {
	return t.one(Read, `SELECT `+repositoryColumns+` FROM repositories
		WHERE organization = $1 AND name = $2 AND deleted_at IS NULL`, string(org), string(name))
}

func (t repositories) FindFolded(org cairn.OrganizationID, name cairn.RepositoryName) (cairn.Repository, error) {
	r, err := t.Find(org, name)
	if !errors.Is(err, cairn.NotFound) {
		return r, err
	}
	folded := lowerASCII(string(name))
	if folded != string(name) {
		if r, err = t.Find(org, cairn.RepositoryName(folded)); !errors.Is(err, cairn.NotFound) {
			return r, err
		}
	}
	// As a range, since SQLite takes an equality for no better than the key of
	// the organization, and reads all of it.
	return t.one(Read, `SELECT `+repositoryColumns+` FROM repositories
		WHERE organization = $1 AND lower(name) BETWEEN $2 AND $2 AND deleted_at IS NULL AND name <> lower(name) ORDER BY name LIMIT 1`, string(org), folded)
}

func (t repositories) Public(text string, after cairn.RepositoryKey, n int) ([]cairn.Repository, error) {
	const of = ` WHERE public = 1 AND deleted_at IS NULL AND (organization, id) > ($1, $2)`
	const tail = ` ORDER BY organization, id LIMIT CAST($3 AS BIGINT)`
	args := values(string(after.Organization), string(after.Repository), limit(n))
	if text == "" {
		return t.many(`SELECT `+repositoryColumns+` FROM repositories`+of+tail, args...)
	}
	return t.many(`SELECT `+repositoryColumns+` FROM repositories`+of+`
		AND (lower(name) LIKE CAST($4 AS TEXT) ESCAPE '!' OR lower(description) LIKE CAST($4 AS TEXT) ESCAPE '!')`+tail, append(args, contains(text))...)
}

func (t repositories) Forks(key cairn.RepositoryKey, n int) ([]cairn.Repository, error) {
	// As a range: see FindFolded.
	return t.many(`SELECT `+repositoryColumns+` FROM repositories
		WHERE organization = $1 AND parent BETWEEN $2 AND $2 AND parent <> '' AND deleted_at IS NULL ORDER BY parent, id LIMIT CAST($3 AS BIGINT)`,
		string(key.Organization), string(key.Repository), limit(n))
}

func (t repositories) Describe(key cairn.RepositoryKey, description string, public bool) error {
	if _, err := t.version(key); err != nil {
		return err
	}
	_, err := t.exec(`UPDATE repositories SET description = $1, public = $2 WHERE organization = $3 AND id = $4`,
		description, flag(public), string(key.Organization), string(key.Repository))
	return err
}

func (t repositories) Get(key cairn.RepositoryKey) (cairn.Repository, error) {
	return t.one(Read, `SELECT `+repositoryColumns+` FROM repositories WHERE organization = $1 AND id = $2`,
		string(key.Organization), string(key.Repository))
}

func (t repositories) Advance(key cairn.RepositoryKey) (cairn.Repository, error) {
	t.touch(key)
	found, isWatched := false, false
	var r cairn.Repository
	err := t.query(Write, `UPDATE repositories SET version = version + 1
		WHERE organization = $1 AND id = $2 AND deleted_at IS NULL RETURNING `+repositoryColumns+`, `+watched,
		values(string(key.Organization), string(key.Repository)), func(row *Row) {
			r, found, isWatched = repository(row), true, row.Int(numRepositoryColumns) != 0
		})
	if err == nil && !found {
		err = errNoRepository
	}
	if err == nil {
		r.Watched = isWatched
		t.setVersion(key, r.Version)
	}
	return r, err
}

// setVersion notes that the transaction may write to the repository.
func (t repositories) setVersion(key cairn.RepositoryKey, version int64) {
	for i := range t.advanced {
		if t.advanced[i].key == key {
			t.advanced[i].version = version
			return
		}
	}
	t.advanced = append(t.advanced, advance{key, version})
}

func (t repositories) SetDefaultBranch(key cairn.RepositoryKey, branch git.RefName) error {
	if _, err := t.version(key); err != nil {
		return err
	}
	_, err := t.exec(`UPDATE repositories SET default_branch = $1 WHERE organization = $2 AND id = $3`,
		[]byte(branch), string(key.Organization), string(key.Repository))
	return err
}

func (t repositories) SetFence(key cairn.RepositoryKey) (int64, error) {
	version, err := t.version(key)
	if err != nil {
		return 0, err
	}
	_, err = t.exec(`UPDATE repositories SET fence = $1 WHERE organization = $2 AND id = $3`,
		version, string(key.Organization), string(key.Repository))
	return version, err
}

func (t repositories) SetUpstream(key cairn.RepositoryKey, u cairn.Upstream, syncing bool) error {
	if _, err := t.version(key); err != nil {
		return err
	}
	_, err := t.exec(`UPDATE repositories SET upstream = $1, syncing = $2 WHERE organization = $3 AND id = $4`,
		upstreamText(u), flag(syncing), string(key.Organization), string(key.Repository))
	return err
}

func (t repositories) Rename(key cairn.RepositoryKey, name cairn.RepositoryName) error {
	if _, err := t.version(key); err != nil {
		return err
	}
	taken, err := t.exists(`SELECT 1 FROM repositories WHERE organization = $1 AND name = $2 AND deleted_at IS NULL AND id <> $3`,
		string(key.Organization), string(name), string(key.Repository))
	if err != nil {
		return err
	}
	if taken {
		return cairn.Errorf(cairn.Conflict, "repository %q exists already", name)
	}
	_, err = t.exec(`UPDATE repositories SET name = $1 WHERE organization = $2 AND id = $3`, string(name), string(key.Organization), string(key.Repository))
	return err
}

func (t repositories) Labels(key cairn.RepositoryKey) (l cairn.Labels, err error) {
	err = t.query(Read, `SELECT labels FROM repository_labels WHERE organization = $1 AND repository = $2`,
		values(string(key.Organization), string(key.Repository)), func(r *Row) { l = labels(r.Text(0)) })
	return l, err
}

func (t repositories) SetLabels(key cairn.RepositoryKey, l cairn.Labels) error {
	org, id := string(key.Organization), string(key.Repository)
	if len(l) == 0 {
		_, err := t.exec(`DELETE FROM repository_labels WHERE organization = $1 AND repository = $2`, org, id)
		return err
	}
	_, err := t.exec(`INSERT INTO repository_labels (organization, repository, labels) VALUES ($1, $2, $3)
		ON CONFLICT (organization, repository) DO UPDATE SET labels = excluded.labels`, org, id, labelsText(l))
	return err
}

func (t repositories) List(org cairn.OrganizationID, query string, after cairn.RepositoryName, n int) ([]cairn.Repository, error) {
	if query == "" {
		return t.many(`SELECT `+repositoryColumns+` FROM repositories
			WHERE organization = $1 AND name > $2 AND deleted_at IS NULL ORDER BY name LIMIT CAST($3 AS BIGINT)`,
			string(org), string(after), limit(n))
	}
	if len(query) > cairn.MaxRepositoryName || strings.ContainsRune(query, 0) {
		return nil, nil
	}
	return t.many(`SELECT `+repositoryColumns+` FROM repositories
		WHERE organization = $1 AND name > $2 AND deleted_at IS NULL AND lower(name) LIKE CAST($3 AS TEXT) ESCAPE '!'
		ORDER BY name LIMIT CAST($4 AS BIGINT)`,
		string(org), string(after), contains(query), limit(n))
}

func (t repositories) Page(org cairn.OrganizationID, folder, query string, offset, n int) ([]cairn.Repository, int, error) {
	if len(query) > cairn.MaxRepositoryName || strings.ContainsRune(query, 0) {
		return nil, 0, nil
	}
	where := ` FROM repositories WHERE organization = $1 AND deleted_at IS NULL AND name >= $2`
	args := values(string(org), folder)
	if folder != "" {
		where += ` AND name < $3`
		args = append(args, strings.TrimSuffix(folder, "/")+"0") // what follows a slash
	}
	if query != "" {
		args = append(args, int64(utf8.RuneCountInString(folder))+1, contains(query))
		where += fmt.Sprintf(` AND substr(lower(name), CAST($%d AS INTEGER)) LIKE CAST($%d AS TEXT) ESCAPE '!'`, len(args)-1, len(args))
	}
	total := 0
	err := t.query(Read, `SELECT COUNT(*)`+where, args, func(r *Row) { total = int(r.Int(0)) })
	if err != nil || total <= offset {
		return nil, total, err
	}
	list, err := t.many(`SELECT `+repositoryColumns+where+
		fmt.Sprintf(` ORDER BY name LIMIT CAST($%d AS BIGINT) OFFSET CAST($%d AS BIGINT)`, len(args)+1, len(args)+2), append(args, limit(n), limit(offset))...)
	return list, total, err
}

// contains is the pattern for lower-case text that holds the given one.
func contains(text string) string { return "%" + likeEscape.Replace(lowerASCII(text)) + "%" }

var likeEscape = strings.NewReplacer("!", "!!", "%", "!%", "_", "!_")

// lowerASCII is what lower() does to text on every database under byte-wise
// comparison.
func lowerASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

func (t repositories) Delete(key cairn.RepositoryKey, at time.Time) error {
	t.touch(key)
	n, err := t.exec(`UPDATE repositories SET deleted_at = $1 WHERE organization = $2 AND id = $3 AND deleted_at IS NULL`,
		micros(at), string(key.Organization), string(key.Repository))
	if err != nil {
		return err
	}
	if n == 0 {
		return errNoRepository
	}
	return nil
}

func (t repositories) Deleted(before time.Time, n int) ([]cairn.Repository, error) {
	return t.many(`SELECT `+repositoryColumns+` FROM repositories
		WHERE deleted_at IS NOT NULL AND deleted_at < $1 ORDER BY deleted_at, organization, id LIMIT CAST($2 AS BIGINT)`,
		micros(before), limit(n))
}

func (t repositories) DeletedOf(org cairn.OrganizationID, since time.Time, after cairn.Repository, n int) ([]cairn.Repository, error) {
	return t.many(`SELECT `+repositoryColumns+` FROM repositories
		WHERE organization = $1 AND deleted_at IS NOT NULL AND deleted_at >= $2 AND (name, deleted_at, id) > ($3, $4, $5)
		ORDER BY name, deleted_at, id LIMIT CAST($6 AS BIGINT)`,
		string(org), micros(since), string(after.Name), micros(after.DeletedAt), string(after.Repository), limit(n))
}

func (t repositories) Restore(key cairn.RepositoryKey) error {
	t.touch(key)
	r, err := t.Get(key)
	if err == nil && (r.DeletedAt.IsZero() || r.DeletedAt.Equal(purging)) {
		err = errNoRepository
	}
	if err != nil {
		return err
	}
	taken, err := t.exists(`SELECT 1 FROM repositories WHERE organization = $1 AND name = $2 AND deleted_at IS NULL`, string(r.Organization), string(r.Name))
	if err != nil {
		return err
	}
	if taken {
		return cairn.Errorf(cairn.Conflict, "repository %q exists", r.Name)
	}
	_, err = t.exec(`UPDATE repositories SET deleted_at = NULL WHERE organization = $1 AND id = $2`, string(r.Organization), string(r.Repository))
	return err
}

func (t repositories) SetPurged(key cairn.RepositoryKey, at time.Time) error {
	if _, err := t.version(key); err != nil {
		return err
	}
	_, err := t.exec(`UPDATE repositories SET purged_at = $1 WHERE organization = $2 AND id = $3`,
		micros(at), string(key.Organization), string(key.Repository))
	return err
}

// purging is the time of deletion of a repository whose purge has begun: it
// comes before all others.
var purging = time.UnixMicro(0).UTC()

// purgedTables hold rows of repositories, each with what tells the rows of one
// repository apart. Manifests are not among them.
var purgedTables = []struct{ name, key string }{
	{"refs", "name"}, {"events", "version, ordinal"}, {"jobs", "kind, name"}, {"syncs", "repository"}, {"sync_runs", "sequence"},
	{"upstream_refs", "name"}, {"git_credentials", "id"}, {"deliveries", "webhook, sequence"}, {"repository_labels", "repository"},
	{"numbers", "kind, id"},
	{"changes", "change_id, commit_id"}, {"changes_noted", "repository"},
	{"collaborators", "user_id"}, {"team_repositories", "team"}, {"ssh_keys", "id"},
}

func (t repositories) Purge(key cairn.RepositoryKey, at time.Time, rows int) (bool, error) {
	t.touch(key)
	org, id := string(key.Organization), string(key.Repository)
	n, err := t.exec(`UPDATE repositories SET deleted_at = $1 WHERE organization = $2 AND id = $3 AND deleted_at IS NOT NULL`, micros(purging), org, id)
	if err != nil {
		return false, err
	}
	if n == 0 {
		return false, cairn.Errorf(cairn.NotFound, "deleted repository not found")
	}
	left := int64(rows)
	for _, table := range purgedTables {
		const of = ` WHERE organization = $1 AND repository = $2`
		n, err := t.exec(`DELETE FROM `+table.name+of+` AND (`+table.key+`) IN (SELECT `+table.key+` FROM `+table.name+of+` LIMIT CAST($3 AS BIGINT))`, org, id, left)
		if err != nil {
			return false, err
		}
		if left -= n; left <= 0 {
			return false, nil
		}
	}
	if err := (webhooks{t.Tx}).forgetRepository(key); err != nil {
		return false, err
	}
	n, err = packs{t.Tx}.dropManifest(key, at, left)
	if err != nil || n == left {
		return false, err
	}
	_, err = t.exec(`DELETE FROM repositories WHERE organization = $1 AND id = $2`, org, id)
	return err == nil, err
}

var errNoRepository = cairn.Errorf(cairn.NotFound, "repository not found")

// one reads the repository that a query returns.
func (t repositories) one(m Mode, query string, args ...driver.Value) (r cairn.Repository, err error) {
	found := false
	err = t.query(m, query, args, func(row *Row) {
		r, found = repository(row), true
	})
	if err == nil && !found {
		err = errNoRepository
	}
	return r, err
}

// many reads the repositories that a query returns.
func (t repositories) many(query string, args ...driver.Value) (list []cairn.Repository, err error) {
	err = t.query(Read, query, args, func(row *Row) { list = append(list, repository(row)) })
	return list, err
}

// repository reads repositoryColumns.
func repository(row *Row) cairn.Repository {
	return cairn.Repository{
		RepositoryKey: cairn.RepositoryKey{Organization: cairn.OrganizationID(row.Text(0)), Repository: cairn.RepositoryID(row.Text(1))},
		Name:          cairn.RepositoryName(row.Text(2)),
		DefaultBranch: git.RefName(row.Bytes(3)),
		Format:        git.ObjectFormat(row.Int(4)),
		CreatedAt:     row.Moment(5),
		DeletedAt:     row.Moment(6),
		Version:       row.Int(7),
		Fence:         row.Int(8),
		Upstream:      upstream(row.Text(9)),
		Syncing:       row.Int(10) != 0,
		PurgedAt:      row.Moment(11),
		Public:        row.Int(12) != 0,
		Description:   row.Text(13),
		Parent:        cairn.RepositoryID(row.Text(14)),
	}
}
