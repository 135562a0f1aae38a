package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

func (d *demonstration) create(ctx context.Context) ([]string, error) {
	var made struct {
		Name string `json:"repo_name"`
	}
	err := d.account.Call(ctx, repository, http.MethodPost, "/api/v1/repos", []byte(`{"default_branch":"main"}`), &made)
	if err == nil {
		err = same("the repository's name", made.Name, repository)
	}
	return []string{curl("POST", "/api/v1/repos", `-d '{"default_branch":"main"}'`)}, err
}

// push brings the source's present branch, as main, and its tags.
func (d *demonstration) push(ctx context.Context) ([]string, error) {
	what, err := d.findSource(ctx)
	if err != nil {
		return nil, err
	}
	remote, err := d.account.Remote(repository)
	if err != nil {
		return nil, err
	}
	// Somebody may be committing to it, so all that follows is about one state.
	if d.tip, err = Git(ctx, d.source, "rev-parse", "HEAD"); err != nil {
		return nil, err
	}
	if d.refs, err = refsOf(ctx, d.source, "refs/tags/"); err != nil {
		return nil, err
	}
	d.refs["refs/heads/main"] = d.tip
	args := []string{"push", "-q", remote}
	for name, id := range d.refs {
		args = append(args, id+":"+name)
	}
	if _, err := Git(ctx, d.source, args...); err != nil {
		return nil, err
	}
	count, err := Git(ctx, d.source, "rev-list", "--count", d.tip)
	if err != nil {
		return nil, err
	}
	if d.files, err = filesOf(ctx, d.source, d.tip); err != nil {
		return nil, err
	}
	return []string{
		fmt.Sprintf(`$ git push "http://t:$TOKEN@%s/%s.git" HEAD:main --tags`, strings.TrimPrefix(d.account.Server, "http://"), repository),
		fmt.Sprintf("%s: %s commits, %d files", what, count, len(d.files)),
	}, nil
}

// findSource chooses the repository to push.
func (d *demonstration) findSource(ctx context.Context) (string, error) {
	if d.options.Repo != "" {
		d.source = d.options.Repo
		_, err := Git(ctx, d.source, "rev-parse", "-q", "--verify", "HEAD^{commit}")
		return d.source, err
	}
	if here, err := os.Getwd(); err == nil {
		if d.source = findProject(ctx, here); d.source != "" {
			return "the history of cairn itself", nil
		}
	}
	d.source = d.path("source")
	if err := os.Mkdir(d.source, 0o700); err != nil {
		return "", err
	}
	return "a small history made for it", smallHistory(ctx, d.source)
}

func (d *demonstration) compareRefs(ctx context.Context) ([]string, error) {
	remote, err := d.account.Remote(repository)
	if err != nil {
		return nil, err
	}
	got, err := remoteRefs(ctx, d.dir, remote)
	if err != nil {
		return nil, err
	}
	return []string{fmt.Sprintf("%s, all alike", plural(len(got), "ref"))}, sameRefs(got, d.refs)
}

// demoFiles is what the demonstration commits.
var demoFiles = []File{
	{"hello/readme.md", []byte("# Hello\n\nThis file came over HTTP.\n")},
	{"hello/deep/er/notes.txt", []byte("one\ntwo\nthree\n")},
	{"hello/empty", nil},
}

func (d *demonstration) commitFiles(ctx context.Context) ([]string, error) {
	c := Commit{Branch: "main", Message: "Say hello", Files: demoFiles}
	err := d.account.Call(ctx, repository, http.MethodPost, "/api/v1/repos/commit-pack", c.Body(), &d.commit)
	if err == nil {
		err = same("the commit's parent", d.commit.Result.Old, d.refs["refs/heads/main"])
	}
	for _, f := range demoFiles {
		d.files[f.Path] = true
	}
	d.refs["refs/heads/main"] = d.commit.Commit.SHA
	return []string{
		curl("POST", "/api/v1/repos/commit-pack", "-d \\"),
		`'{"metadata":{"target_branch":"main","commit_message":"Say hello","author":{"name":"Ada","email":"ada@example.com"},"files":[{"path":"a.txt","content_id":"1"}]}}`,
		`{"blob_chunk":{"content_id":"1","data":"SGVsbG8K","eof":true}}'`,
		"main is at " + d.commit.Commit.SHA,
	}, err
}

// refuseStale commits with a guard that names the commit before the last one.
func (d *demonstration) refuseStale(ctx context.Context) ([]string, error) {
	c := Commit{Branch: "main", Expect: d.commit.Result.Old, Message: "Too late", Files: demoFiles[:1]}
	err := d.account.Call(ctx, repository, http.MethodPost, "/api/v1/repos/commit-pack", c.Body(), nil)
	var refused *StatusError
	if !errors.As(err, &refused) {
		return nil, fmt.Errorf("the commit was not refused: %w", err)
	}
	return []string{fmt.Sprintf(`"expected_head_sha" is not where main is: %d, and nothing changed`, refused.Status)},
		same("the status", refused.Status, http.StatusConflict)
}

