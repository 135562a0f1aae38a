package sqldb

import (
	"database/sql/driver"
	"strings"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
)

type accessKeys struct{ *Tx }

// accessKeyColumns are what many reads.
const accessKeyColumns = `organization, id, name, scopes, repositories, sealed, created_at, revoked_at`

func (t accessKeys) Create(k cairn.AccessKey) error {
	n, err := t.exec(`INSERT INTO access_keys (`+accessKeyColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`,
		string(k.Organization), string(k.ID), k.Name, joinWords(k.Scopes), joinWords(k.Repositories), k.Sealed, micros(k.CreatedAt), laterMicros(k.RevokedAt))
	if err == nil && n == 0 {
		err = cairn.Errorf(cairn.Conflict, "access key %q exists already", k.ID)
	}
	return err
}

func (t accessKeys) Find(id cairn.AccessKeyID) (cairn.AccessKey, error) {
	list, err := t.many(`SELECT `+accessKeyColumns+` FROM access_keys WHERE id = $1`, string(id))
	if err == nil && len(list) == 0 {
		err = errNoAccessKey(id)
	}
	if err != nil {
		return cairn.AccessKey{}, err
	}
	return list[0], nil
}

func errNoAccessKey(id cairn.AccessKeyID) error {
	return cairn.Errorf(cairn.NotFound, "access key %q not found", cairn.Clip(string(id)))
}

func (t accessKeys) List(org cairn.OrganizationID) ([]cairn.AccessKey, error) {
	return t.many(`SELECT `+accessKeyColumns+` FROM access_keys WHERE organization = $1 ORDER BY created_at, id`, string(org))
}

func (t accessKeys) Revoke(org cairn.OrganizationID, id cairn.AccessKeyID, at time.Time) error {
	n, err := t.exec(`UPDATE access_keys SET revoked_at = COALESCE(revoked_at, $1) WHERE organization = $2 AND id = $3`, micros(at), string(org), string(id))
	if err == nil && n == 0 {
		err = errNoAccessKey(id)
	}
	return err
}

func (t accessKeys) many(query string, args ...driver.Value) (list []cairn.AccessKey, err error) {
	err = t.query(Read, query, args, func(r *Row) {
		list = append(list, cairn.AccessKey{
			Organization: cairn.OrganizationID(r.Text(0)), ID: cairn.AccessKeyID(r.Text(1)), Name: r.Text(2),
			Scopes: splitWords[cairn.Scope](r.Text(3)), Repositories: splitWords[cairn.RepositoryID](r.Text(4)),
			Sealed: append([]byte(nil), r.Bytes(5)...), CreatedAt: r.Moment(6), RevokedAt: r.Moment(7),
		})
	})
	return list, err
}

// joinWords is a list of words without commas as it is stored.
func joinWords[T ~string](words []T) string {
	texts := make([]string, len(words))
	for i, w := range words {
		texts[i] = string(w)
	}
	return strings.Join(texts, ",")
}

// splitWords reads joinWords; nil if there are none.
func splitWords[T ~string](text string) (words []T) {
	for _, w := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' }) {
		words = append(words, T(w))
	}
	return words
}
