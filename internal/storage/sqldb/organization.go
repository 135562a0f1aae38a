package sqldb

import (
	"database/sql/driver"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
)

type organizations struct{ *Tx }

func (t organizations) Create(o cairn.Organization) error {
	n, err := t.exec(`INSERT INTO organizations (id, name, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
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
	list, err := t.many(`SELECT id, name, created_at FROM organizations WHERE name = $1`, string(name))
	if err != nil {
		return cairn.Organization{}, err
	}
	if len(list) == 0 {
		return cairn.Organization{}, cairn.Errorf(cairn.NotFound, "organization %q not found", cairn.Clip(string(name)))
	}
	return list[0], nil
}

func (t organizations) Get(id cairn.OrganizationID) (cairn.Organization, error) {
	list, err := t.many(`SELECT id, name, created_at FROM organizations WHERE id = $1`, string(id))
	if err == nil && len(list) == 0 {
		err = cairn.Errorf(cairn.NotFound, "organization not found")
	}
	if err != nil {
		return cairn.Organization{}, err
	}
	return list[0], nil
}

func (t organizations) List(after cairn.OrganizationName, n int) ([]cairn.Organization, error) {
	return t.many(`SELECT id, name, created_at FROM organizations WHERE name > $1 ORDER BY name LIMIT CAST($2 AS BIGINT)`, string(after), limit(n))
}

func (t organizations) many(query string, args ...driver.Value) (list []cairn.Organization, err error) {
	err = t.query(Read, query, args, func(r *Row) {
		list = append(list, cairn.Organization{
			ID: cairn.OrganizationID(r.Text(0)), Name: cairn.OrganizationName(r.Text(1)), CreatedAt: r.Moment(2),
		})
	})
	return list, err
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
		return cairn.Errorf(cairn.NotFound, "organization not found")
	}
	for _, table := range []string{`public_keys`, `api_keys`, `jobs`, `webhooks`, `deliveries`, `numbers`, `access_keys`, `projects`} {
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
