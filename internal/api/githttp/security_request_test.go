package githttp_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/cairn-storage/cairn/internal/gittest"
)

func TestPktLineGarbageRefused(t *testing.T) {
	t.Parallel()
	s := start(t)
	work(t, s, "r", "protocol.version=2")
	for _, body := range []string{
		"", "0", "0003", "0004", "ffff", "fff1", "xxxx", "GET / HTTP/1.1\r\n\r\n", "0000", "0001", "0002", "00000000", "0032want ",
		lines("want "+strings.Repeat("z", 40), "0000", "done"), lines("have "+strings.Repeat("1", 40), "0000"),
		lines("command=fetch", "command=fetch", "0000"), lines("command=drop-tables", "0000"), lines("command=fetch", "0001", "want x", "0000"),
		lines("command=ls-refs", "0001", "ref-prefix "+strings.Repeat("x", 5000), "0000"),
		strings.Repeat("0000", 1000), lines("command=fetch", "0001", "deepen 0", "0000"), lines("command=fetch", "0001", "deepen -1", "0000"),
		"\x00\x01\x02\x03\xff\xfe", strings.Repeat("A", 70000),
	} {
		for _, service := range []string{"git-upload-pack", "git-receive-pack"} {
			for _, version := range []string{"version=0", "version=2"} {
				status, answer := s.post("r.git", service, s.token("r"), strings.NewReader(body), "Git-Protocol", version)
				if status != http.StatusOK || strings.Contains(answer, "PACK") || strings.Contains(answer, "internal error") || strings.Contains(answer, "\nok ") {
					t.Errorf("%s, %s, %.60q: %d %.200q", service, version, body, status, answer)
				}
			}
		}
	}
}

func TestEndlessRequestRefused(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *config) { c.options.MaxRequest = 1 << 20 })
	local := work(t, s, "r", "protocol.version=2")
	id := local.RevParse("main")
	have := lines("have " + strings.Repeat("12", 20) + "\n")
	body := lines("command=fetch", "0001", "want "+id+"\n") + strings.Repeat(have, 40_000)
	_, answer := s.post("r.git", "git-upload-pack", s.token("r"), strings.NewReader(body), "Git-Protocol", "version=2")
	if !strings.Contains(answer, "ERR the request has more than 1048576 bytes") {
		t.Errorf("%.200q", answer)
	}
}

func TestSparseFilterRefused(t *testing.T) {
	t.Parallel()
	s := start(t)
	local := work(t, s, "r", "protocol.version=2")
	id := local.RevParse("main")
	for _, filter := range []string{
		"sparse:oid=main:README", "sparse:path=/etc/passwd", "sparse:oid=" + local.RevParse("main:README"),
		"combine:blob:none+sparse:oid=main:README", "combine:" + strings.Repeat("combine:", 50) + "blob:none", "tree:99999999999999999999",
		"blob:limit=-1", "nonsense", "combine:",
	} {
		answer := s.command("r", "command=fetch", "0001", "want "+id+"\n", "filter "+filter+"\n", "done\n", "0000")
		if !strings.Contains(answer, "ERR ") || strings.Contains(answer, "PACK") {
			t.Errorf("%s: %.200q", filter, answer)
		}
	}
	if answer := s.command("r", "command=fetch", "0001", "want "+id+"\n", "filter tree:99999\n", "done\n", "0000"); !strings.Contains(answer, "PACK") {
		t.Errorf("tree:99999: %.200q", answer)
	}
}

func TestGzipBombRefused(t *testing.T) {
	t.Parallel()
	s := start(t)
	work(t, s, "r", "protocol.version=2")
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	have := []byte(strings.Repeat(lines("have "+strings.Repeat("12", 20)+"\n"), 1000))
	z.Write([]byte(lines("command=fetch", "0001")))
	for range 2000 {
		z.Write(have)
	}
	z.Close()
	_, answer := s.post("r.git", "git-upload-pack", s.token("r"), bytes.NewReader(bomb.Bytes()), "Git-Protocol", "version=2", "Content-Encoding", "gzip")
	if !strings.Contains(answer, "ERR request is over the limit of 200000 haves") {
		t.Errorf("%.200q", answer)
	}
	status, _ := s.post("r.git", "git-upload-pack", s.token("r"), bytes.NewReader(gzipped(gzipped([]byte("0000")))), "Content-Encoding", "gzip, gzip")
	if status != http.StatusUnsupportedMediaType {
		t.Errorf("stacked encodings: status %d", status)
	}
	for _, encoding := range []string{"br", "deflate", "identity, gzip", "GZIP-not"} {
		if status, _ := s.post("r.git", "git-upload-pack", s.token("r"), strings.NewReader("0000"), "Content-Encoding", encoding); status != http.StatusUnsupportedMediaType {
			t.Errorf("%s: status %d", encoding, status)
		}
	}
	if status, answer := s.post("r.git", "git-upload-pack", s.token("r"), strings.NewReader("not gzip"), "Content-Encoding", "gzip"); status != http.StatusBadRequest {
		t.Errorf("what is not gzip: %d %q", status, answer)
	}
	if status, answer := s.post("r.git", "git-upload-pack", s.token("r"), bytes.NewReader(gzipped([]byte(lines("command=ls-refs", "0000")))), "Content-Encoding", "gzip", "Git-Protocol", "version=2"); status != http.StatusOK || !strings.Contains(answer, "refs/heads/main") {
		t.Errorf("gzip: %d %q", status, answer)
	}
}

