package git

import (
	"encoding/hex"
	"slices"
	"strings"
	"testing"
)

// The vectors are those of Jujutsu's own documents and tests.
func TestChangeIDText(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ hex, text string }{
		{"7f0a7ce70354b22efcccf7bf144017c4", "skzpsnlszwuvoxxlknnnksokyvvzysnv"},
		{"efbc06dc4721683f2a45568dbda31e99", "lkonztmnvsxytrwkxpvuutrmompwylqq"},
		{strings.Repeat("2a", 16), strings.Repeat("xp", 16)},
		{strings.Repeat("00", 16), strings.Repeat("z", 32)},
		{strings.Repeat("ff", 16), strings.Repeat("k", 32)},
	} {
		raw, _ := hex.DecodeString(c.hex)
		id := ChangeID(raw)
		if got := id.String(); got != c.text {
			t.Errorf("%s: %s, want %s", c.hex, got, c.text)
		}
		if got, err := ParseChangeID(c.text); err != nil || got != id {
			t.Errorf("%s: %x, %v", c.text, got, err)
		}
	}
	for _, bad := range []string{"", "z", strings.Repeat("z", 31), strings.Repeat("z", 33), strings.Repeat("a", 32), strings.Repeat("Z", 32), strings.Repeat("z", 31) + "\n"} {
		if _, err := ParseChangeID(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestSyntheticChangeID(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ commit, change string }{
		{"efdcea5ca4b3658149f899ca7feee6876d077263", "ntvllzotlytssskluwqqykqxryptnmxu"},
		{"64366022e4938d697015b775945be93aea6d3fc221feeaf7c516420262e3fa54", "xpuknsvtvzvxtrpwlkusskrvvwknotus"},
	} {
		commit := MustParseObjectID(c.commit)
		id := SyntheticChangeID(commit)
		if id.String() != c.change {
			t.Errorf("%s: %s, want %s", c.commit, id, c.change)
		}
		suffix := id.CommitSuffix()
		if raw := commit.AppendTo(nil); string(raw[len(raw)-16:]) != string(suffix[:]) {
			t.Errorf("%s: suffix %x", c.commit, suffix)
		}
	}
}

const changedCommit = `tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904
author A <a@x> 1757112665 -0700
committer A <a@x> 1757359886 -0700
%schange-id lkonztmnvsxytrwkxpvuutrmompwylqq

message
`

// TestChangeIDOfCommit holds the rule that the first header decides.
func TestChangeIDOfCommit(t *testing.T) {
	t.Parallel()
	const good, other = "lkonztmnvsxytrwkxpvuutrmompwylqq", "skzpsnlszwuvoxxlknnnksokyvvzysnv"
	for _, c := range []struct {
		headers     string
		told, found bool
	}{
		{"change-id " + good + "\n", true, true},
		{"change-id " + strings.ToUpper(good) + "\n", true, true},
		{"change-id " + good + "\nchange-id " + other + "\n", true, true},
		{"change-id short\nchange-id " + good + "\n", false, true},
		{"change-id " + good + "zz\n", false, true},
		{"change-id " + good + "\n \n", false, true},
		{"gpgsig x\n change-id " + good + "\n", false, false},
		{"", false, false},
	} {
		data := "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\nauthor A <a@x> 1 +0000\ncommitter A <a@x> 1 +0000\n" + c.headers + "\nchange-id " + good + "\n"
		commit, err := ParseCommit(SHA1, []byte(data))
		if err != nil {
			t.Fatal(err)
		}
		id, told, found := commit.ChangeID()
		if told != c.told || found != c.found || told && id.String() != good {
			t.Errorf("%q: %s, %v, %v", c.headers, id, told, found)
		}
	}
}

// TestConflictBytes holds the bytes of a conflicted commit: the headers are
// those that jj reads, in its order.
func TestConflictBytes(t *testing.T) {
	t.Parallel()
	plain, err := ParseCommit(SHA1, []byte(strings.Replace(changedCommit, "%s", "", 1)))
	if err != nil {
		t.Fatal(err)
	}
	id, _, _ := plain.ChangeID()
	a, b, c := strings.Repeat("a", 40), strings.Repeat("b", 40), strings.Repeat("c", 40)
	conflict := Conflict{Trees: []ObjectID{MustParseObjectID(a), MustParseObjectID(b), MustParseObjectID(c)}, Labels: []string{"main", "base", "side"}}
	plain.Extra = append(plain.Extra, Header{"gpgsig", "x"}, Header{"other", "kept"})
	plain.SetChange(id, conflict)
	want := strings.Replace(changedCommit, "%s", "jj:conflict-labels main\n base\n side\n \njj:trees "+a+" "+b+" "+c+"\n", 1)
	want = strings.Replace(want, "\n\nmessage", "\nother kept\n\nmessage", 1)
	if got := string(plain.Encode()); got != want {
		t.Fatalf("got\n%swant\n%s", got, want)
	}
	again, err := ParseCommit(SHA1, []byte(want))
	if err != nil {
		t.Fatal(err)
	}
	got, ok, err := again.Conflict(SHA1)
	if err != nil || !ok || !slices.Equal(got.Trees, conflict.Trees) || !slices.Equal(got.Labels, conflict.Labels) {
		t.Fatalf("%+v, %v, %v", got, ok, err)
	}
	for _, bad := range []string{a, a + " " + b, a + " " + b + " " + c + " " + a, a + "  " + b, "x", "", strings.Repeat(a+" ", MaxConflictTerms+1) + a} {
		commit := Commit{Extra: []Header{{"jj:trees", bad}}}
		if _, ok, err := commit.Conflict(SHA1); ok || err == nil {
			t.Errorf("jj:trees %q is taken", bad)
		}
	}
}

func TestConflictEntries(t *testing.T) {
	t.Parallel()
	x := MustParseObjectID(strings.Repeat("1", 40))
	first := []TreeEntry{{ModeTree, ".jjconflict-base-9", x}, {ModeFile, ".github", x}, {ModeFile, "JJ-CONFLICT-README", x}, {ModeFile, "z", x}}
	var names []string
	for _, e := range ConflictEntries(first, []ObjectID{x, x, x, x, x}, x) {
		names = append(names, e.Name)
	}
	want := []string{".github", ".jjconflict-base-0", ".jjconflict-base-1", ".jjconflict-side-0", ".jjconflict-side-1", ".jjconflict-side-2", "JJ-CONFLICT-README", "z"}
	if !slices.Equal(names, want) {
		t.Errorf("%q, want %q", names, want)
	}
}

// FuzzChangeHeaders reads the headers of any commit; what is read and written
// is read again the same.
func FuzzChangeHeaders(f *testing.F) {
	f.Add([]byte(strings.Replace(changedCommit, "%s", "", 1)))
	f.Add([]byte(strings.Replace(changedCommit, "%s", "jj:conflict-labels a\n b\n \n c\n \njj:trees "+strings.Repeat(strings.Repeat("a", 40)+" ", 2)+strings.Repeat("b", 40)+"\n", 1)))
	f.Add([]byte("tree 0000000000000000000000000000000000000000\n "))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseCommit(SHA1, data)
		if err != nil {
			return
		}
		id, told, found := c.ChangeID()
		if told && !found || found && !MayTellChange(data) && !strings.HasPrefix(string(data), "change-id") {
			t.Fatalf("told %v, found %v", told, found)
		}
		conflict, ok, err := c.Conflict(SHA1)
		if ok && (err != nil || len(conflict.Trees) < 3 || len(conflict.Trees)%2 == 0 || len(conflict.Trees) > MaxConflictTerms) {
			t.Fatalf("conflict of %d trees, %v", len(conflict.Trees), err)
		}
		if !ok {
			conflict = Conflict{}
		}
		c.SetChange(id, conflict)
		again, err := ParseCommit(SHA1, c.Encode())
		if err != nil {
			t.Fatal(err)
		}
		if got, told, _ := again.ChangeID(); !told || got != id {
			t.Fatalf("%s became %s", id, got)
		}
		got, has, err := again.Conflict(SHA1)
		if has != ok || err != nil || !slices.Equal(got.Trees, conflict.Trees) || !slices.Equal(got.Labels, conflict.Labels) {
			t.Fatalf("%+v became %+v, %v", conflict, got, err)
		}
	})
}
