package sqldb

import (
	"cmp"
	"database/sql/driver"
	"fmt"
	"slices"
	"strings"

	"github.com/cairn-storage/cairn/internal/cairn"
)

type accounts struct{ *Tx }

// selectAccounts reads what account takes, of organizations AS o.
const selectAccounts = `SELECT o.id, o.name, o.created_at, o.spelling, o.full_name, o.description, o.website, o.location, u.id IS NOT NULL, COALESCE(u.email, ''), COALESCE(n.number, 0)
	FROM organizations AS o LEFT JOIN users AS u ON u.id = o.id
	LEFT JOIN numbers AS n ON n.organization = o.id AND n.repository = '' AND n.kind = 'organization' AND n.id = '' WHERE `

var (
	accountsByID    = newLookup(selectAccounts+`o.id IN (VALUES %s)`, 0, 1)
	accountsByEmail = newLookup(selectAccounts+`o.id IN (SELECT id FROM users WHERE email <> '' AND lower(email) IN (VALUES %s))`, 0, 1)
)

func account(r *Row) cairn.Account {
	return cairn.Account{
		Organization: cairn.Organization{ID: cairn.OrganizationID(r.Text(0)), Name: cairn.OrganizationName(r.Text(1)), CreatedAt: r.Moment(2)},
		Profile:      profile(r, 3), User: r.Int(8) != 0, Email: r.Text(9), Number: cairn.Number(r.Int(10)),
	}
}

func (t accounts) many(where string, args ...driver.Value) (list []cairn.Account, err error) {
	err = t.query(Read, selectAccounts+where, args, func(r *Row) { list = append(list, account(r)) })
	return list, err
}

func (t accounts) Find(name cairn.OrganizationName) (cairn.Account, error) {
	list, err := t.many(`o.name = $1`, string(name))
	if err == nil && len(list) == 0 {
		err = errNoOrganization
	}
	if err != nil {
		return cairn.Account{}, err
	}
	return list[0], nil
}

func (t accounts) Get(ids []cairn.OrganizationID) (list []cairn.Account, err error) {
	keys := make([]driver.Value, len(ids))
	for i, id := range ids {
		keys[i] = string(id)
	}
	err = t.each(&accountsByID, nil, keys, func(r *Row) { list = append(list, account(r)) })
	return list, err
}

func (t accounts) Of(user cairn.UserID) ([]cairn.Account, error) {
	list, err := t.many(`o.id IN (SELECT organization FROM team_members WHERE user_id = $1)`, string(user))
	slices.SortFunc(list, func(a, b cairn.Account) int { return cmp.Compare(a.Name, b.Name) })
	return list, err
}

func (t accounts) WithEmails(emails []string) (list []cairn.Account, err error) {
	keys := make([]driver.Value, 0, len(emails))
	for _, email := range emails {
		if email != "" {
			keys = append(keys, lowerASCII(email))
		}
	}
	err = t.each(&accountsByEmail, nil, keys, func(r *Row) { list = append(list, account(r)) })
	return list, err
}

// lookup is a query for keys, one or batchRows of them at a time.
type lookup struct {
	columns   int // of a key
	one, many string
}

// newLookup makes one of a query in which the keys stand as rows where it says
// %s, after so many parameters that all runs have in common.
func newLookup(query string, shared, columns int) lookup {
	tuples := make([]string, batchRows)
	for i := range tuples {
		tuples[i] = "(" + parameters(shared+1+i*columns, columns) + ")"
	}
	return lookup{columns, strings.ReplaceAll(query, "%s", tuples[0]), strings.ReplaceAll(query, "%s", strings.Join(tuples, ", "))}
}

// each calls row for what a lookup finds. The places that keys leave over are
// filled with the last one.
func (t *Tx) each(q *lookup, shared, keys []driver.Value, row func(*Row)) error {
	for len(keys) > 0 {
		query, size := q.one, q.columns
		if len(keys) > size {
			query, size = q.many, batchRows*q.columns
		}
		n := min(size, len(keys))
		args := append(append(make([]driver.Value, 0, len(shared)+size), shared...), keys[:n]...)
		for len(args) < len(shared)+size {
			args = append(args, keys[n-q.columns:n]...)
		}
		keys = keys[n:]
		if err := t.query(Read, query, args, row); err != nil {
			return err
		}
	}
	return nil
}

// repositoryKeys are the keys of repositories as each takes them.
func repositoryKeys(list []cairn.RepositoryKey) []driver.Value {
	keys := make([]driver.Value, 0, 2*len(list))
	for _, k := range list {
		keys = append(keys, string(k.Organization), string(k.Repository))
	}
	return keys
}

