package service

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/crypto/argon2"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// MaxPassword is the longest password in bytes.
const MaxPassword = 255

// The cost of a password's digest, as OWASP's password storage cheat sheet has
// it for argon2id: memory in KiB, passes, lanes. It is stored with the digest.
const (
	passwordMemory = 19 << 10
	passwordPasses = 2
	passwordLanes  = 1
	passwordSalt   = 16 // bytes
	passwordKey    = 32 // bytes
)

// Bounds of the work that passwords make.
const (
	maxPasswordsWaiting  = 64 // for each that is being computed
	maxRememberedLogins  = 4096
	passwordFormat       = "$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s"
	passwordFormatFields = 6
)

// passwords makes and verifies digests of passwords: a few at a time, because
// each takes much memory and time on purpose. What was verified is remembered,
// under a key that dies with the process, so that a client who sends a password
// with each request pays once.
type passwords struct {
	key     [32]byte
	slots   chan struct{}
	waiting atomic.Int64

	mu       sync.Mutex
	verified boundedMap[[sha256.Size]byte, struct{}]
}

func newPasswords() *passwords {
	p := &passwords{slots: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))}
	rand.Read(p.key[:])
	p.verified.size = maxRememberedLogins
	return p
}

// enter waits until one more digest may be computed. The caller calls leave.
func (p *passwords) enter(ctx context.Context) error {
	defer p.waiting.Add(-1)
	if p.waiting.Add(1) > int64(maxPasswordsWaiting*cap(p.slots)) {
		return cairn.Errorf(cairn.RateLimited, "too many passwords and keys are being verified; use a token, or try again")
	}
	select {
	case p.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (p *passwords) leave() { <-p.slots }

// digest returns what is stored of a password.
func (p *passwords) digest(ctx context.Context, password string) (string, error) {
	if password == "" {
		return "", nil
	}
	if len(password) > MaxPassword {
		return "", cairn.Errorf(cairn.Invalid, "the password is longer than %d bytes", MaxPassword)
	}
	if err := p.enter(ctx); err != nil {
		return "", err
	}
	defer p.leave()
	salt := make([]byte, passwordSalt)
	rand.Read(salt)
	key := argon2.IDKey([]byte(password), salt, passwordPasses, passwordMemory, passwordLanes, passwordKey)
	text := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf(passwordFormat, passwordMemory, passwordPasses, passwordLanes, text(salt), text(key)), nil
}

// nobodysDigest is verified against where there is no user, so that the time
// does not tell. No password leads to it.
var nobodysDigest = fmt.Sprintf(passwordFormat, passwordMemory, passwordPasses, passwordLanes,
	base64.RawStdEncoding.EncodeToString(make([]byte, passwordSalt)), base64.RawStdEncoding.EncodeToString(make([]byte, passwordKey)))

// verify tells whether a password is the one of which a digest is stored. An
// empty digest lets none in.
func (p *passwords) verify(ctx context.Context, digest, password string) (bool, error) {
	if len(password) > MaxPassword || password == "" {
		return false, nil
	}
	known := digest != ""
	if !known {
		digest = nobodysDigest
	}
	mac := hmac.New(sha256.New, p.key[:])
	mac.Write([]byte(digest + "\x00" + password))
	var name [sha256.Size]byte
	mac.Sum(name[:0])
	p.mu.Lock()
	_, remembered := p.verified.get(name)
	p.mu.Unlock()
	if remembered {
		return true, nil
	}
	if err := p.enter(ctx); err != nil {
		return false, err
	}
	right, err := matches(digest, password)
	p.leave()
	if err != nil || !right || !known {
		return false, err
	}
	p.mu.Lock()
	p.verified.put(name, struct{}{})
	p.mu.Unlock()
	return true, nil
}

// matches computes the digest of a password with the parameters of a stored
// one.
func matches(digest, password string) (bool, error) {
	var memory, passes uint32
	var lanes uint8
	fields := strings.Split(digest, "$")
	if len(fields) != passwordFormatFields || fields[1] != "argon2id" || fields[2] != "v=19" {
		return false, fmt.Errorf("stored password digest is of another kind: %q", cairn.Clip(strings.Join(fields[:min(3, len(fields))], "$")))
	}
	if _, err := fmt.Sscanf(fields[3], "m=%d,t=%d,p=%d", &memory, &passes, &lanes); err != nil || memory > 1<<20 || passes < 1 || passes > 100 || lanes < 1 {
		return false, fmt.Errorf("stored password digest has the parameters %q", cairn.Clip(fields[3]))
	}
	salt, err := base64.RawStdEncoding.DecodeString(fields[4])
	if err != nil {
		return false, fmt.Errorf("stored password digest: %w", err)
	}
	want, err := base64.RawStdEncoding.DecodeString(fields[5])
	if err != nil || len(want) < passwordKey {
		return false, fmt.Errorf("stored password digest has a key of %d bytes: %w", len(want), err)
	}
	got := argon2.IDKey([]byte(password), salt, passes, memory, lanes, uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1, nil
}
