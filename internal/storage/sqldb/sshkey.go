package sqldb

import (
	"database/sql/driver"

	"github.com/cairn-storage/cairn/internal/cairn"
)

type sshKeys struct{ *Tx }

// sshKeyColumns are what many reads.
const sshKeyColumns = `organization, repository, user_id, access_key, id, title, key, fingerprint, can_push, created_at`

func (t sshKeys) Create(k cairn.SSHKey) error {
	taken, err := t.exists(`SELECT 1 FROM ssh_keys WHERE fingerprint = $1 AND (repository = '' OR organization = $2 AND repository = $3)`,
		k.Fingerprint, string(k.Organization), string(k.Repository))
	if err != nil {
		return err
	}
	if taken {
		return cairn.ErrSSHKeyUsed
	}
	n, err := t.exec(`INSERT INTO ssh_keys (`+sshKeyColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING`,
		append(sshKeyHolder(k.SSHKeyHolder), string(k.ID), k.Title, k.Text, k.Fingerprint, flag(k.CanPush), micros(k.CreatedAt))...)
	if err == nil && n == 0 {
		err = cairn.ErrSSHKeyTitle
	}
	return err
}

func sshKeyHolder(h cairn.SSHKeyHolder) []driver.Value {
	return values(string(h.Organization), string(h.Repository), string(h.User), string(h.AccessKey))
}

func (t sshKeys) Get(of cairn.RepositoryKey, id cairn.SSHKeyID) (cairn.SSHKey, error) {
	return t.one(`organization = $1 AND repository = $2 AND id = $3`, string(of.Organization), string(of.Repository), string(id))
}

func (t sshKeys) Find(fingerprint string) (cairn.SSHKey, error) {
	return t.one(`fingerprint = $1 AND repository = ''`, fingerprint)
}

func (t sshKeys) one(where string, args ...driver.Value) (cairn.SSHKey, error) {
	list, err := t.many(where, args...)
	if err == nil && len(list) == 0 {
		err = errNoSSHKey
	}
	if err != nil {
		return cairn.SSHKey{}, err
	}
	return list[0], nil
}

var errNoSSHKey = cairn.Errorf(cairn.NotFound, "SSH key not found")

func (t sshKeys) List(h cairn.SSHKeyHolder) ([]cairn.SSHKey, error) {
	return t.many(`organization = $1 AND repository = $2 AND user_id = $3 AND access_key = $4`, sshKeyHolder(h)...)
}

func (t sshKeys) Delete(of cairn.RepositoryKey, id cairn.SSHKeyID) error {
	n, err := t.exec(`DELETE FROM ssh_keys WHERE organization = $1 AND repository = $2 AND id = $3`, string(of.Organization), string(of.Repository), string(id))
	if err == nil && n == 0 {
		err = errNoSSHKey
	}
	return err
}

func (t sshKeys) many(where string, args ...driver.Value) (list []cairn.SSHKey, err error) {
	err = t.query(Read, `SELECT `+sshKeyColumns+` FROM ssh_keys WHERE `+where+` ORDER BY created_at, id`, args, func(r *Row) {
		k := cairn.SSHKey{ID: cairn.SSHKeyID(r.Text(4)), Title: r.Text(5), Text: r.Text(6), Fingerprint: r.Text(7), CanPush: r.Int(8) != 0, CreatedAt: r.Moment(9)}
		k.Organization, k.Repository = cairn.OrganizationID(r.Text(0)), cairn.RepositoryID(r.Text(1))
		k.User, k.AccessKey = cairn.UserID(r.Text(2)), cairn.AccessKeyID(r.Text(3))
		list = append(list, k)
	})
	return list, err
}
