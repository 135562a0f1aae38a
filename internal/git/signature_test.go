package git_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/gittest"
)

// idents are author lines of all sorts.
var idents = []string{
	"Ada <ada@example.com> 1700000000 +0100", "Ada <ada@example.com> 0 +0000", "A B C <> 100000 -0330", "<a> 1 +0000", " <a> 1 +0000",
	"", "Ada", "Ada ada@example.com 1 +0000", "Ada <ada", "Ada ada>", "Ada <ada> ", "Ada <ada>", "Ada <ada>1 +0000", "Ada <ada>  1  +0000",
	"Ada <ada> 1", "Ada <ada> 1 ", "Ada <ada> 1 0100", "Ada <ada> 1 +", "Ada <ada> 1 +x", "Ada <ada> x +0100", "Ada <ada> -1 +0100",
	"Ada <ada> 1 +0100 more", "Ada <a<b> 1 +0100", "Ada <a>b> 1 +0100", "Ada <a> <b> 1 +0100", "A>da <a> 1 +0100", "Ada<ada> 1 +0100", "  Ada  <ada> 1 +0100",
	"Ada\t<ada>\t1\t+0100", "Ada < ada > 1 +0100", "Ada <ada> 1x +0100", "Ada <ada> 1 +01x", "Ada <ada> 01 +0100", "Åsa \xff <é> 1 +0545",
	"Ada <ada> 100000 -1200", "Ada <ada> 1 +1400", "Ada <ada> 253402200000 +0000", "Ada <ada> 1 +1", "Ada <ada> 1 +100",
	"Ada <ada> 18446744073709551616 +0000", "Ada <ada> 99999999999999999999999 +0000", "Ada <ada> 1\r", "Ada <ada> 1 +0000\r", "Ada\v<ada>\v1 +0000",
}

func TestParseSignatureAgreesWithGitLog(t *testing.T) {
	t.Parallel()
	r := gittest.Init(t, gittest.Bare())
	lines := append([]string{}, idents...)
	random := rand.New(rand.NewPCG(13, 14))
	for range 300 {
		line := flip(random, flip(random, "Ada <ada@example.com> 1700000000 +0130"))
		if !strings.Contains(line, "-") { // west of an early date git log dies
			lines = append(lines, line)
		}
	}
	tree := r.GitInput("", "hash-object", "-t", "tree", "-w", "--stdin")
	ids := map[string]string{}
	var refs strings.Builder
	for i, line := range lines {
		if strings.ContainsAny(line, "\n\x00") {
			continue // these end a header
		}
		s := sample{kind: git.CommitObject, data: "tree " + tree + "\nauthor " + line + "\ncommitter " + who + "\n\nm\n"}
		writeLoose(t, r, s)
		id := hashOf(t, s.kind, []byte(s.data)).String()
		ids[id] = line
		fmt.Fprintf(&refs, "create refs/x/%d %s\n", i, id)
	}
	r.GitInput(refs.String(), "update-ref", "--stdin")
	n := 0
	for entry := range strings.SplitSeq(r.Git("log", "--all", "--no-walk", "-z", "--format=%H%n%an%n%ae%n%at%n%ai"), "\x00") {
		if entry == "" {
			continue
		}
		f := strings.Split(entry, "\n")
		line := ids[f[0]]
		s := git.ParseSignature([]byte(line))
		if s.Name != f[1] || s.Email != f[2] {
			t.Errorf("%q: got %q <%q>, want %q <%q>", line, s.Name, s.Email, f[1], f[2])
		}
		// Git shows no date where we have the epoch, and dates that RFC 3339
		// cannot write.
		seconds, err := strconv.ParseInt(f[3], 10, 64)
		if f[3] == "" || err != nil || seconds > 253402214400 {
			seconds, f[4] = 0, "1970-01-01 00:00:00 +0000"
		}
		if s.When.Unix() != seconds {
			t.Errorf("%q: got date %d, want %q", line, s.When.Unix(), f[3])
		}
		if got := s.When.Format("2006-01-02 15:04:05 -0700"); got != f[4] && isZone(f[4]) {
			t.Errorf("%q: got date %q, want %q", line, got, f[4])
		}
		n++
	}
	if n != len(ids) {
		t.Errorf("git showed %d commits, want %d", n, len(ids))
	}
}

// isZone tells whether a date ends in a time zone that there can be; git shows
// others as they are.
func isZone(date string) bool {
	zone := date[strings.LastIndexByte(date, ' ')+1:]
	n, err := strconv.Atoi(zone)
	return err == nil && len(zone) == 5 && n > -2400 && n < 2400 && n%100 < 60 && n%100 > -60
}

func TestAnySignatureCanBeJSON(t *testing.T) {
	t.Parallel()
	for _, line := range append(idents, "A <a> 9223372036854775807 +0000", "A <a> 253402300799 -2359", "A <a> 1 +9999", "A <a> 1 -2360", "A <a> 0 -2359") {
		if _, err := json.Marshal(git.ParseSignature([]byte(line)).When); err != nil {
			t.Errorf("%q: %v", line, err)
		}
	}
}

func TestNewSignature(t *testing.T) {
	t.Parallel()
	when := time.Unix(1_700_000_000, 999).In(time.FixedZone("", 5*3600+45*60))
	s, err := git.NewSignature("  Ada B., ", "ada@example.com", when)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := s.String(), "Ada B <ada@example.com> 1700000000 +0545"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if back := git.ParseSignature([]byte(s.String())); back.String() != s.String() || !back.When.Equal(time.Unix(1_700_000_000, 0)) {
		t.Errorf("got %v back, want %v", back, s)
	}
	for _, c := range []struct {
		what, name, email string
		when              time.Time
	}{
		{"no name", "", "a@b", when},
		{"a name of crud", " .,;\t", "a@b", when},
		{"a header in the name", "Ada\ncommitter Eve", "a@b", when},
		{"an end of the name", "Ada <eve@example.com>", "a@b", when},
		{"an end of the email", "Ada", "a@b> 0 +0000", when},
		{"a line feed in the email", "Ada", "a@b\n", when},
		{"a NUL", "Ada\x00", "a@b", when},
		{"a date before the epoch", "Ada", "a@b", time.Unix(-1, 0)},
		{"the zero date", "Ada", "a@b", time.Time{}},
		{"a date too far off", "Ada", "a@b", time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		if s, err := git.NewSignature(c.name, c.email, c.when); err == nil {
			t.Errorf("%s: got %q, want an error", c.what, s)
		}
	}
}