func TestGzipOfAPushIsBounded(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *config) { c.options.MaxPush = 1 << 20 })
	s.create("r")
	local := gittest.Init(t)
	id := local.Commit("main", "first", gittest.Files{"a": "1"})
	pack := packOf(t, local, strings.Fields(local.Git("rev-list", "--objects", "--no-object-names", "main"))...)
	commands := lines(zero+" "+id+" refs/heads/main\x00 report-status", "0000")
	push := func(body []byte) string {
		_, answer := s.post("r.git", "git-receive-pack", s.token("r"), bytes.NewReader(body), "Content-Encoding", "gzip")
		return answer
	}
	// A bomb: 50 MiB of 50 KB.
	bomb := handMade(1, entry{3, "", make([]byte, 16)})
	bomb = append(bomb[:len(bomb)-20:len(bomb)-20], make([]byte, 50<<20)...)
	if answer := push(gzipped(append([]byte(commands), bomb...))); !strings.Contains(answer, "ng refs/heads/main unpacker error") {
		t.Errorf("bomb: %q", answer)
	}
	// What follows the one member is not read: not as the rest of the pack, and
	// not as a second push.
	if answer := push(append(gzipped([]byte(commands)), gzipped(pack)...)); !strings.Contains(answer, "ng refs/heads/main unpacker error") {
		t.Errorf("pack in a second member: %q", answer)
	}
	whole := gzipped([]byte(commands + string(pack)))
	damaged := bytes.Clone(whole)
	damaged[len(damaged)-5] ^= 1
	if answer := push(damaged); strings.Contains(answer, "ok refs/heads/main") {
		t.Errorf("damaged: %q", answer)
	}
	if refs := remoteRefs(t, s.remote("r", "")); len(refs) != 0 {
		t.Errorf("refs are %v", refs)
	}
	if answer := push(whole); !strings.Contains(answer, "ok refs/heads/main") {
		t.Errorf("a good push: %q", answer)
	}
}

func TestGzippedPush(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.create("r")
	local := gittest.Init(t)
	id := local.Commit("main", "first", gittest.Files{"a": "1"})
	pack := packOf(t, local, strings.Fields(local.Git("rev-list", "--objects", "--no-object-names", "main"))...)
	body := append([]byte(lines(zero+" "+id+" refs/heads/main\x00 report-status-v2 side-band-64k", "0000")), pack...)
	status, answer := s.post("r.git", "git-receive-pack", s.token("r"), io.MultiReader(bytes.NewReader(gzipped(body))),
		"Content-Encoding", "gzip", "Expect", "100-continue")
	if status != http.StatusOK || !strings.Contains(answer, "ok refs/heads/main") {
		t.Errorf("%d %q", status, answer)
	}
}

