package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Operator speaks the operator's API of one server, /admin/v1. It is safe for
// concurrent use.
type Operator struct {
	base  string
	token string
	http  *http.Client
}

// NewOperator returns the operator's client of the server at that address, such
// as http://127.0.0.1:8080, with the server's admin token. A nil http.Client
// means http.DefaultClient.
func NewOperator(address, adminToken string, h *http.Client) (*Operator, error) {
	base, err := parseAddress(address)
	if err != nil {
		return nil, err
	}
	if h == nil {
		h = http.DefaultClient
	}
	return &Operator{base, adminToken, h}, nil
}

// Organization is a tenant.
type Organization struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	CreatedAt time.Time `json:"created_at"`
}

// Key is a public key of an organization.
type Key struct {
	ID        string     `json:"id"`        // the RFC 7638 thumbprint
	Algorithm string     `json:"algorithm"` // ES256, RS256 or EdDSA
	PublicKey string     `json:"public_key"`
	CreatedAt time.Time  `json:"created_at"`
	RevokedAt *time.Time `json:"revoked_at,omitempty"`
}

// CreateOrganization makes a tenant.
func (o *Operator) CreateOrganization(ctx context.Context, name string) (Organization, error) {
	var made Organization
	err := o.call(ctx, http.MethodPost, "/organizations", map[string]string{"name": name}, &made)
	return made, err
}

// Organizations goes through all tenants by name. It ends after an error.
func (o *Operator) Organizations(ctx context.Context) iter.Seq2[Organization, error] {
	return pages(func(cursor string) ([]Organization, string, error) {
		var page struct {
			Organizations []Organization `json:"organizations"`
			NextCursor    string         `json:"next_cursor"`
		}
		err := o.call(ctx, http.MethodGet, "/organizations?"+pageQuery(cursor).Encode(), nil, &page)
		return page.Organizations, page.NextCursor, err
	})
}

// DeleteOrganization removes a tenant that has no repositories.
func (o *Operator) DeleteOrganization(ctx context.Context, name string) error {
	return o.call(ctx, http.MethodDelete, organizationPath(name), nil, nil)
}

// AddKey registers a public key, PKIX in PEM.
func (o *Operator) AddKey(ctx context.Context, organization, publicKey string) (Key, error) {
	var made Key
	err := o.call(ctx, http.MethodPost, organizationPath(organization)+"/keys", map[string]string{"public_key": publicKey}, &made)
	return made, err
}

// Keys returns an organization's keys, the oldest first, the revoked too.
func (o *Operator) Keys(ctx context.Context, organization string) ([]Key, error) {
	var list struct {
		Keys []Key `json:"keys"`
	}
	err := o.call(ctx, http.MethodGet, organizationPath(organization)+"/keys", nil, &list)
	return list.Keys, err
}

// RevokeKey ends a key and with it all tokens that it signed.
func (o *Operator) RevokeKey(ctx context.Context, organization, id string) error {
	return o.call(ctx, http.MethodDelete, organizationPath(organization)+"/keys/"+url.PathEscape(id), nil, nil)
}

// CreateRepository makes an empty repository or a fork.
func (o *Operator) CreateRepository(ctx context.Context, organization string, in NewRepository) (Repository, error) {
	var made Repository
	err := o.call(ctx, http.MethodPost, organizationPath(organization)+"/repositories", in, &made)
	return made, err
}

// Repositories goes through an organization's repositories by name: those whose
// name contains the text, all if it is empty. It ends after an error.
func (o *Operator) Repositories(ctx context.Context, organization, text string) iter.Seq2[Repository, error] {
	return pages(func(cursor string) ([]Repository, string, error) {
		var page struct {
			Repositories []Repository `json:"repositories"`
			NextCursor   string       `json:"next_cursor"`
		}
		query := pageQuery(cursor)
		if text != "" {
			query.Set("q", text)
		}
		err := o.call(ctx, http.MethodGet, organizationPath(organization)+"/repositories?"+query.Encode(), nil, &page)
		return page.Repositories, page.NextCursor, err
	})
}

// Repository returns one repository.
func (o *Operator) Repository(ctx context.Context, organization, name string) (Repository, error) {
	var found Repository
	err := o.call(ctx, http.MethodGet, repositoryPath(organization, name), nil, &found)
	return found, err
}

// DeleteRepository takes a repository away and frees its name.
func (o *Operator) DeleteRepository(ctx context.Context, organization, name string) error {
	return o.call(ctx, http.MethodDelete, repositoryPath(organization, name), nil, nil)
}

