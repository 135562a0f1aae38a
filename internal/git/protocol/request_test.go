package protocol_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/protocol"
)

const (
	idA = "7217a7c7e582c46cec22a130adf4b9d7d950fba0"
	idB = "1d3fcd5ced445d1abc402225c0b8a1299641f497"
	idC = "74730d410fcb6603ace96f1dc55ea6196122532d"
)

func oid(hex string) git.ObjectID { return git.MustParseObjectID(hex) }

// packets encodes a request: each line a packet, but "0000" and "0001".
func packets(lines ...string) string {
	var out strings.Builder
	w := protocol.NewWriter(&out)
	for _, line := range lines {
		switch line {
		case "0000":
			w.Flush()
		case "0001":
			w.Delim()
		case "0002":
			w.ResponseEnd()
		default:
			w.Packet([]byte(line))
		}
	}
	return out.String()
}

func readUpload(in string, limits protocol.Limits) (*protocol.FetchRequest, error) {
	return protocol.ReadUploadRequest(protocol.NewReader(strings.NewReader(in)), git.SHA1, limits)
}

func readFetch(in string, limits protocol.Limits) (*protocol.FetchRequest, error) {
	c, err := protocol.ReadCommand(protocol.NewReader(strings.NewReader(in)), git.SHA1, limits)
	if err != nil {
		return nil, err
	}
	return c.Fetch()
}

func readLsRefs(in string, limits protocol.Limits) (protocol.LsRefsRequest, error) {
	c, err := protocol.ReadCommand(protocol.NewReader(strings.NewReader(in)), git.SHA1, limits)
	if err != nil {
		return protocol.LsRefsRequest{}, err
	}
	return c.LsRefs()
}

func readPush(in string, limits protocol.Limits) (*protocol.PushRequest, error) {
	return protocol.ReadPush(protocol.NewReader(strings.NewReader(in)), git.SHA1, limits)
}

// TestUploadRequestOfTheDocumentation reads the exact bytes of the examples in
// gitprotocol-pack(5).
func TestUploadRequestOfTheDocumentation(t *testing.T) {
	t.Parallel()
	clone := "0054want 74730d410fcb6603ace96f1dc55ea6196122532d multi_ack side-band-64k ofs-delta\n" +
		"0032want 7d1665144a3a975c05f1f43902ddaf084e784dbe\n0032want 5a3f6be755bbb7deae50065988cbfa1ffa9ab68a\n" +
		"0032want 7e47fe2bd8d01d481f44d7af0531bd93d3b21c01\n0032want 74730d410fcb6603ace96f1dc55ea6196122532d\n00000009done\n"
	wants := []git.ObjectID{
		oid(idC), oid("7d1665144a3a975c05f1f43902ddaf084e784dbe"), oid("5a3f6be755bbb7deae50065988cbfa1ffa9ab68a"),
		oid("7e47fe2bd8d01d481f44d7af0531bd93d3b21c01"), oid(idC),
	}
	got, err := readUpload(clone, protocol.DefaultLimits())
	want := &protocol.FetchRequest{Wants: wants, Done: true, Acks: protocol.MultiAck, Sideband: protocol.Sideband64k, OfsDelta: true}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("clone: got %+v, %v, want %+v", got, err, want)
	}

	update := strings.Replace(clone, "00000009done\n", "00000032have 7e47fe2bd8d01d481f44d7af0531bd93d3b21c01\n"+
		"0032have 74730d410fcb6603ace96f1dc55ea6196122532d\n0000", 1)
	got, err = readUpload(update, protocol.DefaultLimits())
	if err != nil || got.Done || !slices.Equal(got.Haves, []git.ObjectID{wants[3], wants[4]}) {
		t.Fatalf("update: got %+v, %v", got, err)
	}
	// The documentation's server knows both and is ready.
	var out bytes.Buffer
	if err := got.WriteAnswer(protocol.NewWriter(&out), protocol.Answer{Common: got.Haves, Ready: true}); err != nil {
		t.Fatal(err)
	}
	if want := "003aACK 7e47fe2bd8d01d481f44d7af0531bd93d3b21c01 continue\n" +
		"003aACK 74730d410fcb6603ace96f1dc55ea6196122532d continue\n0008NAK\n"; out.String() != want {
		t.Errorf("update: got %q, want %q", out.String(), want)
	}
}

