package client

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// APIKey is a secret with which a program acts for an organization, as the Mesa
// API has it.
type APIKey struct {
	ID     string   `json:"id"`
	Key    string   `json:"key,omitempty"` // only where it was made
	Name   string   `json:"name"`
	Scopes []string `json:"scopes"` // read, write, admin
	// RepositoryIDs are the only repositories that it is good for; nil means all.
	RepositoryIDs []string          `json:"repository_ids,omitempty"`
	Labels        map[string]string `json:"labels,omitempty"`
	CreatedAt     time.Time         `json:"created_at"`
	ExpiresAt     *time.Time        `json:"expires_at,omitempty"`
	RevokedAt     *time.Time        `json:"revoked_at,omitempty"`
	LastUsedAt    *time.Time        `json:"last_used_at,omitempty"` // about
}

// NewAPIKey says what key to make.
type NewAPIKey struct {
	Name         string            `json:"name,omitempty"`
	Scopes       []string          `json:"scopes,omitempty"`       // none means read and write
	Repositories []string          `json:"repositories,omitempty"` // by name; none means all
	Life         int64             `json:"expires_in_seconds,omitempty"`
	Labels       map[string]string `json:"labels,omitempty"`
}

// CreateAPIKey makes a key; the answer is the only one with its text.
func (o *Operator) CreateAPIKey(ctx context.Context, organization string, in NewAPIKey) (APIKey, error) {
	var made APIKey
	err := o.call(ctx, http.MethodPost, organizationPath(organization)+"/api-keys", in, &made)
	return made, err
}

// APIKeys goes through an organization's API keys, the oldest first, the revoked
// too. It ends after an error.
func (o *Operator) APIKeys(ctx context.Context, organization string) iter.Seq2[APIKey, error] {
	return pages(func(cursor string) ([]APIKey, string, error) {
		var page struct {
			Keys       []APIKey `json:"api_keys"`
			NextCursor string   `json:"next_cursor"`
		}
		err := o.call(ctx, http.MethodGet, organizationPath(organization)+"/api-keys?"+pageQuery(cursor).Encode(), nil, &page)
		return page.Keys, page.NextCursor, err
	})
}

// RevokeAPIKey ends a key and with it all tokens that were made from it.
func (o *Operator) RevokeAPIKey(ctx context.Context, organization, id string) error {
	return o.call(ctx, http.MethodDelete, organizationPath(organization)+"/api-keys/"+url.PathEscape(id), nil, nil)
}

// GenerateMesaKey makes an Ed25519 key pair for an organization: the private
// half as the newer Mesa SDKs take it, and the public half as PKIX in PEM.
func GenerateMesaKey(organization string) (private string, public []byte, err error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", nil, err
	}
	public, err = PublicKey(key)
	return fmt.Sprintf("mesa_private_key_%s_%s", organization, base64.RawURLEncoding.EncodeToString(der)), public, err
}
