package demo

import (
	"bytes"
	"context"
	"crypto"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/cairn-storage/cairn/client"
)

// Account is an organization on a server as its own programs see it: they hold
// the private half of its key and sign a token for each repository. It is safe
// for concurrent use.
type Account struct {
	Server       string // without a slash at the end
	Organization string
	Client       *http.Client

	operator *client.Operator
	key      crypto.Signer
}

// Register makes an organization with a new key on a server, by its operator's
// token.
func Register(ctx context.Context, server, adminToken, organization string) (*Account, error) {
	operator, err := client.NewOperator(server, adminToken, nil)
	if err != nil {
		return nil, err
	}
	private, public, err := client.GenerateKey()
	if err != nil {
		return nil, err
	}
	key, err := client.ParsePrivateKey(private)
	if err != nil {
		return nil, err
	}
	if _, err := operator.CreateOrganization(ctx, organization); err != nil {
		return nil, err
	}
	_, err = operator.AddKey(ctx, organization, string(public))
	return &Account{server, organization, http.DefaultClient, operator, key}, err
}

// Token signs a token that may do everything with a repository for a day.
func (a *Account) Token(repository string) (string, error) {
	return client.SignToken(a.key, client.Claims{
		Organization: a.Organization,
		Repository:   repository,
		Subject:      "demo",
		Scopes:       []string{"git:read", "git:write", "repo:write", "org:read"},
		TTL:          24 * time.Hour,
	})
}

// Remote is the address of a repository for Git, with a token in it.
func (a *Account) Remote(repository string) (string, error) {
	token, err := a.Token(repository)
	if err != nil {
		return "", err
	}
	u, err := url.Parse(a.Server + "/" + repository + ".git")
	if err != nil {
		return "", err
	}
	u.User = url.UserPassword("t", token)
	return u.String(), nil
}

// StatusError is an answer other than success.
type StatusError struct {
	Method, Path string
	Status       int
	Body         string
}

// Error tells the request, the status and the beginning of the answer.
func (e *StatusError) Error() string {
	return fmt.Sprintf("%s %s: status %d: %s", e.Method, e.Path, e.Status, strings.TrimSpace(e.Body))
}

// Call makes a request about a repository and decodes its JSON answer into
// the value, unless that is nil. What is not 2xx is a *StatusError.
func (a *Account) Call(ctx context.Context, repository, method, path string, body []byte, into any) error {
	token, err := a.Token(repository)
	if err != nil {
		return err
	}
	answer, err := a.Get(ctx, token, method, path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer answer.Close()
	data, err := io.ReadAll(answer)
	if err == nil && into != nil {
		err = json.Unmarshal(data, into)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}

// Get makes a request with a token and returns the body of its answer, which
// the caller closes.
func (a *Account) Get(ctx context.Context, token, method, path string, body io.Reader) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, method, a.Server+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := a.Client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 != 2 {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 2000))
		resp.Body.Close()
		return nil, &StatusError{method, path, resp.StatusCode, string(text)}
	}
	return resp.Body, nil
}

func mustJSON(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic("demo: " + err.Error())
	}
	return data
}