// TestPushOfTheDocumentation reads the exact bytes of the example in
// gitprotocol-pack(5) and writes its report.
func TestPushOfTheDocumentation(t *testing.T) {
	t.Parallel()
	in := "00677d1665144a3a975c05f1f43902ddaf084e784dbe 74730d410fcb6603ace96f1dc55ea6196122532d refs/heads/debug\n" +
		"006874730d410fcb6603ace96f1dc55ea6196122532d 5a3f6be755bbb7deae50065988cbfa1ffa9ab68a refs/heads/master\n0000PACK..."
	q, err := readPush(in, protocol.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	want := []protocol.RefUpdate{
		{Name: "refs/heads/debug", Old: oid("7d1665144a3a975c05f1f43902ddaf084e784dbe"), New: oid(idC)},
		{Name: "refs/heads/master", Old: oid(idC), New: oid("5a3f6be755bbb7deae50065988cbfa1ffa9ab68a")},
	}
	if !slices.Equal(q.Commands, want) || q.ReportVersion() != 0 || q.Sideband() {
		t.Errorf("got %+v", q)
	}
	if pack, err := io.ReadAll(q.Pack); string(pack) != "PACK..." || err != nil {
		t.Errorf("pack: got %q, %v", pack, err)
	}
	var out bytes.Buffer
	err = protocol.WriteReport(protocol.NewWriter(&out), "", []protocol.RefResult{
		{Name: "refs/heads/debug"}, {Name: "refs/heads/master", Reason: "non-fast-forward"},
	}, 1)
	if want := "000eunpack ok\n0018ok refs/heads/debug\n002ang refs/heads/master non-fast-forward\n0000"; out.String() != want || err != nil {
		t.Errorf("report: got %q, %v, want %q", out.String(), err, want)
	}
}

func TestReportVersion2SaysWhatWasDoneInstead(t *testing.T) {
	t.Parallel()
	results := []protocol.RefResult{
		{Name: "refs/for/main", RefName: "refs/changes/1", New: oid(idA), ForcedUpdate: true},
		{Name: "refs/heads/x", Reason: "too\nlong"},
	}
	for version, want := range map[int]string{
		1: packets("unpack broken pack\n", "ok refs/for/main\n", "ng refs/heads/x too long\n", "0000"),
		2: packets("unpack broken pack\n", "ok refs/for/main\n", "option refname refs/changes/1\n", "option old-oid "+git.ZeroHex+"\n",
			"option new-oid "+idA+"\n", "option forced-update\n", "ng refs/heads/x too long\n", "0000"),
	} {
		var out bytes.Buffer
		if err := protocol.WriteReport(protocol.NewWriter(&out), "broken pack", results, version); err != nil || out.String() != want {
			t.Errorf("version %d: got %q, %v, want %q", version, out.String(), err, want)
		}
	}
}

func TestReadUploadRequest(t *testing.T) {
	t.Parallel()
	a, b := oid(idA), oid(idB)
	filter, err := protocol.ParseFilter("blob:limit=10")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		in   string
		want protocol.FetchRequest
	}{
		"a probe":         {"0000", protocol.FetchRequest{}},
		"the oldest form": {packets("want "+idA, "0000", "have "+idB, "done"), protocol.FetchRequest{Wants: []git.ObjectID{a}, Haves: []git.ObjectID{b}, Done: true}},
		"everything": {packets("want "+idA+" multi_ack_detailed multi_ack no-done side-band side-band-64k thin-pack ofs-delta no-progress include-tag deepen-relative filter object-format=sha1 agent=git/2.39 session-id=x\n",
			"want "+idB+"\n", "shallow "+idB, "deepen 3", "filter blob:limit=10", "0000", "have "+idA+"\n", "0000"), protocol.FetchRequest{
			Agent: "git/2.39", Wants: []git.ObjectID{a, b}, Haves: []git.ObjectID{a}, Shallow: []git.ObjectID{b}, Depth: 3, DeepenRelative: true, Filter: filter,
			ThinPack: true, NoProgress: true, IncludeTag: true, OfsDelta: true, Acks: protocol.MultiAckDetailed, NoDone: true, Sideband: protocol.Sideband64k,
		}},
		"by date and refs":      {packets("want "+idA+" side-band", "deepen-since 1700000000", "deepen-not v1", "deepen-not refs/heads/x", "0000"), protocol.FetchRequest{Wants: []git.ObjectID{a}, DeepenSince: 1700000000, DeepenNot: []string{"v1", "refs/heads/x"}, Sideband: protocol.SidebandShort, OnlyWants: true}},
		"all of history":        {packets("want "+idA, "deepen 2147483647", "0000", "done"), protocol.FetchRequest{Wants: []git.ObjectID{a}, Depth: protocol.InfiniteDepth, Done: true}},
		"deeper than that":      {packets("want "+idA, "deepen 99999999999", "0000", "done"), protocol.FetchRequest{Wants: []git.ObjectID{a}, Depth: protocol.InfiniteDepth, Done: true}},
		"ids in capitals":       {packets("want "+strings.ToUpper(idA), "0000", "done"), protocol.FetchRequest{Wants: []git.ObjectID{a}, Done: true}},
		"what follows the done": {packets("want "+idA, "0000", "done") + "garbage", protocol.FetchRequest{Wants: []git.ObjectID{a}, Done: true}},
	} {
		got, err := readUpload(c.in, protocol.DefaultLimits())
		if err != nil || !reflect.DeepEqual(got, &c.want) {
			t.Errorf("%s:\ngot  %+v, %v\nwant %+v", name, got, err, &c.want)
		}
	}
}

