package mesa

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/service"
)

// maxDepth is how many levels of a folder one answer lists.
const maxDepth = 10

// node is what files, links and folders have in common.
type node struct {
	Type string `json:"type"` // file, symlink or dir
	Name string `json:"name"`
	Path string `json:"path"`
	SHA  string `json:"sha"`
}

// fileNode is a file or a link.
type fileNode struct {
	node
	Size int64  `json:"size"`
	Mode string `json:"mode"`
}

// folder is a folder with some of what it holds.
type folder struct {
	node
	ChildCount int   `json:"child_count"`
	Entries    []any `json:"entries"` // of fileNode and node, in one list
}

func showNode(e service.FileEntry) node {
	kind := "file"
	switch {
	case e.Mode.IsTree():
		kind = "dir"
	case e.Mode == git.ModeSymlink:
		kind = "symlink"
	}
	return node{Type: kind, Name: e.Path[strings.LastIndexByte(e.Path, '/')+1:], Path: e.Path, SHA: e.ID.String()}
}

func showFile(e service.FileEntry, size int64) fileNode {
	mode := "100644"
	switch {
	case e.Mode == git.ModeSymlink:
		mode = "120000"
	case e.Mode&0o100 != 0:
		mode = "100755"
	}
	return fileNode{node: showNode(e), Size: size, Mode: mode}
}

// content answers with a file, a link or a folder of a change.
func (f *face) content(w http.ResponseWriter, in *request) error {
	raw, err := wantsBytes(in.Header.Values("Accept"))
	if err != nil {
		return err
	}
	q := service.ContentQuery{Path: in.query.Get("path"), Depth: 1}
	if text := in.query.Get("depth"); text != "" {
		if q.Depth, err = strconv.Atoi(text); err != nil || q.Depth < 0 || q.Depth > maxDepth {
			return cairn.Errorf(cairn.Invalid, "depth %q is not a number from 0 to %d", cairn.Clip(text), maxDepth)
		}
	}
	if text := in.query.Get("change_id"); text != "" {
		id, err := git.ParseChangeID(text)
		if err != nil {
			return cairn.Errorf(cairn.Invalid, "change_id: %w", err)
		}
		q.Change = &id
	}
	found, err := f.service.OpenContent(in.Context(), in.who, in.repo, q)
	if err != nil {
		return err
	}
	defer found.Close()
	switch {
	case found.Mode.IsTree() && raw:
		return errNotAcceptable(fmt.Sprintf("path %q is a folder, which has no bytes: ask for application/json", cairn.Clip(found.Path)))
	case found.Mode.IsTree():
		return api.Write(w, http.StatusOK, showFolder(found, hasMetadataFilter(in)))
	case raw:
		return writeBytes(w, in.Request, found)
	}
	return writeFile(w, in.Request, found)
}

// wantsBytes tells whether a client prefers the bytes of a file to JSON, which
// is what it gets if it does not say.
func wantsBytes(accept []string) (bool, error) {
	bytesAt, jsonAt := 0.0, 0.0
	header := strings.Join(accept, ",")
	if strings.TrimSpace(header) == "" {
		return false, nil
	}
	for part := range strings.SplitSeq(header, ",") {
		kind, parameters, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		quality := 1.0
		if q, err := strconv.ParseFloat(parameters["q"], 64); err == nil {
			quality = q
		}
		switch kind {
		case "application/octet-stream":
			bytesAt = max(bytesAt, quality)
		case "application/json", "application/*", "*/*":
			jsonAt = max(jsonAt, quality)
		}
	}
	if bytesAt == 0 && jsonAt == 0 {
		return false, errNotAcceptable("this is to be had as application/json, and files as application/octet-stream")
	}
	return bytesAt > jsonAt, nil
}

// hasMetadataFilter tells whether only entries with some metadata are wanted:
// any parameter that has no other meaning, as the SDK sends them. Nothing that
// this server serves gives a path metadata, so no entry has any.
func hasMetadataFilter(in *request) bool {
	for name := range in.query {
		switch name {
		case "change_id", "path", "depth":
		default:
			return true
		}
	}
	return false
}

func showFolder(c *service.Content, none bool) folder {
	shown := folder{node: showNode(c.FileEntry), ChildCount: c.Children, Entries: []any{}}
	if none {
		return shown
	}
	for _, e := range c.Entries {
		if e.Mode.IsTree() {
			shown.Entries = append(shown.Entries, showNode(e.FileEntry))
		} else {
			shown.Entries = append(shown.Entries, showFile(e.FileEntry, e.Size))
		}
	}
	return shown
}

// writeBytes answers with a file as it is. It may be anything, so nothing shows
// it as a page.
func writeBytes(w http.ResponseWriter, r *http.Request, c *service.Content) error {
	content, err := c.Open(r.Context())
	if err != nil {
		return err
	}
	defer content.Close()
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Length", strconv.FormatInt(c.Size, 10))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	w.WriteHeader(http.StatusOK)
	_, err = io.Copy(w, content)
	return broken(r, err)
}

// broken ends an answer that has begun and cannot be finished: the connection
// breaks, so that nobody takes a part for the whole.
func broken(r *http.Request, err error) error {
	if err != nil {
		api.NoteError(r, err)
		panic(http.ErrAbortHandler)
	}
	return nil
}

// writeFile answers with a file as JSON, its content streamed into the middle:
// memory does not grow with it.
func writeFile(w http.ResponseWriter, r *http.Request, c *service.Content) error {
	content, err := c.Open(r.Context())
	if err != nil {
		return err
	}
	defer content.Close()
	const mark = "\x00"
	text, err := json.Marshal(struct {
		fileNode
		IsConflicted bool   `json:"is_conflicted"`
		Encoding     string `json:"encoding"`
		Content      string `json:"content"`
	}{showFile(c.FileEntry, c.Size), c.IsConflicted, "base64", mark})
	if err != nil {
		return err
	}
	// The content is the last member.
	head, tail, _ := bytes.Cut(text, []byte(`"content":"\u0000"`))
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(http.StatusOK)
	_, err = w.Write(append(head, `"content":"`...))
	if err == nil {
		encoder := base64.NewEncoder(base64.StdEncoding, w)
		if _, err = io.Copy(encoder, content); err == nil {
			err = encoder.Close()
		}
	}
	if err == nil {
		_, err = w.Write(append([]byte{'"'}, tail...))
	}
	return broken(r, err)
}
