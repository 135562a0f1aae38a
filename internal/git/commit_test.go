package git_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/gittest"
)

// repositories are the histories that round trips are tried on.
func repositories(t *testing.T) map[string]*gittest.Repo {
	t.Helper()
	all := map[string]*gittest.Repo{
		"random": gittest.Random(t, 21, gittest.Options{Commits: 150, Files: 10}),
		"skew":   gittest.Random(t, 22, gittest.Options{Skew: true}),
		"large":  gittest.LargeHistory(t, 300_000),
	}
	if own, ok := gittest.History(t); ok {
		all["own"] = own
	}
	return all
}

func TestWhatGitWroteEncodesBackToTheSameBytes(t *testing.T) {
	t.Parallel()
	for name, r := range repositories(t) {
		for _, o := range r.Objects() {
			kind, err := git.ParseObjectType(o.Type)
			if err != nil {
				t.Fatal(err)
			}
			if err := git.CheckObject(git.SHA1, kind, o.Data); err != nil {
				t.Errorf("%s: %s %s: %v", name, o.Type, o.ID, err)
			}
			var got []byte
			switch kind {
			case git.CommitObject:
				var c *git.Commit
				if c, err = git.ParseCommit(git.SHA1, o.Data); err == nil {
					got = c.Encode()
				}
			case git.TreeObject:
				var entries []git.TreeEntry
				if entries, err = git.ParseTree(git.SHA1, o.Data); err == nil {
					got = git.EncodeTree(entries)
				}
			case git.TagObject:
				var tag *git.Tag
				if tag, err = git.ParseTag(git.SHA1, o.Data); err == nil {
					got = tag.Encode()
				}
			default:
				continue
			}
			if err != nil || string(got) != string(o.Data) {
				t.Errorf("%s: %s %s: %v: got\n%q\nwant\n%q", name, o.Type, o.ID, err, got, o.Data)
			}
		}
	}
}

func TestCommitFieldsAgreeWithGitLog(t *testing.T) {
	t.Parallel()
	r := gittest.Random(t, 23, gittest.Options{Commits: 100})
	commits := map[string][]byte{}
	for _, o := range r.Objects() {
		if o.Type == "commit" {
			commits[o.ID] = o.Data
		}
	}
	log := r.Git("log", "--all", "-z",
		"--format=%H%n%T%n%P%n%an%n%ae%n%at%n%ai%n%cn%n%ce%n%ct%n%ci%n%e%n%B")
	n := 0
	for entry := range strings.SplitSeq(strings.TrimSuffix(log, "\x00"), "\x00") {
		id, want, _ := strings.Cut(entry, "\n")
		c, err := git.ParseCommit(git.SHA1, commits[id])
		if err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		parents := make([]string, len(c.Parents))
		for i, p := range c.Parents {
			parents[i] = p.String()
		}
		fmt.Fprintf(&got, "%s\n%s\n", c.Tree, strings.Join(parents, " "))
		for _, s := range []git.Signature{c.Author, c.Committer} {
			fmt.Fprintf(&got, "%s\n%s\n%d\n%s\n", s.Name, s.Email, s.When.Unix(), s.When.Format("2006-01-02 15:04:05 -0700"))
		}
		fmt.Fprintf(&got, "%s\n%s", c.Encoding, c.Message)
		text := c.UTF8(strings.TrimRight(got.String(), "\n"))
		if want := strings.TrimRight(want, "\n"); text != want {
			t.Errorf("%s: got\n%q\nwant\n%q", id, text, want)
		}
		n++
	}
	if n < 100 {
		t.Errorf("got %d commits, want 100 at least", n)
	}
}

func TestCommitLinksAgreeWithTheWholeCommit(t *testing.T) {
	t.Parallel()
	for name, r := range repositories(t) {
		for _, o := range r.Objects() {
			if o.Type == "commit" {
				sameLinks(t, name+" "+o.ID, o.Data)
			}
		}
	}
}

