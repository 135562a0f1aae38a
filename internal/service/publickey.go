package service

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// The signature algorithms of RFC 7518 and RFC 8037 that tokens may use. Which
// one verifies a token follows from the type of the registered key alone.
const (
	es256 = "ES256"
	rs256 = "RS256"
	edDSA = "EdDSA"
)

// Bounds of a public key.
const (
	maxPEM     = 16 << 10
	minRSABits = 2048
	maxRSABits = 8192
)

// parsePublicKey reads one PKIX public key in PEM. Its errors are Invalid and
// name the remedy.
func parsePublicKey(text string) (verifyingKey, error) {
	if len(text) > maxPEM {
		return verifyingKey{}, cairn.Errorf(cairn.TooLarge, "the public key is longer than %d bytes", maxPEM)
	}
	block, rest := pem.Decode([]byte(text))
	if block == nil {
		return verifyingKey{}, cairn.Errorf(cairn.Invalid, "the public key is not PEM: it starts with -----BEGIN PUBLIC KEY-----")
	}
	switch {
	case strings.HasSuffix(block.Type, "PRIVATE KEY"):
		return verifyingKey{}, cairn.Errorf(cairn.Invalid, "that is a private key; register its public half: openssl pkey -in key.pem -pubout")
	case block.Type != "PUBLIC KEY":
		return verifyingKey{}, cairn.Errorf(cairn.Invalid, "the PEM block is %q; it must be PUBLIC KEY (PKIX): openssl pkey -pubout makes one", cairn.Clip(block.Type))
	case strings.TrimSpace(string(rest)) != "":
		return verifyingKey{}, cairn.Errorf(cairn.Invalid, "more follows the public key; register one key at a time")
	}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return verifyingKey{}, cairn.Errorf(cairn.Invalid, "the public key does not parse: %w", err)
	}
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		return parseECKey(key)
	case *rsa.PublicKey:
		return parseRSAKey(key)
	case ed25519.PublicKey:
		return verifyingKey{ed25519Thumbprint(key), edDSA, key}, nil
	}
	return verifyingKey{}, cairn.Errorf(cairn.Invalid, "keys are EC P-256, RSA or Ed25519; this one is %T", public)
}

func parseECKey(key *ecdsa.PublicKey) (verifyingKey, error) {
	if key.Curve != elliptic.P256() {
		return verifyingKey{}, cairn.Errorf(cairn.Invalid, "the EC key is on %s; ES256 needs P-256", key.Curve.Params().Name)
	}
	point, err := key.Bytes()
	if err != nil {
		return verifyingKey{}, cairn.Errorf(cairn.Invalid, "the EC key is not valid: %w", err)
	}
	x, y := point[1:33], point[33:] // after the 4 that says "uncompressed"
	return verifyingKey{thumbprint(`{"crv":"P-256","kty":"EC","x":%q,"y":%q}`, x, y), es256, key}, nil
}

func parseRSAKey(key *rsa.PublicKey) (verifyingKey, error) {
	if bits := key.N.BitLen(); bits < minRSABits || bits > maxRSABits {
		return verifyingKey{}, cairn.Errorf(cairn.Invalid, "the RSA key has %d bits; use %d to %d", bits, minRSABits, maxRSABits)
	}
	if key.E < 3 || key.E%2 == 0 {
		return verifyingKey{}, cairn.Errorf(cairn.Invalid, "the RSA key has the exponent %d; use 65537", key.E)
	}
	e := big.NewInt(int64(key.E)).Bytes()
	return verifyingKey{thumbprint(`{"e":%q,"kty":"RSA","n":%q}`, e, key.N.Bytes()), rs256, key}, nil
}

func ed25519Thumbprint(key ed25519.PublicKey) string {
	return thumbprint(`{"crv":"Ed25519","kty":"OKP","x":%q}`, key)
}

// thumbprint names a key as RFC 7638 says: the digest of its JWK with nothing
// but the required members, by name, without white space.
func thumbprint(jwk string, members ...[]byte) string {
	encoded := make([]any, len(members))
	for i, m := range members {
		encoded[i] = base64.RawURLEncoding.EncodeToString(m)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, jwk, encoded...))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
