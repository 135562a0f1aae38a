package sqldb

import (
	"strings"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
)

type repositories struct{ *Tx }

// repositoryColumns are what scanRepository reads.
const repositoryColumns = `organization, id, name, default_branch, format, created_at, deleted_at, version`

func (t repositories) Create(r cairn.Repository) error {
	var deleted any
	if !r.DeletedAt.IsZero() {
		deleted = micros(r.DeletedAt)
	}
	n, err := t.exec(`INSERT INTO repositories (`+repositoryColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`,
		string(r.Organization), string(r.Repository), string(r.Name), []byte(r.DefaultBranch), int64(r.Format),
		micros(r.CreatedAt), deleted, r.Version)
	if err != nil {
		return err
	}
	if n == 0 {
		return cairn.Errorf(cairn.Conflict, "repository %q exists already", r.Name)
	}
	return nil
}

func (t repositories) Find(org cairn.OrganizationID, name cairn.RepositoryName) (cairn.Repository, error) {
	return t.one(Read, `SELECT `+repositoryColumns+` FROM repositories
		WHERE organization = $1 AND name = $2 AND deleted_at IS NULL`, string(org), string(name))
}

func (t repositories) Get(key cairn.RepositoryKey) (cairn.Repository, error) {
	return t.one(Read, `SELECT `+repositoryColumns+` FROM repositories WHERE organization = $1 AND id = $2`,
		string(key.Organization), string(key.Repository))
}

func (t repositories) Advance(key cairn.RepositoryKey) (cairn.Repository, error) {
	r, err := t.one(Write, `UPDATE repositories SET version = version + 1
		WHERE organization = $1 AND id = $2 AND deleted_at IS NULL RETURNING `+repositoryColumns,
		string(key.Organization), string(key.Repository))
	if err == nil {
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

func (t repositories) List(org cairn.OrganizationID, query string, after cairn.RepositoryName, limit int) ([]cairn.Repository, error) {
	if query == "" {
		return t.many(`SELECT `+repositoryColumns+` FROM repositories
			WHERE organization = $1 AND name > $2 AND deleted_at IS NULL ORDER BY name LIMIT $3`,
			string(org), string(after), max(limit, 0))
	}
	if len(query) > cairn.MaxRepositoryName || strings.ContainsRune(query, 0) {
		return nil, nil
	}
	return t.many(`SELECT `+repositoryColumns+` FROM repositories
		WHERE organization = $1 AND name > $2 AND deleted_at IS NULL AND lower(name) LIKE $3 ESCAPE '!'
		ORDER BY name LIMIT $4`,
		string(org), string(after), "%"+likeEscape.Replace(lowerASCII(query))+"%", max(limit, 0))
}

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

func (t repositories) Deleted(before time.Time, limit int) ([]cairn.Repository, error) {
	return t.many(`SELECT `+repositoryColumns+` FROM repositories
		WHERE deleted_at IS NOT NULL AND deleted_at < $1 ORDER BY deleted_at, organization, id LIMIT $2`,
		micros(before), max(limit, 0))
}

func (t repositories) Purge(key cairn.RepositoryKey, at time.Time) error {
	org, id := string(key.Organization), string(key.Repository)
	n, err := t.exec(`DELETE FROM repositories WHERE organization = $1 AND id = $2 AND deleted_at IS NOT NULL`, org, id)
	if err != nil {
		return err
	}
	if n == 0 {
		return cairn.Errorf(cairn.NotFound, "deleted repository not found")
	}
	for _, table := range []string{`refs`, `events`} {
		if _, err := t.exec(`DELETE FROM `+table+` WHERE organization = $1 AND repository = $2`, org, id); err != nil {
			return err
		}
	}
	return packs{t.Tx}.dropManifest(key, at)
}

var errNoRepository = cairn.Errorf(cairn.NotFound, "repository not found")

// one reads the repository that a query returns.
func (t repositories) one(m Mode, query string, args ...any) (r cairn.Repository, err error) {
	ctx, err := t.begin(m)
	if err != nil {
		return r, err
	}
	found := false
	err = t.session.Query(ctx, query, args, func(scan func(...any) error) (err error) {
		found = true
		r, err = scanRepository(scan)
		return err
	})
	if err != nil {
		return cairn.Repository{}, t.failed(err)
	}
	if !found {
		return r, errNoRepository
	}
	return r, nil
}

// many reads the repositories that a query returns.
func (t repositories) many(query string, args ...any) ([]cairn.Repository, error) {
	var list []cairn.Repository
	err := t.rows(query, args, func(scan func(...any) error) error {
		r, err := scanRepository(scan)
		list = append(list, r)
		return err
	})
	return list, err
}

func scanRepository(scan func(...any) error) (cairn.Repository, error) {
	var r cairn.Repository
	var branch []byte
	var created int64
	var deleted *int64
	err := scan(&r.Organization, &r.Repository, &r.Name, &branch, &r.Format, &created, &deleted, &r.Version)
	r.DefaultBranch = git.RefName(branch)
	r.CreatedAt, r.DeletedAt = moment(created), laterMoment(deleted)
	return r, err
}
