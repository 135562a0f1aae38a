package service

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/secret"
)

// Bounds of access keys.
const (
	maxAccessKeys            = 1000 // of one organization, the revoked too
	maxAccessKeyName         = 255
	maxAccessKeyRepositories = 250

	// signatureWindow is how far the time of a signature may be from now.
	signatureWindow = 15 * time.Minute
	// accessTokenLife is how long a token that is made from an access key is
	// good.
	accessTokenLife = 24 * time.Hour
)

// The ids of access keys are 20 capital letters and digits, as clients check
// them, and tell themselves from user names by how they begin.
const (
	accessKeyPrefix = "CAK"
	accessKeyLength = 20
	secretLength    = 40
)

// IsAccessKeyID tells whether text has the form of an access key's id.
func IsAccessKeyID(text string) bool {
	return len(text) == accessKeyLength && strings.HasPrefix(text, accessKeyPrefix)
}

func accessKeyPlace(k cairn.AccessKey) secret.Place {
	return secret.Place{Organization: k.Organization, Purpose: "access key", Row: string(k.ID)}
}

// AccessKeyWithSecret is a key with its secret, which is shown by what makes it
// and never again.
type AccessKeyWithSecret struct {
	cairn.AccessKey
	Secret string
}

// NewAccessKey says what key to make.
type NewAccessKey struct {
	Name         string
	Scopes       []cairn.Scope          // nil means all
	Repositories []cairn.RepositoryName // the only ones that it is for; nil means all
}

// accessKeyScopes are the scopes that an access key may have.
var accessKeyScopes = []cairn.Scope{cairn.GitRead, cairn.GitWrite, cairn.RepoWrite, cairn.OrgRead}

// CreateAccessKey makes a key, for the operator.
func (s *Service) CreateAccessKey(ctx context.Context, who cairn.Actor, org cairn.OrganizationName, in NewAccessKey) (AccessKeyWithSecret, error) {
	if err := in.check(); err != nil {
		return AccessKeyWithSecret{}, err
	}
	made := AccessKeyWithSecret{
		AccessKey: cairn.AccessKey{
			ID:     cairn.AccessKeyID((accessKeyPrefix + rand.Text())[:accessKeyLength]),
			Name:   in.Name,
			Scopes: in.Scopes, CreatedAt: s.now().UTC(),
		},
		Secret: (rand.Text() + rand.Text())[:secretLength],
	}
	if made.Scopes == nil {
		made.Scopes = accessKeyScopes
	}
	err := s.updateOrganization(ctx, who, org, func(tx cairn.Tx, found cairn.Organization) error {
		made.Organization, made.Repositories = found.ID, nil
		for _, name := range in.Repositories {
			repo, err := findRepository(tx, cairn.Actor{Organization: found}, name)
			if err != nil {
				return err
			}
			made.Repositories = append(made.Repositories, repo.Repository)
		}
		present, err := tx.AccessKeys().List(found.ID)
		if err != nil {
			return err
		}
		if len(present) >= maxAccessKeys {
			return cairn.Errorf(cairn.Conflict, "the organization has %d access keys, the most it may have", len(present))
		}
		made.Sealed = s.secrets.Seal([]byte(made.Secret), accessKeyPlace(made.AccessKey))
		return tx.AccessKeys().Create(made.AccessKey)
	})
	return made, err
}

func (in NewAccessKey) check() error {
	switch {
	case len(in.Name) > maxAccessKeyName, !utf8.ValidString(in.Name), strings.ContainsFunc(in.Name, unicode.IsControl):
		return cairn.Errorf(cairn.Invalid, "name is at most %d bytes without control characters", maxAccessKeyName)
	case in.Scopes != nil && len(in.Scopes) == 0:
		return cairn.Errorf(cairn.Invalid, "scopes is empty: name at least one")
	case len(in.Repositories) > maxAccessKeyRepositories:
		return cairn.Errorf(cairn.Invalid, "a key is for at most %d repositories, or for all", maxAccessKeyRepositories)
	}
	for _, scope := range in.Scopes {
		if !slices.Contains(accessKeyScopes, scope) {
			return cairn.Errorf(cairn.Invalid, "there is no scope %q: use git:read, git:write, repo:write or org:read", cairn.Clip(string(scope)))
		}
	}
	return nil
}

// ListAccessKeys returns the organization's access keys, oldest first, the
// revoked too, for the operator.
func (s *Service) ListAccessKeys(ctx context.Context, who cairn.Actor, name cairn.OrganizationName) ([]cairn.AccessKey, error) {
	org, err := s.organization(ctx, who, name)
	if err != nil {
		return nil, err
	}
	var keys []cairn.AccessKey
	err = s.metadata.View(ctx, func(tx cairn.Tx) error {
		keys, err = tx.AccessKeys().List(org.ID)
		return err
	})
	return keys, err
}

// RevokeAccessKey ends a key, and with it the tokens that were made from it, at
// once; in other processes within seconds. Its SSH keys are deleted.
func (s *Service) RevokeAccessKey(ctx context.Context, who cairn.Actor, org cairn.OrganizationName, id cairn.AccessKeyID) error {
	return s.updateOrganization(ctx, who, org, func(tx cairn.Tx, found cairn.Organization) error {
		if err := tx.AccessKeys().Revoke(found.ID, id, s.now().UTC()); err != nil {
			return err
		}
		return deleteSSHKeys(tx, sshKeyOfAccessKey(found.ID, id))
	})
}

// knownAccessKey is an access key as the cache has it. One that is not good has
// no secret.
type knownAccessKey struct {
	actor  cairn.Actor
	secret []byte
}

