package sqldb

import (
	"database/sql/driver"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
)

type events struct{ *Tx }

var eventInsertion = newInsertion("events", []string{"organization", "repository"},
	[]string{"version", "ordinal", "at", "actor", "kind", "ref", "old_target", "new_target"})

func (t events) Append(key cairn.RepositoryKey, added []cairn.Event) error {
	if _, err := t.version(key); err != nil {
		return err
	}
	shared := values(string(key.Organization), string(key.Repository))
	done, err := t.insert(&eventInsertion, shared, len(added), func(args []driver.Value, i int) []driver.Value {
		e := &added[i]
		return append(args, e.Version, int64(e.Ordinal), micros(e.At), []byte(e.Actor), string(e.Kind), []byte(e.Name), target(e.Old), target(e.New))
	})
	if err == nil && done < len(added) {
		err = t.spoil(cairn.Errorf(cairn.Conflict, "event %d.%d exists already", added[done].Version, added[done].Ordinal))
	}
	return err
}

func (t events) List(key cairn.RepositoryKey, version int64, ordinal, n int) (list []cairn.Event, err error) {
	err = t.query(Read, `SELECT version, ordinal, at, actor, kind, ref, old_target, new_target FROM events
		WHERE organization = $1 AND repository = $2 AND (version, ordinal) > ($3, $4) ORDER BY version, ordinal LIMIT CAST($5 AS BIGINT)`,
		values(string(key.Organization), string(key.Repository), version, int64(ordinal), limit(n)), func(r *Row) {
			list = append(list, cairn.Event{
				Version: r.Int(0), Ordinal: int(r.Int(1)), At: r.Moment(2), Actor: string(r.Bytes(3)), Kind: cairn.EventKind(r.Text(4)),
				RefUpdate: cairn.RefUpdate{Name: git.RefName(r.Bytes(5)), Old: r.ObjectID(6), New: r.ObjectID(7)},
			})
		})
	return list, err
}

func (t events) Targets(key cairn.RepositoryKey, since time.Time, version int64) (list []git.ObjectID, err error) {
	const of = ` FROM events WHERE organization = $1 AND repository = $2 AND (at >= $3 OR version > $4)`
	err = t.query(Read, `SELECT old_target`+of+` AND old_target IS NOT NULL UNION SELECT new_target`+of+` AND new_target IS NOT NULL`,
		values(string(key.Organization), string(key.Repository), micros(since), version), func(r *Row) {
			list = append(list, r.ObjectID(0))
		})
	return list, err
}