func TestReadFetch(t *testing.T) {
	t.Parallel()
	a, b := oid(idA), oid(idB)
	filter, _ := protocol.ParseFilter("tree:0")
	for name, c := range map[string]struct {
		in   string
		want protocol.FetchRequest
	}{
		"nothing":                 {packets("command=fetch", "0000"), protocol.FetchRequest{}},
		"no arguments":            {packets("command=fetch\n", "0001", "0000"), protocol.FetchRequest{}},
		"a clone of the document": {"0012command=fetch\n00010032want " + idA + "\n0009done\n0000", protocol.FetchRequest{Wants: []git.ObjectID{a}, Done: true}},
		"everything": {packets("command=fetch", "agent=git/2.39\n", "object-format=sha1", "server-option=x=y", "session-id=z", "0001", "thin-pack", "no-progress", "include-tag", "ofs-delta",
			"shallow "+idA, "deepen 2", "deepen-relative", "filter tree:0", "want "+idA, "want-ref refs/heads/x", "have "+idB, "wait-for-done", "0000"), protocol.FetchRequest{
			Agent: "git/2.39", ServerOptions: []string{"x=y"}, Wants: []git.ObjectID{a}, WantRefs: []string{"refs/heads/x"}, Haves: []git.ObjectID{b},
			Shallow: []git.ObjectID{a}, Depth: 2, DeepenRelative: true, Filter: filter, ThinPack: true, NoProgress: true, IncludeTag: true, OfsDelta: true, WaitForDone: true,
		}},
	} {
		c.want.Version, c.want.Sideband = 2, protocol.Sideband64k
		got, err := readFetch(c.in, protocol.DefaultLimits())
		if err != nil || !reflect.DeepEqual(got, &c.want) {
			t.Errorf("%s:\ngot  %+v, %v\nwant %+v", name, got, err, &c.want)
		}
	}
}

func TestReadCommandOfNothingIsEOF(t *testing.T) {
	t.Parallel()
	for _, in := range []string{"", "0000"} {
		if _, err := protocol.ReadCommand(protocol.NewReader(strings.NewReader(in)), git.SHA1, protocol.DefaultLimits()); err != io.EOF {
			t.Errorf("%q: got %v, want io.EOF", in, err)
		}
	}
}

