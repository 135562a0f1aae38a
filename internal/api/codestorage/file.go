package codestorage

import (
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/service"
)

const maxFilesPerPage = 5000

// entryBody is a line of a listing of files.
type entryBody struct {
	Path string `json:"path"`
	Type string `json:"type"`
	Mode string `json:"mode"`
}

func entryType(m git.FileMode) string {
	switch {
	case m.IsTree():
		return "tree"
	case m.IsSymlink():
		return "symlink"
	case m.IsSubmodule():
		return "submodule"
	}
	return "blob"
}

func (f *face) listFiles(w http.ResponseWriter, r *request) error {
	q := service.FilesQuery{
		Path:   r.query.Get("path"),
		Cursor: r.query.Get("cursor"),
		// Clients from before there were pages get the whole listing.
		Paged: r.query.Has("cursor") || r.query.Has("limit"),
	}
	var err error
	if q.Revision, err = r.revision("ephemeral", "ref"); err != nil {
		return err
	}
	if q.Recursive, err = r.boolean(true, "recursive"); err != nil {
		return err
	}
	if q.Limit, err = r.limit(maxFilesPerPage); err != nil {
		return err
	}
	found, err := f.service.ListFiles(r.Context(), r.who, r.repo, q)
	if err != nil {
		return err
	}
	out := struct {
		Paths   []string    `json:"paths"`
		Entries []entryBody `json:"entries"`
		Ref     string      `json:"ref"`
		page
	}{make([]string, 0, len(found.Entries)), make([]entryBody, len(found.Entries)), found.Ref, newPage(found.Next)}
	for i, e := range found.Entries {
		out.Entries[i] = entryBody{e.Path, entryType(e.Mode), e.Mode.String()}
		if e.Mode.IsFile() {
			out.Paths = append(out.Paths, e.Path)
		}
	}
	return api.Write(w, http.StatusOK, out)
}

// file answers GET and HEAD for the content of one file, with the conditions
// and the one range that RFC 9110 knows. ephemeral_base is checked and has no
// effect: a file is looked up in one commit.
func (f *face) file(w http.ResponseWriter, r *request) error {
	if _, err := r.boolean(false, "ephemeral_base"); err != nil {
		return err
	}
	at, err := r.revision("ephemeral", "ref")
	if err != nil {
		return err
	}
	path := r.query.Get("path")
	if path == "" {
		return cairn.Errorf(cairn.Invalid, "path is required")
	}
	file, err := f.service.OpenFile(r.Context(), r.who, r.repo, at, path)
	if err != nil {
		return err
	}
	defer file.Close()
	etag := `"` + file.Blob.String() + `"`
	h := w.Header()
	h.Set("ETag", etag)
	h.Set("Last-Modified", file.LastModified.Format(http.TimeFormat))
	h.Set("Accept-Ranges", "bytes")
	h.Set("Cache-Control", "private, no-cache")
	h.Set("X-Blob-Sha", file.Blob.String())
	h.Set("X-Last-Commit-Sha", file.LastCommit.String())
	switch status := precondition(r.Request, etag, file.LastModified); status {
	case http.StatusNotModified:
		w.WriteHeader(status)
		return nil
	case http.StatusPreconditionFailed:
		return refuse(w, status, "the file is not the one that the request's condition names")
	}
	part := span{0, file.Size}
	status := http.StatusOK
	if rangeApplies(r.Request, etag, file.LastModified) {
		wanted, outcome := parseRange(r.Header.Get("Range"), file.Size)
		switch outcome {
		case rangeUnsatisfiable:
			h.Set("Content-Range", fmt.Sprintf("bytes */%d", file.Size))
			return refuse(w, http.StatusRequestedRangeNotSatisfiable, "the file ends before the range begins")
		case rangeGood:
			part, status = wanted, http.StatusPartialContent
			h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", part.start, part.start+part.length-1, file.Size))
		}
	}
	// Whatever the file is, a browser must not run it.
	h.Set("Content-Type", "application/octet-stream")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	h.Set("Content-Length", strconv.FormatInt(part.length, 10))
	if r.Method == http.MethodHead {
		w.WriteHeader(status)
		return nil
	}
	return send(w, r, file, part, status)
}

// send streams a part of the file. After the header is out, all that can be
// done about an error is to break off and leave it to the log.
func send(w http.ResponseWriter, r *request, file *service.File, part span, status int) error {
	content, err := file.Content(r.Context())
	if err != nil {
		return err
	}
	defer content.Close()
	if _, err := io.CopyN(io.Discard, content, part.start); err != nil {
		return fmt.Errorf("read %s: %w", file.Blob, err)
	}
	w.WriteHeader(status)
	if _, err := io.CopyN(w, content, part.length); err != nil {
		api.NoteError(r.Request, fmt.Errorf("send %s: %w", file.Blob, err))
		panic(http.ErrAbortHandler)
	}
	return nil
}

// refuse answers with a status that says something about this representation
// of the file, so the headers about it stay.
func refuse(w http.ResponseWriter, status int, text string) error {
	body := api.Problem{Error: text, Status: status, Title: http.StatusText(status)}
	return api.Write(w, status, body)
}
