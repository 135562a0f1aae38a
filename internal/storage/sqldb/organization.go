package sqldb

import (
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
	o := cairn.Organization{Name: name}
	var created int64
	found, err := t.row(Read, `SELECT id, created_at FROM organizations WHERE name = $1`, []any{string(name)}, &o.ID, &created)
	if err != nil {
		return cairn.Organization{}, err
	}
	if !found {
		return cairn.Organization{}, cairn.Errorf(cairn.NotFound, "organization %q not found", cairn.Clip(string(name)))
	}
	o.CreatedAt = moment(created)
	return o, nil
}

func (t organizations) List(after cairn.OrganizationName, limit int) ([]cairn.Organization, error) {
	var list []cairn.Organization
	err := t.rows(`SELECT id, name, created_at FROM organizations WHERE name > $1 ORDER BY name LIMIT $2`,
		[]any{string(after), max(limit, 0)}, func(scan func(...any) error) error {
			var o cairn.Organization
			var created int64
			err := scan(&o.ID, &o.Name, &created)
			o.CreatedAt = moment(created)
			list = append(list, o)
			return err
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
	_, err = t.exec(`DELETE FROM public_keys WHERE organization = $1`, string(id))
	return err
}

type keys struct{ *Tx }

func (t keys) Add(k cairn.PublicKey) error {
	var revoked any
	if !k.RevokedAt.IsZero() {
		revoked = micros(k.RevokedAt)
	}
	n, err := t.exec(`INSERT INTO public_keys (organization, id, algorithm, pem, created_at, revoked_at)
		VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`,
		string(k.Organization), k.ID, k.Algorithm, k.PEM, micros(k.CreatedAt), revoked)
	if err != nil {
		return err
	}
	if n == 0 {
		return cairn.Errorf(cairn.Conflict, "the organization has key %q already", k.ID)
	}
	return nil
}

func (t keys) List(org cairn.OrganizationID) ([]cairn.PublicKey, error) {
	var list []cairn.PublicKey
	err := t.rows(`SELECT id, algorithm, pem, created_at, revoked_at FROM public_keys
		WHERE organization = $1 ORDER BY created_at, id`, []any{string(org)}, func(scan func(...any) error) error {
		k := cairn.PublicKey{Organization: org}
		var created int64
		var revoked *int64
		err := scan(&k.ID, &k.Algorithm, &k.PEM, &created, &revoked)
		k.CreatedAt, k.RevokedAt = moment(created), laterMoment(revoked)
		list = append(list, k)
		return err
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
