package protocol_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/protocol"
)

// pkt makes pkt-lines of lines; an empty one is a flush packet, "|" a
// delimiter.
func pkt(lines ...string) string {
	var b bytes.Buffer
	w := protocol.NewWriter(&b)
	for _, line := range lines {
		switch line {
		case "":
			_ = w.Flush()
		case "|":
			_ = w.Delim()
		default:
			_ = w.Packet([]byte(line))
		}
	}
	return b.String()
}

// TestClientReadsAdvertisements reads forms that the stock server of the other
// tests does not send.
func TestClientReadsAdvertisements(t *testing.T) {
	t.Parallel()
	read := func(lines ...string) (*protocol.ServerAdvertisement, error) {
		return protocol.ReadAdvertisement(protocol.NewReader(strings.NewReader(pkt(lines...))), protocol.UploadPack, 5)
	}
	a, err := read("# service=git-upload-pack\n", "", "version 1\n",
		idA+" HEAD\x00multi_ack symref=HEAD:refs/heads/main agent=x\n", idA+" refs/heads/main\n", idA+" refs/heads/..bad\n",
		idB+" refs/tags/v1\n", idA+" refs/tags/v1^{}\n", "")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range a.Refs {
		got = append(got, string(r.Name)+">"+string(r.SymrefTarget))
	}
	if want := "HEAD>refs/heads/main refs/heads/main> refs/tags/v1>"; strings.Join(got, " ") != want {
		t.Errorf("refs: got %q, want %q", got, want)
	}
	if a, err = read(strings.Repeat("0", 40)+" capabilities^{}\x00report-status\n", "shallow "+idA+"\n", ""); err != nil || len(a.Refs) != 0 {
		t.Errorf("a server without refs: %+v, %v", a, err)
	}
	if a, err = read(""); err != nil || len(a.Refs) != 0 {
		t.Errorf("a server that says nothing: %+v, %v", a, err)
	}
	if a, err = read("version 2\n", "object-format=sha256\n", "ls-refs=unborn\n", ""); err != nil || a.Version != 2 || a.Format != git.SHA256 {
		t.Errorf("version 2: %+v, %v", a, err)
	}
	for name, lines := range map[string][]string{
		"another service": {"# service=git-receive-pack\n", "", ""},
		"no end":          {"version 2\n"},
		"bad id":          {"xyz refs/heads/main\n", ""},
		"no name":         {idA + "\n", ""},
		"bad format":      {"version 2\n", "object-format=md5\n", ""},
		"delimiter":       {"version 2\n", "|", ""},
	} {
		if _, err := read(lines...); !errors.Is(err, protocol.ErrProtocol) {
			t.Errorf("%s: got %v, want a protocol error", name, err)
		}
	}
	var limit *protocol.LimitError
	if _, err := read(idA+" refs/heads/1", idA+" refs/heads/2", idA+" refs/heads/3", idA+" refs/heads/4", idA+" refs/heads/5", idA+" refs/heads/6", idA+" refs/heads/7", ""); !errors.As(err, &limit) {
		t.Errorf("too many refs: got %v", err)
	}
	var told *protocol.RemoteError
	if _, err := read("ERR access\x07 denied\n"); !errors.As(err, &told) || told.Text != "access  denied" {
		t.Errorf("the server's error: got %v", err)
	}
}

func TestClientReadsReports(t *testing.T) {
	t.Parallel()
	plain := &protocol.ServerAdvertisement{Capabilities: "report-status"}
	banded := &protocol.ServerAdvertisement{Capabilities: "report-status side-band-64k"}
	report := pkt("unpack index-pack abnormal exit\n", "ok refs/heads/a\n", "ng refs/heads/b no\n", "ng refs/heads/c\n", "")
	for name, read := range map[string]func() (protocol.PushReport, error){
		"plain": func() (protocol.PushReport, error) {
			return plain.ReadReport(protocol.NewReader(strings.NewReader(report)), 3)
		},
		"side-band": func() (protocol.PushReport, error) {
			in := pkt("\x02words\n", "\x01"+report[:10], "\x01"+report[10:], "")
			r, err := banded.ReadReport(protocol.NewReader(strings.NewReader(in)), 3)
			if r.Messages != "words" {
				t.Errorf("messages: %q", r.Messages)
			}
			return r, err
		},
	} {
		r, err := read()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if r.Unpack != "index-pack abnormal exit" || len(r.Results) != 3 || r.Results[0] != (protocol.RefResult{Name: "refs/heads/a"}) ||
			r.Results[1].Reason != "no" || r.Results[2].Reason == "" {
			t.Errorf("%s: got %+v", name, r)
		}
	}
	var limit *protocol.LimitError
	if _, err := plain.ReadReport(protocol.NewReader(strings.NewReader(report)), 2); !errors.As(err, &limit) {
		t.Errorf("more results than refs: got %v", err)
	}
}

// FuzzServerAnswers reads whatever a server might answer: it must end, with a
// value or an error, and hold no more than was allowed.
func FuzzServerAnswers(f *testing.F) {
	f.Add([]byte(pkt("# service=git-upload-pack\n", "", idA+" HEAD\x00side-band-64k symref=HEAD:refs/heads/main\n", idA+" refs/heads/main\n", "")))
	f.Add([]byte(pkt("version 2\n", "agent=x\n", "ls-refs=unborn\n", "object-format=sha1\n", "")))
	f.Add([]byte(pkt("unborn HEAD symref-target:refs/heads/main\n", idA+" refs/tags/v1 peeled:"+idB+"\n", "")))
	f.Add([]byte(pkt("packfile\n", "\x02progress\n", "\x01PACK", "")))
	f.Add([]byte(pkt("ACK "+idA+"\n", "\x01PACK", "\x03dead\n")))
	f.Add([]byte(pkt("\x01"+pkt("unpack ok\n", "ng refs/heads/main no\n", ""), "")))
	f.Fuzz(func(t *testing.T, in []byte) {
		reader := func() *protocol.Reader { return protocol.NewReader(bytes.NewReader(in)) }
		const most = 4
		if a, err := protocol.ReadAdvertisement(reader(), protocol.UploadPack, most); err == nil && len(a.Refs) > most {
			t.Errorf("%d refs", len(a.Refs))
		}
		for _, capabilities := range []protocol.Capabilities{"", "side-band-64k"} {
			for _, version := range []int{0, 2} {
				a := &protocol.ServerAdvertisement{Version: version, Format: git.SHA1, Capabilities: capabilities}
				refs, err := a.ReadLsRefs(reader(), most)
				if err == nil && len(refs) > most {
					t.Errorf("%d refs", len(refs))
				}
				for _, r := range refs {
					if _, err := git.ParseRefName(string(r.Name)); err != nil && r.Name != git.HEAD {
						t.Errorf("ref %q", r.Name)
					}
				}
				if pack, err := a.ReadFetch(reader()); err == nil {
					if n, _ := io.Copy(io.Discard, pack); n > int64(len(in)) {
						t.Errorf("%d bytes of a pack from %d", n, len(in))
					}
				}
				report, err := a.ReadReport(reader(), most)
				if err == nil && len(report.Results) > most || len(report.Messages) > 1024 {
					t.Errorf("report %+v", report)
				}
			}
		}
	})
}
