//go:build linux

package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cairn-storage/cairn/client"
)

// mostOverFastest is how much longer a creation through any face may take than
// through the fastest.
const mostOverFastest = 1.5

// maker makes repositories through one face.
type maker struct {
	face string
	// prepare returns the requests for a number of repositories whose names
	// begin alike.
	prepare func(prefix string, most int) (func(i int) call, error)
}

// measureFaces creates empty repositories through each of the four faces, with
// the credential that its clients use: what a face costs over the core, and how
// far it is from the others.
func measureFaces(ctx context.Context, b *bench) error {
	makers, err := b.makers(ctx)
	if err != nil {
		return err
	}
	if err := b.compareMakers(ctx, makers, 1, loadResult.latency, ratioAtMost(mostOverFastest)); err != nil {
		return err
	}
	return b.compareMakers(ctx, makers, manyClients, loadResult.rate, ratioAtLeast(1/mostOverFastest))
}

// compareMakers measures all faces with a number of clients, and sets the
// slowest beside the fastest.
func (b *bench) compareMakers(ctx context.Context, makers []maker, clients int, of func(loadResult) figure, g goal) error {
	var fastest, slowest figure
	faster := func(f, than figure) bool { return (f.value > than.value) == g.least } // a rate or a time
	for i, m := range makers {
		result, err := b.createThrough(ctx, m, clients)
		if err != nil {
			return fmt.Errorf("%s: %w", m.face, err)
		}
		f := of(result)
		b.table.add(fmt.Sprintf("create repository through %s, %s", m.face, clientCount(clients)), f)
		if i == 0 || faster(f, fastest) {
			fastest = f
		}
		if i == 0 || faster(slowest, f) {
			slowest = f
		}
	}
	name := "create repository through the slowest face, " + clientCount(clients)
	b.table.add(name, slowest)
	b.table.beside("through the fastest", name, fastest, g)
	return nil
}

func clientCount(n int) string {
	if n == 1 {
		return "1 client"
	}
	return fmt.Sprintf("%d clients", n)
}

// createThrough measures one face. What it makes first is not measured: then the
// server has seen the credential.
func (b *bench) createThrough(ctx context.Context, m maker, clients int) (loadResult, error) {
	most := int(mostCreates * b.sizes.measurement.Seconds())
	create, err := m.prepare(fmt.Sprintf("%s-%d", strings.ReplaceAll(strings.ToLower(m.face), " ", "-"), clients), most)
	if err != nil {
		return loadResult{}, err
	}
	first, err := dial(ctx, b.server.url)
	if err != nil {
		return loadResult{}, err
	}
	defer first.conn.Close()
	if err := first.do(first.render(create(0))); err != nil {
		return loadResult{}, err
	}
	var made atomic.Int64
	return b.load(ctx, clients, func(int, int) (call, bool) {
		i := int(made.Add(1))
		if i >= most {
			return call{}, false
		}
		return create(i), true
	})
}

// makers makes the credentials of all faces.
func (b *bench) makers(ctx context.Context) ([]maker, error) {
	operator := b.server.operator
	apiKey, err := operator.CreateAPIKey(ctx, organization, client.NewAPIKey{Name: "bench"})
	if err != nil {
		return nil, err
	}
	const user = "bench-user" // in whose own organization the Gogs API makes them
	if _, err := operator.CreateUser(ctx, client.NewUser{Name: user}); err != nil {
		return nil, err
	}
	token, err := operator.CreateUserToken(ctx, user, "bench")
	if err != nil {
		return nil, err
	}
	accessKey, err := operator.CreateAccessKey(ctx, organization, client.NewAccessKey{Name: "bench"})
	if err != nil {
		return nil, err
	}
	project, err := operator.CreateProject(ctx, organization, "bench-project")
	if err != nil {
		return nil, err
	}
	return []maker{
		{"Code Storage", b.prepareTokens},
		{"Mesa", eachByName(func(name string) call {
			return call{apiKey.Key, http.MethodPost, "/v1/" + organization + "/repos", fmt.Appendf(nil, `{"name":%q}`, name)}
		})},
		{"Gogs", eachByName(func(name string) call {
			return call{"Authorization: token " + token.Token, http.MethodPost, "/api/v1/user/repos", fmt.Appendf(nil, `{"name":%q,"private":true}`, name)}
		})},
		{"CodeArts", eachByName(func(name string) call {
			return signedCall(accessKey, "/v1/repositories", fmt.Appendf(nil, `{"name":%q,"project_uuid":%q}`, name, project.ID))
		})},
	}, nil
}

// eachByName prepares nothing.
func eachByName(create func(name string) call) func(string, int) (func(int) call, error) {
	return func(prefix string, _ int) (func(int) call, error) {
		return func(i int) call { return create(fmt.Sprintf("%s-%d", prefix, i)) }, nil
	}
}

// prepareTokens signs the tokens of the Code Storage API: one for each
// repository, which is named by nothing else.
func (b *bench) prepareTokens(prefix string, most int) (func(i int) call, error) {
	tokens := make([]string, most)
	for i := range tokens {
		var err error
		if tokens[i], err = b.server.account.Token(fmt.Sprintf("%s-%d", prefix, i)); err != nil {
			return nil, err
		}
	}
	return func(i int) call { return call{tokens[i], http.MethodPost, "/api/v1/repos", emptyRepository} }, nil
}

// signedCall is a POST that is signed as the clients of the CodeArts Repo API do
// it, for a path that needs no escapes.
func signedCall(key client.AccessKey, path string, body []byte) call {
	date := time.Now().UTC().Format("20060102T150405Z")
	digest := sha256.Sum256(body)
	request := sha256.Sum256(fmt.Appendf(nil, "POST\n%s/\n\nx-sdk-date:%s\n\nx-sdk-date\n%x", path, date, digest))
	mac := hmac.New(sha256.New, []byte(key.Secret))
	fmt.Fprintf(mac, "SDK-HMAC-SHA256\n%s\n%x", date, request)
	header := fmt.Sprintf("X-Sdk-Date: %s\r\nAuthorization: SDK-HMAC-SHA256 Access=%s, SignedHeaders=x-sdk-date, Signature=%s",
		date, key.ID, hex.EncodeToString(mac.Sum(nil)))
	return call{header, http.MethodPost, path, body}
}
