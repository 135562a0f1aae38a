package egress

import (
	"context"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// allowed is the part of loopback that tests let in; 127.0.0.1 is what they
// must not reach.
var allowed = []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}

// serve serves on an address of loopback.
func serve(t *testing.T, ip string, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	return serveAt(t, net.JoinHostPort(ip, "0"), h)
}

func serveAt(t *testing.T, address string, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(h)
	s.Listener.Close()
	s.Listener = listener
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// unreachable fails the test when it is called.
func unreachable(t *testing.T) http.HandlerFunc {
	return func(http.ResponseWriter, *http.Request) { t.Error("the forbidden server was called") }
}

func newEgress(t *testing.T, o Options) *Egress {
	t.Helper()
	e := New(o)
	t.Cleanup(func() { e.Close() })
	return e
}

func get(t *testing.T, e *Egress, b Budget, address string, header ...string) (*http.Response, string, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := e.Client(b).Do(r)
	if err != nil {
		return nil, "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return answer, string(body), err
}

// What is not public cannot be called, in whichever form it is written.
func TestPrivateAddresses(t *testing.T) {
	t.Parallel()
	e := newEgress(t, Options{})
	for _, ip := range []string{
		"169.254.169.254", "fd00:ec2::254", "127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1", "::127.0.0.1", "0.0.0.0", "::",
		"10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "100.100.100.200", "192.0.0.192", "198.18.0.1",
		"224.0.0.1", "255.255.255.255", "fe80::1", "fec0::1", "fc00::1", "ff02::1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1",
		"2002:7f00:1::", "2001::1", "2001:db8::1", "168.63.129.16", "0.1.2.3", "240.0.0.1",
	} {
		addr := netip.MustParseAddr(ip)
		if err := e.check(netip.AddrPortFrom(addr, 443), false); !errors.Is(err, ErrForbidden) {
			t.Errorf("connection to %s: got error %v", ip, err)
		}
		host := ip
		if addr.Is6() {
			host = "[" + ip + "]"
		}
		if _, err := e.Address("https://" + host + "/hook"); !errors.Is(err, ErrForbidden) {
			t.Errorf("address with %s: got error %v", host, err)
		}
		if _, _, err := get(t, e, Budget{}, "https://"+host+":1/"); !errors.Is(err, ErrForbidden) {
			t.Errorf("request to %s: got error %v", host, err)
		}
	}
	for _, ip := range []string{"1.1.1.1", "172.15.0.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"} {
		at := netip.AddrPortFrom(netip.MustParseAddr(ip), 443)
		if err := e.check(at, false); err != nil {
			t.Errorf("%s is public: %v", ip, err)
		}
		if err := e.check(at, true); !errors.Is(err, ErrForbidden) {
			t.Errorf("plain http to %s: got error %v", ip, err)
		}
	}
	if err := e.check(netip.MustParseAddrPort("[fe80::1%eth0]:443"), false); err == nil {
		t.Error("an address with a zone is let through")
	}
}

func TestAddress(t *testing.T) {
	t.Parallel()
	e := newEgress(t, Options{Allow: allowed})
	for _, text := range []string{
		"https://example.com", "https://example.com:8443/a/b?c=d&e=%20", "https://xn--bcher-kva.example/", "http://127.0.0.2:8080/x",
		"https://1.1.1.1/", "https://[2606:4700::1111]/", "http://host/", "https://a_b.example", "https://0x.example/", "https://8.8.8.8.example",
	} {
		if _, err := e.Address(text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	for name, text := range map[string]string{
		"decimal":              "http://2130706433/",
		"octal":                "http://0177.0.0.1/",
		"hexadecimal":          "http://0x7f000001/",
		"mixed":                "http://0x7f.1/",
		"short":                "http://127.1/",
		"trailing dot":         "http://127.0.0.1./",
		"mapped":               "http://[::ffff:127.0.0.1]/",
		"mapped, hexadecimal":  "http://[::ffff:7f00:1]/",
		"zone":                 "http://[fe80::1%25lo]/",
		"file":                 "file:///etc/passwd",
		"ext":                  "ext::sh -c touch%20x",
		"ssh":                  "ssh://-oProxyCommand=x/y",
		"scp form":             "git@example.com:x/y",
		"git":                  "git://example.com/x",
		"gopher":               "gopher://example.com/",
		"no scheme":            "example.com/x",
		"opaque":               "https:example.com",
		"user":                 "https://user@example.com/",
		"password":             "https://user:password@example.com/",
		"empty user":           "https://@example.com/",
		"newline":              "https://example.com/\nHost: evil",
		"encoded newline":      "https://example.com/%0aHost:evil",
		"encoded in the query": "https://example.com/?a=%0d%0aX",
		"encoded nothing":      "https://example.com/%00",
		"newline in the host":  "https://example.com%0a.evil/",
		"backslash":            "https://example.com\\@evil/",
		"space":                "https://exa mple.com/",
		"fullwidth digits":     "https://１２７.0.0.1/",
		"umlaut":               "https://bücher.example/",
		"fragment":             "https://example.com/#x",
		"empty fragment":       "https://example.com/#",
		"no host":              "https:///x",
		"port without host":    "https://:443/",
		"port zero":            "https://example.com:0/",
		"port too large":       "https://example.com:65536/",
		"empty port":           "https://example.com:/",
		"port in octal":        "https://example.com:0443/",
		"empty label":          "https://example..com/",
		"dash":                 "https://-example.com/",
		"long":                 "https://example.com/" + strings.Repeat("x", maxAddress),
		"long label":           "https://" + strings.Repeat("x", 64) + ".com/",
		"long host":            "https://" + strings.Repeat("x.", 127) + "com/",
		"nothing":              "",
	} {
		if u, err := e.Address(text); !errors.Is(err, cairn.Invalid) {
			t.Errorf("%s: got %v, %v", name, u, err)
		}
	}
	if _, err := newEgress(t, Options{}).Address("http://example.com/"); !errors.Is(err, cairn.Invalid) || !strings.Contains(err.Error(), "https") {
		t.Errorf("plain http: got error %v", err)
	}
}

// A name that first leads to where it may and then elsewhere is looked at again
// for each connection.
func TestDNSRebinding(t *testing.T) {
	t.Parallel()
	good := serve(t, "127.0.0.2", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		io.WriteString(w, "good")
	})
	_, port, _ := net.SplitHostPort(good.Listener.Addr().String())
	evil := serveAt(t, net.JoinHostPort("127.0.0.1", port), unreachable(t))
	_ = evil
	names := newNameServer(t, "127.0.0.2", "127.0.0.1")
	e := newEgress(t, Options{Allow: allowed, Resolver: names.resolver()})
	if _, body, err := get(t, e, Budget{}, "http://rebind.example:"+port+"/"); err != nil || body != "good" {
		t.Fatalf("the first connection: got %q, %v", body, err)
	}
	if _, _, err := get(t, e, Budget{}, "http://rebind.example:"+port+"/"); !errors.Is(err, ErrForbidden) {
		t.Errorf("the second connection: got error %v", err)
	}
	if names.asked() != 2 {
		t.Errorf("the name was looked up %d times, want twice", names.asked())
	}
}

func TestRedirectToLoopback(t *testing.T) {
	t.Parallel()
	evil := serve(t, "127.0.0.1", unreachable(t))
	for name, to := range map[string]string{
		"address": evil.URL, "decimal": strings.Replace(evil.URL, "127.0.0.1", "2130706433", 1), "file": "file:///etc/passwd",
		"mapped": strings.Replace(evil.URL, "127.0.0.1", "[::ffff:127.0.0.1]", 1),
	} {
		first := serve(t, "127.0.0.2", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) })
		e := newEgress(t, Options{Allow: allowed})
		if _, _, err := get(t, e, Budget{Redirects: 3}, first.URL); !errors.Is(err, cairn.Invalid) {
			t.Errorf("%s: got error %v", name, err)
		}
		if answer, _, err := get(t, e, Budget{}, first.URL); err != nil || answer.StatusCode != http.StatusFound {
			t.Errorf("%s: without redirects: got %v, %v", name, answer, err)
		}
	}
}

func TestRedirectKeepsCredentialsFromOthers(t *testing.T) {
	t.Parallel()
	var first, other *httptest.Server
	seen := make(chan string, 10)
	note := func(where string, r *http.Request) {
		seen <- where + " " + r.URL.Path + " " + r.Header.Get("Authorization") + r.Header.Get("Cookie")
	}
	first = serve(t, "127.0.0.2", func(w http.ResponseWriter, r *http.Request) {
		note("first", r)
		switch r.URL.Path {
		case "/1":
			http.Redirect(w, r, "/2", http.StatusFound)
		case "/2":
			http.Redirect(w, r, other.URL+"/3", http.StatusFound)
		}
	})
	other = serve(t, "127.0.0.2", func(w http.ResponseWriter, r *http.Request) {
		note("other", r)
		http.Redirect(w, r, first.URL+"/4", http.StatusFound)
	})
	e := newEgress(t, Options{Allow: allowed})
	if _, _, err := get(t, e, Budget{Redirects: 3}, first.URL+"/1", "Authorization", "secret", "Cookie", "a=b"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"first /1 secreta=b", "first /2 secreta=b", "other /3 ", "first /4 "} {
		if got := <-seen; got != want {
			t.Errorf("got request %q, want %q", got, want)
		}
	}
	if _, _, err := get(t, e, Budget{Redirects: 2}, first.URL+"/1"); !errors.Is(err, errTooManyRedirects) {
		t.Errorf("three redirects of two: got error %v", err)
	}
}

func TestRedirectToPlainHTTP(t *testing.T) {
	t.Parallel()
	plain := serve(t, "127.0.0.2", unreachable(t))
	secure := httptest.NewTLSServer(http.RedirectHandler(plain.URL, http.StatusFound))
	t.Cleanup(secure.Close)
	roots := x509.NewCertPool()
	roots.AddCert(secure.Certificate())
	e := newEgress(t, Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, RootCAs: roots})
	if _, _, err := get(t, e, Budget{Redirects: 3}, secure.URL); !errors.Is(err, ErrForbidden) {
		t.Errorf("got error %v", err)
	}
	if answer, _, err := get(t, e, Budget{}, secure.URL); err != nil || answer.StatusCode != http.StatusFound {
		t.Errorf("over TLS: got %v, %v", answer, err)
	}
	untrusting := newEgress(t, Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	if _, _, err := get(t, untrusting, Budget{}, secure.URL); err == nil || Reason(err) != "the certificate could not be verified" {
		t.Errorf("without trust: got error %v", err)
	}
}

// What listens on this machine for cairn itself is not called even in an
// allowed range: the operators' listener asks for no credential.
func TestOwnListener(t *testing.T) {
	t.Parallel()
	own := serve(t, "127.0.0.2", unreachable(t))
	_, port, _ := net.SplitHostPort(own.Listener.Addr().String())
	at := netip.MustParseAddrPort(own.Listener.Addr().String())
	e := newEgress(t, Options{Allow: allowed, Own: func() []uint16 { return []uint16{at.Port()} }})
	if _, _, err := get(t, e, Budget{}, "http://127.0.0.2:"+port); !errors.Is(err, ErrForbidden) {
		t.Errorf("got error %v", err)
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		if ip := netip.MustParsePrefix(a.String()).Addr(); !isOwn(ip) {
			t.Errorf("%s is not taken for this machine's", ip)
		}
	}
	if isOwn(netip.MustParseAddr("192.0.2.1")) {
		t.Error("192.0.2.1 is taken for this machine's")
	}
}

// A proxy of the environment would make the check of addresses one of the
// proxy's.
func TestNoProxy(t *testing.T) {
	t.Parallel()
	e := newEgress(t, Options{})
	if e.secure.Proxy != nil || e.plain.Proxy != nil {
		t.Error("a proxy may be used")
	}
}

func TestEndlessAnswers(t *testing.T) {
	t.Parallel()
	s := serve(t, "127.0.0.2", func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/header":
			for range 100 {
				w.Header().Add("X-Long", strings.Repeat("x", 1000))
			}
		case "/body":
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 4096)); err != nil {
					return
				}
			}
		case "/drip":
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		case "/exact":
			io.WriteString(w, "12345")
		}
	})
	e := newEgress(t, Options{Allow: allowed})
	if _, _, err := get(t, e, Budget{}, s.URL+"/header"); err == nil {
		t.Error("100 KB of header were taken")
	}
	if _, body, err := get(t, e, Budget{Bytes: 10_000}, s.URL+"/body"); !errors.Is(err, ErrTooMuch) || len(body) != 10_000 {
		t.Errorf("endless body: got %d bytes, %v", len(body), err)
	}
	if _, _, err := get(t, e, Budget{Time: 50 * time.Millisecond}, s.URL+"/drip"); Reason(err) != "there was no answer in time" {
		t.Errorf("slow body: got error %v", err)
	}
	if _, body, err := get(t, e, Budget{Bytes: 5}, s.URL+"/exact"); err != nil || body != "12345" {
		t.Errorf("body of just the size: got %q, %v", body, err)
	}
}

