package sqldb

import (
	"bytes"
	"database/sql/driver"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
)

type packs struct{ *Tx }

// packColumns are what pack reads, of the table p.
const packColumns = `p.id, p.objects, p.size, p.index_size, p.bucket_key, p.created_at, p.role, p.sidecars`

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
	var data, index driver.Value
	if p.Inline() {
		data, index = nonNil(p.Data), nonNil(p.Index)
	} else if p.Data != nil || p.Index != nil {
		return errPackPlaces
	}
	_, err := t.exec(`INSERT INTO packs (organization, id, objects, size, index_size, bucket_key, created_at, role, sidecars, index_data, data)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING`,
		string(org), string(p.ID), p.Objects, p.Size, p.IndexSize, p.Key, micros(p.CreatedAt), int64(p.Role), number(p.Sidecars), index, data)
	return err
}

// number is a truth as it is stored.
func number(b bool) driver.Value {
	if b {
		return int64(1)
	}
	return int64(0)
}

// nonNil keeps an inline pack's empty bytes from becoming null.
func nonNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

func (t packs) Manifest(key cairn.RepositoryKey) (list []cairn.Pack, err error) {
	err = t.query(Read, `SELECT `+packColumns+`
		FROM manifests m JOIN packs p ON p.organization = m.organization AND p.id = m.pack
		WHERE m.organization = $1 AND m.repository = $2 ORDER BY m.added DESC, p.created_at DESC, p.id`,
		values(string(key.Organization), string(key.Repository)), func(r *Row) { list = append(list, pack(r)) })
	return list, err
}

func (t packs) Get(org cairn.OrganizationID, id cairn.PackID) (p cairn.Pack, err error) {
	found := false
	err = t.query(Read, `SELECT `+packColumns+`, p.index_data, p.data FROM packs p
		WHERE p.organization = $1 AND p.id = $2`, values(string(org), string(id)), func(r *Row) {
		p, found = pack(r), true
		p.Index, p.Data = bytes.Clone(r.Bytes(8)), bytes.Clone(r.Bytes(9))
	})
	if err == nil && !found {
		err = cairn.Errorf(cairn.NotFound, "pack %q not found", cairn.Clip(string(id)))
	}
	return p, err
}

// pack reads packColumns.
func pack(r *Row) cairn.Pack {
	return cairn.Pack{
		ID: cairn.PackID(r.Text(0)), Objects: r.Int(1), Size: r.Int(2), IndexSize: r.Int(3), Key: r.Text(4), CreatedAt: r.Moment(5),
		Role: cairn.PackRole(r.Int(6)), Sidecars: r.Int(7) != 0,
	}
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

// dropManifest removes up to n packs from the manifest of a repository that is
// no more, and returns how many.
func (t packs) dropManifest(key cairn.RepositoryKey, at time.Time, n int64) (int64, error) {
	var ids []cairn.PackID
	args := values(string(key.Organization), string(key.Repository), n)
	err := t.query(Read, `SELECT pack FROM manifests WHERE organization = $1 AND repository = $2 ORDER BY pack LIMIT CAST($3 AS BIGINT)`, args, func(r *Row) {
		ids = append(ids, cairn.PackID(r.Text(0)))
	})
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	if _, err := t.exec(`DELETE FROM manifests WHERE organization = $1 AND repository = $2 AND pack <= $3`, args[0], args[1], string(ids[len(ids)-1])); err != nil {
		return 0, err
	}
	return int64(len(ids)), t.discard(key.Organization, ids, at)
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

func (t packs) Debts(after cairn.RepositoryKey, n int) (list []cairn.Debt, err error) {
	err = t.query(Read, `SELECT m.organization, m.repository,
			CAST(SUM(CASE WHEN p.role <> $4 THEN 1 ELSE 0 END) AS BIGINT),
			CAST(SUM(CASE WHEN p.role <> $4 THEN p.objects ELSE 0 END) AS BIGINT),
			CAST(SUM(CASE WHEN p.role <> $4 THEN p.size ELSE 0 END) AS BIGINT),
			CAST(SUM(CASE WHEN p.role = $4 THEN 1 ELSE 0 END) AS BIGINT),
			CAST(SUM(CASE WHEN p.role = $4 THEN p.objects ELSE 0 END) AS BIGINT),
			CAST(SUM(CASE WHEN p.role = $4 THEN p.size ELSE 0 END) AS BIGINT)
		FROM (SELECT DISTINCT organization, repository FROM manifests
			WHERE (organization, repository) > ($1, $2) ORDER BY organization, repository LIMIT CAST($3 AS BIGINT)) r
		JOIN manifests m ON m.organization = r.organization AND m.repository = r.repository
		JOIN packs p ON p.organization = m.organization AND p.id = m.pack
		GROUP BY m.organization, m.repository ORDER BY m.organization, m.repository`,
		values(string(after.Organization), string(after.Repository), limit(n), int64(cairn.MixedPack)), func(r *Row) {
			list = append(list, cairn.Debt{
				RepositoryKey: cairn.RepositoryKey{Organization: cairn.OrganizationID(r.Text(0)), Repository: cairn.RepositoryID(r.Text(1))},
				Repacked:      cairn.PacksSize{Packs: int(r.Int(2)), Objects: r.Int(3), Bytes: r.Int(4)},
				Since:         cairn.PacksSize{Packs: int(r.Int(5)), Objects: r.Int(6), Bytes: r.Int(7)},
			})
		})
	return list, err
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

func (t packs) Garbage(before time.Time, n int) (list []cairn.GarbagePack, err error) {
	err = t.query(Read, `SELECT g.organization, g.pack, p.bucket_key, g.since
		FROM garbage g JOIN packs p ON p.organization = g.organization AND p.id = g.pack
		WHERE g.since < $1 ORDER BY g.since, g.organization, g.pack LIMIT CAST($2 AS BIGINT)`,
		values(micros(before), limit(n)), func(r *Row) {
			list = append(list, cairn.GarbagePack{
				Organization: cairn.OrganizationID(r.Text(0)), ID: cairn.PackID(r.Text(1)), Key: r.Text(2), Since: r.Moment(3),
			})
		})
	return list, err
}

func (t packs) GarbageSize() (z cairn.PacksSize, err error) {
	err = t.query(Read, `SELECT COUNT(*), CAST(COALESCE(SUM(p.objects), 0) AS BIGINT), CAST(COALESCE(SUM(p.size), 0) AS BIGINT)
		FROM garbage g JOIN packs p ON p.organization = g.organization AND p.id = g.pack`, nil, func(r *Row) {
		z = cairn.PacksSize{Packs: int(r.Int(0)), Objects: r.Int(1), Bytes: r.Int(2)}
	})
	return z, err
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
