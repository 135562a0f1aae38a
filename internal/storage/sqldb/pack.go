package sqldb

import (
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
)

type packs struct{ *Tx }

func (t packs) Add(key cairn.RepositoryKey, added ...cairn.Pack) error {
	version, err := t.version(key)
	if err != nil {
		return err
	}
	for _, p := range added {
		if err := t.insert(key.Organization, p); err != nil {
			return err
		}
		_, err := t.exec(`INSERT INTO manifests (organization, repository, pack, added) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
			string(key.Organization), string(key.Repository), string(p.ID), version)
		if err != nil {
			return err
		}
	}
	return nil
}

// insert keeps a pack, unless the organization has it already.
func (t packs) insert(org cairn.OrganizationID, p cairn.Pack) error {
	var data, index any
	if p.Inline() {
		data, index = nonNil(p.Data), nonNil(p.Index)
	} else if p.Data != nil || p.Index != nil {
		return errPackPlaces
	}
	_, err := t.exec(`INSERT INTO packs (organization, id, objects, size, index_size, bucket_key, created_at, index_data, data)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING`,
		string(org), string(p.ID), p.Objects, p.Size, p.IndexSize, p.Key, micros(p.CreatedAt), index, data)
	return err
}

// nonNil keeps an inline pack's empty bytes from becoming null.
func nonNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

func (t packs) Manifest(key cairn.RepositoryKey) ([]cairn.Pack, error) {
	var list []cairn.Pack
	err := t.rows(`SELECT p.id, p.objects, p.size, p.index_size, p.bucket_key, p.created_at
		FROM manifests m JOIN packs p ON p.organization = m.organization AND p.id = m.pack
		WHERE m.organization = $1 AND m.repository = $2 ORDER BY m.added DESC, p.created_at DESC, p.id`,
		[]any{string(key.Organization), string(key.Repository)}, func(scan func(...any) error) error {
			var p cairn.Pack
			var created int64
			err := scan(&p.ID, &p.Objects, &p.Size, &p.IndexSize, &p.Key, &created)
			p.CreatedAt = moment(created)
			list = append(list, p)
			return err
		})
	return list, err
}

func (t packs) Get(org cairn.OrganizationID, id cairn.PackID) (cairn.Pack, error) {
	p := cairn.Pack{ID: id}
	var created int64
	found, err := t.row(Read, `SELECT objects, size, index_size, bucket_key, created_at, index_data, data FROM packs
		WHERE organization = $1 AND id = $2`, []any{string(org), string(id)},
		&p.Objects, &p.Size, &p.IndexSize, &p.Key, &created, &p.Index, &p.Data)
	if err != nil {
		return cairn.Pack{}, err
	}
	if !found {
		return cairn.Pack{}, cairn.Errorf(cairn.NotFound, "pack %q not found", cairn.Clip(string(id)))
	}
	p.CreatedAt = moment(created)
	return p, nil
}

func (t packs) Replace(key cairn.RepositoryKey, old []cairn.PackID, added []cairn.Pack, at time.Time) error {
	if _, err := t.version(key); err != nil {
		return err
	}
	for _, id := range old {
		n, err := t.exec(`DELETE FROM manifests WHERE organization = $1 AND repository = $2 AND pack = $3`,
			string(key.Organization), string(key.Repository), string(id))
		if err != nil {
			return err
		}
		if n == 0 {
			return t.spoil(cairn.Errorf(cairn.Conflict, "pack %q is not in the manifest any more", cairn.Clip(string(id))))
		}
	}
	if err := t.Add(key, added...); err != nil {
		return err
	}
	return t.discard(key.Organization, old, at)
}

// dropManifest empties the manifest of a repository that is no more.
func (t packs) dropManifest(key cairn.RepositoryKey, at time.Time) error {
	var ids []cairn.PackID
	args := []any{string(key.Organization), string(key.Repository)}
	err := t.rows(`SELECT pack FROM manifests WHERE organization = $1 AND repository = $2`, args, func(scan func(...any) error) error {
		var id cairn.PackID
		err := scan(&id)
		ids = append(ids, id)
		return err
	})
	if err != nil {
		return err
	}
	if _, err := t.exec(`DELETE FROM manifests WHERE organization = $1 AND repository = $2`, args...); err != nil {
		return err
	}
	return t.discard(key.Organization, ids, at)
}

// discard makes garbage of those packs that no manifest names. A pack that was
// garbage before, and named again since, is so as of the later time.
func (t packs) discard(org cairn.OrganizationID, ids []cairn.PackID, at time.Time) error {
	for _, id := range ids {
		named, err := t.named(org, id)
		if err != nil {
			return err
		}
		if named {
			continue
		}
		_, err = t.exec(`INSERT INTO garbage (organization, pack, since) VALUES ($1, $2, $3)
			ON CONFLICT (organization, pack) DO UPDATE SET since = excluded.since`, string(org), string(id), micros(at))
		if err != nil {
			return err
		}
	}
	return nil
}

// named tells whether any manifest names the pack.
func (t packs) named(org cairn.OrganizationID, id cairn.PackID) (bool, error) {
	return t.exists(`SELECT 1 FROM manifests WHERE organization = $1 AND pack = $2 LIMIT 1`, string(org), string(id))
}

func (t packs) Share(from, to cairn.RepositoryKey) error {
	if from.Organization != to.Organization {
		return cairn.Errorf(cairn.Internal, "packs are shared only inside an organization")
	}
	if _, err := t.version(to); err != nil {
		return err
	}
	// What is copied is older than all that the fork will add itself.
	_, err := t.exec(`INSERT INTO manifests (organization, repository, pack, added)
		SELECT m.organization, $1, m.pack, m.added - r.version
		FROM manifests m JOIN repositories r ON r.organization = m.organization AND r.id = m.repository
		WHERE m.organization = $2 AND m.repository = $3 ON CONFLICT DO NOTHING`,
		string(to.Repository), string(from.Organization), string(from.Repository))
	return err
}

func (t packs) Garbage(before time.Time, limit int) ([]cairn.GarbagePack, error) {
	var list []cairn.GarbagePack
	err := t.rows(`SELECT g.organization, g.pack, p.bucket_key, g.since
		FROM garbage g JOIN packs p ON p.organization = g.organization AND p.id = g.pack
		WHERE g.since < $1 ORDER BY g.since, g.organization, g.pack LIMIT $2`,
		[]any{micros(before), max(limit, 0)}, func(scan func(...any) error) error {
			var g cairn.GarbagePack
			var since int64
			err := scan(&g.Organization, &g.ID, &g.Key, &since)
			g.Since = moment(since)
			list = append(list, g)
			return err
		})
	return list, err
}

func (t packs) Collect(org cairn.OrganizationID, id cairn.PackID) (bool, error) {
	n, err := t.exec(`DELETE FROM garbage WHERE organization = $1 AND pack = $2`, string(org), string(id))
	if err != nil || n == 0 {
		return false, err
	}
	named, err := t.named(org, id)
	if err != nil || named {
		return false, err
	}
	n, err = t.exec(`DELETE FROM packs WHERE organization = $1 AND id = $2`, string(org), string(id))
	return n == 1, err
}
