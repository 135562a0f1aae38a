package codestorage

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/service"
)

func (f *face) archive(w http.ResponseWriter, r *request) error {
	in, err := api.Decode[struct {
		Ref         string   `json:"ref"`
		Rev         string   `json:"rev"`
		Ephemeral   bool     `json:"ephemeral"`
		Include     []string `json:"include_globs"`
		Exclude     []string `json:"exclude_globs"`
		MaxBlobSize int64    `json:"max_blob_size"`
		Archive     struct {
			Prefix string `json:"prefix"`
		} `json:"archive"`
	}](w, r.Request)
	if err != nil {
		return err
	}
	a, err := f.service.OpenArchive(r.Context(), r.who, r.repo, service.ArchiveQuery{
		Revision:    service.Revision{Name: oneOf(in.Ref, in.Rev), Ephemeral: in.Ephemeral, At: r.at},
		Include:     in.Include,
		Exclude:     in.Exclude,
		MaxBlobSize: in.MaxBlobSize,
		Prefix:      in.Archive.Prefix,
	})
	if err != nil {
		return err
	}
	defer a.Close()
	h := w.Header()
	h.Set("Content-Type", "application/gzip")
	h.Set("Content-Disposition", `attachment; filename="`+archiveName(string(r.repo), a.Ref)+`"`)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(http.StatusOK)
	// After the header is out, breaking off is all that tells of an error: what
	// was sent must not look whole.
	if err := a.Write(r.Context(), struct{ io.Writer }{w}); err != nil {
		api.NoteError(r.Request, fmt.Errorf("archive %s: %w", a.Commit, err))
		panic(http.ErrAbortHandler)
	}
	return nil
}

// maxArchiveName bounds the name of the file, in bytes.
const maxArchiveName = 200

// archiveName is a name for the file that is safe in a header and on any disk.
func archiveName(repo, ref string) string {
	name := strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-' {
			return c
		}
		return '-'
	}, repo[strings.LastIndexByte(repo, '/')+1:]+"-"+ref)
	return name[:min(len(name), maxArchiveName)] + ".tar.gz"
}
