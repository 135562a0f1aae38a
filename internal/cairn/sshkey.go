package cairn

import "time"

// SSHKeyID names an SSH key within its organization.
type SSHKeyID string

// SSHKey is a public key by which a user, a program or a repository would be
// known over SSH.
type SSHKey struct {
	SSHKeyHolder
	ID          SSHKeyID
	Title       string // tells the keys of one holder apart
	Text        string // as a line of authorized_keys: algorithm, Base64, and a comment if it has one
	Fingerprint string // "SHA256:" and the digest of the key, comment apart, as OpenSSH prints it
	CanPush     bool   // of a key of a repository; others allow what their holders may do
	CreatedAt   time.Time
}

// SSHKeyHolder says whose an SSH key is: a user's, in the organization of their
// own, an access key's, or with neither the repository's, a deploy key.
type SSHKeyHolder struct {
	RepositoryKey // without Repository but for deploy keys
	User          UserID
	AccessKey     AccessKeyID
}

// SSHKeyOfUser is a user as the holder of keys.
func SSHKeyOfUser(id UserID) SSHKeyHolder {
	return SSHKeyHolder{RepositoryKey: RepositoryKey{Organization: OrganizationID(id)}, User: id}
}

// The ways in which an SSH key is taken. Both are Conflict.
var (
	ErrSSHKeyUsed  = Errorf(Conflict, "the SSH key is in use already")
	ErrSSHKeyTitle = Errorf(Conflict, "there is an SSH key of that title already")
)

// SSHKeys are the SSH keys of users, access keys and repositories.
type SSHKeys interface {
	// Create adds a key. It returns ErrSSHKeyUsed if its fingerprint is that of a
	// key of any user or access key of the server, or of another one of the same
	// repository: many repositories may have the same deploy key, everybody else
	// has theirs alone. It returns ErrSSHKeyTitle if the holder has one of that
	// title.
	Create(SSHKey) error
	// Get returns the key of an id, of a repository or with the empty Repository
	// of somebody, else NotFound.
	Get(RepositoryKey, SSHKeyID) (SSHKey, error)
	// List returns the keys of a holder, oldest first.
	List(SSHKeyHolder) ([]SSHKey, error)
	// Find returns the key of that fingerprint that a user or an access key
	// holds, else NotFound.
	Find(fingerprint string) (SSHKey, error)
	// Delete returns NotFound as Get.
	Delete(RepositoryKey, SSHKeyID) error
}
