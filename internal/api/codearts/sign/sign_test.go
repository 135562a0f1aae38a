package sign

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// request is one as a client sends it, signed with a signature that is not
// looked at here.
func request(method, target, body, signed string, header map[string]string) *http.Request {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for name, value := range header {
		r.Header.Set(name, value)
	}
	r.Header.Set("Authorization", Algorithm+" Access=AK, SignedHeaders="+signed+", Signature="+strings.Repeat("0", 64))
	return r
}

// The first two are vectors of the SDK's own tests.
func TestVectors(t *testing.T) {
	t.Parallel()
	agent := map[string]string{DateHeader: "20260101T000000Z", "User-Agent": "huaweicloud-usdk-go/3.0; test", "X-Project-Id": "0123456789abcdef0123456789abcdef"}
	date := map[string]string{DateHeader: "20060102T150405Z"}
	for name, c := range map[string]struct {
		secret, method, target, body, signed string
		header                               map[string]string
		want                                 string
	}{
		"V1": {"SecretKey", "GET", "/path?limit=1", "", "x-sdk-date", date, "5a2ce64c865e0e6046321c6f3d5a77ba8413eeaf355c3166c03d58d02ac79624"},
		"V2": {"SecretKey", "POST", "/path?key=value", `{"Name":"test","Id":1}` + "\n", "x-sdk-date", date, "cecc2af119b18ab70b4d094c0750f3b42c02f254903179a0fc2cc72fc9db4f59"},
		"V3": {"TESTSK", "POST", "/v1/repositories", `{"name":"demo","project_uuid":"4838955a48e2492bbe44b31bc4c272f6"}` + "\n",
			"user-agent;x-project-id;x-sdk-date", agent, "e9ac89e6c20c9e4a2e1b258ec1d7f943b76b4bf2b2a528bbc40561fd4f39e313"},
		"V4": {"TESTSK", "GET", "/v1/repositories/d161fd00d9194816a455cb3c1d6a783e/branch/feature/x/sub-files?limit=10&path=src%2Fmain", "",
			"user-agent;x-project-id;x-sdk-date", agent, "1445eef7be81afc0c8f4f31ba5697bb331ca39a607ef0d9d9cdead1c07cf05c9"},
	} {
		r := request(c.method, c.target, c.body, c.signed, c.header)
		s, err := Parse(r)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		text, err := s.Text(r, sha256.Sum256([]byte(c.body)))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		mac := hmac.New(sha256.New, []byte(c.secret))
		mac.Write([]byte(text))
		if got := hex.EncodeToString(mac.Sum(nil)); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}

func TestCanonical(t *testing.T) {
	t.Parallel()
	r := request("GET", "/a%20b/%2F$&+,:;=@~/%25/", "", "x-sdk-date;host;x-many;absent", map[string]string{DateHeader: "20060102T150405Z"})
	r.Header["X-Many"] = []string{" b ", "a"}
	s, err := Parse(r)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := s.canonicalHeaders(r), "x-sdk-date:20060102T150405Z\nhost:example.com\nx-many:b\nx-many:a\nabsent:\n"; got != want {
		t.Errorf("headers: got %q, want %q", got, want)
	}
	for target, want := range map[string]string{
		"/":                    "/",
		"/a":                   "/a/",
		"/a/":                  "/a/",
		"/a//b":                "/a//b/",
		"/a%20b/$&+,:;=@~/%25": "/a%20b/%24%26%2B%2C%3A%3B%3D%40~/%25/",
		"/feature%2Fx":         "/feature/x/",
		"/feature%252Fx":       "/feature%252Fx/",
	} {
		if got := canonicalPath(httptest.NewRequest("GET", target, nil).URL.Path); got != want {
			t.Errorf("path %q: got %q, want %q", target, got, want)
		}
	}
	for raw, want := range map[string]string{
		"":                    "",
		"b=2&a=1":             "a=1&b=2",
		"a=2&a=1&a":           "a=&a=1&a=2",
		"a=x+y&b=%2F&c=é":     "a=x%20y&b=%2F&c=%C3%A9",
		"a.b=1&a=1":           "a=1&a.b=1",
		"key":                 "key=",
		"t=2026-01-01T00:00Z": "t=2026-01-01T00%3A00Z",
	} {
		if got, err := canonicalQuery(raw); got != want || err != nil {
			t.Errorf("query %q: got %q, %v, want %q", raw, got, err, want)
		}
	}
	if _, err := canonicalQuery("a=%zz"); err == nil {
		t.Error("a query that cannot be read was taken")
	}
}

func TestNotProperlySigned(t *testing.T) {
	t.Parallel()
	good := Algorithm + " Access=AK, SignedHeaders=x-sdk-date, Signature=" + strings.Repeat("0", 64)
	for name, c := range map[string]struct {
		authorization, date string
		want                error
	}{
		"none":              {"", "20060102T150405Z", ErrScheme},
		"another scheme":    {strings.Replace(good, "SHA256", "SM3", 1), "20060102T150405Z", ErrScheme},
		"no access":         {strings.Replace(good, "Access=AK, ", "", 1), "20060102T150405Z", ErrScheme},
		"empty access":      {strings.Replace(good, "AK", "", 1), "20060102T150405Z", ErrScheme},
		"access twice":      {strings.Replace(good, "Access=AK", "Access=AK, Access=AK", 1), "20060102T150405Z", ErrScheme},
		"something else":    {good + ", Other=1", "20060102T150405Z", ErrScheme},
		"short signature":   {good[:len(good)-2], "20060102T150405Z", ErrScheme},
		"no hexadecimal":    {good[:len(good)-1] + "g", "20060102T150405Z", ErrScheme},
		"many headers":      {strings.Replace(good, "x-sdk-date", "x-sdk-date"+strings.Repeat(";a", 64), 1), "20060102T150405Z", ErrScheme},
		"very long":         {strings.Replace(good, "AK", strings.Repeat("A", 9000), 1), "20060102T150405Z", ErrScheme},
		"date not signed":   {strings.Replace(good, "x-sdk-date", "host", 1), "20060102T150405Z", ErrDate},
		"no date":           {good, "", ErrDate},
		"date of no form":   {good, "2006-01-02T15:04:05Z", ErrDate},
		"date without zone": {good, "20060102T150405", ErrDate},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		if c.authorization != "" {
			r.Header.Set("Authorization", c.authorization)
		}
		if c.date != "" {
			r.Header.Set(DateHeader, c.date)
		}
		if _, err := Parse(r); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	twice := request("GET", "/", "", "x-sdk-date", map[string]string{DateHeader: "20060102T150405Z"})
	twice.Header.Add(DateHeader, "20070102T150405Z")
	if _, err := Parse(twice); !errors.Is(err, ErrDate) {
		t.Errorf("two dates: got %v", err)
	}
}

func TestBodyDigestOfTheHeader(t *testing.T) {
	t.Parallel()
	digest := sha256.Sum256([]byte("body"))
	r := request("POST", "/", "body", "x-sdk-date", map[string]string{DateHeader: "20060102T150405Z", contentHeader: hex.EncodeToString(digest[:])})
	s, err := Parse(r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Text(r, digest); err != nil {
		t.Errorf("the right digest: %v", err)
	}
	if _, err := s.Text(r, sha256.Sum256([]byte("other"))); !errors.Is(err, ErrBody) {
		t.Errorf("another body: got %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(Algorithm+" Access=AK, SignedHeaders=x-sdk-date, Signature="+strings.Repeat("0", 64), "/v1/repositories/a%2Fb", "limit=1&path=a%2Fb")
	f.Add(Algorithm+" Access=,", "/", "%zz")
	f.Fuzz(func(t *testing.T, authorization, path, query string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.URL.Path, r.URL.RawQuery = path, query
		r.Header.Set("Authorization", authorization)
		r.Header.Set(DateHeader, "20060102T150405Z")
		s, err := Parse(r)
		if err != nil {
			return
		}
		if len(s.Signature) != sha256.Size || s.Access == "" || s.Date.Year() != 2006 {
			t.Errorf("parsed as %+v", s)
		}
		text, err := s.Text(r, sha256.Sum256(nil))
		if err == nil && strings.Count(text, "\n") != 2 {
			t.Errorf("the text to sign is %q", text)
		}
	})
}
