package service

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// Bounds of SSH keys, in bytes. RSA keys are bounded as those that sign tokens.
const (
	maxSSHKey        = 8 << 10
	maxSSHComment    = 255
	maxSSHPrivateKey = 8 << 10
)

// sshAlgorithms are the algorithms of keys that are taken, each with the private
// half in a file or in a security key. There is no DSA, and there are no
// certificates.
var sshAlgorithms = map[string]bool{
	ssh.KeyAlgoRSA: true, ssh.KeyAlgoED25519: true, ssh.KeyAlgoSKED25519: true,
	ssh.KeyAlgoECDSA256: true, ssh.KeyAlgoECDSA384: true, ssh.KeyAlgoECDSA521: true, ssh.KeyAlgoSKECDSA256: true,
}

// parseSSHKey reads one line of authorized_keys, without options, and returns it
// as it is stored, and its fingerprint. Its errors are Invalid.
func parseSSHKey(text string) (line, fingerprint string, err error) {
	bad := func(why string) (string, string, error) {
		return "", "", cairn.Errorf(cairn.Invalid, "SSH key: %s", why)
	}
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return bad("it is empty")
	case len(text) > maxSSHKey:
		return bad("it is longer than 8192 bytes")
	case strings.ContainsAny(text, "\r\n"):
		return bad("give one line, of the form: ssh-ed25519 AAAA… comment")
	}
	key, comment, options, _, err := ssh.ParseAuthorizedKey([]byte(text))
	switch {
	case err != nil:
		return bad("it is not of the form: ssh-ed25519 AAAA… comment")
	case len(options) > 0:
		return bad("it comes with options, which are not kept")
	}
	if err := checkSSHKey(key); err != nil {
		return "", "", err
	}
	if err := cairn.CheckText("comment of the SSH key", comment, maxSSHComment); err != nil {
		return "", "", err
	}
	line = strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
	if comment != "" {
		line += " " + comment
	}
	return line, ssh.FingerprintSHA256(key), nil
}

// checkSSHKey refuses the keys that are too weak to tell who somebody is, or so
// large that to verify with them is work.
func checkSSHKey(key ssh.PublicKey) error {
	if !sshAlgorithms[key.Type()] {
		return cairn.Errorf(cairn.Invalid, "SSH key: %q is not taken; use Ed25519, ECDSA or RSA", cairn.Clip(key.Type()))
	}
	if holder, ok := key.(ssh.CryptoPublicKey); ok {
		if public, ok := holder.CryptoPublicKey().(*rsa.PublicKey); ok {
			if bits := public.N.BitLen(); bits < minRSABits || bits > maxRSABits {
				return cairn.Errorf(cairn.Invalid, "SSH key: the RSA key has %d bits; use %d to %d", bits, minRSABits, maxRSABits)
			}
		}
	}
	return nil
}

// errSSHPrivateKey answers every text that is no private key, so that nothing of
// it comes back.
var errSSHPrivateKey = cairn.Errorf(cairn.Invalid, "the private key cannot be read: use PEM, as OpenSSH or PKCS #8 have it, without a passphrase")

// sshFingerprint returns the fingerprint of the public half of a private key,
// in PEM, that whoever wrote it really has: a file may say of itself another
// public half than its own, so it must sign something that this one verifies.
func sshFingerprint(private string) (string, error) {
	if len(private) > maxSSHPrivateKey {
		return "", errSSHPrivateKey
	}
	block, rest := pem.Decode([]byte(private))
	if block == nil || len(bytes.TrimSpace(rest)) > 0 {
		return "", errSSHPrivateKey
	}
	key, err := ssh.ParseRawPrivateKey([]byte(private))
	if err != nil {
		return "", errSSHPrivateKey
	}
	public, err := provenSSHKey(key)
	if err != nil {
		return "", err
	}
	return ssh.FingerprintSHA256(public), nil
}

// provenSSHKey signs with a private key and verifies with what it says is its
// public half, which it returns.
func provenSSHKey(key any) (ssh.PublicKey, error) {
	signing, ok := key.(crypto.Signer)
	if !ok {
		return nil, errSSHPrivateKey
	}
	signer, err := ssh.NewSignerFromSigner(signing)
	if err != nil {
		return nil, errSSHPrivateKey
	}
	public := signer.PublicKey()
	if err := checkSSHKey(public); err != nil {
		return nil, err
	}
	challenge := make([]byte, 32)
	rand.Read(challenge)
	signature, err := signer.Sign(rand.Reader, challenge)
	if err == nil {
		err = public.Verify(challenge, signature)
	}
	if err != nil {
		return nil, errSSHPrivateKey
	}
	return public, nil
}
