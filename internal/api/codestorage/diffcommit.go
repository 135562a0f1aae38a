package codestorage

import (
	"errors"
	"io"
	"net/http"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/service"
)

// diffCommit makes a commit from a stream: a line of metadata, then lines with
// the bytes of a patch.
func (f *face) diffCommit(w http.ResponseWriter, r *request) error {
	body := newLines(r.Body, f.lineSize)
	m, err := readMetadata(body)
	if err != nil {
		return err
	}
	done, err := f.writePatch(r, m, body)
	if err != nil {
		return &branchError{m.Branch, err}
	}
	return writeCommitted(w, done, &done.Blobs)
}

func (f *face) writePatch(r *request, m metadata, body *lines) (service.CommitResult, error) {
	var none service.CommitResult
	if m.Branch == "" {
		return none, cairn.Errorf(cairn.Invalid, "target_branch is required")
	}
	if len(m.Files) > 0 {
		return none, cairn.Errorf(cairn.Invalid, "a diff-commit has no files: its patch says what changes")
	}
	info, err := m.info()
	if err != nil {
		return none, err
	}
	writer, err := f.service.BeginPatch(r.Context(), r.who, r.repo, service.PatchRequest{CommitTarget: m.target.target(), CommitInfo: info})
	if err != nil {
		return none, err
	}
	defer writer.Close()
	ended := false
	for {
		line, err := body.next()
		if errors.Is(err, io.EOF) {
			if !ended {
				return none, cairn.Errorf(cairn.Invalid, "the body ended before the last diff_chunk")
			}
			return writer.Commit(r.Context())
		}
		if err != nil {
			return none, err
		}
		if ended {
			return none, cairn.Errorf(cairn.Invalid, "a diff_chunk after the last one")
		}
		var data []byte
		if data, ended, err = parseDiffChunk(line); err != nil {
			return none, err
		}
		if err := writer.AddChunk(r.Context(), data); err != nil {
			return none, err
		}
	}
}
