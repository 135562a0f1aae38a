package sqldb

import (
	"database/sql"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
)

type events struct{ *Tx }

func (t events) Append(key cairn.RepositoryKey, added []cairn.Event) error {
	if _, err := t.version(key); err != nil {
		return err
	}
	for _, e := range added {
		n, err := t.exec(`INSERT INTO events (organization, repository, version, ordinal, at, actor, kind, ref, old_target, new_target)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING`,
			string(key.Organization), string(key.Repository), e.Version, int64(e.Ordinal), micros(e.At),
			[]byte(e.Actor), string(e.Kind), []byte(e.Name), target(e.Old), target(e.New))
		if err != nil {
			return err
		}
		if n == 0 {
			return t.spoil(cairn.Errorf(cairn.Conflict, "event %d.%d exists already", e.Version, e.Ordinal))
		}
	}
	return nil
}

func (t events) List(key cairn.RepositoryKey, version int64, ordinal, limit int) ([]cairn.Event, error) {
	var list []cairn.Event
	var actor, ref, before, after sql.RawBytes
	err := t.rows(`SELECT version, ordinal, at, actor, kind, ref, old_target, new_target FROM events
		WHERE organization = $1 AND repository = $2 AND (version, ordinal) > ($3, $4) ORDER BY version, ordinal LIMIT $5`,
		[]any{string(key.Organization), string(key.Repository), version, int64(ordinal), max(limit, 0)},
		func(scan func(...any) error) error {
			var e cairn.Event
			var at int64
			if err := scan(&e.Version, &e.Ordinal, &at, &actor, &e.Kind, &ref, &before, &after); err != nil {
				return err
			}
			var err error
			if e.Old, err = objectID(before); err != nil {
				return err
			}
			e.New, err = objectID(after)
			e.At, e.Actor, e.Name = moment(at), string(actor), git.RefName(ref)
			list = append(list, e)
			return err
		})
	return list, err
}
