package sqldb

import (
	"database/sql/driver"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
)

type organizations struct{ *Tx }

// organizationColumns are what many reads.
const organizationColumns = `id, name, created_at`

func (t organizations) Create(o cairn.Organization) error {
	n, err := t.exec(`INSERT INTO organizations (`+organizationColumns+`) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
		string(o.ID), string(o.Name), micros(o.CreatedAt))
	if err != nil {
		return err
	}
	if n == 0 {
		return cairn.Errorf(cairn.Conflict, "organization %q exists already", o.Name)
	}
	return nil
}

func (t organizations) Find(name cairn.OrganizationName) (cairn.Organization, error) {
	return t.one(`WHERE name = $1`, string(name))
}

func (t organizations) Get(id cairn.OrganizationID) (cairn.Organization, error) {
	return t.one(`WHERE id = $1`, string(id))
}

func (t organizations) one(where string, arg driver.Value) (cairn.Organization, error) {
	list, err := t.many(`SELECT `+organizationColumns+` FROM organizations `+where, arg)
	if err != nil {
		return cairn.Organization{}, err
	}
	if len(list) == 0 {
		return cairn.Organization{}, errNoOrganization
	}
	return list[0], nil
}

var errNoOrganization = cairn.Errorf(cairn.NotFound, "organization not found")

func (t organizations) List(after cairn.OrganizationName, n int) ([]cairn.Organization, error) {
	return t.many(`SELECT `+organizationColumns+` FROM organizations WHERE name > $1 ORDER BY name LIMIT CAST($2 AS BIGINT)`, string(after), limit(n))
}

func (t organizations) many(query string, args ...driver.Value) (list []cairn.Organization, err error) {
	err = t.query(Read, query, args, func(r *Row) {
		list = append(list, cairn.Organization{
			ID: cairn.OrganizationID(r.Text(0)), Name: cairn.OrganizationName(r.Text(1)), CreatedAt: r.Moment(2),
		})
	})
	return list, err
}

func (t organizations) Profile(id cairn.OrganizationID) (p cairn.Profile, err error) {
	found := false
	err = t.query(Read, `SELECT spelling, full_name, description, website, location FROM organizations WHERE id = $1`, values(string(id)), func(r *Row) {
		p, found = profile(r, 0), true
	})
	if err == nil && !found {
		err = errNoOrganization
	}
	return p, err
}

// profile reads the columns of a profile from the given one on.
func profile(r *Row, i int) cairn.Profile {
	return cairn.Profile{Spelling: r.Text(i), FullName: r.Text(i + 1), Description: r.Text(i + 2), Website: r.Text(i + 3), Location: r.Text(i + 4)}
}

func (t organizations) SetProfile(id cairn.OrganizationID, p cairn.Profile) error {
	n, err := t.exec(`UPDATE organizations SET spelling = $1, full_name = $2, description = $3, website = $4, location = $5 WHERE id = $6`,
		p.Spelling, p.FullName, p.Description, p.Website, p.Location, string(id))
	if err == nil && n == 0 {
		err = errNoOrganization
	}
	return err
}

func (t organizations) Delete(id cairn.OrganizationID) error {
	living, err := t.exists(`SELECT 1 FROM repositories WHERE organization = $1 AND deleted_at IS NULL LIMIT 1`, string(id))
	if err != nil {
		return err
	}
	if living {
		return cairn.Errorf(cairn.Conflict, "the organization still has repositories; delete them first")
	}
	n, err := t.exec(`DELETE FROM organizations WHERE id = $1`, string(id))
	if err != nil {
		return err
	}
	if n == 0 {
		return errNoOrganization
	}
	for _, table := range []string{
		`public_keys`, `api_keys`, `jobs`, `webhooks`, `webhook_repositories`, `deliveries`, `numbers`, `access_keys`, `projects`,
		`teams`, `team_members`, `team_repositories`, `collaborators`, `ssh_keys`, `project_members`,
	} {
		if _, err := t.exec(`DELETE FROM `+table+` WHERE organization = $1`, string(id)); err != nil {
			return err
		}
	}
	return nil
}

type keys struct{ *Tx }

func (t keys) Add(k cairn.PublicKey) error {
	n, err := t.exec(`INSERT INTO public_keys (organization, id, algorithm, pem, created_at, revoked_at)
		VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`,
		string(k.Organization), k.ID, k.Algorithm, k.PEM, micros(k.CreatedAt), laterMicros(k.RevokedAt))
	if err != nil {
		return err
	}
	if n == 0 {
		return cairn.Errorf(cairn.Conflict, "the organization has key %q already", k.ID)
	}
	return nil
}

func (t keys) List(org cairn.OrganizationID) (list []cairn.PublicKey, err error) {
	err = t.query(Read, `SELECT id, algorithm, pem, created_at, revoked_at FROM public_keys
		WHERE organization = $1 ORDER BY created_at, id`, values(string(org)), func(r *Row) {
		list = append(list, cairn.PublicKey{
			Organization: org, ID: r.Text(0), Algorithm: r.Text(1), PEM: r.Text(2), CreatedAt: r.Moment(3), RevokedAt: r.Moment(4),
		})
	})
	return list, err
}

func (t keys) Revoke(org cairn.OrganizationID, id string, at time.Time) error {
	n, err := t.exec(`UPDATE public_keys SET revoked_at = COALESCE(revoked_at, $1) WHERE organization = $2 AND id = $3`,
		micros(at), string(org), id)
	if err != nil {
		return err
	}
	if n == 0 {
		return cairn.Errorf(cairn.NotFound, "key %q not found", cairn.Clip(id))
	}
	return nil
}
