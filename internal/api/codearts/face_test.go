package codearts_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/internal/api/codearts"
	"github.com/cairn-storage/cairn/internal/api/codearts/sign"
	"github.com/cairn-storage/cairn/internal/service"
)

// signed makes a request as an SDK does.
func (w *world) signed(t *testing.T, key service.AccessKeyWithSecret, at time.Time, method, path, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, w.server.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set(sign.DateHeader, at.UTC().Format("20060102T150405Z"))
	begin := sign.Algorithm + " Access=" + string(key.ID) + ", SignedHeaders=x-sdk-date, Signature="
	r.Header.Set("Authorization", begin+strings.Repeat("0", 64))
	parsed, err := sign.Parse(r)
	if err != nil {
		t.Fatal(err)
	}
	text, err := parsed.Text(r, sha256.Sum256([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, []byte(key.Secret))
	mac.Write([]byte(text))
	r.Header.Set("Authorization", begin+hex.EncodeToString(mac.Sum(nil)))
	return r
}

// TestSignatures: a request counts only as it was signed, at about that time.
func TestSignatures(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	body := `{"name":"app","project_uuid":"` + w.project + `"}`
	now := time.Now()
	if a := w.send(t, w.signed(t, w.key, now, "POST", "/v1/repositories", body)); a.status != 200 {
		t.Fatalf("as signed: got %d %s", a.status, a.text)
	}
	for name, c := range map[string]struct {
		at     time.Time
		change func(*http.Request)
		status int
	}{
		"in time":        {now.Add(-14 * time.Minute), func(*http.Request) {}, 400}, // as the name is taken
		"old":            {now.Add(-16 * time.Minute), func(*http.Request) {}, 401},
		"of the future":  {now.Add(16 * time.Minute), func(*http.Request) {}, 401},
		"another method": {now, func(r *http.Request) { r.Method = "PUT" }, 405},
		"another query":  {now, func(r *http.Request) { r.URL.RawQuery = "a=b" }, 401},
		"another date": {now, func(r *http.Request) {
			r.Header.Set(sign.DateHeader, now.Add(time.Second).UTC().Format("20060102T150405Z"))
		}, 401},
		"another scheme":  {now, func(r *http.Request) { r.Header.Set("Authorization", "SDK-HMAC-SM3 Access=a") }, 401},
		"a token beside":  {now, func(r *http.Request) { r.Header.Set("X-Auth-Token", "garbage") }, 400},
		"another body":    {now, func(r *http.Request) { setBody(r, strings.Replace(body, "app", "apq", 1)) }, 401},
		"no body":         {now, func(r *http.Request) { setBody(r, "") }, 401},
		"a false digest":  {now, func(r *http.Request) { r.Header.Set("X-Sdk-Content-Sha256", strings.Repeat("0", 64)) }, 401},
		"token and false": {now, func(r *http.Request) { r.Header.Set("X-Auth-Token", w.token(t, w.key)); setBody(r, "") }, 401},
	} {
		r := w.signed(t, w.key, c.at, "POST", "/v1/repositories", body)
		c.change(r)
		if a := w.send(t, r); a.status != c.status || c.status == 401 && a.Code != "APIG.0301" {
			t.Errorf("%s: got %d %s, want %d", name, a.status, a.text, c.status)
		}
	}
}

func setBody(r *http.Request, body string) {
	fresh := httptest.NewRequest(r.Method, "/", strings.NewReader(body))
	r.Body, r.ContentLength, r.GetBody = fresh.Body, int64(len(body)), nil
}

// TestTokens: a client gets a token for both halves of a key, and uses it.
func TestTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, c := range map[string]struct {
		identity string
		status   int
	}{
		"by key":         {`{"methods":["hw_ak_sk"],"hw_ak_sk":{"access":{"key":"AK"},"secret":{"key":"SK"}}}`, 201},
		"by password":    {`{"methods":["password"],"password":{"user":{"name":"AK","password":"SK","domain":{"name":"acme"}}}}`, 201},
		"another domain": {`{"methods":["password"],"password":{"user":{"name":"AK","password":"SK","domain":{"name":"evil"}}}}`, 401},
		"another secret": {`{"methods":["hw_ak_sk"],"hw_ak_sk":{"access":{"key":"AK"},"secret":{"key":"no"}}}`, 401},
		"no secret":      {`{"methods":["hw_ak_sk"],"hw_ak_sk":{"access":{"key":"AK"}}}`, 401},
		"another method": {`{"methods":["totp"]}`, 400},
		"no method":      {`{}`, 400},
	} {
		identity := strings.NewReplacer("AK", string(w.key.ID), "SK", w.key.Secret).Replace(c.identity)
		a := w.call(t, "", "POST", "/v3/auth/tokens", `{"auth":{"identity":`+identity+`}}`)
		token := a.header.Get("X-Subject-Token")
		if a.status != c.status || (token != "") != (c.status == 201) {
			t.Errorf("%s: got %d %s", name, a.status, a.text)
		}
		if token == "" {
			continue
		}
		if a := w.call(t, token, "GET", "/v3/projects?name=region", ""); a.status != 200 || !strings.Contains(a.text, `"name":"region"`) {
			t.Errorf("%s: with the token got %d %s", name, a.status, a.text)
		}
	}
}

// TestNeverARedirect: clients take one for an answer.
func TestNeverARedirect(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	uuid := w.create(t, "app")
	for _, path := range []string{
		"/v1/repositories/", "/v1/repositories/" + uuid + "/", "/v1//repositories", "/v1/repositories/" + uuid + "/../" + uuid + "/status",
		"/v1/repositories/" + uuid + "/./status", "/v2/", "/v2", "/v4/repositories/1", "/v1/repositories/" + uuid + "/branch//file?path=x",
	} {
		r := httptest.NewRequest("GET", "http://x/", nil)
		r.URL = &url.URL{Path: strings.Split(path, "?")[0]}
		r.Header.Set("X-Auth-Token", w.token(t, w.key))
		out := httptest.NewRecorder()
		codearts.New(w.service, codearts.Options{}).ServeHTTP(out, r)
		if out.Code < 400 || out.Header().Get("Location") != "" || !strings.Contains(out.Body.String(), "CH.") {
			t.Errorf("%s: got %d %v %s", path, out.Code, out.Header(), out.Body)
		}
	}
}

// TestLenientBodies: the page's own example has numbers as text.
func TestLenientBodies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must(t, "POST", "/v1/repositories", `{"name":"a","project_uuid":"`+w.project+`","visibility_level":"20","import_members":"0","enable_readme":true,"license_id":"2"}`, nil)
	var shown struct {
		List []struct {
			Visibility int    `json:"visibility_level"`
			Size       string `json:"repository_size"`
		} `json:"repositories"`
	}
	w.must(t, "GET", "/v2/projects/repositories", "", &shown)
	if len(shown.List) != 1 || shown.List[0].Visibility != 20 || !strings.HasSuffix(shown.List[0].Size, "M") {
		t.Errorf("got %+v", shown)
	}
	token := w.token(t, w.key)
	for _, field := range []string{
		`"visibility_level":"x"`, `"visibility_level":5`, `"visibility_level":1.5`, `"visibility_level":{}`, `"enable_readme":2`, `"license_id":13`, `"license_id":-1`,
		`"gitignore_id":"../x"`, `"gitignore_id":"Nothing"`, `"import_members":3`, `"template_id":"1234"`, `"name":5`,
		`"import_url":"` + base64.StdEncoding.EncodeToString([]byte("file:///etc/passwd")) + `"`,
		`"import_url":"` + base64.StdEncoding.EncodeToString([]byte("https://user:pass@example.com/a/b.git")) + `"`,
		`"import_url":"` + base64.StdEncoding.EncodeToString([]byte("https://169.254.169.254/a/b.git")) + `"`,
		`"import_url":"` + base64.StdEncoding.EncodeToString([]byte("https://example.com/a/../../b.git")) + `"`,
		`"import_url":"` + base64.StdEncoding.EncodeToString([]byte("https://example.com/-x/b.git")) + `"`,
		`"description":"` + strings.Repeat("x", 2001) + `"`,
	} {
		a := w.call(t, token, "POST", "/v1/repositories", `{"name":"b","project_uuid":"`+w.project+`",`+field+`}`)
		if a.status != http.StatusBadRequest || a.Error.Code != "CH.010001" {
			t.Errorf("%.80s: got %d %s", field, a.status, a.text)
		}
	}
	for _, body := range []string{"", "{", "[]", "null x", `"x"`} {
		if a := w.call(t, token, "POST", "/v1/repositories", body); a.status != http.StatusBadRequest || a.Error.Code != "CH.010001" {
			t.Errorf("body %q: got %d %s", body, a.status, a.text)
		}
	}
	// Nothing of all that is there.
	var free bool
	if w.must(t, "GET", "/v1/projects/"+w.project+"/repositories/validation/b", "", &free); !free {
		t.Error("a refused creation left a repository")
	}
}

