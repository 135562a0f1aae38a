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
	keysFreshFor     = 5 * time.Second
	maxCachedIssuers = 4096
	maxCachedTokens  = 4096
	maxCachedAPIKeys = 4096
	maxCachedAccess  = 4096
)

// issuer is an organization with the keys that verify its tokens now. An
// unknown organization is remembered too, with an empty ID.
type issuer struct {
	organization cairn.Organization
	keys         []verifyingKey
	readAt       time.Time
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
	issuers boundedMap[cairn.OrganizationName, issuer]
	tokens  boundedMap[tokenDigest, verifiedToken]
	apiKeys boundedMap[apiKeyRef, knownAPIKey]
	access  boundedMap[cairn.AccessKeyID, knownAccessKey]
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

func (c *keyCache) issuer(name cairn.OrganizationName, now time.Time) (found issuer, fresh bool, epoch uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	found, ok := c.issuers.get(name)
	age := now.Sub(found.readAt)
	return found, ok && age >= 0 && age < keysFreshFor, c.epoch
}

// keep remembers an issuer that was read when the cache was at epoch. After a
// change in between, what was read may be old and is not kept.
func (c *keyCache) keep(name cairn.OrganizationName, i issuer, epoch uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.epoch != epoch {
		return
	}
	c.issuers.size = maxCachedIssuers
	c.issuers.put(name, i)
}

// forget makes the next use of the issuer, and of all API keys and access
// keys, read it anew.
func (c *keyCache) forget(name cairn.OrganizationName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epoch++
	c.issuers.remove(name)
	c.apiKeys = boundedMap[apiKeyRef, knownAPIKey]{}
	c.access = boundedMap[cairn.AccessKeyID, knownAccessKey]{}
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

func (c *keyCache) apiKey(ref apiKeyRef, now time.Time) (found knownAPIKey, fresh bool, epoch uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	found, ok := c.apiKeys.get(ref)
	age := now.Sub(found.readAt)
	return found, ok && age >= 0 && age < keysFreshFor, c.epoch
}

// keepAPIKey is keep for an API key.
func (c *keyCache) keepAPIKey(ref apiKeyRef, k knownAPIKey, epoch uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.epoch != epoch {
		return
	}
	c.apiKeys.size = maxCachedAPIKeys
	c.apiKeys.put(ref, k)
}

// forgetAPIKey makes the next use of the key read it anew.
func (c *keyCache) forgetAPIKey(ref apiKeyRef) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epoch++
	c.apiKeys.remove(ref)
}

func (c *keyCache) accessKey(id cairn.AccessKeyID, now time.Time) (found knownAccessKey, fresh bool, epoch uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	found, ok := c.access.get(id)
	age := now.Sub(found.readAt)
	return found, ok && age >= 0 && age < keysFreshFor, c.epoch
}

// keepAccessKey is keep for an access key.
func (c *keyCache) keepAccessKey(id cairn.AccessKeyID, k knownAccessKey, epoch uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.epoch != epoch {
		return
	}
	c.access.size = maxCachedAccess
	c.access.put(id, k)
}

// issuer returns the organization of that name with its active keys. An
// unknown organization has no keys and no error.
func (s *Service) issuer(ctx context.Context, name cairn.OrganizationName) (issuer, error) {
	found, fresh, epoch := s.keys.issuer(name, s.now())
	if fresh {
		return found, nil
	}
	var read issuer
	err := s.metadata.View(ctx, func(tx cairn.Tx) error {
		read = issuer{readAt: s.now()}
		org, err := tx.Organizations().Find(name)
		if errors.Is(err, cairn.NotFound) {
			return nil
		} else if err != nil {
			return err
		}
		read.organization = org
		keys, err := tx.Keys().List(org.ID)
		if err != nil {
			return err
		}
		for _, key := range keys {
			if key.RevokedAt.IsZero() {
				verifying, err := parsePublicKey(key.PEM)
				if err != nil {
					return fmt.Errorf("stored key %s: %w", key.ID, err)
				}
				read.keys = append(read.keys, verifying)
			}
		}
		return nil
	})
	if err != nil {
		return issuer{}, fmt.Errorf("read keys of %s: %w", name, err)
	}
	s.keys.keep(name, read, epoch)
	return read, nil
}
