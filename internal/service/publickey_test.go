package service

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"strings"
	"sync"
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
)

func TestWeakKeysAreRefusedAtUpload(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := publicPEM(t, newEC(t).Public())
	private, err := x509.MarshalPKCS8PrivateKey(newEC(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"RSA 1024":      publicPEM(t, small.Public()),
		"exponent 1":    publicPEM(t, &rsa.PublicKey{N: f.acmeRSA.N, E: 1}),
		"even exponent": publicPEM(t, &rsa.PublicKey{N: f.acmeRSA.N, E: 4}),
		"P-384":         publicPEM(t, p384.Public()),
		"private key":   string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})),
		"certificate":   string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})),
		"PKCS#1":        string(pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(&f.acmeRSA.PublicKey)})),
		"two keys":      good + good,
		"garbage":       "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
		"no PEM":        "ssh-ed25519 AAAA",
		"empty":         "",
	} {
		if _, err := f.AddKey(t.Context(), operator, "acme", text); cairn.KindOf(err) != cairn.Invalid {
			t.Errorf("%s: got the error %v, want Invalid", name, err)
		}
	}
	if _, err := f.AddKey(t.Context(), operator, "acme", good+strings.Repeat(" ", maxPEM)); cairn.KindOf(err) != cairn.TooLarge {
		t.Errorf("long: got the error %v", err)
	}
}

func TestRevocationIsImmediate(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	extra := newEC(t)
	token := sign(t, headerES256, f.claimText(""), extra)
	f.refuse(t, "before its key is added", token)
	key := f.register(t, "acme", extra)
	f.accept(t, "after", token)
	other := sign(t, headerES256, f.claimText(""), f.acmeEC)
	f.accept(t, "another key", other)
	if err := f.RevokeKey(t.Context(), operator, "acme", key.ID); err != nil {
		t.Fatal(err)
	}
	f.refuse(t, "after its key is revoked", token)
	f.accept(t, "another key", other)
	if _, err := f.AddKey(t.Context(), operator, "acme", publicPEM(t, extra.Public())); cairn.KindOf(err) != cairn.Conflict {
		t.Errorf("adding a revoked key again: %v", err)
	}
	if err := f.RevokeKey(t.Context(), operator, "acme", "nothing"); cairn.KindOf(err) != cairn.NotFound {
		t.Errorf("revoking an unknown key: %v", err)
	}
}

// TestNewTenantOfAnOldName makes sure that tokens of a deleted organization do
// not open the next one of that name.
func TestNewTenantOfAnOldName(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	token := sign(t, headerES256, f.claimText(""), f.acmeEC)
	before := f.accept(t, "before", token)
	if err := f.DeleteOrganization(t.Context(), operator, "acme"); err != nil {
		t.Fatal(err)
	}
	f.refuse(t, "deleted", token)
	if _, err := f.CreateOrganization(t.Context(), operator, "acme"); err != nil {
		t.Fatal(err)
	}
	f.refuse(t, "next of that name", token)
	f.register(t, "acme", f.acmeEC)
	if after := f.accept(t, "same key registered again", token); after.Organization.ID == before.Organization.ID {
		t.Error("the two organizations have one id")
	}
}

// TestRevocationRace revokes while tokens are verified: none may be accepted
// once RevokeKey has returned.
func TestRevocationRace(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	for range 20 {
		key := newEC(t)
		added := f.register(t, "acme", key)
		token := sign(t, headerES256, f.claimText(""), key)
		var done sync.WaitGroup
		for range 4 {
			done.Go(func() {
				for range 10 {
					_, _ = f.Authenticate(context.Background(), token)
				}
			})
		}
		if err := f.RevokeKey(t.Context(), operator, "acme", added.ID); err != nil {
			t.Fatal(err)
		}
		f.refuse(t, "revoked", token)
		done.Wait()
		f.refuse(t, "revoked, later", token)
	}
}

func TestKeyLimit(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	for range maxActiveKeys - 3 {
		f.register(t, "acme", newEC(t))
	}
	if _, err := f.AddKey(t.Context(), operator, "acme", publicPEM(t, newEC(t).Public())); cairn.KindOf(err) != cairn.Conflict {
		t.Errorf("got the error %v", err)
	}
}

// TestThumbprint has the example of RFC 7638, section 3.1.
func TestThumbprint(t *testing.T) {
	t.Parallel()
	n, err := base64.RawURLEncoding.DecodeString("0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw")
	if err != nil {
		t.Fatal(err)
	}
	key, err := parseRSAKey(&rsa.PublicKey{N: new(big.Int).SetBytes(n), E: 65537})
	if err != nil {
		t.Fatal(err)
	}
	if want := "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"; key.id != want {
		t.Errorf("got %s, want %s", key.id, want)
	}
}