// TestForcedCommit: the branch moves once, to a commit on another branch.
func TestForcedCommit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	uuid := w.create(t, "app")
	commit := func(fields string) (id string) {
		var made struct{ ID string }
		w.must(t, "POST", "/v2/projects/"+uuid+"/repository/commits", `{"commit_message":"m",`+fields+`}`, &made)
		return made.ID
	}
	parents := func(id string) []string {
		var shown struct {
			Parents []string `json:"parent_ids"`
		}
		w.must(t, "GET", "/v2/projects/"+uuid+"/repository/commits/"+id, "", &shown)
		return shown.Parents
	}
	base := commit(`"branch":"master","actions":[{"action":"create","file_path":"a","content":"1"}]`)
	side := commit(`"branch":"side","start_branch":"master","actions":[{"action":"create","file_path":"b","content":"1"}]`)
	if p := parents(side); len(p) != 1 || p[0] != base {
		t.Errorf("the branch begins on %v, not %s", p, base)
	}
	forced := commit(`"branch":"side","start_branch":"master","force":true,"actions":[{"action":"create","file_path":"c","content":"1"}]`)
	if p := parents(forced); len(p) != 1 || p[0] != base {
		t.Errorf("the forced commit is on %v, not %s", p, base)
	}
	if p := parents("side"); len(p) != 1 || p[0] != base {
		t.Errorf("side is a commit on %v", p)
	}
	var list struct{ Total int }
	if w.must(t, "GET", "/v1/repositories/"+uuid+"/branches", "", &list); list.Total != 2 {
		t.Errorf("there are %d branches", list.Total)
	}
	for _, fields := range []string{
		`"branch":"side","force":true,"actions":[{"action":"delete","file_path":"a"}]`,
		`"branch":"side","actions":[]`, `"branch":"","actions":[{"action":"delete","file_path":"a"}]`,
		`"branch":"side","actions":[{"action":"update","file_path":"a","content":"x","last_commit_id":"` + side + `"}]`,
		`"branch":"side","actions":[{"action":"update","file_path":"a","content":"!","encoding":"base64"}]`,
		`"branch":"side","actions":[{"action":"create","file_path":".git/config","content":"x"}]`,
		`"branch":"refs/../x","start_branch":"master","actions":[{"action":"create","file_path":"x","content":"x"}]`,
	} {
		a := w.call(t, w.token(t, w.key), "POST", "/v2/projects/"+uuid+"/repository/commits", `{"commit_message":"m",`+fields+`}`)
		if a.status != http.StatusBadRequest || a.Error.Code != "CH.010001" {
			t.Errorf("%s: got %d %s", fields, a.status, a.text)
		}
	}
}

