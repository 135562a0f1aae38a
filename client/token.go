package client

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Claims is what a token says.
type Claims struct {
	Organization string        // whose key signs
	Repository   string        // the only one that the token is for; empty for organization-wide calls
	Subject      string        // who holds it, for logs
	Scopes       []string      // git:read, git:write, repo:write, org:read
	TTL          time.Duration // from now
	Policy       []RefRule     // in order; the first that matches a ref decides
}

// RefRule forbids operations on the refs that its pattern matches: a full ref
// name, a branch name, a prefix that ends in /*, or *. No operations allow
// everything.
type RefRule struct {
	Pattern    string
	Operations []string // no-push, no-force-push, verify-sig
}

// MarshalJSON writes the rule as the pair [pattern, operations].
func (r RefRule) MarshalJSON() ([]byte, error) {
	return json.Marshal([]any{r.Pattern, append([]string{}, r.Operations...)})
}

// SignToken returns a token that says so. The key's type chooses the
// algorithm: ES256 for EC P-256, RS256 for RSA, EdDSA for Ed25519.
func SignToken(key crypto.Signer, c Claims) (string, error) {
	var method jwt.SigningMethod
	switch key := key.(type) {
	case *ecdsa.PrivateKey:
		if key.Curve != elliptic.P256() {
			return "", fmt.Errorf("the EC key is on %s; ES256 needs P-256", key.Curve.Params().Name)
		}
		method = jwt.SigningMethodES256
	case *rsa.PrivateKey:
		method = jwt.SigningMethodRS256
	case ed25519.PrivateKey:
		method = jwt.SigningMethodEdDSA
	default:
		return "", fmt.Errorf("tokens are signed with EC P-256, RSA or Ed25519 keys, not with %T", key)
	}
	now := time.Now()
	claims := jwt.MapClaims{
		"iss": c.Organization,
		"iat": now.Unix(),
		"exp": now.Add(c.TTL).Unix(),
	}
	if c.Scopes != nil {
		claims["scopes"] = c.Scopes
	}
	if c.Repository != "" {
		claims["repo"] = c.Repository
	}
	if c.Subject != "" {
		claims["sub"] = c.Subject
	}
	if len(c.Policy) > 0 {
		claims["refs"] = c.Policy
	}
	return jwt.NewWithClaims(method, claims).SignedString(key)
}

// GenerateKey makes an ES256 key pair: the private half as PKCS#8 in PEM, which
// the Code Storage SDKs take, and the public half as PKIX in PEM.
func GenerateKey() (private, public []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	public, err = PublicKey(key)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), public, err
}

// PublicKey returns the public half of a key, PKIX in PEM.
func PublicKey(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

// ParsePrivateKey reads a private key in PEM: PKCS#8, SEC 1 or PKCS#1.
func ParsePrivateKey(text []byte) (crypto.Signer, error) {
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			return nil, errors.New("no private key in PEM; cairn key create makes one")
		}
		text = rest
		var key any
		var err error
		switch block.Type {
		case "EC PARAMETERS": // openssl ecparam writes it before the key
			continue
		case "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(block.Bytes)
		case "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		case "ENCRYPTED PRIVATE KEY":
			err = errors.New("the private key is encrypted; decrypt it with openssl pkey")
		default:
			err = fmt.Errorf("the PEM block is %q, not a private key", block.Type)
		}
		if err != nil {
			return nil, err
		}
		signer, ok := key.(crypto.Signer)
		if !ok {
			return nil, fmt.Errorf("a %T cannot sign", key)
		}
		return signer, nil
	}
}
