package api

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// ArchiveFormat is a kind of archive.
type ArchiveFormat struct{ suffix, contentType string }

// The formats of archives.
var (
	TarGz = ArchiveFormat{".tar.gz", "application/gzip"}
	Zip   = ArchiveFormat{".zip", "application/zip"}
)

// WriteArchive answers with an archive of a repository at a ref, which write
// writes. After the header is out, breaking off is all that tells of an error:
// what was sent must not look whole.
func WriteArchive(w http.ResponseWriter, r *http.Request, repo, ref string, format ArchiveFormat, write func(io.Writer) error) {
	h := w.Header()
	h.Set("Content-Type", format.contentType)
	h.Set("Content-Disposition", `attachment; filename="`+archiveName(repo, ref)+format.suffix+`"`)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(http.StatusOK)
	if err := write(struct{ io.Writer }{w}); err != nil {
		NoteError(r, fmt.Errorf("archive of %s: %w", cairn.Clip(ref), err))
		panic(http.ErrAbortHandler)
	}
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
	return name[:min(len(name), maxArchiveName)]
}
