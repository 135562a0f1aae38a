package git_test

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/gittest"
)

// sample is an object to be judged.
type sample struct {
	name string
	kind git.ObjectType
	data string
}

// fsckVerdicts asks git fsck --strict about many objects at once, and returns
// what it holds against each one, by id; what it says of missing objects that
// they name does not count.
func fsckVerdicts(t *testing.T, r *gittest.Repo, samples []sample) map[git.ObjectID]string {
	t.Helper()
	for _, s := range samples {
		writeLoose(t, r, s)
	}
	cmd := gittest.Command(t, r.Dir, "fsck", "--strict", "--full", "--no-dangling", "--no-progress")
	out, _ := cmd.CombinedOutput() // it fails, as it should
	verdicts := map[git.ObjectID]string{}
	line := regexp.MustCompile(`(?m)^error(?: in \w+ |: |: object |: bogus commit object |: bad (?:tree|tag) object )([0-9a-f]{40})\b.*$`)
	for _, m := range line.FindAllStringSubmatch(string(out), -1) {
		if !strings.HasSuffix(m[0], ": broken links") {
			verdicts[git.MustParseObjectID(m[1])] += m[0] + "\n"
		}
	}
	return verdicts
}

// writeLoose stores an object without a check, faster than git would.
func writeLoose(t *testing.T, r *gittest.Repo, s sample) {
	t.Helper()
	id := hashOf(t, s.kind, []byte(s.data)).String()
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	fmt.Fprintf(z, "%s %d\x00%s", s.kind, len(s.data), s.data)
	z.Close()
	path := filepath.Join(r.GitDir(), "objects", id[:2], id[2:])
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
}

