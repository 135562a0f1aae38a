package sqldb

import (
	"database/sql/driver"
	"math"
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

// eventColumns are what event reads.
const eventColumns = `version, ordinal, at, actor, kind, ref, old_target, new_target`

func event(r *Row) cairn.Event {
	return cairn.Event{
		Version: r.Int(0), Ordinal: int(r.Int(1)), At: r.Moment(2), Actor: string(r.Bytes(3)), Kind: cairn.EventKind(r.Text(4)),
		RefUpdate: cairn.RefUpdate{Name: git.RefName(r.Bytes(5)), Old: r.ObjectID(6), New: r.ObjectID(7)},
	}
}

func (t events) List(key cairn.RepositoryKey, version int64, ordinal, n int) ([]cairn.Event, error) {
	return t.page(`> ($3, $4) ORDER BY version, ordinal`, key, version, ordinal, n)
}

func (t events) ListBack(key cairn.RepositoryKey, version int64, ordinal, n int) ([]cairn.Event, error) {
	return t.page(`< ($3, $4) ORDER BY version DESC, ordinal DESC`, key, version, ordinal, n)
}

// page reads the events whose version and ordinal are beyond those given, in
// the order that the query says.
func (t events) page(beyond string, key cairn.RepositoryKey, version int64, ordinal, n int) (list []cairn.Event, err error) {
	err = t.query(Read, `SELECT `+eventColumns+` FROM events
		WHERE organization = $1 AND repository = $2 AND (version, ordinal) `+beyond+` LIMIT CAST($5 AS BIGINT)`,
		values(string(key.Organization), string(key.Repository), version, int64(ordinal), limit(n)), func(r *Row) {
			list = append(list, event(r))
		})
	return list, err
}

func (t events) VersionAt(key cairn.RepositoryKey, at time.Time) (int64, error) {
	last, err := t.ListBack(key, math.MaxInt64, 0, 1)
	if err != nil || len(last) == 0 {
		return 0, err
	}
	// The events up to version early are not after the time, those from version
	// late on are.
	early, late := int64(0), last[0].Version+1
	for late-early > 1 {
		middle := early + (late-early)/2
		next, err := t.List(key, middle, -1, 1)
		switch {
		case err != nil:
			return 0, err
		case len(next) > 0 && next[0].Version < late && next[0].At.UnixMicro() <= micros(at):
			early = next[0].Version
		default:
			late = middle
		}
	}
	return early, nil
}

func (t events) Targets(key cairn.RepositoryKey, since time.Time, version int64) (list []git.ObjectID, err error) {
	const of = ` FROM events WHERE organization = $1 AND repository = $2 AND (at >= $3 OR version > $4)`
	err = t.query(Read, `SELECT old_target`+of+` AND old_target IS NOT NULL UNION SELECT new_target`+of+` AND new_target IS NOT NULL`,
		values(string(key.Organization), string(key.Repository), micros(since), version), func(r *Row) {
			list = append(list, r.ObjectID(0))
		})
	return list, err
}