// What users are told of an error names neither the address, which may hold
// secrets, nor what a name led to.
func TestReasonTellsNoSecrets(t *testing.T) {
	t.Parallel()
	closed := serve(t, "127.0.0.2", unreachable(t))
	closed.Close()
	e := newEgress(t, Options{Allow: allowed, Resolver: newNameServer(t, "10.1.2.3").resolver()})
	for address, want := range map[string]string{
		closed.URL + "/?token=hush":            "the connection was refused",
		"http://inside.example:1/?token=hush":  Reason(ErrForbidden),
		"https://inside.example:1/?token=hush": Reason(ErrForbidden),
	} {
		_, _, err := get(t, e, Budget{}, address)
		reason := Reason(err)
		if reason != want || strings.Contains(reason, "hush") || strings.Contains(reason, "10.1.2.3") {
			t.Errorf("%s: got %q, want %q", address, reason, want)
		}
	}
	for _, err := range []error{&url.Error{Op: "Get", URL: "hush", Err: errors.New("hush")}, &net.DNSError{Err: "hush", Name: "hush"}, io.ErrUnexpectedEOF} {
		if reason := Reason(err); reason == "" || strings.Contains(reason, "hush") {
			t.Errorf("%v: got %q", err, reason)
		}
	}
}

func FuzzAddress(f *testing.F) {
	for _, seed := range []string{"https://example.com/x", "http://[::ffff:127.0.0.1]:80/", "https://0x7f.1", "https://a@b:1", "https://127.0.0.1%2f"} {
		f.Add(seed)
	}
	e := New(Options{})
	f.Fuzz(func(t *testing.T, text string) {
		u, err := e.Address(text)
		if err != nil {
			return
		}
		if u.Scheme != "https" || u.User != nil {
			t.Errorf("%q is let through", text)
		}
		if ip, err := netip.ParseAddr(u.Hostname()); err == nil && !isPublic(ip.Unmap()) && !translated.Contains(ip) {
			t.Errorf("%q leads to %s", text, ip)
		}
		again, err := e.Address(u.String())
		if err != nil || again.Host != u.Host {
			t.Errorf("%q is read another way the second time: %v, %v", text, again, err)
		}
	})
}