func hashOf(t testing.TB, kind git.ObjectType, data []byte) git.ObjectID {
	t.Helper()
	id, err := git.HashObject(git.SHA1, kind, data)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// targets are objects that samples may name.
type targets struct{ blob, tree, commit git.ObjectID }

func scratch(t *testing.T) (*gittest.Repo, targets) {
	t.Helper()
	r := gittest.Init(t, gittest.Bare())
	r.Commit("main", "message", gittest.Files{"file": "content\n"})
	id := func(rev string) git.ObjectID { return git.MustParseObjectID(r.RevParse(rev)) }
	return r, targets{blob: id("main:file"), tree: id("main^{tree}"), commit: id("main")}
}

// who is a well-formed ident.
const who = "Ada Author <ada@example.com> 1700000000 +0100"

// malformed are objects with one thing wrong each; what the name starts with is
// git's id of the message, or "fine".
func malformed(to targets) []sample {
	entry := func(mode, name string, id git.ObjectID) string {
		return mode + " " + name + "\x00" + string(id.Bytes())
	}
	file := func(name string) string { return entry("100644", name, to.blob) }
	dir := func(name string) string { return entry("40000", name, to.tree) }
	commit := func(lines ...string) string { return strings.Join(lines, "\n") + "\n\nmessage\n" }
	tree, parent := "tree "+to.tree.String(), "parent "+to.commit.String()
	tag := func(lines ...string) string {
		return strings.Join(append([]string{"object " + to.commit.String(), "type commit"}, lines...), "\n") + "\n\nmessage\n"
	}
	var samples []sample
	add := func(kind git.ObjectType, name, data string) {
		samples = append(samples, sample{name, kind, data})
	}

	for name, data := range map[string]string{
		"fine":                                file("a") + dir("b"),
		"fine: names around a slash":          file("a-b") + dir("a") + file("a0"),
		"fine: an old mode":                   entry("100664", "a", to.blob),
		"fine: permissions that git remarks":  entry("100600", "a", to.blob),
		"fine: not .git":                      file("..git") + file(".gitx") + file("git~2") + file("x.git"),
		"fine: .gitmodules":                   file(".gitmodules"),
		"fine: a link named .gitattributes":   entry("120000", ".gitattributes", to.blob),
		"badTree: cut off":                    file("a")[:20],
		"badTree: no mode":                    " a\x00" + string(to.blob.Bytes()),
		"badTree: mode of letters":            entry("10064x", "a", to.blob),
		"badTree: empty name":                 file(""),
		"zeroPaddedFilemode":                  entry("040000", "a", to.tree),
		"nullSha1":                            entry("100644", "a", zeroID()),
		"fullPathname":                        file("a/b"),
		"hasDot":                              file("."),
		"hasDotdot":                           file(".."),
		"hasDotgit":                           file(".git"),
		"hasDotgit: capitals":                 dir(".GiT"),
		"hasDotgit: NTFS blank":               file(".git "),
		"hasDotgit: NTFS dot":                 file(".git."),
		"hasDotgit: NTFS stream":              file(".git::$INDEX_ALLOCATION"),
		"hasDotgit: NTFS short name":          file("GIT~1"),
		"hasDotgit: HFS invisible":            file(".g\u200cit"),
		"hasDotgit: backslash after":          file(".git\\x"),
		"hasDotgit: backslash before":         file("a\\.git"),
		"duplicateEntries":                    file("a") + file("a"),
		"duplicateEntries: file, directory":   file("a") + dir("a"),
		"duplicateEntries: others in between": file("a") + file("a-") + file("a.b") + dir("a"),
		"treeNotSorted":                       file("b") + file("a"),
		"treeNotSorted: directory":            dir("a") + file("a.b"),
		"gitmodulesSymlink":                   entry("120000", ".gitmodules", to.blob),
		"gitmodulesSymlink: NTFS":             entry("120000", "GITMOD~1", to.blob),
		"gitmodulesSymlink: NTFS hash":        entry("120000", "gi7eba~1", to.blob),
		"gitmodulesSymlink: HFS":              entry("120000", ".gitmodu\u200cles", to.blob),
	} {
		add(git.TreeObject, name, data)
	}
	for name, data := range map[string]string{
		"fine":                        commit(tree, parent, "author "+who, "committer "+who),
		"fine: root":                  commit(tree, "author "+who, "committer "+who),
		"fine: further headers":       commit(tree, "author "+who, "committer "+who, "what ever", " it", "is"),
		"fine: no body":               tree + "\nauthor " + who + "\ncommitter " + who + "\n",
		"fine: no mail":               commit(tree, "author A <> 0 +0000", "committer "+who),
		"fine: a date far off":        commit(tree, "author A <a> 9223372036854775807 +0000", "committer "+who),
		"missingTree":                 commit("author "+who, "committer "+who),
		"badTreeSha1":                 commit(tree[:44], "author "+who, "committer "+who),
		"badParentSha1":               commit(tree, "parent 123", "author "+who, "committer "+who),
		"missingAuthor":               commit(tree, "committer "+who),
		"multipleAuthors":             commit(tree, "author "+who, "author "+who, "committer "+who),
		"missingCommitter":            commit(tree, "author "+who),
		"missingNameBeforeEmail":      commit(tree, "author <a> 0 +0000", "committer "+who),
		"badName":                     commit(tree, "author A> <a> 0 +0000", "committer "+who),
		"missingEmail":                commit(tree, "author A 0 +0000", "committer "+who),
		"missingSpaceBeforeEmail":     commit(tree, "author A<a> 0 +0000", "committer "+who),
		"badEmail":                    commit(tree, "author A <a<b> 0 +0000", "committer "+who),
		"missingSpaceBeforeDate":      commit(tree, "author A <a>0 +0000", "committer "+who),
		"zeroPaddedDate":              commit(tree, "author A <a> 01 +0000", "committer "+who),
		"badDateOverflow":             commit(tree, "author A <a> 9223372036854775808 +0000", "committer "+who),
		"badDate":                     commit(tree, "author A <a> x +0000", "committer "+who),
		"badDate: no zone":            commit(tree, "author A <a> 1", "committer "+who),
		"badTimezone":                 commit(tree, "author A <a> 1 +00000", "committer "+who),
		"badTimezone: in the second":  commit(tree, "author "+who, "committer A <a> 1 0000"),
		"nulInHeader":                 commit(tree, "author "+who, "committer "+who, "x \x00"),
		"nulInCommit":                 commit(tree, "author "+who, "committer "+who) + "\x00",
		"unterminatedHeader":          tree + "\nauthor " + who + "\ncommitter " + who,
		"unterminatedHeader: nothing": "",
	} {
		add(git.CommitObject, name, data)
	}
	for name, data := range map[string]string{
		"fine":                       tag("tag v1", "tagger "+who),
		"fine: no tagger":            tag("tag v1"),
		"fine: a name of no ref":     tag("tag a..b", "tagger "+who),
		"fine: further headers":      tag("tag v1", "tagger "+who, "what ever"),
		"missingObject":              "type commit\ntag v1\ntagger " + who + "\n\nmessage",
		"badObjectSha1":              "object 123\ntype commit\ntag v1\ntagger " + who + "\n\nm",
		"missingTypeEntry":           "object " + to.commit.String() + "\ntag v1\ntagger " + who + "\n\nmessage\n",
		"badType":                    "object " + to.commit.String() + "\ntype ref\ntag v1\ntagger " + who + "\n\nmessage\n",
		"missingTagEntry":            tag("tagger " + who),
		"badTimezone":                tag("tag v1", "tagger A <a> 0 0"),
		"missingSpaceBeforeEmail":    tag("tag v1", "tagger A<a> 0 +0000"),
		"nulInHeader":                tag("tag v\x00"),
		"unterminatedHeader: tagger": "object " + to.commit.String() + "\ntype commit\ntag v1\ntagger " + who,
	} {
		add(git.TagObject, name, data)
	}
	return samples
}

func zeroID() git.ObjectID {
	id, _ := git.ObjectIDFromBytes(make([]byte, 20))
	return id
}

func TestCheckObjectAgreesWithFsck(t *testing.T) {
	t.Parallel()
	r, to := scratch(t)
	samples := malformed(to)
	verdicts := fsckVerdicts(t, r, samples)
	for _, s := range samples {
		word, _, _ := strings.Cut(s.name, ":")
		err := git.CheckObject(git.SHA1, s.kind, []byte(s.data))
		want := verdicts[hashOf(t, s.kind, []byte(s.data))]
		if (word == "fine") != (want == "") {
			t.Errorf("%s, %s: git says %q", s.kind, s.name, want)
		}
		if (err != nil) != (want != "") {
			t.Errorf("%s, %s: got %v, git says %q", s.kind, s.name, err, want)
		}
		// Git gives up on some before it comes to the message.
		if err != nil && !strings.Contains(err.Error(), word) && strings.Contains(want, word) {
			t.Errorf("%s, %s: got %v, want %s", s.kind, s.name, err, word)
		}
	}
}

// Mutations of well-formed objects find what no table thinks of.
func TestCheckObjectAgreesWithFsckOnMutations(t *testing.T) {
	t.Parallel()
	r, to := scratch(t)
	random := rand.New(rand.NewPCG(1, 2))
	var samples []sample
	for range 1500 {
		samples = append(samples, mutate(random, to))
	}
	verdicts := fsckVerdicts(t, r, samples)
	if n := len(verdicts); n < len(samples)/4 || n > len(samples)*3/4 {
		t.Errorf("git refuses %d of %d: the samples are too alike", n, len(samples))
	}
	for _, s := range samples {
		err := git.CheckObject(git.SHA1, s.kind, []byte(s.data))
		want := verdicts[hashOf(t, s.kind, []byte(s.data))]
		if (err != nil) != (want != "") && !isDeliberate(err) {
			t.Errorf("%s\n%q\n got %v\nwant %s", s.kind, s.data, err, want)
		}
	}
}

// isDeliberate tells whether CheckObject means to refuse what git accepts:
// modes of no kind, which git takes for submodules; ids in capitals, which name
// the same object twice; and blanks before a date, which git refuses since 2.40.
func isDeliberate(err error) bool {
	if err == nil {
		return false
	}
	for _, word := range []string{"badFilemode: mode ", "is not lower-case hexadecimal", "badDate: "} {
		if strings.Contains(err.Error(), word) {
			return true
		}
	}
	return false
}

func TestWhatPassesTheCheckCanBeParsed(t *testing.T) {
	t.Parallel()
	_, to := scratch(t)
	random := rand.New(rand.NewPCG(5, 6))
	for range 20000 {
		s := mutate(random, to)
		checkedMeansParsed(t, s.kind, []byte(s.data))
	}
}

func checkedMeansParsed(t *testing.T, kind git.ObjectType, data []byte) {
	t.Helper()
	if git.CheckObject(git.SHA1, kind, data) != nil {
		return
	}
	var err error
	switch kind {
	case git.CommitObject:
		_, err = git.ParseCommit(git.SHA1, data)
	case git.TreeObject:
		_, err = git.ParseTree(git.SHA1, data)
	case git.TagObject:
		_, err = git.ParseTag(git.SHA1, data)
	}
	if err != nil {
		t.Errorf("%s %q passes the check: %v", kind, data, err)
	}
}

// mutate makes an object that is well formed in most ways.
func mutate(r *rand.Rand, to targets) sample {
	switch r.IntN(3) {
	case 0:
		var b []byte
		for range 1 + r.IntN(4) {
			mode := pick(r, "100644", "100755", "120000", "160000", "40000", "040000", "100664", "100600", "0", "777", "40755")
			name := pick(r, "a", "a.b", "a0", "b", ".", "..", "a/b", ".git", ".GIT", "git~1", ".gitmodules", "x", "a", "B", "", ".g\u200cit", "\xff", ".git\xff", ".git\\x", "x\\.git", "a\\git~1\\y", ".gitmodules\\y", "y\\.gitmodules", "gi7eba~1", "gitmod~1", ".gitmodules .:x", ".gitmoduleſ")
			id := pick(r, to.blob, to.tree, to.commit)
			if r.IntN(20) == 0 {
				id = zeroID()
			}
			b = append(b, mode+" "+name+"\x00"...)
			b = id.AppendTo(b)
		}
		if r.IntN(4) == 0 {
			b = []byte(flip(r, string(b)))
		}
		return sample{"", git.TreeObject, string(b)}
	case 1:
		lines := []string{"tree " + to.tree.String(), "parent " + to.commit.String(), "author " + who, "committer " + who, "encoding x", "gpgsig a\n b", "", "message\n"}
		return sample{"", git.CommitObject, mutateLines(r, lines)}
	}
	lines := []string{"object " + to.commit.String(), "type commit", "tag v1", "tagger " + who, "", "message\n"}
	return sample{"", git.TagObject, mutateLines(r, lines)}
}

func pick[T any](r *rand.Rand, s ...T) T { return s[r.IntN(len(s))] }

func flip(r *rand.Rand, s string) string {
	if s == "" {
		return s
	}
	at := r.IntN(len(s))
	switch r.IntN(4) {
	case 0:
		return s[:at] + s[at+1:]
	case 1:
		return s[:at]
	case 2:
		return s[:at] + pick(r, "<", ">", "\n", " ", "\x00", "0", "-", "\t", "A", "9", "~", ".lock", "..", "\r", "\v") + s[at:]
	}
	return s[:at] + pick(r, "<", ">", "\n", " ", "\x00", "0", "-", "\t", "A", "9", "~") + s[at+1:]
}

func mutateLines(r *rand.Rand, lines []string) string {
	for range r.IntN(3) {
		i, j := r.IntN(len(lines)), r.IntN(len(lines))
		switch r.IntN(5) {
		case 0:
			lines[i] = lines[j]
		case 1:
			lines[i], lines[j] = lines[j], lines[i]
		case 2:
			lines = append(lines[:i:i], lines[i+1:]...)
		default:
			lines[i] = flip(r, lines[i])
		}
		if len(lines) == 0 {
			break
		}
	}
	s := strings.Join(lines, "\n")
	if r.IntN(10) == 0 {
		s = flip(r, s)
	}
	return s
}
