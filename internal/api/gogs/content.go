package gogs

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/service"
)

var contentRoutes = []route{
	{method: "GET", path: repositoryPath + "/branches", gate: byToken, role: cairn.ReaderRole, handle: (*Face).listBranches},
	{method: "GET", path: repositoryPath + "/branches/{branch...}", gate: byToken, role: cairn.ReaderRole, handle: (*Face).branch},
	{method: "GET", path: repositoryPath + "/tags", gate: byToken, role: cairn.ReaderRole, handle: (*Face).listTags},
	{method: "GET", path: repositoryPath + "/releases", role: cairn.ReaderRole, handle: (*Face).releases},
	{method: "GET", path: repositoryPath + "/commits", gate: byToken, role: cairn.ReaderRole, handle: (*Face).listCommits},
	{method: "GET", path: repositoryPath + "/commits/{commit...}", gate: byToken, role: cairn.ReaderRole, handle: (*Face).commit},
	{method: "GET", path: repositoryPath + "/contents", gate: byToken, role: cairn.ReaderRole, handle: (*Face).contents},
	{method: "GET", path: repositoryPath + "/contents/{path...}", gate: byToken, role: cairn.ReaderRole, handle: (*Face).contents},
	{method: "PUT", path: repositoryPath + "/contents/{path...}", gate: byToken, role: cairn.WriterRole, handle: (*Face).putContents},
	{method: "GET", path: repositoryPath + "/git/trees/{tree}", gate: byToken, role: cairn.ReaderRole, handle: (*Face).tree},
	{method: "GET", path: repositoryPath + "/git/blobs/{blob}", gate: byToken, role: cairn.ReaderRole, handle: (*Face).blob},
	{method: "GET", path: repositoryPath + "/raw/{path...}", gate: byToken, role: cairn.ReaderRole, handle: (*Face).raw},
	{method: "GET", path: repositoryPath + "/editorconfig/{filename...}", gate: byToken, role: cairn.ReaderRole, handle: (*Face).editorConfigOf},
	{method: "GET", path: repositoryPath + "/archive/{name...}", gate: byToken, role: cairn.ReaderRole, handle: (*Face).archive},
}

type links struct {
	Git  string `json:"git"`
	Self string `json:"self"`
	HTML string `json:"html"`
}

// content is a file, or what else a path holds.
type content struct {
	Type         string  `json:"type"`
	Target       string  `json:"target,omitempty"`
	SubmoduleURL string  `json:"submodule_git_url,omitempty"`
	Encoding     string  `json:"encoding,omitempty"`
	Size         int64   `json:"size"`
	Name         string  `json:"name"`
	Path         string  `json:"path"`
	Content      string  `json:"content,omitempty"`
	SHA          string  `json:"sha"`
	URL          string  `json:"url"`
	GitURL       string  `json:"git_url"`
	HTMLURL      string  `json:"html_url"`
	DownloadURL  *string `json:"download_url"`
	Links        links   `json:"_links"`
}

// escapePath escapes the segments of a path for an address.
func escapePath(path string) string {
	segments := strings.Split(path, "/")
	for i, s := range segments {
		segments[i] = url.PathEscape(s)
	}
	return strings.Join(segments, "/")
}

func (f *Face) showContent(in *request, ref, path string, line service.TreeLine) content {
	escaped := escapePath(path)
	c := content{
		Name: line.Name, Path: path, Size: line.Size, SHA: line.ID.String(),
		URL: f.address(in) + "/contents/" + escaped, HTMLURL: f.pageOf(in) + "/src/" + escapePath(ref) + "/" + escaped,
	}
	switch m := line.Mode; {
	case m.IsTree():
		c.Type, c.GitURL = "dir", f.address(in)+"/git/trees/"+c.SHA
	case m.IsSubmodule():
		c.Type = "submodule"
	case m.IsSymlink():
		c.Type, c.Target = "symlink", string(line.Content)
	default:
		download := f.address(in) + "/raw/" + escapePath(ref) + "/" + escaped
		c.Type, c.GitURL, c.DownloadURL = "file", f.address(in)+"/git/blobs/"+c.SHA, &download
		if line.Content != nil || line.Size == 0 {
			c.Encoding, c.Content = "base64", base64.StdEncoding.EncodeToString(line.Content)
		}
	}
	c.Links = links{c.GitURL, c.URL, c.HTMLURL}
	return c
}

