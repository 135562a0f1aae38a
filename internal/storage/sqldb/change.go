package sqldb

import (
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
)

type changes struct{ *Tx }

func (t changes) Note(key cairn.RepositoryKey, commits []cairn.ChangeCommit) error {
	for _, c := range commits {
		_, err := t.exec(`INSERT INTO changes (organization, repository, change_id, commit_id, version, ordinal, at) VALUES ($1, $2, $3, $4, $5, $6, $7)
			ON CONFLICT (organization, repository, change_id, commit_id) DO UPDATE SET version = excluded.version, ordinal = excluded.ordinal, at = excluded.at`,
			string(key.Organization), string(key.Repository), c.Change[:], c.Commit.AppendTo(nil), c.Version, int64(c.Ordinal), micros(c.At))
		if err != nil {
			return err
		}
	}
	return nil
}

func (t changes) Of(key cairn.RepositoryKey, change git.ChangeID, n int) (list []cairn.ChangeCommit, err error) {
	err = t.query(Read, `SELECT commit_id, version, ordinal, at FROM changes WHERE organization = $1 AND repository = $2 AND change_id = $3
		ORDER BY version DESC, ordinal DESC LIMIT CAST($4 AS BIGINT)`,
		values(string(key.Organization), string(key.Repository), change[:], limit(n)), func(r *Row) {
			list = append(list, cairn.ChangeCommit{Change: change, Commit: r.ObjectID(0), Version: r.Int(1), Ordinal: int(r.Int(2)), At: r.Moment(3)})
		})
	return list, err
}

func (t changes) Noted(key cairn.RepositoryKey) (version int64, err error) {
	err = t.query(Read, `SELECT version FROM changes_noted WHERE organization = $1 AND repository = $2`,
		values(string(key.Organization), string(key.Repository)), func(r *Row) { version = r.Int(0) })
	return version, err
}

func (t changes) SetNoted(key cairn.RepositoryKey, version int64) error {
	_, err := t.exec(`INSERT INTO changes_noted (organization, repository, version) VALUES ($1, $2, $3)
		ON CONFLICT (organization, repository) DO UPDATE SET version = excluded.version WHERE excluded.version > changes_noted.version`,
		string(key.Organization), string(key.Repository), version)
	return err
}