func (d *demonstration) read(ctx context.Context) ([]string, error) {
	token, err := d.account.Token(repository)
	if err != nil {
		return nil, err
	}
	for _, f := range demoFiles {
		path := "/api/v1/repos/file?path=" + url.QueryEscape(f.Path)
		body, err := d.account.Get(ctx, token, http.MethodGet, path, nil)
		if err != nil {
			return nil, err
		}
		content, err := io.ReadAll(body)
		body.Close()
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(content, f.Content) {
			return nil, fmt.Errorf("%s has the content %q, not %q", f.Path, content, f.Content)
		}
	}
	return []string{curl("GET", "/api/v1/repos/file?path="+demoFiles[0].Path)}, nil
}

func (d *demonstration) list(ctx context.Context) ([]string, error) {
	var answer struct {
		Entries []struct {
			Path string `json:"path"`
		} `json:"entries"`
	}
	if err := d.account.Call(ctx, repository, http.MethodGet, "/api/v1/repos/files", nil, &answer); err != nil {
		return nil, err
	}
	got := map[string]bool{}
	for _, e := range answer.Entries {
		got[e.Path] = true
	}
	for path := range d.files {
		if !got[path] {
			return nil, fmt.Errorf("%q is not in the list", path)
		}
	}
	return []string{
		curl("GET", "/api/v1/repos/files"),
		fmt.Sprintf("%d files, those of git ls-tree -r and the new ones", len(got)),
	}, same("the number of files", len(got), len(d.files))
}

// logLength is how many commits are compared: the largest page.
const logLength = 100

func (d *demonstration) log(ctx context.Context) ([]string, error) {
	var answer struct {
		Commits []struct {
			SHA string `json:"sha"`
		} `json:"commits"`
	}
	path := fmt.Sprintf("/api/v1/repos/commits?branch=main&limit=%d", logLength)
	if err := d.account.Call(ctx, repository, http.MethodGet, path, nil, &answer); err != nil {
		return nil, err
	}
	before, err := Git(ctx, d.source, "rev-list", fmt.Sprintf("-n%d", logLength-1), d.tip)
	if err != nil {
		return nil, err
	}
	want := append([]string{d.commit.Commit.SHA}, strings.Fields(before)...)
	if err := same("the number of commits", len(answer.Commits), len(want)); err != nil {
		return nil, err
	}
	for i, c := range answer.Commits {
		if err := same(fmt.Sprintf("commit %d", i), c.SHA, want[i]); err != nil {
			return nil, err
		}
	}
	return []string{curl("GET", path), fmt.Sprintf("%d commits, in the order of git log", len(want))}, nil
}

