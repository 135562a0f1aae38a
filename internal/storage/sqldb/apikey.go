package sqldb

import (
	"database/sql/driver"
	"encoding/json"
	"strings"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
)

type apiKeys struct{ *Tx }

// apiKeyColumns are what many reads.
const apiKeyColumns = `organization, id, name, access, repositories, labels, sealed, created_at, expires_at, revoked_at, used_at`

func (t apiKeys) Create(k cairn.APIKey) error {
	n, err := t.exec(`INSERT INTO api_keys (`+apiKeyColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING`,
		string(k.Organization), string(k.ID), k.Name, joinWords(k.Access), repositoriesText(k.Repositories), labelsText(k.Labels), k.Sealed,
		micros(k.CreatedAt), laterMicros(k.ExpiresAt), laterMicros(k.RevokedAt), laterMicros(k.UsedAt))
	if err == nil && n == 0 {
		err = cairn.Errorf(cairn.Conflict, "API key %q exists already", k.ID)
	}
	return err
}

func (t apiKeys) Get(org cairn.OrganizationID, id cairn.APIKeyID) (cairn.APIKey, error) {
	list, err := t.many(`SELECT `+apiKeyColumns+` FROM api_keys WHERE organization = $1 AND id = $2`, string(org), string(id))
	if err == nil && len(list) == 0 {
		err = errNoAPIKey
	}
	if err != nil {
		return cairn.APIKey{}, err
	}
	return list[0], nil
}

var errNoAPIKey = cairn.Errorf(cairn.NotFound, "API key not found")

func (t apiKeys) List(org cairn.OrganizationID, after cairn.APIKeyID, n int) ([]cairn.APIKey, error) {
	return t.many(`SELECT `+apiKeyColumns+` FROM api_keys WHERE organization = $1 AND id > $2 ORDER BY id LIMIT CAST($3 AS BIGINT)`,
		string(org), string(after), limit(n))
}

func (t apiKeys) many(query string, args ...driver.Value) (list []cairn.APIKey, err error) {
	err = t.query(Read, query, args, func(r *Row) {
		list = append(list, cairn.APIKey{
			Organization: cairn.OrganizationID(r.Text(0)), ID: cairn.APIKeyID(r.Text(1)), Name: r.Text(2), Access: splitWords[cairn.Access](r.Text(3)),
			Repositories: repositoryIDs(r.Text(4)), Labels: labels(r.Text(5)), Sealed: append([]byte(nil), r.Bytes(6)...),
			CreatedAt: r.Moment(7), ExpiresAt: r.Moment(8), RevokedAt: r.Moment(9), UsedAt: r.Moment(10),
		})
	})
	return list, err
}

func (t apiKeys) SetLabels(org cairn.OrganizationID, id cairn.APIKeyID, l cairn.Labels) error {
	return t.change(`UPDATE api_keys SET labels = $3 WHERE organization = $1 AND id = $2`, string(org), string(id), labelsText(l))
}

func (t apiKeys) Revoke(org cairn.OrganizationID, id cairn.APIKeyID, at time.Time) error {
	return t.change(`UPDATE api_keys SET revoked_at = COALESCE(revoked_at, $3) WHERE organization = $1 AND id = $2`, string(org), string(id), micros(at))
}

func (t apiKeys) change(query string, args ...driver.Value) error {
	n, err := t.exec(query, args...)
	if err == nil && n == 0 {
		err = errNoAPIKey
	}
	return err
}

func (t apiKeys) Used(org cairn.OrganizationID, id cairn.APIKeyID, at time.Time) error {
	_, err := t.exec(`UPDATE api_keys SET used_at = $3 WHERE organization = $1 AND id = $2 AND COALESCE(used_at, 0) < $3`, string(org), string(id), micros(at))
	return err
}

// repositoriesText is a list of repositories as it is stored: nothing for all
// of them, which is not the same as none.
func repositoriesText(ids []cairn.RepositoryID) string {
	if ids == nil {
		return ""
	}
	return "+" + joinWords(ids)
}

// repositoryIDs reads repositoriesText.
func repositoryIDs(text string) []cairn.RepositoryID {
	list, some := strings.CutPrefix(text, "+")
	if !some {
		return nil
	}
	return append([]cairn.RepositoryID{}, splitWords[cairn.RepositoryID](list)...)
}

// labelsText is labels as they are stored.
func labelsText(l cairn.Labels) string {
	if len(l) == 0 {
		return ""
	}
	text, err := json.Marshal(l)
	if err != nil {
		panic(err) // it is a map of strings
	}
	return string(text)
}

// labels reads labelsText. What cannot be read is none.
func labels(text string) (l cairn.Labels) {
	if text != "" {
		_ = json.Unmarshal([]byte(text), &l)
	}
	return l
}
