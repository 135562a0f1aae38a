// Package egress is how this program calls addresses that users gave it:
// webhooks and upstreams. Its rule is that no such address leads anywhere but
// to the public network, over HTTPS, unless the operator allowed it: what
// counts is the address of the connection, after names are resolved, for every
// connection and every hop of a redirect. What is said over a connection is
// up to its users.
package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"syscall"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// Options say what an Egress may reach.
type Options struct {
	// Allow are ranges that may be reached although they are not public; in
	// them, plain http is allowed too.
	Allow []netip.Prefix
	// Own returns the ports on which this program listens itself: those of
	// this machine are never called.
	Own func() []uint16
	// RootCAs verify the certificates of HTTPS; nil means the system's.
	RootCAs *x509.CertPool
	// Resolver looks names up; nil means the system's way.
	Resolver *net.Resolver
}

// Egress makes clients for addresses of users. They share their connections.
// It is safe for concurrent use.
type Egress struct {
	options       Options
	secure, plain *http.Transport
}

// Bounds of every connection.
const (
	connectTimeout   = 10 * time.Second
	handshakeTimeout = 10 * time.Second
	idleTimeout      = 30 * time.Second
	maxIdle          = 64
	maxIdlePerHost   = 2
	maxHeaderBytes   = 64 << 10 // of a response
)

// New returns an Egress.
func New(o Options) *Egress {
	if o.Own == nil {
		o.Own = func() []uint16 { return nil }
	}
	e := &Egress{options: o}
	e.secure, e.plain = e.transport(e.checkSecure), e.transport(e.checkPlain)
	return e
}

// transport makes connections that check allows. It knows no proxy, takes no
// compressed answers, and speaks HTTP/1.1 only.
func (e *Egress) transport(check func(netip.AddrPort) error) *http.Transport {
	dialer := &net.Dialer{
		Timeout:  connectTimeout,
		Resolver: e.options.Resolver,
		// After the name was resolved, before the connection is made, for
		// each address that is tried.
		ControlContext: func(_ context.Context, network, address string, _ syscall.RawConn) error {
			at, err := netip.ParseAddrPort(address)
			if err != nil || network != "tcp4" && network != "tcp6" {
				return ErrForbidden
			}
			return check(at)
		},
	}
	return &http.Transport{
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: e.options.RootCAs},
		TLSHandshakeTimeout:    handshakeTimeout,
		IdleConnTimeout:        idleTimeout,
		MaxIdleConns:           maxIdle,
		MaxIdleConnsPerHost:    maxIdlePerHost,
		MaxResponseHeaderBytes: maxHeaderBytes,
		DisableCompression:     true,
	}
}

// Close closes the connections that no request uses.
func (e *Egress) Close() error {
	e.secure.CloseIdleConnections()
	e.plain.CloseIdleConnections()
	return nil
}

// Budget bounds one exchange of a client.
type Budget struct {
	// Time is for all of it, from the connection to the end of the answer's
	// body; zero leaves it to the context.
	Time time.Duration
	// Bytes is how much of the answer's body may be read, ErrTooMuch after
	// that; zero is no bound.
	Bytes int64
	// Redirects is how many are followed; with zero a redirect is the answer.
	Redirects int
}

// Client returns a client with a budget for each of its exchanges. Its errors
// are for logs; Reason makes text for users of them.
func (e *Egress) Client(b Budget) *http.Client {
	return &http.Client{
		Transport: &guard{egress: e, bytes: b.Bytes},
		Timeout:   b.Time,
		CheckRedirect: func(next *http.Request, via []*http.Request) error {
			return checkRedirect(next, via, b.Redirects)
		},
	}
}

// credentials are the headers that say who asks. Headers of an application's
// own are lost on other hosts too.
var credentials = []string{"Authorization", "Cookie", "Proxy-Authorization", "Www-Authenticate"}

// checkRedirect lets a redirect be followed that neither goes from https to
// http nor exceeds the number. Credentials go to no host but the first, nor
// back to it once another host was asked.
func checkRedirect(next *http.Request, via []*http.Request, most int) error {
	if most == 0 {
		return http.ErrUseLastResponse
	}
	if len(via) > most {
		return errTooManyRedirects
	}
	if next.URL.Scheme != "https" && via[len(via)-1].URL.Scheme == "https" {
		return ErrForbidden
	}
	hosts := append(slices.Clone(via[1:]), next)
	if slices.ContainsFunc(hosts, func(r *http.Request) bool { return r.URL.Host != via[0].URL.Host || r.URL.Scheme != via[0].URL.Scheme }) {
		for _, name := range credentials {
			next.Header.Del(name)
		}
	}
	return nil
}

// guard checks each request of a client, every hop of a redirect included.
type guard struct {
	egress *Egress
	bytes  int64
}

// RoundTrip sends a request to where it may be sent.
func (g *guard) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := g.egress.checkParsed(r.URL); err != nil {
		return nil, err
	}
	transport := g.egress.secure
	if r.URL.Scheme == "http" {
		transport = g.egress.plain
	}
	answer, err := transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if g.bytes > 0 {
		answer.Body = &boundedBody{answer.Body, g.bytes}
	}
	return answer, nil
}

// The errors of this package. They are part of the chain of a client's error.
var (
	// ErrForbidden does not name the address: what a name leads to inside
	// the operator's network is nobody else's business.
	ErrForbidden        error = cairn.Errorf(cairn.Invalid, "the address is not one that this server calls: it is private, or this server's own, or plain http; the operator can allow ranges with --egress-allow")
	ErrTooMuch          error = cairn.Errorf(cairn.TooLarge, "the answer is too large")
	errTooManyRedirects error = cairn.Errorf(cairn.Invalid, "too many redirects")
)

// Reason is an error of a client as its user may see it: without the address
// that was called, which may hold secrets, and without anything that tells of
// this machine.
func Reason(err error) string {
	var known *cairn.Error
	var certificate *tls.CertificateVerificationError
	var name *net.DNSError
	var record tls.RecordHeaderError
	var timeout net.Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &known):
		return known.Text
	case errors.As(err, &certificate):
		return "the certificate could not be verified"
	case errors.As(err, &record):
		return "the other side does not speak TLS"
	case errors.As(err, &name) && name.IsNotFound:
		return "the host name was not found"
	case errors.As(err, &name):
		return "the host name could not be looked up"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "there was no answer in time"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "the connection was refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "the connection was reset"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "the host is unreachable"
	}
	return "the connection failed"
}

// Address is an address that a user gave, checked as far as its text goes.
func (e *Egress) Address(text string) (*url.URL, error) {
	u, err := parse(text)
	if err != nil {
		return nil, err
	}
	return u, e.checkParsed(u)
}
