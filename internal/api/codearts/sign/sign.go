// Package sign reads what a request that is signed with SDK-HMAC-SHA256 says of
// its signature, and makes the text that is signed, byte by byte as the clients
// make it. Its rule is that it knows no secrets: who holds them compares.
package sign

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Algorithm is the one scheme of Authorization that is known here.
const Algorithm = "SDK-HMAC-SHA256"

// DateHeader has the time of the signature.
const DateHeader = "X-Sdk-Date"

const (
	dateLayout    = "20060102T150405Z"
	contentHeader = "X-Sdk-Content-Sha256"
	unsignedBody  = "UNSIGNED-PAYLOAD"
)

// Bounds of what a header may hold.
const (
	maxHeader  = 8 << 10
	maxHeaders = 64
)

// The ways in which a request is not properly signed.
var (
	ErrScheme = errors.New("the Authorization header is not of the form " + Algorithm + " Access=…, SignedHeaders=…, Signature=…")
	ErrDate   = errors.New("the request has no " + DateHeader + " of the form 20060102T150405Z among its signed headers")
	ErrBody   = errors.New("the body is not the one that its digest in the header " + contentHeader + " is of")
)

// Signature is what a request says of its signature; nothing of it is verified.
type Signature struct {
	Access    string // the id of the access key
	Date      time.Time
	Signature []byte // 32 bytes

	date    string
	headers []string // as given
}

// Is tells whether a request has an Authorization of this package's scheme.
func Is(r *http.Request) bool {
	scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return scheme == Algorithm
}

// Parse reads the header of a request.
func Parse(r *http.Request) (Signature, error) {
	var s Signature
	header := r.Header.Get("Authorization")
	scheme, rest, _ := strings.Cut(header, " ")
	if scheme != Algorithm || len(header) > maxHeader || len(r.Header.Values("Authorization")) != 1 {
		return s, ErrScheme
	}
	seen := map[string]string{}
	for part := range strings.SplitSeq(rest, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		if _, twice := seen[name]; !ok || twice || value == "" {
			return s, ErrScheme
		}
		seen[name] = value
	}
	signature, err := hex.DecodeString(seen["Signature"])
	s = Signature{Access: seen["Access"], Signature: signature, headers: strings.Split(seen["SignedHeaders"], ";")}
	if err != nil || len(signature) != sha256.Size || s.Access == "" || len(seen) != 3 || len(s.headers) > maxHeaders {
		return s, ErrScheme
	}
	dates := r.Header.Values(DateHeader)
	if len(dates) != 1 || !slices.ContainsFunc(s.headers, func(h string) bool { return strings.EqualFold(h, DateHeader) }) {
		return s, ErrDate
	}
	s.date = dates[0]
	if s.Date, err = time.Parse(dateLayout, s.date); err != nil {
		return s, ErrDate
	}
	return s, nil
}

// Text returns what is signed. digest is the SHA-256 of the body.
func (s Signature) Text(r *http.Request, digest [sha256.Size]byte) (string, error) {
	body := hex.EncodeToString(digest[:])
	if given := r.Header.Get(contentHeader); given == unsignedBody {
		body = given
	} else if given != "" && given != body {
		return "", ErrBody
	}
	query, err := canonicalQuery(r.URL.RawQuery)
	if err != nil {
		return "", err
	}
	request := strings.Join([]string{r.Method, canonicalPath(r.URL.Path), query, s.canonicalHeaders(r), strings.Join(s.headers, ";"), body}, "\n")
	hashed := sha256.Sum256([]byte(request))
	return Algorithm + "\n" + s.date + "\n" + hex.EncodeToString(hashed[:]), nil
}

// canonicalPath is the path of a request with every segment escaped as strictly
// as can be, and a slash at its end.
func canonicalPath(path string) string {
	var b strings.Builder
	for segment := range strings.SplitSeq(strings.TrimSuffix(path, "/"), "/") {
		escape(&b, segment)
		b.WriteByte('/')
	}
	return b.String()
}

// canonicalQuery is the query with its pairs in order.
func canonicalQuery(raw string) (string, error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return "", errors.New("the query cannot be read")
	}
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	var b strings.Builder
	for _, name := range names {
		slices.Sort(values[name])
		for _, value := range values[name] {
			if b.Len() > 0 {
				b.WriteByte('&')
			}
			escape(&b, name)
			b.WriteByte('=')
			escape(&b, value)
		}
	}
	return b.String(), nil
}

// canonicalHeaders has a line for each value of each signed header.
func (s Signature) canonicalHeaders(r *http.Request) string {
	var b strings.Builder
	for _, name := range s.headers {
		values := slices.Clone(r.Header.Values(name))
		if strings.EqualFold(name, "host") {
			values = []string{r.Host}
		}
		if len(values) == 0 {
			values = []string{""}
		}
		slices.Sort(values)
		for _, value := range values {
			b.WriteString(name)
			b.WriteByte(':')
			b.WriteString(strings.TrimSpace(value))
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// escape writes text with everything escaped but the unreserved characters of
// RFC 3986.
func escape(b *strings.Builder, text string) {
	const digits = "0123456789ABCDEF"
	for i := range len(text) {
		c := text[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '.', c == '~':
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(digits[c>>4])
			b.WriteByte(digits[c&15])
		}
	}
}