// sameLinks tells whether the short and the whole parser read the same.
func sameLinks(t *testing.T, name string, data []byte) {
	t.Helper()
	c, errCommit := git.ParseCommit(git.SHA1, data)
	l, errLinks := git.ParseCommitLinks(git.SHA1, data)
	if (errCommit == nil) != (errLinks == nil) {
		t.Fatalf("%s: ParseCommit: %v, ParseCommitLinks: %v", name, errCommit, errLinks)
	}
	if errCommit != nil {
		return
	}
	if l.Tree != c.Tree || !slices.Equal(l.Parents, c.Parents) {
		t.Errorf("%s: got links %v, want %s and %v", name, l, c.Tree, c.Parents)
	}
	// A date without a time zone counts for a walk, though not for a reader.
	if got, want := l.Date, c.Committer.When.Unix(); got != want && want != 0 {
		t.Errorf("%s: got date %d, want %d", name, got, want)
	}
}

const someTree = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"

func TestCommitHeadersThatGitAccepts(t *testing.T) {
	t.Parallel()
	head := "tree " + someTree + "\nauthor " + who + "\ncommitter " + who + "\n"
	for _, c := range []struct {
		name, data, message string
		extra               []git.Header
	}{
		{"no body", head, "", nil},
		{"an empty body", head + "\n", "", nil},
		{"a header without a value", head + "odd\n\nm\n", "m\n", []git.Header{{"odd", ""}}},
		{"a header that does not end", head + "odd one", "", []git.Header{{"odd", "one"}}},
		{"continuation lines", head + "gpgsig a\n \n  b\n\nm", "m", []git.Header{{"gpgsig", "a\n\n b"}}},
		{"a second author", head + "author Eve <eve@example.com> 1 +0000\n\nm", "m", []git.Header{{"author", "Eve <eve@example.com> 1 +0000"}}},
	} {
		got, err := git.ParseCommit(git.SHA1, []byte(c.data))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got.Message != c.message || !slices.Equal(got.Extra, c.extra) || got.Author.Name != "Ada Author" {
			t.Errorf("%s: got %+v, want message %q and headers %q", c.name, got, c.message, c.extra)
		}
	}
}

