package codestorage_test

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/gittest"
	"github.com/cairn-storage/cairn/internal/odb"
)

// load puts a repository of stock git into a new repository of ours.
func (w *world) load(t testing.TB, name string, from *gittest.Repo) *repo {
	t.Helper()
	r := w.repo(t, name)
	who, err := w.service.Authenticate(t.Context(), r.token)
	if err != nil {
		t.Fatal(err)
	}
	sn, err := w.store.Snapshot(t.Context(), who.Organization.ID, cairn.RepositoryName(name))
	if err != nil {
		t.Fatal(err)
	}
	defer sn.Close()
	pack := w.store.NewPack(git.SHA1)
	defer pack.Close()
	for _, o := range from.Objects() {
		kind, err := git.ParseObjectType(o.Type)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := pack.Add(kind, o.Data); err != nil {
			t.Fatal(err)
		}
	}
	staged, err := pack.Finish(t.Context(), who.Organization.ID)
	if err != nil {
		t.Fatal(err)
	}
	u := odb.Update{Packs: []odb.Staged{staged}}
	for name, id := range from.Refs() {
		u.Refs = append(u.Refs, cairn.RefUpdate{Name: git.RefName(name), New: git.MustParseObjectID(id)})
	}
	if _, err := w.store.Apply(t.Context(), sn.Repository().RepositoryKey, u); err != nil {
		t.Fatal(err)
	}
	return r
}

// requestsPerRepack leaves the requests something to find in caches, and the
// processor to them.
const requestsPerRepack = 20

// keepRepacking repacks the repository, merges its packs and collects what that
// leaves, again and again until the test ends: beside some requests and between
// them.
func (r *repo) keepRepacking(t *testing.T) {
	t.Helper()
	who, err := r.service.Authenticate(t.Context(), r.token)
	if err != nil {
		t.Fatal(err)
	}
	sn, err := r.store.Snapshot(t.Context(), who.Organization.ID, cairn.RepositoryName(r.name))
	if err != nil {
		t.Fatal(err)
	}
	key := sn.Repository().RepositoryKey
	sn.Close()
	ctx, stop := context.WithCancel(context.Background())
	done, repacks := make(chan struct{}), 0
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			_, err := r.store.Repack(ctx, key, nil)
			if err == nil {
				repacks++
				_, err = r.store.Compact(ctx, key)
			}
			if err == nil {
				_, err = r.store.Sweep(ctx, odb.SweepOptions{GarbageBefore: time.Now().Add(time.Hour)})
			}
			if err != nil && ctx.Err() == nil {
				t.Errorf("upkeep: %v", err)
				return
			}
			for range requestsPerRepack {
				select {
				case <-r.asked:
				case <-ctx.Done():
				}
			}
		}
	}()
	t.Cleanup(func() {
		stop()
		<-done
		if repacks == 0 {
			t.Error("the test was over before the first repack")
		}
	})
}

// pages reads a whole listing, a few items at a time, and returns the values
// of one member.
func (r *repo) pages(path string, limit int, list, member string) []string {
	r.t.Helper()
	var all []string
	for cursor := ""; ; {
		a := r.get(fmt.Sprintf("%s&limit=%d&cursor=%s", path, limit, cursor)).want(r.t, 200)
		items := a.at(r.t, list).([]any)
		if len(items) > limit {
			r.t.Fatalf("%d items in a page of %d", len(items), limit)
		}
		for _, item := range items {
			all = append(all, item.(object)[member].(string))
		}
		next, more := a.at(r.t, "next_cursor").(string)
		if more != a.at(r.t, "has_more").(bool) {
			r.t.Fatalf("next_cursor %q and has_more %v", next, a.at(r.t, "has_more"))
		}
		if !more {
			return all
		}
		cursor = next
	}
}

func sameList(t testing.TB, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s\n got %d %.300q\nwant %d %.300q", what, len(got), got, len(want), want)
	}
}