func (d *demonstration) branch(ctx context.Context) ([]string, error) {
	in := []byte(`{"base_branch":"main","target_branch":"topic/demo"}`)
	if err := d.account.Call(ctx, repository, http.MethodPost, "/api/v1/repos/branches/create", in, nil); err != nil {
		return nil, err
	}
	// Several programs write to one branch at once; each commit gets its place.
	const writers = 8
	var wg sync.WaitGroup
	errs := make([]error, writers)
	for i := range writers {
		wg.Go(func() {
			c := Commit{Branch: "topic/demo", Message: fmt.Sprint("Writer ", i), Files: []File{{fmt.Sprintf("writers/%d.txt", i), []byte{byte('0' + i), '\n'}}}}
			errs[i] = d.account.Call(ctx, repository, http.MethodPost, "/api/v1/repos/commit-pack", c.Body(), nil)
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	var list struct {
		Branches []struct {
			Name string `json:"name"`
			Head string `json:"head_sha"`
		} `json:"branches"`
	}
	if err := d.account.Call(ctx, repository, http.MethodGet, "/api/v1/repos/branches", nil, &list); err != nil {
		return nil, err
	}
	for _, b := range list.Branches {
		if b.Name == "topic/demo" {
			d.refs["refs/heads/topic/demo"] = b.Head
		}
	}
	return []string{
		curl("POST", "/api/v1/repos/branches/create", "-d '"+string(in)+"'"),
		fmt.Sprintf("%d programs committed to it at once, none was refused", writers),
	}, same("the number of branches", len(list.Branches), 2)
}

func (d *demonstration) fork(ctx context.Context) ([]string, error) {
	source, err := d.account.Token(repository)
	if err != nil {
		return nil, err
	}
	in := mustJSON(map[string]any{"base_repo": map[string]any{
		"provider": "code", "operation": "fork", "owner": organization, "name": repository,
		"auth": map[string]string{"token": source},
	}})
	err = d.account.Call(ctx, forked, http.MethodPost, "/api/v1/repos", in, nil)
	return []string{
		`$ curl -X POST -H "Authorization: Bearer $FORK_TOKEN" "$URL/api/v1/repos" \`,
		fmt.Sprintf(`    -d '{"base_repo":{"provider":"code","operation":"fork","owner":%q,"name":%q,"auth":{"token":"'$TOKEN'"}}}'`, organization, repository),
	}, err
}

func (d *demonstration) cloneFork(ctx context.Context) ([]string, error) {
	remote, err := d.account.Remote(forked)
	if err != nil {
		return nil, err
	}
	d.clone = d.path("clone")
	if _, err := Git(ctx, d.dir, "clone", "-q", "--mirror", remote, d.clone); err != nil {
		return nil, err
	}
	if _, err := Git(ctx, d.clone, "fsck", "--strict", "--full", "--no-dangling", "--no-progress"); err != nil {
		return nil, err
	}
	got, err := refsOf(ctx, d.clone, "refs/")
	if err != nil {
		return nil, err
	}
	if err := sameRefs(got, d.refs); err != nil {
		return nil, err
	}
	// The eight writers' commits are one chain above main.
	count, err := Git(ctx, d.clone, "rev-list", "--count", "main..topic/demo")
	if err != nil {
		return nil, err
	}
	objects, err := Git(ctx, d.clone, "rev-list", "--count", "--objects", "--all")
	if err != nil {
		return nil, err
	}
	return []string{
		fmt.Sprintf(`$ git clone "http://t:$FORK_TOKEN@%s/%s.git" && git -C fork fsck --strict`, strings.TrimPrefix(d.account.Server, "http://"), forked),
		fmt.Sprintf("%s and %s objects, all sound", plural(len(got), "ref"), objects),
	}, same("the number of commits on the branch", count, "8")
}

// diff applies what the API says a commit changed to the commit's parent, and
// looks whether that gives the commit's tree.
func (d *demonstration) diff(ctx context.Context) ([]string, error) {
	var answer struct {
		Files []struct {
			Raw string `json:"raw"`
		} `json:"files"`
	}
	path := "/api/v1/repos/diff?sha=" + d.commit.Commit.SHA + "&gitApplyCompatible=true"
	if err := d.account.Call(ctx, repository, http.MethodGet, path, nil, &answer); err != nil {
		return nil, err
	}
	var patch strings.Builder
	for _, f := range answer.Files {
		patch.WriteString(f.Raw)
	}
	if _, err := Git(ctx, d.clone, "read-tree", d.commit.Result.Old); err != nil {
		return nil, err
	}
	apply := GitCommand(ctx, d.clone, "apply", "--cached")
	apply.Stdin = strings.NewReader(patch.String())
	if _, err := runGit(apply); err != nil {
		return nil, err
	}
	tree, err := Git(ctx, d.clone, "write-tree")
	if err != nil {
		return nil, err
	}
	return []string{
		curl("GET", "/api/v1/repos/diff?sha="+d.commit.Commit.SHA[:12]+"&gitApplyCompatible=true"),
	}, same("the tree", tree, d.commit.Commit.Tree)
}

func (d *demonstration) shallow(ctx context.Context) ([]string, error) {
	remote, err := d.account.Remote(forked)
	if err != nil {
		return nil, err
	}
	dir := d.path("shallow")
	if _, err := Git(ctx, d.dir, "clone", "-q", "--depth", "1", remote, dir); err != nil {
		return nil, err
	}
	count, err := Git(ctx, dir, "rev-list", "--count", "HEAD")
	if err == nil {
		err = same("the number of commits", count, "1")
	}
	if err != nil {
		return nil, err
	}
	if _, err := Git(ctx, dir, "fsck", "--strict", "--no-dangling", "--no-progress"); err != nil {
		return nil, err
	}
	content, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(demoFiles[0].Path)))
	if err != nil {
		return nil, err
	}
	return []string{"one commit, and the file that came over HTTP is in the work tree"},
		same("the file", string(content), string(demoFiles[0].Content))
}

// fsck lets the server check every object that it keeps for the repository.
func (d *demonstration) fsck(ctx context.Context) ([]string, error) {
	result, err := d.account.operator.CheckRepository(ctx, organization, repository, func(int, int) {})
	if err != nil {
		return nil, err
	}
	if len(result.Problems) > 0 {
		return nil, errors.New(strings.Join(result.Problems, "; "))
	}
	return []string{
		"$ cairn fsck " + organization + "/" + repository,
		fmt.Sprintf("%d objects in %s, no problems", result.Objects, plural(result.Packs, "pack")),
	}, nil
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// same compares what there is with what there must be.
func same[T comparable](what string, got, want T) error {
	if got != want {
		return fmt.Errorf("%s is %v, want %v", what, got, want)
	}
	return nil
}

func sameRefs(got, want map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if err := same("ref "+name, got[name], want[name]); err != nil {
			return err
		}
	}
	return same("the number of refs", len(got), len(want))
}
