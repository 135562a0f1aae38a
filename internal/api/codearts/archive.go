package codearts

import (
	"io"
	"net/http"

	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/service"
)

var archiveRoutes = []route{
	{method: "GET", pattern: "/v2/repositories/{repository}/archive", handle: (*Face).archive},
}

// archive streams the files of a commit, which a branch, tag or id names, in a
// folder with the repository's name.
func (f *Face) archive(w http.ResponseWriter, r *request) error {
	var format api.ArchiveFormat
	var write func(*service.Archive, io.Writer) error
	switch asked := r.query.Get("format"); asked {
	case "zip":
		format, write = api.Zip, func(a *service.Archive, out io.Writer) error { return a.WriteZip(r.Context(), out) }
	case "tar.gz":
		format, write = api.TarGz, func(a *service.Archive, out io.Writer) error { return a.Write(r.Context(), out) }
	default:
		return cairn.Errorf(cairn.Invalid, "format is %q: use zip or tar.gz", cairn.Clip(asked))
	}
	ref := r.query.Get("sha")
	if ref == "" {
		return cairn.Errorf(cairn.Invalid, "sha is required: a branch, tag or commit")
	}
	_, name := groupOf(r.who.Organization.Name, r.repo.Name)
	a, err := f.service.OpenArchive(r.Context(), r.who, r.repo.Name, service.ArchiveQuery{Revision: service.Revision{Name: ref}, Prefix: name})
	if err != nil {
		return err
	}
	defer a.Close()
	api.WriteArchive(w, r.Request, name, ref, format, func(out io.Writer) error { return write(a, out) })
	return nil
}