// paths returns all files of a revision, unquoted.
func paths(from *gittest.Repo, args ...string) []string {
	out := from.Git(append([]string{"ls-tree", "-z", "--name-only"}, args...)...)
	return strings.FieldsFunc(out, func(r rune) bool { return r == 0 })
}

// utf is text as JSON has it: a byte that is not UTF-8 becomes U+FFFD.
func utf(s string) string { return string([]rune(s)) }

func utfs(list []string) []string {
	out := make([]string, len(list))
	for i := range list {
		out[i] = utf(list[i])
	}
	return out
}

func TestReadsAgreeWithGit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for seed := range uint64(2) {
		for _, skew := range []bool{false, true} {
			t.Run(fmt.Sprint(seed, skew), func(t *testing.T) {
				t.Parallel()
				from := gittest.Random(t, seed, gittest.Options{Skew: skew})
				r := w.load(t, fmt.Sprintf("random-%d-%v", seed, skew), from)
				r.keepRepacking(t)
				compareHistory(t, r, from)
				compareFiles(t, r, from)
				compareDiffs(t, r, from)
				compareTags(t, r, from)
				compareBlames(t, r, from)
				compareGreps(t, r, from)
			})
		}
	}
}

func compareHistory(t *testing.T, r *repo, from *gittest.Repo) {
	for ref := range from.Refs() {
		name, ok := strings.CutPrefix(ref, "refs/heads/")
		if !ok {
			continue
		}
		branch := url.QueryEscape(name)
		want := strings.Fields(from.Git("rev-list", ref))
		sameList(t, "history of "+name, r.pages("/api/v1/repos/commits?branch="+branch, 7, "commits", "sha"), want)
		files := paths(from, "-r", ref)
		folders := paths(from, "-d", "-r", ref)
		for i, path := range append(files, folders...) {
			if i%23 != 0 {
				continue
			}
			want := strings.Fields(from.Git("rev-list", ref, "--", ":(literal)"+path))
			sameList(t, fmt.Sprintf("history of %s, %q", name, path),
				r.pages("/api/v1/repos/commits?branch="+branch+"&path="+url.QueryEscape(path), 3, "commits", "sha"), want)
		}
	}
	for _, rev := range []string{"main", "main~3", "main^", "refs/heads/main", "HEAD", from.RevParse("main")[:12]} {
		a := r.get("/api/v1/repos/commit?sha="+url.QueryEscape(rev)).want(t, 200)
		if got, want := a.at(t, "commit.sha"), from.RevParse(rev+"^{commit}"); got != want {
			t.Errorf("commit %s = %v, want %s", rev, got, want)
		}
	}
}

func compareFiles(t *testing.T, r *repo, from *gittest.Repo) {
	modes := func(args ...string) []string {
		var list []string
		for line := range strings.SplitSeq(from.Git(append([]string{"ls-tree", "-z"}, args...)...), "\x00") {
			if info, path, ok := strings.Cut(line, "\t"); ok {
				list = append(list, info[:len("100644 ")]+utf(path))
			}
		}
		return list
	}
	listing := func(query string) []string {
		var got []string
		for _, e := range r.get("/api/v1/repos/files?"+query).want(t, 200).at(t, "entries").([]any) {
			got = append(got, e.(object)["mode"].(string)+" "+e.(object)["path"].(string))
		}
		return got
	}
	sameList(t, "files", listing("ref=main"), modes("-r", "main"))
	sameList(t, "root", listing("ref=main&recursive=false"), modes("main"))
	all := paths(from, "-r", "main")
	sameList(t, "files in pages", r.pages("/api/v1/repos/files?ref=main", 4, "entries", "path"), utfs(all))
	sameList(t, "root in pages", r.pages("/api/v1/repos/files?ref=main&recursive=false", 2, "entries", "path"), utfs(paths(from, "main")))
	for i, folder := range paths(from, "-d", "-r", "main") {
		if i%5 == 0 {
			sameList(t, "folder "+folder, listing("path="+url.QueryEscape(folder)), modes("-r", "main", ":(literal)"+folder+"/"))
		}
	}
	for i, path := range all {
		if i%13 != 0 {
			continue
		}
		query := "/api/v1/repos/file?ref=main&path=" + url.QueryEscape(path)
		if strings.HasPrefix(from.Git("ls-tree", "main", ":(literal)"+path), "160000") {
			r.get(query).want(t, 404)
			continue
		}
		a := r.get(query).want(t, 200)
		blob := from.RevParse("main:" + path)
		if got, err := git.HashObject(git.SHA1, git.BlobObject, a.body); err != nil || got.String() != blob || a.header.Get("ETag") != `"`+blob+`"` {
			t.Errorf("%q: content is %s, ETag %s, want %s (%v)", path, got, a.header.Get("ETag"), blob, err)
		}
		last := strings.TrimSpace(from.Git("log", "-1", "--format=%H", "main", "--", ":(literal)"+path))
		if got := a.header.Get("X-Last-Commit-Sha"); got != last {
			t.Errorf("%q: X-Last-Commit-Sha = %s, want %s", path, got, last)
		}
	}
}

