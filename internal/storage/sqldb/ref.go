package sqldb

import (
	"database/sql"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
)

type refs struct{ *Tx }

func (t refs) Get(key cairn.RepositoryKey, name git.RefName) (cairn.Ref, error) {
	ref := cairn.Ref{Name: name}
	var raw []byte
	var created int64
	found, err := t.row(Read, `SELECT target, created_version, created_at FROM refs
		WHERE organization = $1 AND repository = $2 AND name = $3`,
		[]any{string(key.Organization), string(key.Repository), []byte(name)}, &raw, &ref.Created, &created)
	if err != nil {
		return cairn.Ref{}, err
	}
	if !found {
		return cairn.Ref{}, cairn.Errorf(cairn.NotFound, "ref %q not found", cairn.Clip(string(name)))
	}
	ref.CreatedAt = moment(created)
	ref.Target, err = objectID(raw)
	return ref, err
}

func (t refs) List(key cairn.RepositoryKey, prefix string) ([]cairn.Ref, error) {
	const columns = `SELECT name, target, created_version, created_at FROM refs WHERE organization = $1 AND repository = $2`
	query, args := columns+` ORDER BY name`, []any{string(key.Organization), string(key.Repository)}
	if prefix != "" {
		query, args = columns+` AND name >= $3 ORDER BY name`, append(args, []byte(prefix))
		if end := successor(prefix); end != nil {
			query, args = columns+` AND name >= $3 AND name < $4 ORDER BY name`, append(args, end)
		}
	}
	var list []cairn.Ref
	var name, raw sql.RawBytes
	err := t.rows(query, args, func(scan func(...any) error) error {
		var ref cairn.Ref
		var created int64
		if err := scan(&name, &raw, &ref.Created, &created); err != nil {
			return err
		}
		id, err := objectID(raw)
		ref.Name, ref.Target, ref.CreatedAt = git.RefName(name), id, moment(created)
		list = append(list, ref)
		return err
	})
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
	for _, u := range updates {
		moved, err := t.move(key, version, at, u)
		if err != nil {
			return err
		}
		if !moved {
			return t.conflict(key, u)
		}
	}
	return nil
}

// move makes one update and tells whether the ref was where the update says.
func (t refs) move(key cairn.RepositoryKey, version int64, at time.Time, u cairn.RefUpdate) (bool, error) {
	org, repo, name := string(key.Organization), string(key.Repository), []byte(u.Name)
	var n int64
	var err error
	switch {
	case u.Old.IsZero() && u.New.IsZero():
		found, err := t.exists(`SELECT 1 FROM refs WHERE organization = $1 AND repository = $2 AND name = $3`, org, repo, name)
		return !found, err
	case u.Old.IsZero():
		n, err = t.exec(`INSERT INTO refs (organization, repository, name, target, created_version, created_at)
			VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`,
			org, repo, name, target(u.New), version, micros(at))
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