func TestPushOptionsCannotSmuggle(t *testing.T) {
	t.Parallel()
	s := start(t)
	local := work(t, s, "r", "protocol.version=2")
	id := local.RevParse("main")
	for _, option := range []string{"a\nb", "a\x00b", "a\rb", strings.Repeat("x", 5000)} {
		body := lines(zero+" "+id+" refs/heads/x\x00 report-status push-options", "0000", option, "0000") + string(packOf(t, local))
		_, answer := s.post("r.git", "git-receive-pack", s.token("r"), strings.NewReader(body))
		if strings.Contains(answer, "ok refs") {
			t.Errorf("option %.20q: %q", option, answer)
		}
	}
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.create("team/app")
	get := func(path string, set func(*http.Request)) (int, http.Header, string) {
		r, err := http.NewRequest(http.MethodGet, s.url+path, nil)
		check(t, err)
		if set != nil {
			set(r)
		}
		answer, err := http.DefaultClient.Do(r)
		check(t, err)
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		check(t, err)
		return answer.StatusCode, answer.Header, string(text)
	}
	const upload, receive = "/team/app.git/info/refs?service=git-upload-pack", "/team/app.git/info/refs?service=git-receive-pack"
	basic := func(password string) func(*http.Request) {
		return func(r *http.Request) { r.SetBasicAuth("anybody", password) }
	}
	header := func(value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", value) }
	}
	good := s.token("team/app")
	reader := s.token("team/app", jwt.MapClaims{"scopes": []string{"git:read"}})
	r, err := http.NewRequest(http.MethodGet, "/", nil)
	check(t, err)
	r.SetBasicAuth("t", good)
	encoded := strings.TrimPrefix(r.Header.Get("Authorization"), "Basic ")
	for name, c := range map[string]struct {
		path string
		set  func(*http.Request)
		want int
	}{
		"no credential":                      {upload, nil, 401},
		"no password":                        {upload, basic(""), 401},
		"garbage":                            {upload, basic("garbage"), 401},
		"wrong scheme":                       {upload, header("Digest " + good), 401},
		"expired":                            {upload, basic(s.token("team/app", jwt.MapClaims{"exp": 1000, "iat": 900})), 401},
		"basic":                              {upload, basic(good), 200},
		"lower-case basic":                   {upload, header("basic " + encoded), 200},
		"bearer":                             {upload, header("Bearer " + good), 200},
		"lower-case bearer":                  {receive, header("bearer " + good), 200},
		"write with a read token":            {receive, basic(reader), 403},
		"read with a read token":             {upload, basic(reader), 200},
		"no scope":                           {upload, basic(s.token("team/app", jwt.MapClaims{"scopes": []string{}})), 403},
		"other repository":                   {upload, basic(s.token("team/other")), 403},
		"missing repository":                 {strings.Replace(upload, "app", "none", 1), basic(s.token("team/none")), 404},
		"escaped slash":                      {strings.Replace(upload, "team/", "team%2F", 1), basic(good), 200},
		"dots":                               {strings.Replace(upload, "team/", "team/%2e%2e/team/", 1), basic(good), 404},
		"bad escape of a name":               {strings.Replace(upload, "team/", "te%00am/", 1), basic(good), 404},
		"no service":                         {"/team/app.git/info/refs", basic(good), 403},
		"unknown service":                    {"/team/app.git/info/refs?service=git-upload-archive", basic(good), 403},
		"two services":                       {upload + "&service=git-receive-pack", basic(reader), 403},
		"dumb objects":                       {"/team/app.git/objects/info/packs", basic(good), 404},
		"dumb HEAD":                          {"/team/app.git/HEAD", basic(good), 404},
		"alternates":                         {"/team/app.git/objects/info/alternates", basic(good), 404},
		"GET of a service":                   {"/team/app.git/git-upload-pack", basic(good), 405},
		"the operator":                       {"/acme" + upload, basic(adminToken), 200},
		"the operator without organization":  {"/app.git/info/refs?service=git-upload-pack", basic(adminToken), 404},
		"the operator, no such organization": {"/nobody" + upload, basic(adminToken), 404},
		"a token with organization":          {"/acme" + upload, basic(good), 403},
	} {
		status, h, text := get(c.path, c.set)
		if status != c.want {
			t.Errorf("%s: status %d, want %d: %s", name, status, c.want, text)
		}
		if got, want := h.Get("WWW-Authenticate"), `Basic realm="Git Repository"`; status == 401 && got != want {
			t.Errorf("%s: challenge %q, want %q", name, got, want)
		}
		if strings.Contains(text, good) || strings.Contains(text, adminToken) {
			t.Errorf("%s: the answer tells the token", name)
		}
	}
	if status, h, _ := get(upload, basic(good)); status != 200 || !strings.Contains(h.Get("Cache-Control"), "no-cache") || h.Get("Content-Type") != "application/x-git-upload-pack-advertisement" {
		t.Errorf("headers of an advertisement are %v", h)
	}
}

// TestServicesCannotBeMixedUp asks for one service at the address of the other.
func TestServicesCannotBeMixedUp(t *testing.T) {
	t.Parallel()
	s := start(t)
	local := work(t, s, "r", "protocol.version=2")
	reader := s.token("r", jwt.MapClaims{"scopes": []string{"git:read"}})
	body := lines(zero+" "+local.RevParse("main")+" refs/heads/x\x00 report-status", "0000") + string(packOf(t, local))
	if status, _ := s.post("r.git", "git-receive-pack", reader, strings.NewReader(body)); status != http.StatusForbidden {
		t.Errorf("push with a token for reading: status %d", status)
	}
	if status, _ := s.post("r.git", "git-receive-pack?service=git-upload-pack", reader, strings.NewReader(body)); status != http.StatusForbidden {
		t.Errorf("push with a service in the query: status %d", status)
	}
	for _, contentType := range []string{"", "text/plain", "application/x-git-upload-pack-request", "application/x-git-receive-pack-request; charset=utf-8", "application/x-www-form-urlencoded"} {
		if status, _ := s.post("r.git", "git-receive-pack", s.token("r"), strings.NewReader(body), "Content-Type", contentType); status != http.StatusUnsupportedMediaType {
			t.Errorf("content type %q: status %d", contentType, status)
		}
	}
	if refs := remoteRefs(t, s.remote("r", "")); len(refs) != 1 {
		t.Errorf("refs are %v", refs)
	}
}
