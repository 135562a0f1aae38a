package githttp_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/gittest"
)

// post sends one request of the protocol, as it is, and returns the status and
// the body of the answer.
func (s *server) post(path, service, token string, body io.Reader, headers ...string) (int, string) {
	s.t.Helper()
	r, err := http.NewRequest(http.MethodPost, s.url+"/"+path+"/"+service, body)
	check(s.t, err)
	r.Header.Set("Content-Type", "application/x-"+service+"-request")
	r.SetBasicAuth("t", token)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return s.do(r)
}

func (s *server) do(r *http.Request) (int, string) {
	s.t.Helper()
	answer, err := http.DefaultClient.Do(r)
	check(s.t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	check(s.t, err)
	return answer.StatusCode, string(text)
}

// lines makes pkt-lines; "0000" and "0001" stand for themselves.
func lines(texts ...string) string {
	var b strings.Builder
	for _, t := range texts {
		if t == "0000" || t == "0001" {
			b.WriteString(t)
			continue
		}
		fmt.Fprintf(&b, "%04x%s", len(t)+4, t)
	}
	return b.String()
}

// fetch asks for objects in either version of the protocol, has nothing, and
// returns the answer.
func (s *server) fetch(repo string, version int, wants ...string) string {
	s.t.Helper()
	var texts []string
	if version == 2 {
		texts = []string{"command=fetch", "object-format=sha1", "0001", "ofs-delta"}
		for _, w := range wants {
			texts = append(texts, "want "+w+"\n")
		}
		texts = append(texts, "done\n", "0000")
	} else {
		for i, w := range wants {
			capabilities := ""
			if i == 0 {
				capabilities = " side-band-64k ofs-delta"
			}
			texts = append(texts, "want "+w+capabilities+"\n")
		}
		texts = append(texts, "0000", "done\n")
	}
	name, _, _ := strings.Cut(repo, "+")
	status, answer := s.post(repo+".git", "git-upload-pack", s.token(name), strings.NewReader(lines(texts...)), "Git-Protocol", fmt.Sprint("version=", version))
	if status != http.StatusOK {
		s.t.Errorf("fetch: status %d: %s", status, answer)
	}
	return answer
}

const zero = "0000000000000000000000000000000000000000"

// pushRaw pushes a pack, as it is, with updates written "<old> <new> <ref>",
// and returns the answer.
func (s *server) pushRaw(repo string, pack []byte, updates ...string) string {
	s.t.Helper()
	var texts []string
	for i, u := range updates {
		if i == 0 {
			u += "\x00 report-status"
		}
		texts = append(texts, u)
	}
	body := lines(append(texts, "0000")...) + string(pack)
	status, answer := s.post(repo+".git", "git-receive-pack", s.token(repo), strings.NewReader(body))
	if status != http.StatusOK {
		s.t.Errorf("push: status %d: %s", status, answer)
	}
	return answer
}

// packOf makes a pack of exactly these objects of a repository.
func packOf(t testing.TB, r *gittest.Repo, ids ...string) []byte {
	t.Helper()
	cmd := gittest.Command(t, r.Dir, "pack-objects", "--stdout", "-q")
	if len(ids) > 0 {
		cmd.Stdin = strings.NewReader(strings.Join(ids, "\n") + "\n")
	}
	out, err := cmd.Output()
	if e, ok := err.(*exec.ExitError); ok {
		t.Fatalf("pack-objects: %s", e.Stderr)
	}
	check(t, err)
	return out
}

// entry is one entry of a hand-made pack.
type entry struct {
	kind byte // 7: a delta with the base
	base string
	data []byte
}

// handMade makes a pack of any entries; count is what its header says.
func handMade(count int, entries ...entry) []byte {
	var b bytes.Buffer
	b.WriteString("PACK")
	binary.Write(&b, binary.BigEndian, [2]uint32{2, uint32(count)})
	for _, e := range entries {
		size := len(e.data)
		c := e.kind<<4 | byte(size&15)
		for size >>= 4; size > 0; size >>= 7 {
			b.WriteByte(c | 0x80)
			c = byte(size & 0x7f)
		}
		b.WriteByte(c)
		if e.kind == 7 {
			b.Write(rawID(e.base))
		}
		z := zlib.NewWriter(&b)
		z.Write(e.data)
		z.Close()
	}
	sum := sha1.Sum(b.Bytes())
	return append(b.Bytes(), sum[:]...)
}

func rawID(hex string) []byte {
	var id []byte
	fmt.Sscanf(hex, "%x", &id)
	return id
}

// copyAll is a delta that makes its base again with one byte more.
func copyAll(size int) []byte {
	varint := func(n int) []byte {
		var b []byte
		for n >= 0x80 {
			b = append(b, byte(n)|0x80)
			n >>= 7
		}
		return append(b, byte(n))
	}
	d := append(varint(size), varint(size+1)...)
	d = append(d, 0x80|0x10|0x20, byte(size), byte(size>>8))
	return append(d, 1, '!')
}

func gzipped(data []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(data)
	z.Close()
	return b.Bytes()
}