func compareDiffs(t *testing.T, r *repo, from *gittest.Repo) {
	commits := strings.Fields(from.Git("rev-list", "main"))
	for i, id := range commits {
		if i%4 != 0 {
			continue
		}
		against := id + "^"
		if _, err := from.GitErr("rev-parse", "-q", "--verify", against); err != nil {
			against = git.SHA1.EmptyTree().String()
		}
		compareDiff(t, from, r.get("/api/v1/repos/diff?sha="+id).want(t, 200), "-b", against, id)
		exact := r.get("/api/v1/repos/diff?gitApplyCompatible=true&sha="+id).want(t, 200)
		compareDiff(t, from, exact, "--full-index", against, id)
	}
	for ref := range from.Refs() {
		if name, ok := strings.CutPrefix(ref, "refs/heads/"); ok && name != "main" {
			base, err := from.GitErr("merge-base", "main", ref)
			if err != nil {
				continue
			}
			a := r.get("/api/v1/repos/branches/diff?branch="+url.QueryEscape(name)).want(t, 200)
			if got := a.at(t, "merge_base_sha"); got != strings.TrimSpace(base) {
				t.Errorf("merge base of %s = %v, want %s", name, got, base)
			}
			compareDiff(t, from, a, "-b", strings.TrimSpace(base), ref)
		}
	}
}

// compareDiff compares the texts of a diff with git's, file by file, and the
// paths that were filtered with those for which git has no text of lines.
func compareDiff(t *testing.T, from *gittest.Repo, a answer, option, old, new string) {
	t.Helper()
	var got strings.Builder
	for _, f := range a.at(t, "files").([]any) {
		got.WriteString(f.(object)["raw"].(string))
	}
	args := []string{"diff", "--no-ext-diff", "--no-color", "-M", option, old, new, "--"}
	for _, f := range a.at(t, "filtered_files").([]any) {
		for _, member := range []string{"path", "old_path"} {
			if p := f.(object)[member].(string); p != "" {
				args = append(args, ":(exclude,literal)"+p)
			}
		}
	}
	if want := utf(from.Git(args...)); strings.TrimSuffix(got.String(), "\n") != strings.TrimSuffix(want, "\n") {
		t.Errorf("diff %s %s %s\n got %.2000s\nwant %.2000s", option, old, new, got.String(), want)
	}
}

func compareTags(t *testing.T, r *repo, from *gittest.Repo) {
	var want []string
	for line := range strings.Lines(from.Git("for-each-ref", "--format=%(refname:strip=2) %(objectname) %(*objectname)", "refs/tags")) {
		f := strings.Fields(line)
		id := from.RevParse(f[len(f)-1] + "^{}")
		want = append(want, f[0]+" "+id)
	}
	var got []string
	names := r.pages("/api/v1/repos/tags?", 2, "tags", "name")
	shas := r.pages("/api/v1/repos/tags?", 3, "tags", "sha")
	for i := range names {
		got = append(got, names[i]+" "+shas[i])
	}
	sameList(t, "tags", got, want)
}

