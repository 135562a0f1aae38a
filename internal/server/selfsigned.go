package server

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// The life of what makeSelfSigned makes. The leaf is renewed at a start within
// its last month; clients trust the authority, which stays.
const (
	authorityLife = 20 * 365 * 24 * time.Hour
	leafLife      = 397 * 24 * time.Hour
	leafRenewal   = 30 * 24 * time.Hour
	clockSkew     = time.Hour
)

// The files of a self-signed server.
const (
	authorityCert = "ca.pem"
	authorityKey  = "ca-key.pem"
	leafCert      = "cert.pem"
	leafKey       = "key.pem"
)

// selfSigned returns a certificate for the hosts by an authority of this data
// directory's own, and the file with the authority's certificate. Both are
// made when they are missing; the leaf also when it does not fit any more.
func selfSigned(dir string, hosts []string, now time.Time) (tls.Certificate, string, error) {
	path := filepath.Join(dir, authorityCert)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return tls.Certificate{}, "", err
	}
	authority, err := tls.LoadX509KeyPair(path, filepath.Join(dir, authorityKey))
	if errors.Is(err, fs.ErrNotExist) {
		authority, err = makeAuthority(dir, now)
	}
	if err != nil {
		return tls.Certificate{}, "", fmt.Errorf("own certificate authority in %s: %w", dir, err)
	}
	leaf, err := tls.LoadX509KeyPair(filepath.Join(dir, leafCert), filepath.Join(dir, leafKey))
	if err != nil || !fits(leaf.Leaf, authority.Leaf, hosts, now) {
		if leaf, err = makeLeaf(dir, authority, hosts, now); err != nil {
			return tls.Certificate{}, "", fmt.Errorf("self-signed certificate in %s: %w", dir, err)
		}
	}
	return leaf, path, nil
}

func fits(leaf, authority *x509.Certificate, hosts []string, now time.Time) bool {
	if leaf.CheckSignatureFrom(authority) != nil || now.Before(leaf.NotBefore) || now.After(leaf.NotAfter.Add(-leafRenewal)) {
		return false
	}
	return !slices.ContainsFunc(hosts, func(host string) bool { return leaf.VerifyHostname(host) != nil })
}

func makeAuthority(dir string, now time.Time) (tls.Certificate, error) {
	template := &x509.Certificate{
		Subject:               pkix.Name{Organization: []string{"cairn"}, CommonName: "cairn self-signed authority"},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.Add(authorityLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	return makeCertificate(template, nil, filepath.Join(dir, authorityCert), filepath.Join(dir, authorityKey))
}

func makeLeaf(dir string, authority tls.Certificate, hosts []string, now time.Time) (tls.Certificate, error) {
	template := &x509.Certificate{
		Subject:               pkix.Name{Organization: []string{"cairn"}, CommonName: hosts[0]},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.Add(leafLife),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	return makeCertificate(template, &authority, filepath.Join(dir, leafCert), filepath.Join(dir, leafKey))
}

// makeCertificate makes a key pair and a certificate signed by the authority,
// or by itself, and keeps both.
func makeCertificate(template *x509.Certificate, authority *tls.Certificate, certPath, keyPath string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return tls.Certificate{}, err
	}
	parent, signer := template, crypto.PrivateKey(key)
	if authority != nil {
		parent, signer = authority.Leaf, authority.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return tls.Certificate{}, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return tls.Certificate{}, err
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	if err := errors.Join(writePrivate(keyPath, keyPEM), writePrivate(certPath, certPEM)); err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(certPEM, keyPEM)
}