// nameServer answers every question for an IPv4 address with the next of its
// answers, the last one again and again.
type nameServer struct {
	conn net.PacketConn

	mu      sync.Mutex
	answers []string
	n       int
}

func newNameServer(t *testing.T, answers ...string) *nameServer {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &nameServer{conn: conn, answers: answers}
	done := make(chan struct{})
	go func() { defer close(done); s.serve() }()
	t.Cleanup(func() { conn.Close(); <-done })
	return s
}

func (s *nameServer) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", s.conn.LocalAddr().String())
	}}
}

func (s *nameServer) asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n
}

func (s *nameServer) serve() {
	buf := make([]byte, 4096)
	for {
		n, from, err := s.conn.ReadFrom(buf)
		if err != nil {
			return
		}
		end := 12
		for end < n && buf[end] != 0 {
			end += int(buf[end]) + 1
		}
		end += 5 // the root, type and class
		if end > n {
			continue
		}
		answer := append([]byte(nil), buf[:end]...)
		binary.BigEndian.PutUint16(answer[2:], 0x8180) // an answer, no error
		clear(answer[6:12])
		if binary.BigEndian.Uint16(buf[end-4:]) == 1 { // A
			ip := netip.MustParseAddr(s.next()).As4()
			binary.BigEndian.PutUint16(answer[6:], 1)
			answer = append(answer, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
			answer = append(answer, ip[:]...)
		}
		if _, err := s.conn.WriteTo(answer, from); err != nil {
			return
		}
	}
}

func (s *nameServer) next() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	answer := s.answers[min(s.n, len(s.answers)-1)]
	s.n++
	return answer
}

func TestPost(t *testing.T) {
	t.Parallel()
	s := serve(t, "127.0.0.2", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path == "/elsewhere" {
			t.Error("a redirect was followed")
		}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(http.StatusTemporaryRedirect)
		io.WriteString(w, r.Method+" "+r.Header.Get("Content-Type")+" "+string(body)+strings.Repeat("x", 1<<20))
	})
	e := newEgress(t, Options{Allow: allowed})
	got, err := e.Post(t.Context(), s.URL, map[string]string{"Content-Type": "a/b"}, []byte("hello"), 14, Budget{Time: time.Minute, Bytes: 1000})
	if err != nil || got.Status != http.StatusTemporaryRedirect || string(got.Body) != "POST a/b hello" {
		t.Errorf("got %d %q, %v", got.Status, got.Body, err)
	}
}
