package codearts

import (
	"crypto/md5" //nolint:gosec // what the API shows, not what anything rests on
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"path"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/cairn-storage/cairn/internal/admission"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/service"
)

var fileRoutes = []route{
	{method: "GET", pattern: "/v1/repositories/{repository}/branch/{branch...}/sub-files", handle: (*Face).listFiles},
	{method: "GET", pattern: "/v1/repositories/{repository}/branch/{branch...}/file", handle: (*Face).fileOfBranch},
	{method: "GET", pattern: "/v1/repositories/{repository}/branch/{branch...}/image", handle: (*Face).image},
	{method: "GET", pattern: "/v2/projects/{repository}/repository/files", handle: (*Face).file},
	{method: "GET", pattern: "/v2/projects/{repository}/repository/files/{file...}", handle: (*Face).file},
}

// Bounds of reading files through this API, which has them whole in an answer.
const (
	maxFile     = 32 << 20 // bytes
	maxFilePath = 200      // characters
)

// treeBody is a file or folder of a listing.
type treeBody struct {
	BlobID string         `json:"blob_id"`
	Name   string         `json:"file_name"`
	Path   string         `json:"file_path"`
	MD5    string         `json:"md5"` // of the path
	Kind   string         `json:"type"`
	Commit *oldCommitBody `json:"commit,omitempty"` // that changed it last
}

// listFiles lists what lies in a folder. The page is chosen by its number, which
// this API calls offset.
func (f *Face) listFiles(w http.ResponseWriter, r *request) error {
	page, err := r.page("offset", "limit", 100)
	if err != nil {
		return err
	}
	found, err := f.service.Folder(r.Context(), r.who, r.repo.Name, service.FolderQuery{
		Revision: branch(r), Path: r.query.Get("path"), Offset: page.offset, Limit: page.size,
	})
	if err != nil {
		return err
	}
	list := make([]treeBody, len(found.Entries))
	for i, e := range found.Entries {
		sum := md5.Sum([]byte(e.Path)) //nolint:gosec // as above
		c := newOldCommitBody(e.LastChange)
		list[i] = treeBody{e.ID.String(), path.Base(e.Path), e.Path, hex.EncodeToString(sum[:]), e.Mode.ObjectType().String(), &c}
	}
	return answer(w, map[string]any{"trees": list, "total": found.Total})
}

// branch is the branch of a path. A full name means nothing else.
func branch(r *request) service.Revision {
	return service.Revision{Name: "refs/heads/" + strings.TrimPrefix(r.path["branch"], "refs/heads/")}
}

// open opens a file and reads it whole.
func (f *Face) open(r *request, at service.Revision, name string) (*service.File, []byte, error) {
	if name == "" || utf8.RuneCountInString(name) > maxFilePath*4 {
		return nil, nil, cairn.Errorf(cairn.Invalid, "the path of a file is required")
	}
	file, err := f.service.OpenFile(r.Context(), r.who, r.repo.Name, at, name)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	if file.Size > smallFile {
		if err := admission.Enter(r.Context(), admission.List); err != nil {
			return nil, nil, err
		}
	}
	data, err := readFile(r.Context(), file, maxFile)
	return file, data, err
}

// smallFile is what may be held in memory without a slot.
const smallFile = 1 << 20

// fileOfBranch shows a file of a branch, its size as text.
func (f *Face) fileOfBranch(w http.ResponseWriter, r *request) error {
	file, data, err := f.open(r, branch(r), r.query.Get("path"))
	if err != nil {
		return err
	}
	kind := "text"
	if isBinary(data) {
		kind = "binary"
	}
	return answer(w, map[string]string{
		"file_name": path.Base(file.Path), "file_path": file.Path, "size": strconv.FormatInt(file.Size, 10), "encoding": "base64",
		"ref": r.path["branch"], "blob_id": file.Blob.String(), "file_type": kind, "content": base64.StdEncoding.EncodeToString(data),
	})
}

// isBinary tells what Git takes for binary: a zero byte near the beginning.
func isBinary(data []byte) bool {
	return strings.IndexByte(string(data[:min(len(data), 8000)]), 0) >= 0
}

// file shows a file of any revision.
func (f *Face) file(w http.ResponseWriter, r *request) error {
	name := r.query.Get("file_path")
	if in := r.path["file"]; in != "" {
		name = in
	}
	ref := r.query.Get("ref")
	if ref == "" {
		return cairn.Errorf(cairn.Invalid, "ref is required")
	}
	file, data, err := f.open(r, service.Revision{Name: ref}, name)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(data)
	return answer(w, struct {
		Name       string `json:"file_name"`
		Path       string `json:"file_path"`
		Size       int64  `json:"size"`
		Encoding   string `json:"encoding"`
		SHA256     string `json:"content_sha256"`
		Ref        string `json:"ref"`
		BlobID     string `json:"blob_id"`
		CommitID   string `json:"commit_id"`
		LastCommit string `json:"last_commit_id"`
		Content    string `json:"content"`
	}{
		path.Base(file.Path), file.Path, file.Size, "base64", hex.EncodeToString(sum[:]), ref,
		file.Blob.String(), file.Commit.String(), file.LastCommit.String(), base64.StdEncoding.EncodeToString(data),
	})
}

// images are the kinds of image that are served as such. None of them can run
// anything in a browser.
var images = map[string]string{".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif", ".webp": "image/webp", ".bmp": "image/bmp"}

// image serves the bytes of an image.
func (f *Face) image(w http.ResponseWriter, r *request) error {
	name := r.query.Get("path")
	kind := images[strings.ToLower(path.Ext(name))]
	if kind == "" {
		return cairn.Errorf(cairn.Invalid, "path %q is not of an image", cairn.Clip(name))
	}
	_, data, err := f.open(r, branch(r), name)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Length", strconv.Itoa(len(data)))
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(data)
	return nil
}
