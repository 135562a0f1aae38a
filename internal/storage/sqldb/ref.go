package sqldb

import (
	"database/sql/driver"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
)

type refs struct{ *Tx }

// refColumns are what ref reads.
const refColumns = `name, target, created_version, created_at`

func ref(r *Row) cairn.Ref {
	return cairn.Ref{Name: git.RefName(r.Bytes(0)), Target: r.ObjectID(1), Created: r.Int(2), CreatedAt: r.Moment(3)}
}

func (t refs) Get(key cairn.RepositoryKey, name git.RefName) (found cairn.Ref, err error) {
	err = t.query(Read, `SELECT `+refColumns+` FROM refs WHERE organization = $1 AND repository = $2 AND name = $3`,
		values(string(key.Organization), string(key.Repository), []byte(name)), func(r *Row) { found = ref(r) })
	if err == nil && found.Target.IsZero() {
		err = cairn.Errorf(cairn.NotFound, "ref %q not found", cairn.Clip(string(name)))
	}
	return found, err
}

func (t refs) List(key cairn.RepositoryKey, prefix string) (list []cairn.Ref, err error) {
	const all = `SELECT ` + refColumns + ` FROM refs WHERE organization = $1 AND repository = $2`
	query, args := all+` ORDER BY name`, values(string(key.Organization), string(key.Repository))
	if prefix != "" {
		query, args = all+` AND name >= $3 ORDER BY name`, append(args, []byte(prefix))
		if end := successor(prefix); end != nil {
			query, args = all+` AND name >= $3 AND name < $4 ORDER BY name`, append(args, end)
		}
	}
	err = t.query(Read, query, args, func(r *Row) { list = append(list, ref(r)) })
	return list, err
}

// successor returns the first name after all that start with the prefix; nil
// if there is none.
func successor(prefix string) []byte {
	end := []byte(prefix)
	for len(end) > 0 {
		if last := len(end) - 1; end[last] < 0xff {
			end[last]++
			return end
		}
		end = end[:len(end)-1]
	}
	return nil
}

func (t refs) Update(key cairn.RepositoryKey, version int64, at time.Time, updates []cairn.RefUpdate) error {
	if _, err := t.version(key); err != nil {
		return err
	}
	for len(updates) > 0 {
		if n := creations(updates); n > 0 {
			done, err := t.create(key, version, at, updates[:n])
			if err != nil {
				return err
			}
			if done < n {
				return t.conflict(key, updates[done])
			}
			updates = updates[n:]
			continue
		}
		moved, err := t.move(key, updates[0])
		if err != nil {
			return err
		}
		if !moved {
			return t.conflict(key, updates[0])
		}
		updates = updates[1:]
	}
	return nil
}

// creations counts the updates, from the first on, that create a ref.
func creations(updates []cairn.RefUpdate) (n int) {
	for n < len(updates) && updates[n].Old.IsZero() && !updates[n].New.IsZero() {
		n++
	}
	return n
}

var refInsertion = newInsertion("refs", []string{"organization", "repository", "created_version", "created_at"}, []string{"name", "target"})

// create makes refs, up to the first that exists, and returns how many.
func (t refs) create(key cairn.RepositoryKey, version int64, at time.Time, updates []cairn.RefUpdate) (int, error) {
	shared := values(string(key.Organization), string(key.Repository), version, micros(at))
	return t.insert(&refInsertion, shared, len(updates), func(args []driver.Value, i int) []driver.Value {
		return append(args, []byte(updates[i].Name), target(updates[i].New))
	})
}

// move makes one update of what is no creation and tells whether the ref was
// where the update says.
func (t refs) move(key cairn.RepositoryKey, u cairn.RefUpdate) (bool, error) {
	org, repo, name := string(key.Organization), string(key.Repository), []byte(u.Name)
	var n int64
	var err error
	switch {
	case u.Old.IsZero(): // and the new one too
		found, err := t.exists(`SELECT 1 FROM refs WHERE organization = $1 AND repository = $2 AND name = $3`, org, repo, name)
		return !found, err
	case u.New.IsZero():
		n, err = t.exec(`DELETE FROM refs WHERE organization = $1 AND repository = $2 AND name = $3 AND target = $4`,
			org, repo, name, target(u.Old))
	default:
		n, err = t.exec(`UPDATE refs SET target = $1 WHERE organization = $2 AND repository = $3 AND name = $4 AND target = $5`,
			target(u.New), org, repo, name, target(u.Old))
	}
	return n == 1, err
}

// conflict says where the ref of a failed update is.
func (t refs) conflict(key cairn.RepositoryKey, u cairn.RefUpdate) error {
	current, err := t.Get(key, u.Name)
	if err != nil && cairn.KindOf(err) != cairn.NotFound {
		return err
	}
	return t.spoil(&cairn.RefConflict{Update: u, Current: current.Target})
}