// compareBlames compares lines of some files with what git blame says of them.
func compareBlames(t *testing.T, r *repo, from *gittest.Repo) {
	for i, path := range paths(from, "-r", "main") {
		if i%6 != 0 || !strings.HasPrefix(from.Git("ls-tree", "main", ":(literal)"+path), "100") {
			continue
		}
		for query, options := range map[string][]string{
			"": nil, "&detect_moves=true": {"-M", "-C", "-C"}, "&range=,2&range=2,%2B1": {"-L,2", "-L2,+1"},
		} {
			a := r.get("/api/v1/repos/blame?ref=main&path=" + url.QueryEscape(path) + query)
			out, err := from.GitErr(append(append([]string{"blame", "--line-porcelain"}, options...), "main", "--", path)...)
			if err != nil {
				a.want(t, 400) // a range past the end
				continue
			}
			var got []string
			for _, line := range a.want(t, 200).at(t, "lines").([]any) {
				l := line.(object)
				previous, _ := l["previous_commit_sha"].(string)
				got = append(got, fmt.Sprint(l["commit_sha"], l["original_line_number"], l["line_number"], previous, l["original_path"], l["summary"]))
			}
			sameList(t, "blame of "+path+query, got, blamed(out))
		}
	}
}

// blamed reads the output of git blame --line-porcelain.
func blamed(out string) (lines []string) {
	var head []string
	said := map[string]string{}
	for line := range strings.SplitSeq(out, "\n") {
		switch name, value, _ := strings.Cut(line, " "); {
		case head == nil:
			head = strings.Fields(line)
		case strings.HasPrefix(line, "\t"):
			previous, _, _ := strings.Cut(said["previous"], " ")
			path := said["filename"]
			if unquoted, err := strconv.Unquote(path); err == nil {
				path = unquoted
			}
			if said["summary"] == "("+head[0]+")" {
				said["summary"] = "" // what git writes where there is no message
			}
			lines = append(lines, head[0]+head[1]+" "+head[2]+previous+utf(path)+utf(said["summary"]))
			head = nil
			clear(said)
		default:
			said[name] = value
		}
	}
	return lines
}

// compareGreps compares what searches find, page by page, with git grep.
func compareGreps(t *testing.T, r *repo, from *gittest.Repo) {
	for pattern, sensitive := range map[string]bool{"[aeiou]{2}": true, "ba": true, "BA|MU": false, "nothing at all": true} {
		options := []string{"grep", "-n", "-z", "-I", "--no-color", "--full-name", "-E", "-m", "2000"}
		if !sensitive {
			options = append(options, "-i")
		}
		out, _ := from.GitErr(append(options, "-e", pattern, "main")...)
		var want []string
		for line := range strings.SplitSeq(out, "\n") {
			if fields := strings.SplitN(line, "\x00", 3); len(fields) == 3 {
				want = append(want, utf(strings.TrimPrefix(fields[0], "main:"))+":"+fields[1])
			}
		}
		var got []string
		cursor := ""
		for {
			a := r.post("/api/v1/repos/grep", object{"ref": "main", "query": object{"pattern": pattern, "case_sensitive": sensitive},
				"limits": object{"max_lines": 170, "max_matches_per_file": 2000}, "pagination": object{"cursor": cursor, "limit": 40}}).want(t, 200)
			for _, file := range a.at(t, "matches").([]any) {
				for _, line := range file.(object)["lines"].([]any) {
					got = append(got, fmt.Sprintf("%s:%v", file.(object)["path"], line.(object)["line_number"]))
				}
			}
			next, more := a.at(t, "next_cursor").(string)
			if cursor = next; !more {
				break
			}
		}
		sameList(t, "grep "+pattern, got, want)
	}
}
