package codestorage

import (
	"io"
	"net/http"

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
	api.WriteArchive(w, r.Request, string(r.repo), a.Ref, api.TarGz, func(out io.Writer) error { return a.Write(r.Context(), out) })
	return nil
}