// accessKey returns the key of that id. One that is unknown or revoked has no
// secret, and that is no error.
func (s *Service) accessKey(ctx context.Context, id cairn.AccessKeyID) (knownAccessKey, error) {
	if !IsAccessKeyID(string(id)) {
		return knownAccessKey{}, nil
	}
	found, err := cached(ctx, s, &s.keys.access, id, func(tx cairn.Tx) (knownAccessKey, error) {
		key, err := tx.AccessKeys().Find(id)
		if errors.Is(err, cairn.NotFound) || err == nil && !key.RevokedAt.IsZero() {
			return knownAccessKey{}, nil
		} else if err != nil {
			return knownAccessKey{}, err
		}
		org, err := tx.Organizations().Get(key.Organization)
		if err != nil {
			return knownAccessKey{}, err
		}
		who := cairn.Actor{Organization: org, Reach: &cairn.Reach{IDs: key.Repositories}, Scopes: key.Scopes, Name: key.Name, AccessKey: key.ID}
		if who.Name == "" {
			who.Name = string(key.ID)
		}
		secret, err := s.secrets.Open(key.Sealed, accessKeyPlace(key))
		return knownAccessKey{who, secret}, err
	})
	if err != nil {
		return knownAccessKey{}, fmt.Errorf("read access key: %w", err)
	}
	return found, nil
}

// errNotSigned is the one answer for a key that does not exist or is revoked
// and for a signature that is not the key's, so that nobody learns of keys.
var errNotSigned = cairn.Errorf(cairn.Unauthenticated, "verify aksk signature fail")

// Signed is a text with the signature of an access key: the HMAC-SHA256 of the
// text under the key's secret.
type Signed struct {
	Key       cairn.AccessKeyID
	Text      string
	Signature []byte
	At        time.Time // as the text says
}

// AuthenticateSigned returns the actor whose key signed. Every refusal is
// Unauthenticated.
func (s *Service) AuthenticateSigned(ctx context.Context, in Signed) (cairn.Actor, error) {
	if age := s.now().Sub(in.At); age > signatureWindow || age < -signatureWindow {
		return cairn.Actor{}, cairn.Errorf(cairn.Unauthenticated, "calc ak sk signature fail:signature expired")
	}
	key, err := s.accessKey(ctx, in.Key)
	if err != nil {
		return cairn.Actor{}, err
	}
	if key.secret == nil || !hmac.Equal(in.Signature, macOf(key.secret, in.Text)) {
		return cairn.Actor{}, errNotSigned
	}
	return key.actor, nil
}

func macOf(secret []byte, text string) []byte {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

// AuthenticateSecret returns the actor of an access key whose secret is given
// itself, as Git clients do. Every refusal is Unauthenticated.
func (s *Service) AuthenticateSecret(ctx context.Context, id cairn.AccessKeyID, given string) (cairn.Actor, error) {
	key, err := s.accessKey(ctx, id)
	if err != nil {
		return cairn.Actor{}, err
	}
	want, got := sha256.Sum256(key.secret), sha256.Sum256([]byte(given))
	if key.secret == nil || subtle.ConstantTimeCompare(want[:], got[:]) != 1 {
		return cairn.Actor{}, cairn.Errorf(cairn.Unauthenticated, "there is no such access key, or its secret is another one")
	}
	return key.actor, nil
}

// AccessToken is a credential that was made from an access key, for a day.
type AccessToken struct {
	Text     string
	IssuedAt time.Time
	Expires  time.Time
}

// NewAccessToken makes a token from an access key whose secret is given. It is
// not stored: the key's secret verifies it, and it ends with the key.
func (s *Service) NewAccessToken(ctx context.Context, id cairn.AccessKeyID, given string) (AccessToken, cairn.Actor, error) {
	who, err := s.AuthenticateSecret(ctx, id, given)
	if err != nil {
		return AccessToken{}, cairn.Actor{}, err
	}
	now := s.now().UTC().Truncate(time.Second)
	token := AccessToken{IssuedAt: now, Expires: now.Add(accessTokenLife)}
	claims := string(id) + "." + strconv.FormatInt(token.Expires.Unix(), 10)
	token.Text = claims + "." + base64.RawURLEncoding.EncodeToString(macOf([]byte(given), accessTokenText(claims)))
	return token, who, nil
}

// accessTokenText is what the signature of a token is over. No signed request
// begins so.
func accessTokenText(claims string) string { return "cairn access token\n" + claims }

// AuthenticateAccessToken returns the actor of the access key from which a
// token was made. Every refusal is Unauthenticated.
func (s *Service) AuthenticateAccessToken(ctx context.Context, token string) (cairn.Actor, error) {
	refused := cairn.Errorf(cairn.Unauthenticated, "decrypt token fail")
	at := strings.LastIndexByte(token, '.')
	if at < 0 || len(token) > MaxTokenLength {
		return cairn.Actor{}, refused
	}
	claims := token[:at]
	id, expiry, _ := strings.Cut(claims, ".")
	signature, err := base64.RawURLEncoding.Strict().DecodeString(token[at+1:])
	if err != nil {
		return cairn.Actor{}, refused
	}
	key, err := s.accessKey(ctx, cairn.AccessKeyID(id))
	if err != nil {
		return cairn.Actor{}, err
	}
	if key.secret == nil || !hmac.Equal(signature, macOf(key.secret, accessTokenText(claims))) {
		return cairn.Actor{}, refused
	}
	if expires, err := strconv.ParseInt(expiry, 10, 64); err != nil || s.now().Unix() >= expires {
		return cairn.Actor{}, cairn.Errorf(cairn.Unauthenticated, "the token has expired")
	}
	return key.actor, nil
}