// TestMalformedRequestsAreRefused has what t5704 of git has, and more.
func TestMalformedRequestsAreRefused(t *testing.T) {
	t.Parallel()
	read := map[string]func(string) error{
		"upload": func(in string) error { _, err := readUpload(in, protocol.DefaultLimits()); return err },
		"fetch":  func(in string) error { _, err := readFetch(in, protocol.DefaultLimits()); return err },
		"ls":     func(in string) error { _, err := readLsRefs(in, protocol.DefaultLimits()); return err },
		"push":   func(in string) error { _, err := readPush(in, protocol.DefaultLimits()); return err },
		"info": func(in string) error {
			c, err := protocol.ReadCommand(protocol.NewReader(strings.NewReader(in)), git.SHA1, protocol.DefaultLimits())
			if err == nil {
				_, err = c.ObjectInfo()
			}
			return err
		},
	}
	update := idA + " " + idB + " refs/heads/x"
	for _, c := range []struct{ kind, in string }{
		{"upload", ""},
		{"upload", packets("want " + idA)},
		{"upload", packets("want "+idA, "0001")},
		{"upload", packets("want "+idA, "0002")},
		{"upload", packets("want "+idA[1:], "0000", "done")},
		{"upload", packets("want "+idA+"0", "0000", "done")},
		{"upload", packets("want  "+idA, "0000", "done")},
		{"upload", packets("want "+strings.Repeat("g", 40), "0000", "done")},
		{"upload", packets("want "+strings.Repeat("0", 64), "0000", "done")},
		{"upload", packets("want", "0000", "done")},
		{"upload", packets("have "+idA, "0000", "done")},
		{"upload", packets("want "+idA, "want "+idB+" ofs-delta", "0000", "done")},
		{"upload", packets("want "+idA+" object-format=sha256", "0000", "done")},
		{"upload", packets("want "+idA, "deepen 0", "0000", "done")},
		{"upload", packets("want "+idA, "deepen -1", "0000", "done")},
		{"upload", packets("want "+idA, "deepen x", "0000", "done")},
		{"upload", packets("want "+idA, "deepen 0x10", "0000", "done")},
		{"upload", packets("want "+idA, "deepen 99999999999999999999", "0000", "done")},
		{"upload", packets("want "+idA, "deepen-since 0", "0000", "done")},
		{"upload", packets("want "+idA, "deepen-since -1", "0000", "done")},
		{"upload", packets("want "+idA, "deepen-not ", "0000", "done")},
		{"upload", packets("want "+idA, "deepen-not a\x00b", "0000", "done")},
		{"upload", packets("want "+idA, "deepen 1", "deepen-since 5", "0000", "done")},
		{"upload", packets("want "+idA, "deepen 1", "deepen-not x", "0000", "done")},
		{"upload", packets("want "+idA, "filter blob:none", "0000", "done")},
		{"upload", packets("want "+idA+" filter", "filter blob:none", "filter tree:1", "0000", "done")},
		{"upload", packets("want "+idA+" filter", "filter sparse:oid=main:x", "0000", "done")},
		{"upload", packets("want "+idA, "shallow x", "0000", "done")},
		{"upload", packets("want "+idA, "0000", "have x", "done")},
		{"upload", packets("want "+idA, "0000", "have "+idA)},
		{"upload", packets("want "+idA, "0000", "want "+idA, "done")},
		{"upload", packets("want "+idA, "0000", "0001")},
		{"upload", packets("want "+idA, "0000", "finished")},
		{"upload", packets("\x01want "+idA, "0000", "done")},
		{"fetch", packets("command=fetch")},
		{"fetch", packets("command=fetch", "0001")},
		{"fetch", packets("command=fetch", "0001", "0001")}, // an extra delim packet in v2 fetch args
		{"fetch", packets("command=fetch", "0001", "0002")},
		{"fetch", packets("command=fetch", "0002")},
		{"fetch", packets("command=fetch", "command=fetch", "0000")},
		{"fetch", packets("command=push", "0000")},
		{"fetch", packets("command=", "0000")},
		{"fetch", packets("agent=x", "0000")},
		{"fetch", packets("0001")},
		{"fetch", packets("command=fetch", "object-format=sha256", "0000")},
		{"fetch", packets("command=fetch", "color=red", "0000")},
		{"fetch", packets("command=fetch", "server-option=a\x07b", "0000")},
		{"fetch", packets("command=fetch", "0001", "want "+idA+" ", "0000")},
		{"fetch", packets("command=fetch", "0001", "sideband-all", "0000")},
		{"fetch", packets("command=fetch", "0001", "packfile-uris https", "0000")},
		{"fetch", packets("command=fetch", "0001", "done ", "0000")},
		{"fetch", packets("command=fetch", "0001", "want-ref ", "0000")},
		{"fetch", packets("command=fetch", "0001", "filter ", "0000")},
		{"fetch", packets("command=fetch", "0001", "deepen 1", "deepen-not x", "0000")},
		{"fetch", packets("command=fetch", "0001", "", "0000")},
		{"ls", packets("command=ls-refs", "0001", "0001")}, // an extra delim packet in v2 ls-refs args
		{"ls", packets("command=ls-refs", "0001", "peel ", "0000")},
		{"ls", packets("command=ls-refs", "0001", "ref-prefix", "0000")},
		{"ls", packets("command=ls-refs", "0001", "want "+idA, "0000")},
		{"info", packets("command=object-info", "0001", "oid x", "0000")},
		{"info", packets("command=object-info", "0001", "type", "0000")},
		{"push", ""},
		{"push", packets(update)},
		{"push", packets(update, "0001")},
		{"push", packets(update+"\x00report-status", update, "0000")},
		{"push", packets(update, update+"y\x00report-status", "0000")},
		{"push", packets(update+"\x00object-format=sha256", "0000")},
		{"push", packets("push-cert\x00report-status", "0000")},
		{"push", packets(idA+" "+idB, "0000")},
		{"push", packets(idA+" "+idB+" ", "0000")},
		{"push", packets(idA+" "+idB+"  refs/heads/x\x07", "0000")},
		{"push", packets(idA+"  "+idB+" refs/heads/x", "0000")},
		{"push", packets(idA[1:]+" "+idB+" refs/heads/xy", "0000")},
		{"push", packets("shallow x", update, "0000")},
		{"push", packets(update+"\x00push-options", "0000")},
		{"push", packets(update+"\x00push-options", "0000", "bad\x1boption", "0000")},
		{"push", packets(update+"\x00push-options", "0000", "bad\x00option", "0000")},
		{"push", packets(update+"\x00push-options", "0000", "two\nlines", "0000")},
		{"push", packets(update+"\x00push-options", "0000", "option", "0001")},
	} {
		if err := read[c.kind](c.in); !errors.Is(err, protocol.ErrProtocol) {
			t.Errorf("%s %q: got %v, want ErrProtocol", c.kind, c.in, err)
		}
	}
}

