// Package secret seals what the metadata store must keep but not show: shared
// secrets of webhooks, credentials of upstreams. Its rule is that sealed bytes
// are worth nothing without a key that lies elsewhere, nor in any other place
// than the one that they were sealed for. Where keys come from is up to others.
package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"strings"

	"github.com/cairn-storage/cairn/internal/cairn"
)

const (
	keySize   = 32 // AES-256
	idSize    = 8
	version   = 1
	overhead  = 1 + idSize + 12 + 16 // version, id of the key, nonce, tag
	maxKeys   = 16
	keyIDSalt = "cairn secret key id\x00"
)

// Place is where sealed bytes belong: moved to another organization, purpose
// or row they cannot be opened.
type Place struct {
	Organization cairn.OrganizationID
	Purpose      string // a constant of the code, such as "webhook secret"
	Row          string // what tells the organization's secrets of that purpose apart
}

// Keyring seals with its first key and opens with any. It is safe for
// concurrent use.
type Keyring struct {
	keys []key
}

type key struct {
	id   [idSize]byte // of the key's digest: tells nothing of the key
	aead cipher.AEAD
}

// NewKey returns a new key as text.
func NewKey() string {
	var k [keySize]byte
	rand.Read(k[:])
	return base64.StdEncoding.EncodeToString(k[:])
}

// Parse reads keys, each the base64 form of 32 bytes, parted by commas or
// white space. A line that begins with # is for people.
func Parse(text string) (*Keyring, error) {
	var ring Keyring
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		for _, field := range strings.FieldsFunc(line, func(r rune) bool { return r == ',' || r <= ' ' }) {
			k, err := base64.StdEncoding.DecodeString(field)
			if err != nil || len(k) != keySize {
				return nil, cairn.Errorf(cairn.Invalid, "a secret key is not the base64 form of %d bytes; openssl rand -base64 %d makes one", keySize, keySize)
			}
			if len(ring.keys) == maxKeys {
				return nil, cairn.Errorf(cairn.Invalid, "there are more than %d secret keys", maxKeys)
			}
			added, err := newKey(k)
			if err != nil {
				return nil, err
			}
			ring.keys = append(ring.keys, added)
		}
	}
	if len(ring.keys) == 0 {
		return nil, cairn.Errorf(cairn.Invalid, "there is no secret key")
	}
	return &ring, nil
}

func newKey(k []byte) (key, error) {
	block, err := aes.NewCipher(k)
	if err != nil {
		return key{}, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return key{}, err
	}
	digest := sha256.Sum256(append([]byte(keyIDSalt), k...))
	return key{[idSize]byte(digest[:idSize]), aead}, nil
}

// Seal returns the plaintext such that only Open with the same place gives it
// back.
func (r *Keyring) Seal(plaintext []byte, at Place) []byte {
	k := r.keys[0]
	sealed := append([]byte{version}, k.id[:]...)
	return k.aead.Seal(sealed, nil, plaintext, at.bind(sealed))
}

// Open returns what was sealed. An error says whether the key is missing, and
// which, or the bytes are damaged or of another place.
func (r *Keyring) Open(sealed []byte, at Place) ([]byte, error) {
	if len(sealed) < overhead || sealed[0] != version {
		return nil, cairn.Errorf(cairn.Internal, "a stored secret is damaged: it has no known form")
	}
	header, body := sealed[:1+idSize], sealed[1+idSize:]
	for _, k := range r.keys {
		if k.id != [idSize]byte(header[1:]) {
			continue
		}
		plaintext, err := k.aead.Open(nil, nil, body, at.bind(header))
		if err != nil {
			return nil, cairn.Errorf(cairn.Internal, "a stored secret (%s) is damaged, or belongs elsewhere", at.Purpose)
		}
		return plaintext, nil
	}
	return nil, cairn.Errorf(cairn.Unavailable,
		"a stored secret (%s) cannot be read: it is sealed with the key %s, which this server was not given; restore the file secret-key of the data directory, or CAIRN_SECRET_KEY",
		at.Purpose, hex.EncodeToString(header[1:]))
}

// IsStale tells whether bytes were sealed with another key than the one that
// seals now, so that whoever opened them may seal them anew.
func (r *Keyring) IsStale(sealed []byte) bool {
	return len(sealed) < 1+idSize || r.keys[0].id != [idSize]byte(sealed[1:1+idSize])
}

// bind is what is authenticated beside the plaintext: the header, and the
// place, with the length before each part so that no two places are alike.
func (p Place) bind(header []byte) []byte {
	b := append([]byte(nil), header...)
	for _, part := range []string{string(p.Organization), p.Purpose, p.Row} {
		b = binary.AppendUvarint(b, uint64(len(part)))
		b = append(b, part...)
	}
	return b
}