func TestCommitSignature(t *testing.T) {
	t.Parallel()
	r := gittest.Random(t, 24, gittest.Options{Commits: 1})
	for rev, signed := range map[string]bool{"signed": true, "main": false} {
		c, err := git.ParseCommit(git.SHA1, []byte(r.Git("cat-file", "commit", rev)+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.HasPrefix(c.Signature(), "-----BEGIN PGP SIGNATURE-----\n"); got != signed {
			t.Errorf("%s: got signature %q, want one: %v", rev, c.Signature(), signed)
		}
	}
}

func TestMalformedCommitsAreRefused(t *testing.T) {
	t.Parallel()
	for _, data := range []string{
		"", "\n", "tree", "tree ", "tree " + someTree, "tree " + someTree[1:] + "\n", "tree " + strings.ToUpper(someTree) + "\n",
		"parent " + someTree + "\n", "tree " + someTree + "\nparent \n", "tree " + someTree + "\nparent " + someTree,
		"tree " + someTree + someTree[:24] + "\n", // an id of SHA-256
	} {
		if c, err := git.ParseCommit(git.SHA1, []byte(data)); err == nil {
			t.Errorf("%q: got %+v, want an error", data, c)
		}
		if _, err := git.ParseCommitLinks(git.SHA1, []byte(data)); err == nil {
			t.Errorf("%q: its links were read", data)
		}
	}
}

// A commit that the API writes must be the one that git would have written.
func TestEncodeCommitAgreesWithCommitTree(t *testing.T) {
	t.Parallel()
	r := gittest.Init(t, gittest.Bare())
	parent := r.Commit("main", "first", gittest.Files{"a": "1\n"})
	tree := r.RevParse("main^{tree}")
	when := time.Unix(1_700_000_123, 0).In(time.FixedZone("", -3*3600-1800))
	author, err := git.NewSignature(" Åsa \"Ö\" O'Brien,", "asa@example.com ", when)
	if err != nil {
		t.Fatal(err)
	}
	c := git.Commit{
		Tree: git.MustParseObjectID(tree), Parents: []git.ObjectID{git.MustParseObjectID(parent)},
		Author: author, Committer: author, Message: "Message\n\nBody\n",
	}
	cmd := gittest.Command(t, r.Dir, "commit-tree", "-p", parent, "-m", "Message", "-m", "Body", tree)
	for _, who := range []string{"AUTHOR", "COMMITTER"} {
		cmd.Env = append(cmd.Env, "GIT_"+who+"_NAME= Åsa \"Ö\" O'Brien,", "GIT_"+who+"_EMAIL=asa@example.com ", "GIT_"+who+"_DATE=1700000123 -0330")
	}
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := hashOf(t, git.CommitObject, c.Encode()).String(), strings.TrimSpace(string(out)); got != want {
		t.Errorf("got %s, want %s\n%s", got, want, c.Encode())
	}
}

func TestTagFieldsAgreeWithForEachRef(t *testing.T) {
	t.Parallel()
	r := gittest.Random(t, 25, gittest.Options{Commits: 5})
	tags := map[string][]byte{}
	for _, o := range r.Objects() {
		if o.Type == "tag" {
			tags[o.ID] = o.Data
		}
	}
	if len(tags) < 4 {
		t.Errorf("got %d tags, want 4 at least", len(tags))
	}
	const format = "%(objectname)%00%(object)%00%(type)%00%(tag)%00%(taggername)%00%(taggeremail)%00%(taggerdate:raw)%00%(contents)%00"
	fields := strings.Split(r.Git("for-each-ref", "--format="+format, "refs/tags"), "\x00")
	for ; len(fields) > 8; fields = fields[8:] {
		data, annotated := tags[strings.TrimPrefix(fields[0], "\n")]
		if !annotated {
			continue
		}
		tag, err := git.ParseTag(git.SHA1, data)
		if err != nil {
			t.Fatal(err)
		}
		got := []string{
			tag.Target.String(), tag.Type.String(), tag.Name, tag.Tagger.Name, "<" + tag.Tagger.Email + ">",
			fmt.Sprintf("%d %s", tag.Tagger.When.Unix(), tag.Tagger.When.Format("-0700")), tag.Message,
		}
		if !slices.Equal(got, fields[1:8]) {
			t.Errorf("got %q, want %q", got, fields[1:8])
		}
	}
}

func TestMalformedTagsAreRefused(t *testing.T) {
	t.Parallel()
	const good = "object " + someTree + "\ntype tree\ntag v1\n"
	if tag, err := git.ParseTag(git.SHA1, []byte(good)); err != nil || tag.Name != "v1" || tag.Type != git.TreeObject {
		t.Fatalf("got %+v, %v", tag, err)
	}
	for _, data := range []string{
		"", "\n", "object " + someTree + "\n", "object " + someTree + "\ntype tree\n", "object " + someTree + "\ntype tree\ntag v1",
		strings.Replace(good, "tree", "treee", 1), strings.Replace(good, "4b", "4B", 1), strings.Replace(good, "object", "Object", 1),
		strings.Replace(good, someTree, someTree+someTree[:24], 1), "type tree\nobject " + someTree + "\ntag v1\n", "\n" + good,
	} {
		if tag, err := git.ParseTag(git.SHA1, []byte(data)); err == nil {
			t.Errorf("%q: got %+v, want an error", data, tag)
		}
	}
}

func BenchmarkParseCommitLinks(b *testing.B) {
	data := benchmarkCommit()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := git.ParseCommitLinks(git.SHA1, data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseCommit(b *testing.B) {
	data := benchmarkCommit()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := git.ParseCommit(git.SHA1, data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncodeCommit(b *testing.B) {
	c, err := git.ParseCommit(git.SHA1, benchmarkCommit())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		c.Encode()
	}
}

func benchmarkCommit() []byte {
	return []byte("tree " + someTree + "\nparent " + someTree + "\nauthor " + who + "\ncommitter " + who + "\n\nAdd a feature\n\nThe body says why.\n")
}