func TestRequestsOverALimitAreRefusedByItsName(t *testing.T) {
	t.Parallel()
	tiny := protocol.Limits{
		Wants: 2, WantRefs: 2, Haves: 2, Shallow: 2, DeepenNot: 2, Filters: 2, Prefixes: 2, ObjectInfo: 2, ServerOptions: 2, Commands: 2, PushOptions: 2,
		PushOptionLength: 10, RefNameLength: 12,
	}
	three := func(prefix string) []string { return []string{prefix + idA, prefix + idB, prefix + idC} }
	upload := func(lines ...string) error { _, err := readUpload(packets(lines...), tiny); return err }
	fetch := func(lines ...string) error {
		_, err := readFetch(packets(slices.Concat([]string{"command=fetch", "0001"}, lines, []string{"0000"})...), tiny)
		return err
	}
	push := func(lines ...string) error { _, err := readPush(packets(lines...), tiny); return err }
	update := idA + " " + idB + " refs/x"
	for name, err := range map[string]error{
		"wants":                  upload(three("want ")...),
		"wants ":                 fetch(three("want ")...),
		"wanted refs":            fetch("want-ref refs/a/b", "want-ref refs/a/c", "want-ref refs/a/d"),
		"haves":                  upload(slices.Concat([]string{"want " + idA, "0000"}, three("have "))...),
		"haves ":                 fetch(three("have ")...),
		"shallow commits":        upload(slices.Concat([]string{"want " + idA}, three("shallow "))...),
		"shallow commits ":       push(three("shallow ")...),
		"deepen-not refs":        fetch("deepen-not a", "deepen-not b", "deepen-not c"),
		"combined filters":       fetch("filter combine:tree:1+tree:2+tree:3"),
		"bytes in a ref name":    fetch("want-ref refs/heads/long"),
		"bytes in a ref name ":   push(idA + " " + idB + " refs/heads/long"),
		"ref updates in a push":  push(update+"1", update+"2", update+"3"),
		"push options":           push(update+"\x00push-options", "0000", "a", "b", "c"),
		"bytes in an option":     push(update+"\x00push-options", "0000", "0123456789a"),
		"server options":         readErr(packets("command=fetch", "server-option=a", "server-option=b", "server-option=c", "0000"), tiny),
		"bytes in an option ":    readErr(packets("command=fetch", "server-option=0123456789a", "0000"), tiny),
		"object ids":             objectInfoErr(packets("command=object-info", "0001", "oid "+idA, "oid "+idB, "oid "+idC, "0000"), tiny),
		"bytes in a ref prefix ": lsErr(packets("command=ls-refs", "0001", "ref-prefix refs/heads/long", "0000"), tiny),
	} {
		var limit *protocol.LimitError
		if !errors.As(err, &limit) || limit.Limit != strings.TrimSpace(name) || !strings.Contains(err.Error(), limit.Limit) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	q, err := readLsRefs(packets("command=ls-refs", "0001", "ref-prefix a", "ref-prefix b", "ref-prefix c", "0000"), tiny)
	if err != nil || len(q.Prefixes) != 0 || !q.Matches("refs/heads/any") {
		t.Errorf("too many prefixes: got %+v, %v, want all refs", q, err)
	}
}

func readErr(in string, limits protocol.Limits) error { _, err := readFetch(in, limits); return err }
func lsErr(in string, limits protocol.Limits) error   { _, err := readLsRefs(in, limits); return err }

func objectInfoErr(in string, limits protocol.Limits) error {
	c, err := protocol.ReadCommand(protocol.NewReader(strings.NewReader(in)), git.SHA1, limits)
	if err == nil {
		_, err = c.ObjectInfo()
	}
	return err
}

func TestReadPush(t *testing.T) {
	t.Parallel()
	in := packets("shallow "+idC, idA+" "+idB+" refs/heads/x\x00 report-status side-band-64k push-options atomic quiet agent=git/2.39\n",
		git.ZeroHex+" "+idB+" refs/heads/new", "0000", "first option\n", "", "0000") + "PACK"
	q, err := readPush(in, protocol.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	want := []protocol.RefUpdate{{Name: "refs/heads/x", Old: oid(idA), New: oid(idB)}, {Name: "refs/heads/new", New: oid(idB)}}
	if !slices.Equal(q.Commands, want) || !slices.Equal(q.Options, []string{"first option", ""}) || !slices.Equal(q.Shallow, []git.ObjectID{oid(idC)}) ||
		!q.Atomic() || !q.Quiet() || !q.Sideband() || q.ReportVersion() != 1 || q.Agent() != "git/2.39" {
		t.Errorf("got %+v", q)
	}
	if pack, err := io.ReadAll(q.Pack); string(pack) != "PACK" || err != nil {
		t.Errorf("pack: got %q, %v", pack, err)
	}
	q, err = readPush(packets(idA+" "+git.ZeroHex+" refs/heads/x\x00delete-refs", "0000"), protocol.DefaultLimits())
	if err != nil || q.Pack != nil || !q.Commands[0].IsDelete() || q.Commands[0].New != (git.ObjectID{}) {
		t.Errorf("deletion: got %+v, %v", q, err)
	}
	q, err = readPush("0000", protocol.DefaultLimits())
	if err != nil || len(q.Commands) > 0 || q.Pack != nil {
		t.Errorf("probe: got %+v, %v", q, err)
	}
}

func TestRequestsInSHA256(t *testing.T) {
	t.Parallel()
	id := strings.Repeat("5a", 32)
	r := protocol.NewReader(strings.NewReader(packets("want "+id+" object-format=sha256", "0000", "done")))
	q, err := protocol.ReadUploadRequest(r, git.SHA256, protocol.DefaultLimits())
	if err != nil || !slices.Equal(q.Wants, []git.ObjectID{oid(id)}) {
		t.Errorf("got %+v, %v", q, err)
	}
	r = protocol.NewReader(strings.NewReader(packets(strings.Repeat("0", 64)+" "+id+" refs/heads/x\x00object-format=sha256", "0000")))
	p, err := protocol.ReadPush(r, git.SHA256, protocol.DefaultLimits())
	if err != nil || p.Commands[0] != (protocol.RefUpdate{Name: "refs/heads/x", New: oid(id)}) {
		t.Errorf("got %+v, %v", p, err)
	}
	var out bytes.Buffer
	protocol.AdvertiseReceivePack(protocol.NewWriter(&out), nil, protocol.Advertisement{Format: git.SHA256})
	if want := strings.Repeat("0", 64) + " capabilities^{}\x00report-status"; !strings.Contains(out.String(), want) {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

// TestEveryWayToNegotiateIsGits asks in each form that versions 0 and 2 have
// and compares with git upload-pack.
func TestEveryWayToNegotiateIsGits(t *testing.T) {
	t.Parallel()
	s := &server{t: t, repo: newUpstream(t)}
	main := s.repo.RevParse("main")
	known := []string{s.repo.RevParse("main~2"), s.repo.RevParse("topic"), s.repo.RevParse("main~4")}
	unknown := []string{idA, idB}
	old := []string{s.repo.RevParse("topic~6")}
	haves := map[string][]string{"known": known, "unknown": unknown, "none": nil, "both": slices.Concat(known, unknown), "old": old}
	for _, capabilities := range []string{
		"", "multi_ack", "multi_ack_detailed", "multi_ack_detailed no-done", "multi_ack_detailed side-band-64k", "side-band thin-pack ofs-delta",
	} {
		for name, ids := range haves {
			for _, end := range []string{"0000", "done"} {
				if name == "both" && strings.Contains(capabilities, "detailed") {
					continue // git says "ready" of commits that it does not know
				}
				for _, deepen := range []string{"", "deepen 2"} {
					if deepen != "" && strings.Contains(capabilities, "multi_ack") && name != "none" && name != "unknown" {
						continue // git takes no common commit behind the boundary for enough, but does in version 2
					}
					lines := []string{"want " + main + " " + capabilities}
					if deepen != "" {
						lines = append(lines, deepen)
					}
					lines = append(lines, "0000")
					for _, id := range ids {
						lines = append(lines, "have "+id+"\n")
					}
					s.exchanges = append(s.exchanges, exchange{version: 0, body: []byte(packets(append(lines, end)...))})
				}
			}
		}
	}
	for name, ids := range haves {
		for _, extra := range [][]string{nil, {"done"}, {"wait-for-done"}, {"wait-for-done", "done"}, {"deepen 2"}, {"shallow " + known[0]}} {
			for _, want := range [][]string{{"want " + main}, nil} {
				if want == nil && name == "none" {
					continue
				}
				lines := slices.Concat([]string{"command=fetch", "0001"}, want, extra)
				for _, id := range ids {
					lines = append(lines, "have "+id)
				}
				s.exchanges = append(s.exchanges, exchange{version: 2, body: []byte(packets(append(lines, "0000")...))})
			}
		}
	}
	for _, info := range [][]string{{"size", "oid " + main, "oid " + known[0]}, {"size"}} {
		s.exchanges = append(s.exchanges, exchange{version: 2, body: []byte(packets(slices.Concat([]string{"command=object-info", "0001"}, info, []string{"0000"})...))})
	}
	s.compareWithGit(t)
}

func TestPackStreamWithoutSidebandIsThePack(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	q := &protocol.FetchRequest{}
	s := q.NewPackStream(protocol.NewWriter(&out))
	s.Progress("unheard")
	s.KeepAlive()
	io.WriteString(s, "PACK")
	s.Fatal("unheard")
	if err := s.Close(); err != nil || out.String() != "PACK" {
		t.Errorf("got %q, %v", out.String(), err)
	}
}

func TestPackStreamIsSilentIfAsked(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	q := &protocol.FetchRequest{Sideband: protocol.SidebandShort, NoProgress: true}
	s := q.NewPackStream(protocol.NewWriter(&out))
	s.Progress("unheard")
	io.WriteString(s, "PACK")
	s.Fatal("heard")
	s.Close()
	got := demultiplex(t, protocol.NewReader(&out), protocol.SidebandShort)
	if got != [4]string{"", "PACK", "", "heard\n"} {
		t.Errorf("got %q", got)
	}
}

func TestVersionOfTheHeader(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]int{
		"": 0, "version=0": 0, "version=1": 1, "version=2": 2, "version=3": 0, "version=1:version=2": 2, "x=y:version=2:z": 2, "version=2 ": 0, "version": 0,
	} {
		if got := protocol.Version(header); got != want {
			t.Errorf("%q: got %d, want %d", header, got, want)
		}
	}
}

func TestCapabilities(t *testing.T) {
	t.Parallel()
	c := protocol.Capabilities(" a b=c  d= symref=HEAD:refs/heads/x")
	for name, want := range map[string]string{"a": "", "b": "c", "d": "", "symref": "HEAD:refs/heads/x"} {
		if !c.Has(name) || c.Value(name) != want {
			t.Errorf("%s: got %t, %q", name, c.Has(name), c.Value(name))
		}
	}
	if c.Has("c") || c.Has("") || c.Has("sym") {
		t.Error("has what is not there")
	}
}

func TestAgentIsOneWord(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	protocol.AdvertiseV2(protocol.NewWriter(&out), protocol.Advertisement{Agent: "my agent\n1.0é", Format: git.SHA1})
	if want := "agent=my.agent.1.0.\n"; !strings.Contains(out.String(), want) {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

// checkError fails the test for an error of a kind that a parser must not
// return for bytes alone.
func checkError(t *testing.T, err error) {
	t.Helper()
	var limit *protocol.LimitError
	if err != nil && err != io.EOF && !errors.Is(err, protocol.ErrProtocol) && !errors.As(err, &limit) {
		t.Fatalf("unexpected kind of error: %v", err)
	}
}

func FuzzUploadRequest(f *testing.F) {
	for _, seed := range []string{
		"0000", packets("want "+idA+" multi_ack_detailed no-done side-band-64k filter", "shallow "+idB, "deepen 3", "filter blob:none", "0000", "have "+idC, "0000"),
		packets("want "+idA, "deepen-since 5", "deepen-not x", "0000"), packets("want "+idA, "0000", "done"),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		q, err := protocol.ReadUploadRequest(protocol.NewReader(bytes.NewReader(data)), git.SHA1, protocol.DefaultLimits())
		checkError(t, err)
		if err == nil {
			answer(t, q)
		}
	})
}

// answer answers a request in several ways; none may fail.
func answer(t *testing.T, q *protocol.FetchRequest) {
	t.Helper()
	for _, a := range []protocol.Answer{{}, {Common: q.Haves}, {Common: q.Haves, Ready: true, Shallow: q.Wants, Unshallow: q.Shallow}} {
		var out bytes.Buffer
		w := protocol.NewWriter(&out)
		if err := q.WriteAnswer(w, a); err != nil {
			t.Fatal(err)
		}
		r := protocol.NewReader(&out)
		for {
			if _, err := r.ReadPacket(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
	}
}

func FuzzCommand(f *testing.F) {
	for _, seed := range []string{
		packets("command=ls-refs", "agent=x", "0001", "peel", "symrefs", "unborn", "ref-prefix refs/", "0000"),
		packets("command=fetch", "object-format=sha1", "0001", "want "+idA, "have "+idB, "done", "filter tree:0", "shallow "+idC, "deepen 2", "0000"),
		packets("command=object-info", "0001", "size", "oid "+idA, "0000"), "0000", packets("command=fetch", "server-option=x", "0000"),
	} {
		f.Add([]byte(seed))
	}
	refs := []protocol.Ref{
		{Name: git.HEAD, SymrefTarget: "refs/heads/main"}, {Name: "refs/heads/main", ID: oid(idA)}, {Name: "refs/tags/t", ID: oid(idB), Peeled: oid(idC)},
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := protocol.ReadCommand(protocol.NewReader(bytes.NewReader(data)), git.SHA1, protocol.DefaultLimits())
		checkError(t, err)
		if err != nil {
			return
		}
		switch c.Name {
		case "ls-refs":
			q, err := c.LsRefs()
			checkError(t, err)
			if err := q.Write(protocol.NewWriter(io.Discard), refs); err != nil {
				t.Fatal(err)
			}
		case "fetch":
			q, err := c.Fetch()
			checkError(t, err)
			if err == nil {
				answer(t, q)
			}
		case "object-info":
			q, err := c.ObjectInfo()
			checkError(t, err)
			if err := q.Write(protocol.NewWriter(io.Discard), make([]int64, len(q.IDs))); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func FuzzPush(f *testing.F) {
	for _, seed := range []string{
		packets(idA+" "+idB+" refs/heads/x\x00report-status push-options", git.ZeroHex+" "+idB+" refs/heads/y", "0000", "option", "0000") + "PACK",
		packets("shallow "+idC, idA+" "+git.ZeroHex+" refs/heads/x\x00delete-refs", "0000"), "0000", packets("push-cert\x00x", "0000"),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		q, err := protocol.ReadPush(protocol.NewReader(bytes.NewReader(data)), git.SHA1, protocol.DefaultLimits())
		checkError(t, err)
		if err != nil {
			return
		}
		if q.Pack != nil {
			rest, err := io.ReadAll(q.Pack)
			if err != nil || !bytes.HasSuffix(data, rest) {
				t.Fatalf("the pack is %q, %v", rest, err)
			}
		}
		var results []protocol.RefResult
		for _, u := range q.Commands {
			results = append(results, protocol.RefResult{Name: u.Name, Old: u.Old, New: u.New})
		}
		if err := protocol.WriteReport(protocol.NewWriter(io.Discard), "", results, 2); err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkAdvertise(b *testing.B) {
	refs := make([]protocol.Ref, 10_000)
	for i := range refs {
		refs[i] = protocol.Ref{Name: git.RefName(fmt.Sprintf("refs/heads/branch-%d", i)), ID: oid(idA)}
	}
	q := protocol.LsRefsRequest{Peel: true, Symrefs: true}
	b.ReportAllocs()
	for b.Loop() {
		if err := q.Write(protocol.NewWriter(io.Discard), refs); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReadUploadRequest(b *testing.B) {
	lines := []string{"want " + idA + " multi_ack_detailed", "0000"}
	for range 10_000 {
		lines = append(lines, "have "+idB+"\n")
	}
	in := packets(append(lines, "done")...)
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := readUpload(in, protocol.DefaultLimits()); err != nil {
			b.Fatal(err)
		}
	}
}