// contents answers with a file, or with all that lies in a folder.
func (f *Face) contents(w http.ResponseWriter, in *request) error {
	ref := in.URL.Query().Get("ref")
	found, err := f.service.ReadPath(in.Context(), in.who, in.repo.Name, service.Revision{Name: ref}, in.PathValue("path"))
	if err != nil {
		return notThere(err)
	}
	if ref == "" {
		ref = in.repo.DefaultBranch.Short()
	}
	shown := make([]content, len(found.Lines))
	for i, line := range found.Lines {
		path := found.Path
		if found.Folder {
			path = strings.TrimPrefix(path+"/"+line.Name, "/")
		}
		shown[i] = f.showContent(in, ref, path, line)
	}
	if !found.Folder {
		return api.Write(w, http.StatusOK, shown[0])
	}
	return api.Write(w, http.StatusOK, shown)
}

// putContents writes one file: on an existing branch, or on a new one that
// begins at the default branch.
func (f *Face) putContents(w http.ResponseWriter, in *request) error {
	body, err := bind[struct {
		Message string `json:"message"`
		Content string `json:"content"`
		Branch  string `json:"branch"`
	}](w, in)
	if err != nil {
		return err
	}
	var c checks
	c.required("Message", body.Message)
	c.required("Content", body.Content)
	if err := c.err(); err != nil {
		return err
	}
	data, err := base64.StdEncoding.DecodeString(body.Content)
	if err != nil {
		return cairn.Errorf(cairn.Invalid, "content is not base64: %w", err)
	}
	path := in.PathValue("path")
	if err := checkPath(path); err != nil {
		return err
	}
	id, err := f.service.WriteFile(in.Context(), in.who, in.repo.Name, service.FileWrite{
		Branch: body.Branch, Path: path, Message: body.Message, Content: data, Author: identity(in.login.User),
	})
	if err != nil {
		return err
	}
	return f.writeWritten(w, in, body.Branch, path, id)
}

// checkPath refuses what stands for something else in an address or on a disk.
func checkPath(path string) error {
	if strings.ContainsRune(path, '\\') || strings.IndexFunc(path, func(r rune) bool { return r < ' ' || r == 0x7f }) >= 0 {
		return cairn.Errorf(cairn.Invalid, "path %q holds a backslash or a control character", cairn.Clip(path))
	}
	if err := git.CheckPath(path); err != nil {
		return cairn.Errorf(cairn.Invalid, "%w", err)
	}
	return nil
}

func (f *Face) writeWritten(w http.ResponseWriter, in *request, branch, path string, id git.ObjectID) error {
	found, err := f.service.ReadPath(in.Context(), in.who, in.repo.Name, service.Revision{Name: id.String()}, path)
	if err != nil {
		return err
	}
	c, err := f.service.Commit(in.Context(), in.who, in.repo.Name, service.Revision{Name: id.String()})
	if err != nil {
		return err
	}
	known, err := f.people(in, authors(c.Commit))
	if err != nil {
		return err
	}
	if branch == "" {
		branch = in.repo.DefaultBranch.Short()
	}
	return api.Write(w, http.StatusCreated, struct {
		Content content `json:"content"`
		Commit  *commit `json:"commit"`
	}{f.showContent(in, branch, path, found.Lines[0]), f.showCommit(known, in, c.Commit)})
}

// treeEntry is a line of a tree.
type treeEntry struct {
	Path string `json:"path"`
	Mode string `json:"mode"`
	Type string `json:"type"`
	Size int64  `json:"size"`
	SHA  string `json:"sha"`
	URL  string `json:"url"`
}

func (f *Face) tree(w http.ResponseWriter, in *request) error {
	found, err := f.service.Tree(in.Context(), in.who, in.repo.Name, in.PathValue("tree"))
	if err != nil {
		return notThere(err)
	}
	entries := make([]treeEntry, len(found.Lines))
	for i, line := range found.Lines {
		e := treeEntry{Path: line.Name, Mode: line.Mode.String(), Size: line.Size, SHA: line.ID.String()}
		switch {
		case line.Mode.IsTree():
			e.Type, e.URL = "tree", f.address(in)+"/git/trees/"+e.SHA
		case line.Mode.IsSubmodule():
			e.Type = "commit"
		default:
			e.Type, e.URL = "blob", f.address(in)+"/git/blobs/"+e.SHA
		}
		entries[i] = e
	}
	id := found.ID.String()
	return api.Write(w, http.StatusOK, struct {
		link
		Tree []treeEntry `json:"tree"`
	}{link{f.address(in) + "/git/trees/" + id, id}, entries})
}