// CheckResult says what a check of a repository found.
type CheckResult struct {
	Packs    int      `json:"packs"`
	Objects  int      `json:"objects"`
	Problems []string `json:"problems"`
}

// CheckRepository verifies everything that a repository holds. progress may be
// nil.
func (o *Operator) CheckRepository(ctx context.Context, organization, name string, progress func(done, all int)) (CheckResult, error) {
	var result CheckResult
	err := o.stream(ctx, repositoryPath(organization, name)+"/fsck", &result, func(l line) {
		if progress != nil {
			progress(l.ObjectsDone, l.Objects)
		}
	})
	return result, err
}

// RepackResult says what a full repack did.
type RepackResult struct {
	PacksBefore int   `json:"packs_before"`
	PacksAfter  int   `json:"packs_after"`
	BytesBefore int64 `json:"bytes_before"` // of the packs
	BytesAfter  int64 `json:"bytes_after"`
	Dropped     int64 `json:"objects_dropped"` // objects that no ref led to of late
}

// RepackRepository packs a repository anew, whether that is due or not. While
// another repack of it is under way the error has status 409. progress, which
// may be nil, is told in words how far it is.
func (o *Operator) RepackRepository(ctx context.Context, organization, name string, progress func(string)) (RepackResult, error) {
	var result RepackResult
	err := o.stream(ctx, repositoryPath(organization, name)+"/gc", &result, func(l line) {
		if progress != nil {
			progress(l.Message)
		}
	})
	return result, err
}

// GarbageResult says what a collection did.
type GarbageResult struct {
	Repositories int   `json:"repositories"` // looked at
	Compacted    int   `json:"compacted"`
	Purged       int   `json:"repositories_purged"`
	Packs        int   `json:"packs_removed"`
	Orphans      int   `json:"orphans_removed"`
	OrphanBytes  int64 `json:"orphan_bytes"`
}

// CollectGarbage compacts every repository and removes what is old enough to
// go. progress, which may be nil, is told how many repositories are done.
func (o *Operator) CollectGarbage(ctx context.Context, progress func(repositories int)) (GarbageResult, error) {
	var result GarbageResult
	err := o.stream(ctx, "/gc", &result, func(l line) {
		if progress != nil {
			progress(l.Repositories)
		}
	})
	return result, err
}

func organizationPath(name string) string { return "/organizations/" + url.PathEscape(name) }

func repositoryPath(organization, name string) string {
	return organizationPath(organization) + "/repositories/" + url.PathEscape(name)
}

const pageSize = 1000

func pageQuery(cursor string) url.Values {
	query := url.Values{"limit": {strconv.Itoa(pageSize)}}
	if cursor != "" {
		query.Set("cursor", cursor)
	}
	return query
}

// call sends one request and decodes the answer into out, unless it is nil.
func (o *Operator) call(ctx context.Context, method, path string, in, out any) error {
	response, err := o.send(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if out == nil {
		return nil
	}
	return decode(o.base, response.Body, out)
}

// send sends a request; the caller closes the body of the answer, which is a
// good one.
func (o *Operator) send(ctx context.Context, method, path string, in any) (*http.Response, error) {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, o.base+"/admin/v1"+path, body)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+o.token)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := o.http.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode >= 300 {
		defer response.Body.Close()
		return nil, refusal(response)
	}
	return response, nil
}

// line is one line of the answer of a long operation.
type line struct {
	ObjectsDone  int             `json:"objects_done"`
	Objects      int             `json:"objects"`
	Repositories int             `json:"repositories_done"`
	Message      string          `json:"message"`
	Result       json.RawMessage `json:"result"`
	Error        string          `json:"error"`
	Status       int             `json:"status"`
}

// stream carries out a long operation, whose answer is NDJSON.
func (o *Operator) stream(ctx context.Context, path string, result any, progress func(line)) error {
	response, err := o.send(ctx, http.MethodPost, path, nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	scanner := bufio.NewScanner(response.Body)
	scanner.Buffer(nil, maxAnswer)
	for scanner.Scan() {
		var l line
		if err := json.Unmarshal(scanner.Bytes(), &l); err != nil {
			return fmt.Errorf("%s does not answer like a cairn server: %w", o.base, err)
		}
		switch {
		case l.Error != "":
			return &Error{Status: l.Status, Message: l.Error, RequestID: response.Header.Get("X-Request-Id")}
		case l.Result != nil:
			return json.Unmarshal(l.Result, result)
		default:
			progress(l)
		}
	}
	if err := scanner.Err(); err != nil {
		return err
	}
	return errors.New("the connection ended before the operation did; the server's log may say why")
}
