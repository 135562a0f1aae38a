package gogs

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/service"
)

func put(message, text, branch string) string {
	return fmt.Sprintf(`{"message":%q,"content":%q,"branch":%q}`, message, base64.StdEncoding.EncodeToString([]byte(text)), branch)
}

func TestContents(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	at := "repos/ada/site/contents"
	w.must("writer", "PUT", at+"/docs%2Fdeep%2Fa.txt", put("Add a", "one\n", ""), 201)
	first := read[branch](w, "ada", "repos/ada/site/branches/main")
	if first.Commit.Message != "Add a\n" || first.Commit.Author.UserName != "writer" {
		t.Errorf("the commit is %+v", first.Commit)
	}
	w.must("writer", "PUT", at+"/docs%2Fdeep%2Fa.txt", put("Same again", "one\n", "main"), 201)
	if now := read[branch](w, "ada", "repos/ada/site/branches/main"); now.Commit.ID != first.Commit.ID {
		t.Error("the same bytes made a commit")
	}
	w.must("writer", "PUT", at+"/b.txt", put("On a new branch", "two\n", "topic"), 201)
	w.must("writer", "PUT", at+"/b.txt", put("On it again", "three\n", "topic"), 201)
	file := read[content](w, "reader", at+"/b.txt?ref=topic")
	if file.Type != "file" || file.Content != base64.StdEncoding.EncodeToString([]byte("three\n")) || file.Size != 6 || file.Path != "b.txt" {
		t.Errorf("the file is %+v", file)
	}
	w.must("reader", "GET", at+"/b.txt", "", 404)
	nested := read[content](w, "reader", at+"/docs%2Fdeep%2Fa.txt")
	if want := "https://git.example/api/v1/repos/ada/site/raw/main/docs/deep/a.txt"; nested.DownloadURL == nil || *nested.DownloadURL != want {
		t.Errorf("the address of a nested file is %v", nested.DownloadURL)
	}
	root := read[[]content](w, "reader", at)
	if len(root) != 2 || root[0].Name != "README.md" || root[1].Type != "dir" || root[0].Content == "" {
		t.Errorf("the root is %+v", root)
	}
	w.must("reader", "GET", at+"/README.md%2Fx", "", 404)

	w.must("ada", "POST", "user/repos", `{"name":"empty","private":true}`, 201)
	w.must("ada", "GET", "repos/ada/empty/contents", "", 404)
	if list := read[[]commit](w, "ada", "repos/ada/empty/commits"); len(list) != 0 {
		t.Errorf("commits of nothing: %v", list)
	}
	w.must("ada", "PUT", "repos/ada/empty/contents/a", put("First", "x", ""), 201)
	if r := read[repository](w, "ada", "repos/ada/empty"); r.Empty || r.Size == 0 {
		t.Errorf("after its first commit the repository is %+v", r)
	}
	for name, body := range map[string]string{
		"no message": `{"content":"eA=="}`, "no content": `{"message":"x"}`, "no base64": `{"message":"x","content":"?"}`, "a bad branch": put("x", "x", "a..b"),
	} {
		if status, text := w.call("writer", "PUT", at+"/x", body); status != 422 {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
	w.must("writer", "PUT", at+"/x", `{`, 400)
	w.must("writer", "PUT", at+"/x", "", 415)
}

func TestTreesBlobsRawArchives(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must("ada", "PUT", "repos/ada/site/contents/dir%2Fbinary", put("Binary", "\x00\x01\x02", "release%2F1"[:7]), 201)
	w.must("ada", "PUT", "repos/ada/site/contents/dir%2Ftext", put("Text", "text\n", "feature/one"), 201)
	type tree struct {
		SHA  string      `json:"sha"`
		Tree []treeEntry `json:"tree"`
	}
	root := read[tree](w, "reader", "repos/ada/site/git/trees/release")
	if len(root.Tree) != 2 || root.Tree[0].Mode != "100644" || root.Tree[1].Type != "tree" || root.Tree[1].Mode != "040000" {
		t.Fatalf("the tree is %+v", root)
	}
	below := read[tree](w, "reader", "repos/ada/site/git/trees/"+root.Tree[1].SHA)
	if below.SHA != root.Tree[1].SHA || below.Tree[0].Size != 3 {
		t.Errorf("the tree below is %+v", below)
	}
	blob := read[struct {
		Content string `json:"content"`
		Size    int    `json:"size"`
	}](w, "reader", "repos/ada/site/git/blobs/"+below.Tree[0].SHA)
	if blob.Content != "AAEC" || blob.Size != 3 {
		t.Errorf("the blob is %+v", blob)
	}
	w.must("reader", "GET", "repos/ada/site/git/blobs/"+below.SHA, "", 404)
	w.must("reader", "GET", "repos/ada/site/git/trees/"+below.Tree[0].SHA, "", 404)

	_, text, header := w.ask("reader", "GET", "repos/ada/site/raw/release/dir/binary", "")
	if text != "\x00\x01\x02" || !strings.HasPrefix(header.Get("Content-Disposition"), "attachment") || header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("raw: %q %v", text, header)
	}
	_, text, header = w.ask("reader", "GET", "repos/ada/site/raw/feature/one/dir/text", "")
	if text != "text\n" || header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("raw of a branch with a slash: %q %v", text, header)
	}
	w.must("reader", "GET", "repos/ada/site/raw/feature/one/dir", "", 404)
	_, text, _ = w.ask("reader", "GET", "repos/ada/site/commits/feature/one", "")
	if len(text) != 40 {
		t.Errorf("the commit of a branch with a slash: %q", text)
	}
	_, text, header = w.ask("reader", "GET", "repos/ada/site/archive/feature/one.zip", "")
	if want := "attachment; filename=site-feature_one.zip"; header.Get("Content-Disposition") != want {
		t.Errorf("the archive is called %q", header.Get("Content-Disposition"))
	}
	z, err := zip.NewReader(bytes.NewReader([]byte(text)), int64(len(text)))
	check(t, err)
	var names []string
	for _, f := range z.File {
		names = append(names, f.Name)
	}
	if got := strings.Join(names, " "); got != "site/README.md site/dir/ site/dir/text" {
		t.Errorf("the archive has %s", got)
	}
	w.must("reader", "GET", "repos/ada/site/archive/main.rar", "", 404)
	w.must("reader", "GET", "repos/ada/site/archive/nothing.zip", "", 404)
}