var repositoriesByKey = newLookup(`SELECT `+repositoryColumns+` FROM repositories WHERE (organization, id) IN (VALUES %s)`, 0, 2)

func (t repositories) Some(keys []cairn.RepositoryKey) (list []cairn.Repository, err error) {
	err = t.each(&repositoriesByKey, nil, repositoryKeys(keys), func(r *Row) { list = append(list, repository(r)) })
	return list, err
}

// factsByKey counts forks as a range: see FindFolded.
var factsByKey = newLookup(`SELECT r.organization, r.id,
	COALESCE((SELECT n.number FROM numbers AS n WHERE n.organization = r.organization AND n.repository = r.id AND n.kind = 'repository' AND n.id = ''), 0),
	(SELECT COUNT(*) FROM manifests AS m WHERE m.organization = r.organization AND m.repository = r.id),
	(SELECT COALESCE(SUM(p.size), 0) FROM manifests AS m JOIN packs AS p ON p.organization = m.organization AND p.id = m.pack
		WHERE m.organization = r.organization AND m.repository = r.id),
	(SELECT COUNT(*) FROM (SELECT 1 FROM repositories AS f
		WHERE f.organization = r.organization AND f.parent BETWEEN r.id AND r.id AND f.parent <> '' AND f.deleted_at IS NULL LIMIT `+fmt.Sprint(cairn.MaxForksCounted)+`) AS forks),
	(SELECT e.at FROM events AS e WHERE e.organization = r.organization AND e.repository = r.id ORDER BY e.version DESC, e.ordinal DESC LIMIT 1)
	FROM repositories AS r WHERE (r.organization, r.id) IN (VALUES %s)`, 0, 2)

func (t repositories) Facts(keys []cairn.RepositoryKey) (list []cairn.RepositoryFacts, err error) {
	err = t.each(&factsByKey, nil, repositoryKeys(keys), func(r *Row) {
		list = append(list, cairn.RepositoryFacts{
			RepositoryKey: cairn.RepositoryKey{Organization: cairn.OrganizationID(r.Text(0)), Repository: cairn.RepositoryID(r.Text(1))},
			Number:        cairn.Number(r.Int(2)), Packs: int(r.Int(3)), Size: r.Int(4), Forks: int(r.Int(5)), MovedAt: r.Moment(6),
		})
	})
	return list, err
}

func (t repositories) Visible(org cairn.OrganizationID, user cairn.UserID, n int) ([]cairn.Repository, error) {
	return t.many(`SELECT `+repositoryColumns+` FROM repositories WHERE organization = $1 AND name > '' AND deleted_at IS NULL AND (public = 1
		OR id IN (SELECT repository FROM collaborators WHERE user_id = $2 AND organization = $1)
		OR id IN (SELECT r.repository FROM team_members AS m JOIN team_repositories AS r ON r.organization = m.organization AND r.team = m.team
			WHERE m.user_id = $2 AND m.organization = $1)) ORDER BY name LIMIT CAST($3 AS BIGINT)`, string(org), string(user), limit(n))
}

var rolesByKey = newLookup(`SELECT organization, repository, role FROM collaborators WHERE user_id = $1 AND (organization, repository) IN (VALUES %s)
	UNION ALL
	SELECT r.organization, r.repository, t.role FROM team_members AS m JOIN teams AS t ON t.organization = m.organization AND t.id = m.team
	JOIN team_repositories AS r ON r.organization = m.organization AND r.team = m.team
	WHERE m.user_id = $1 AND (r.organization, r.repository) IN (VALUES %s)`, 1, 2)

// OfEach asks for the given roles, and once for the organizations that the user
// owns.
func (t roles) OfEach(user cairn.UserID, keys []cairn.RepositoryKey) (map[cairn.RepositoryKey]cairn.Role, error) {
	given := map[cairn.RepositoryKey]cairn.Role{}
	note := func(r *Row) {
		key := cairn.RepositoryKey{Organization: cairn.OrganizationID(r.Text(0)), Repository: cairn.RepositoryID(r.Text(1))}
		given[key] = max(given[key], cairn.Role(r.Int(2)))
	}
	err := t.each(&rolesByKey, values(string(user)), repositoryKeys(keys), note)
	if err != nil {
		return nil, err
	}
	owned := map[cairn.OrganizationID]bool{}
	err = t.query(Read, `SELECT t.organization FROM team_members AS m JOIN teams AS t ON t.organization = m.organization AND t.id = m.team
		WHERE m.user_id = $1 AND t.role = 4`, values(string(user)), func(r *Row) { owned[cairn.OrganizationID(r.Text(0))] = true })
	for _, key := range keys {
		if owned[key.Organization] {
			given[key] = cairn.OwnerRole
		}
	}
	return given, err
}
