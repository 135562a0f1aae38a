package service

import (
	"context"
	"crypto"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// Bounds of what is remembered about credentials.
const (
	// keysFreshFor is how long another process may take to notice that a key
	// was added or revoked. This process notices at once.
	keysFreshFor    = 5 * time.Second
	maxCachedKeys   = 4096 // of each kind
	maxCachedTokens = 4096
)

// issuer is an organization with the keys that verify its tokens now. An
// unknown organization is remembered too, with an empty ID.
type issuer struct {
	organization cairn.Organization
	keys         []verifyingKey
}

// key returns the issuer's active key of that id.
func (i issuer) key(id string) (verifyingKey, bool) {
	for _, k := range i.keys {
		if k.id == id {
			return k, true
		}
	}
	return verifyingKey{}, false
}

// verifyingKey is the parsed public half of a key pair.
type verifyingKey struct {
	id        string
	algorithm string
	public    crypto.PublicKey
}

// keyCache remembers the keys of issuers for a moment, and which tokens they
// were found to have signed. A remembered token counts only while its key is
// among its issuer's, so forgetting an issuer is all that a revocation needs.
// The zero value is ready; safe for concurrent use.
type keyCache struct {
	mu      sync.Mutex
	epoch   uint64 // grows with every change by this process
	issuers cachedKeys[cairn.OrganizationName, issuer]
	tokens  boundedMap[tokenDigest, verifiedToken]
	apiKeys cachedKeys[apiKeyRef, knownAPIKey]
	access  cachedKeys[cairn.AccessKeyID, knownAccessKey]
	logins  cachedKeys[cairn.TokenDigest, Login] // of users, by their tokens
}

// cachedKeys are the keys of one kind, by what names them.
type cachedKeys[N comparable, K any] = boundedMap[N, cachedKey[K]]

type cachedKey[K any] struct {
	key    K
	readAt time.Time
}

// cached returns a key as it is now, or was within keysFreshFor if another
// process has changed it. What read returns is not remembered if this process
// changed a key meanwhile: it may be old.
func cached[N comparable, K any](ctx context.Context, s *Service, keys *cachedKeys[N, K], name N, read func(cairn.Tx) (K, error)) (K, error) {
	s.keys.mu.Lock()
	found, ok := keys.get(name)
	epoch := s.keys.epoch
	s.keys.mu.Unlock()
	if age := s.now().Sub(found.readAt); ok && age >= 0 && age < keysFreshFor {
		return found.key, nil
	}
	err := s.metadata.View(ctx, func(tx cairn.Tx) (err error) {
		found.readAt = s.now()
		found.key, err = read(tx)
		return err
	})
	if err != nil {
		var none K
		return none, err
	}
	s.keys.mu.Lock()
	defer s.keys.mu.Unlock()
	if s.keys.epoch == epoch {
		keys.size = maxCachedKeys
		keys.put(name, found)
	}
	return found.key, nil
}

// tokenDigest stands for a token, so that none is kept in memory.
type tokenDigest [sha256.Size]byte

// verifiedToken is what a token's signature vouches for.
type verifiedToken struct {
	issuer  cairn.OrganizationName
	keyID   string
	apiKey  apiKeyRef // that it was made from, instead of an issuer and its key
	actor   cairn.Actor
	expires time.Time
}

// forget makes the next use of the issuer, and of all API keys, access keys and
// tokens of users, read it anew.
func (c *keyCache) forget(name cairn.OrganizationName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epoch++
	c.issuers.remove(name)
	c.apiKeys = cachedKeys[apiKeyRef, knownAPIKey]{}
	c.access = cachedKeys[cairn.AccessKeyID, knownAccessKey]{}
	c.logins = cachedKeys[cairn.TokenDigest, Login]{}
}

func (c *keyCache) token(d tokenDigest) (verifiedToken, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tokens.get(d)
}

func (c *keyCache) keepToken(d tokenDigest, t verifiedToken) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tokens.size = maxCachedTokens
	c.tokens.put(d, t)
}

// forgetAPIKey makes the next use of the key read it anew.
func (c *keyCache) forgetAPIKey(ref apiKeyRef) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epoch++
	c.apiKeys.remove(ref)
}

// issuer returns the organization of that name with its active keys. An
// unknown organization has no keys and no error.
func (s *Service) issuer(ctx context.Context, name cairn.OrganizationName) (issuer, error) {
	found, err := cached(ctx, s, &s.keys.issuers, name, func(tx cairn.Tx) (issuer, error) {
		org, err := tx.Organizations().Find(name)
		if errors.Is(err, cairn.NotFound) {
			return issuer{}, nil
		} else if err != nil {
			return issuer{}, err
		}
		read := issuer{organization: org}
		keys, err := tx.Keys().List(org.ID)
		for _, key := range keys {
			if key.RevokedAt.IsZero() {
				verifying, err := parsePublicKey(key.PEM)
				if err != nil {
					return issuer{}, fmt.Errorf("stored key %s: %w", key.ID, err)
				}
				read.keys = append(read.keys, verifying)
			}
		}
		return read, err
	})
	if err != nil {
		return issuer{}, fmt.Errorf("read keys of %s: %w", name, err)
	}
	return found, nil
}