func TestSearch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	type found struct {
		OK   bool         `json:"ok"`
		Data []repository `json:"data"`
	}
	for query, want := range map[string]int{"": 1, "q=OPE": 1, "q=ada/ope": 1, "q=site": 0, "q=%25": 0, "limit=1000000000": 1, "page=2": 0, "page=-1&limit=-5": 1} {
		if got := read[found](w, "", "repos/search?"+query); !got.OK || len(got.Data) != want {
			t.Errorf("%q finds %+v", query, got)
		}
	}
	self := read[user](w, "ada", "user")
	for who, want := range map[string]int{"ada": 2, "reader": 2, "stranger": 1, "": 1} {
		if got := read[found](w, who, fmt.Sprintf("repos/search?uid=%d", self.ID)); len(got.Data) != want {
			t.Errorf("%q finds %d of ada's", who, len(got.Data))
		}
	}
	for range 3 {
		w.must("ada", "POST", "user/repos", fmt.Sprintf(`{"name":"open%d"}`, len(read[[]repository](w, "ada", "user/repos"))), 201)
	}
	_, _, header := w.ask("", "GET", "repos/search?q=open&limit=1&page=2", "")
	if link := header.Get("Link"); !strings.Contains(link, `page=3&q=open>; rel="next"`) || !strings.Contains(link, `rel="first"`) || !strings.Contains(link, "limit=1") {
		t.Errorf("Link: %s", link)
	}
}

// TestAddressesOfNamesWithSlashes follows the addresses in the answers about a
// repository whose name another API gave it.
func TestAddressesOfNamesWithSlashes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	who, err := w.service.Operator(t.Context(), cairn.Actor{Admin: true, Name: "admin"}, "ada")
	check(t, err)
	_, err = w.service.CreateRepository(t.Context(), who, service.NewRepository{Name: "team/app"})
	check(t, err)
	w.must("ada", "PUT", "repos/ada/team%2Fapp/contents/dir%2Fa", put("First", "one\n", ""), 201)
	file := read[content](w, "ada", "repos/ada/team%2Fapp/contents/dir%2Fa")
	commits := read[[]commit](w, "ada", "repos/ada/team%2Fapp/commits")
	for _, address := range []string{file.URL, file.GitURL, *file.DownloadURL, commits[0].URL} {
		path, below := strings.CutPrefix(address, "https://git.example"+prefix)
		if !below {
			t.Fatalf("%q is elsewhere", address)
		}
		w.must("ada", "GET", path, "", 200)
	}
}
