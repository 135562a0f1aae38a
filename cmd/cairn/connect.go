package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cairn-storage/cairn/client"
)

// defaultServer is where cairn serve listens unless told otherwise.
const defaultServer = "http://127.0.0.1:8080"

// connection says how to reach a server.
type connection struct {
	server, data, caCert string
	adminToken           string // of commands for operators
}

// bindServer defines the flags that say where the server is.
func (c *connection) bindServer(cmd *cobra.Command) {
	flags := cmd.PersistentFlags()
	flags.StringVar(&c.server, "server", "", "address of the server (CAIRN_SERVER; default: that of --data, else "+defaultServer+")")
	flags.StringVar(&c.data, "data", "", "the server's data directory, if it is on this machine (CAIRN_DATA; default ./cairn-data)")
	flags.StringVar(&c.caCert, "ca-cert", "", "certificate authority of the server, PEM (CAIRN_CA_CERT; default: that of --data with --tls-self-signed)")
}

// bind defines the flags of commands for operators.
func (c *connection) bind(cmd *cobra.Command) {
	c.bindServer(cmd)
	cmd.PersistentFlags().StringVar(&c.adminToken, "admin-token", "", "admin token (CAIRN_ADMIN_TOKEN; default: the one in --data)")
}

// locate fills what was not given from the environment and the data directory.
func (c *connection) locate() {
	c.data = firstOf(c.data, os.Getenv("CAIRN_DATA"), "cairn-data")
	c.server = strings.TrimRight(firstOf(c.server, os.Getenv("CAIRN_SERVER"), c.read("address"), defaultServer), "/")
	if c.caCert = firstOf(c.caCert, os.Getenv("CAIRN_CA_CERT")); c.caCert == "" {
		own := filepath.Join(c.data, "tls", "ca.pem")
		if _, err := os.Stat(own); err == nil {
			c.caCert = own
		}
	}
}

// resolve does so for operators.
func (c *connection) resolve() error {
	c.locate()
	c.adminToken = firstOf(c.adminToken, os.Getenv("CAIRN_ADMIN_TOKEN"), c.read("admin-token"))
	if c.adminToken == "" {
		return usageError{fmt.Errorf("there is no admin token: give --admin-token, set CAIRN_ADMIN_TOKEN, or name the server's data directory with --data (%s has none)", c.data)}
	}
	return nil
}

// read returns a line that the server keeps in its data directory, if it is
// there.
func (c *connection) read(name string) string {
	text, err := os.ReadFile(filepath.Join(c.data, name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// open returns the operator's client.
func (c *connection) open() (*client.Operator, error) {
	if err := c.resolve(); err != nil {
		return nil, err
	}
	h, err := c.httpClient()
	if err != nil {
		return nil, err
	}
	made, err := client.NewOperator(c.server, c.adminToken, h)
	if err != nil {
		return nil, usageError{err}
	}
	return made, nil
}

// httpClient trusts the server's authority, if it has one of its own.
func (c *connection) httpClient() (*http.Client, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if c.caCert != "" && strings.HasPrefix(c.server, "https:") {
		pool, err := trust(c.caCert)
		if err != nil {
			return nil, err
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return &http.Client{Transport: transport}, nil
}

// trust returns the system's authorities and the one in the file.
func trust(path string) (*x509.CertPool, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, usageError{fmt.Errorf("--ca-cert: %w", err)}
	} else if err != nil {
		return nil, err
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(text) {
		return nil, usageError{fmt.Errorf("--ca-cert: %s holds no certificate in PEM", path)}
	}
	return pool, nil
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
