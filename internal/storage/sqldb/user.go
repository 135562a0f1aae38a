package sqldb

import (
	"database/sql/driver"

	"github.com/cairn-storage/cairn/internal/cairn"
)

type users struct{ *Tx }

// userColumns are what user reads, of users AS u and organizations AS o.
const userColumns = `u.id, o.name, u.email, u.password, u.admin, u.disabled, u.created_at,
	o.spelling, o.full_name, o.description, o.website, o.location`

const fromUsers = ` FROM users AS u JOIN organizations AS o ON o.id = u.id `

func user(r *Row) cairn.User {
	return cairn.User{
		ID: cairn.UserID(r.Text(0)), Name: cairn.OrganizationName(r.Text(1)), Email: r.Text(2), Password: r.Text(3),
		Admin: r.Int(4) != 0, Disabled: r.Int(5) != 0, CreatedAt: r.Moment(6), Organization: profile(r, 7),
	}
}

func (t users) Create(u cairn.User) error {
	n, err := t.exec(`INSERT INTO users (id, email, password, admin, disabled, created_at) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`,
		string(u.ID), u.Email, u.Password, flag(u.Admin), flag(u.Disabled), micros(u.CreatedAt))
	if err == nil && n == 0 {
		err = errEmailTaken
	}
	return err
}

var (
	errEmailTaken = cairn.Errorf(cairn.Conflict, "another user has that email address")
	errNoUser     = cairn.Errorf(cairn.NotFound, "user not found")
)

func (t users) Get(id cairn.UserID) (cairn.User, error) {
	return t.one(`SELECT `+userColumns+fromUsers+`WHERE u.id = $1`, string(id))
}

func (t users) Find(name cairn.OrganizationName) (cairn.User, error) {
	return t.one(`SELECT `+userColumns+fromUsers+`WHERE o.name = $1`, string(name))
}

func (t users) FindEmail(email string) (cairn.User, error) {
	return t.one(`SELECT `+userColumns+fromUsers+`WHERE lower(u.email) = $1 AND u.email <> ''`, lowerASCII(email))
}

func (t users) one(query string, args ...driver.Value) (u cairn.User, err error) {
	found := false
	err = t.query(Read, query, args, func(r *Row) { u, found = user(r), true })
	if err == nil && !found {
		err = errNoUser
	}
	return u, err
}

func (t users) List(text string, after cairn.OrganizationName, n int) ([]cairn.User, error) {
	const tail = ` ORDER BY o.name LIMIT CAST($2 AS BIGINT)`
	if text == "" {
		return t.many(`SELECT `+userColumns+fromUsers+`WHERE o.name > $1`+tail, string(after), limit(n))
	}
	return t.many(`SELECT `+userColumns+fromUsers+`WHERE o.name > $1
		AND (o.name LIKE CAST($3 AS TEXT) ESCAPE '!' OR lower(o.full_name) LIKE CAST($3 AS TEXT) ESCAPE '!')`+tail,
		string(after), limit(n), contains(text))
}

func (t users) many(query string, args ...driver.Value) (list []cairn.User, err error) {
	err = t.query(Read, query, args, func(r *Row) { list = append(list, user(r)) })
	return list, err
}

func (t users) Update(u cairn.User) error {
	taken, err := t.exists(`SELECT 1 FROM users WHERE lower(email) = $1 AND email <> '' AND id <> $2`, lowerASCII(u.Email), string(u.ID))
	if err == nil && taken {
		err = errEmailTaken
	}
	if err != nil {
		return err
	}
	n, err := t.exec(`UPDATE users SET email = $1, password = $2, admin = $3, disabled = $4 WHERE id = $5`,
		u.Email, u.Password, flag(u.Admin), flag(u.Disabled), string(u.ID))
	if err == nil && n == 0 {
		err = errNoUser
	}
	return err
}

func (t users) Delete(id cairn.UserID) error {
	n, err := t.exec(`DELETE FROM users WHERE id = $1`, string(id))
	if err == nil && n == 0 {
		err = errNoUser
	}
	if err != nil {
		return err
	}
	for _, table := range []string{`user_tokens`, `collaborators`, `team_members`, `ssh_keys`, `project_members`} {
		if _, err := t.exec(`DELETE FROM `+table+` WHERE user_id = $1`, string(id)); err != nil {
			return err
		}
	}
	return nil
}

func (t users) AddToken(k cairn.UserToken) error {
	n, err := t.exec(`INSERT INTO user_tokens (digest, user_id, name, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
		k.Digest[:], string(k.User), k.Name, micros(k.CreatedAt))
	if err == nil && n == 0 {
		err = cairn.Errorf(cairn.Conflict, "the user has a token of that name already")
	}
	return err
}

func (t users) Tokens(id cairn.UserID) (list []cairn.UserToken, err error) {
	err = t.query(Read, `SELECT digest, name, created_at FROM user_tokens WHERE user_id = $1 ORDER BY created_at, name`, values(string(id)), func(r *Row) {
		k := cairn.UserToken{User: id, Name: r.Text(1), CreatedAt: r.Moment(2)}
		if copy(k.Digest[:], r.Bytes(0)) != len(k.Digest) {
			r.mismatch(0, "a digest")
		}
		list = append(list, k)
	})
	return list, err
}

func (t users) TokenUser(d cairn.TokenDigest) (cairn.User, error) {
	return t.one(`SELECT `+userColumns+` FROM user_tokens AS k JOIN users AS u ON u.id = k.user_id JOIN organizations AS o ON o.id = u.id WHERE k.digest = $1`, d[:])
}

func (t users) DeleteToken(id cairn.UserID, name string) error {
	n, err := t.exec(`DELETE FROM user_tokens WHERE user_id = $1 AND name = $2`, string(id), name)
	if err == nil && n == 0 {
		err = cairn.Errorf(cairn.NotFound, "token %q not found", cairn.Clip(name))
	}
	return err
}