func (f *Face) blob(w http.ResponseWriter, in *request) error {
	id := strings.ToLower(in.PathValue("blob"))
	data, err := f.service.Blob(in.Context(), in.who, in.repo.Name, id)
	if err != nil {
		return err
	}
	return api.Write(w, http.StatusOK, struct {
		Content  string `json:"content"`
		Encoding string `json:"encoding"`
		link
		Size int `json:"size"`
	}{base64.StdEncoding.EncodeToString(data), "base64", link{f.address(in) + "/git/blobs/" + id, id}, len(data)})
}

// sniffed is how much of a file is looked at to tell what it is.
const sniffed = 1024

// raw streams a file. Text is shown as text and all else is to be saved, so
// that a browser runs neither.
func (f *Face) raw(w http.ResponseWriter, in *request) error {
	rev, path, err := f.splitRef(in.Context(), in, in.PathValue("path"))
	if err != nil {
		return err
	}
	file, err := f.service.OpenFile(in.Context(), in.who, in.repo.Name, service.Revision{Name: rev}, path)
	if err != nil {
		return notThere(err)
	}
	defer file.Close()
	data, err := file.Content(in.Context())
	if err != nil {
		return err
	}
	defer data.Close()
	head := make([]byte, min(sniffed, file.Size))
	if _, err := io.ReadFull(data, head); err != nil {
		return fmt.Errorf("read %s: %w", file.Blob, err)
	}
	h := w.Header()
	h.Set("Last-Modified", file.LastModified.Format(http.TimeFormat))
	h.Set("Cache-Control", "private, no-cache")
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	h.Set("Content-Length", strconv.FormatInt(file.Size, 10))
	if isText(head) {
		h.Set("Content-Type", "text/plain; charset=utf-8")
	} else {
		h.Set("Content-Type", http.DetectContentType(head))
		h.Set("Content-Disposition", `attachment; filename="`+plainName(path[strings.LastIndexByte(path, '/')+1:])+`"`)
		h.Set("Content-Transfer-Encoding", "binary")
	}
	w.WriteHeader(http.StatusOK)
	if in.Method == http.MethodHead {
		return nil
	}
	_, err = w.Write(head)
	if err == nil {
		_, err = io.Copy(struct{ io.Writer }{w}, data)
	}
	return cutOff(in, err)
}

// cutOff ends an answer that failed on its way: what was sent must not look
// whole.
func cutOff(in *request, err error) error {
	if err != nil {
		api.NoteError(in.Request, err)
		panic(http.ErrAbortHandler)
	}
	return nil
}

// isText tells whether the beginning of a file is text: UTF-8, but for a rune
// that it cuts off, without NUL.
func isText(head []byte) bool {
	for len(head) > 0 {
		r, n := utf8.DecodeRune(head)
		if r == 0 || r == utf8.RuneError && n == 1 && len(head) >= utf8.UTFMax {
			return false
		}
		head = head[n:]
	}
	return true
}

// plainName is a name that is safe in a header and on any disk.
func plainName(name string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("._-+ ", c) {
			return c
		}
		return '_'
	}, name[:min(len(name), maxFileName)])
}

const maxFileName = 200

// archive streams a commit as tar.gz or zip.
func (f *Face) archive(w http.ResponseWriter, in *request) error {
	name := in.PathValue("name")
	suffix := ".zip"
	write := (*service.Archive).WriteZip
	ref, ok := strings.CutSuffix(name, suffix)
	if !ok {
		suffix, write = ".tar.gz", (*service.Archive).Write
		if ref, ok = strings.CutSuffix(name, suffix); !ok {
			return cairn.Errorf(cairn.NotFound, "an archive is .zip or .tar.gz")
		}
	}
	a, err := f.service.OpenArchive(in.Context(), in.who, in.repo.Name, service.ArchiveQuery{
		Revision: service.Revision{Name: ref}, Prefix: strings.ToLower(string(in.repo.Name[strings.LastIndexByte(string(in.repo.Name), '/')+1:])),
	})
	if err != nil {
		return notThere(err)
	}
	defer a.Close()
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Description", "File Transfer")
	h.Set("Content-Disposition", "attachment; filename="+strings.ReplaceAll(plainName(string(in.repo.Name)+"-"+ref), " ", "_")+suffix)
	h.Set("Content-Transfer-Encoding", "binary")
	h.Set("Expires", "0")
	h.Set("Cache-Control", "must-revalidate")
	h.Set("Pragma", "public")
	w.WriteHeader(http.StatusOK)
	return cutOff(in, write(a, in.Context(), struct{ io.Writer }{w}))
}
