package client_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/cairn-storage/cairn/client"
	"github.com/cairn-storage/cairn/internal/api/apitest"
	"github.com/cairn-storage/cairn/internal/api/codestorage"
	"github.com/cairn-storage/cairn/internal/config"
	"github.com/cairn-storage/cairn/internal/server"
)

// The server that all tests and examples of this package use.
var (
	address  string
	operator *client.Operator
	key      []byte // the private key of the organization acme
)

func TestMain(m *testing.M) {
	code, err := serve(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func serve(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "cairn-client-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	c := config.Default()
	c.Data, c.Listen, c.OpsListen = filepath.Join(dir, "data"), "127.0.0.1:0", ""
	c.EgressAllow = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} // where the receivers of webhooks are
	ctx := context.Background()
	s, err := server.Start(ctx, c, slog.New(slog.DiscardHandler), "test")
	if err != nil {
		return 1, err
	}
	defer s.Stop() //nolint:errcheck // the tests are over
	address = s.URL()
	if operator, err = client.NewOperator(address, s.AdminToken(), nil); err != nil {
		return 1, err
	}
	if _, err = operator.CreateOrganization(ctx, "acme"); err != nil {
		return 1, err
	}
	var public []byte
	if key, public, err = client.GenerateKey(); err != nil {
		return 1, err
	}
	if _, err = operator.AddKey(ctx, "acme", string(public)); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// document is what all answers to connect's clients are held to.
var document = sync.OnceValue(func() *apitest.Document {
	d, err := apitest.Parse(codestorage.OpenAPI)
	if err != nil {
		panic(err)
	}
	return d
})

// connect returns a client of acme whose answers are held to the document.
func connect(t *testing.T, options ...client.Option) *client.Client {
	t.Helper()
	signer, err := client.ParsePrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	transport := &apitest.Transport{
		Next: http.DefaultTransport, Document: document(), Mistake: func(err error) { t.Error(err) },
		Streams: func(r *http.Request) bool { return r.Header.Get("Accept") == "text/event-stream" },
	}
	c, err := client.New(address, append([]client.Option{client.WithKey("acme", signer), client.WithHTTPClient(&http.Client{Transport: transport})}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
