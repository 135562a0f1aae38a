package codestorage

import (
	"net/http"

	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/service"
)

const maxMetadataPerPage = 1000

// metadataBody is a file with its last change.
type metadataBody struct {
	Path       string `json:"path"`
	Mode       string `json:"mode"`
	Size       int64  `json:"size"`
	Type       string `json:"type"`
	LastCommit string `json:"last_commit_sha"`
}

// changeBody is the commit of a last change. The author is a name, the date the
// committer's as everywhere.
type changeBody struct {
	Author  string `json:"author"`
	Date    string `json:"date"`
	Message string `json:"message"`
}

func (f *face) filesMetadata(w http.ResponseWriter, r *request) error {
	q := service.MetadataQuery{Path: r.query.Get("path"), Cursor: r.query.Get("cursor")}
	var err error
	if q.Revision, err = r.revision("ephemeral", "ref"); err != nil {
		return err
	}
	if q.Limit, err = r.limit(maxMetadataPerPage); err != nil {
		return err
	}
	found, err := f.service.FilesMetadata(r.Context(), r.who, r.repo, q)
	if err != nil {
		return err
	}
	out := struct {
		Files   []metadataBody        `json:"files"`
		Commits map[string]changeBody `json:"commits"`
		Ref     string                `json:"ref"`
		page
	}{make([]metadataBody, len(found.Files)), make(map[string]changeBody, len(found.Commits)), found.Ref, newPage(found.Next)}
	for i, file := range found.Files {
		out.Files[i] = metadataBody{file.Path, file.Mode.String(), file.Size, entryType(file.Mode), file.LastCommit.String()}
	}
	for id, c := range found.Commits {
		out.Commits[id.String()] = changeBody{c.Author.Name, timestamp(c.Committer.When), c.Message}
	}
	return api.Write(w, http.StatusOK, out)
}