// TestImagesAreNoScripts: what a browser would run is not served as an image.
func TestImagesAreNoScripts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	uuid := w.create(t, "app")
	w.must(t, "POST", "/v2/projects/"+uuid+"/repository/commits", `{"branch":"master","commit_message":"m","actions":[
		{"action":"create","file_path":"a.png","content":"iVBORw0=","encoding":"base64"},{"action":"create","file_path":"a.svg","content":"<svg/>"}]}`, nil)
	a := w.call(t, w.token(t, w.key), "GET", "/v1/repositories/"+uuid+"/branch/master/image?path=a.png", "")
	if a.status != 200 || a.header.Get("Content-Type") != "image/png" || !strings.Contains(a.header.Get("Content-Security-Policy"), "sandbox") {
		t.Errorf("got %d %v", a.status, a.header)
	}
	if a = w.call(t, w.token(t, w.key), "GET", "/v1/repositories/"+uuid+"/branch/master/image?path=a.svg", ""); a.status != 400 {
		t.Errorf("an SVG: got %d %v", a.status, a.header)
	}
}

func FuzzRoute(f *testing.F) {
	f.Add("GET", "/v1/repositories/a/b/commits")
	f.Add("GET", "/v1/repositories/x/branch/feature%2Fx/y/file")
	f.Fuzz(func(_ *testing.T, method, path string) {
		codearts.Match(method, path)
		codearts.Matches(path)
	})
}
