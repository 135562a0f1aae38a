package codestorage

import (
	"net/http"

	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/service"
)

type tagBody struct {
	Cursor string `json:"cursor,omitempty"`
	Name   string `json:"name"`
	SHA    string `json:"sha"`
}

func (f *face) createTag(w http.ResponseWriter, r *request) error {
	in, err := api.Decode[struct {
		Name   string `json:"name"`
		Ref    string `json:"ref"`
		Target string `json:"target"`
	}](w, r.Request)
	if err != nil {
		return err
	}
	if in.Name == "" {
		return cairn.Errorf(cairn.Invalid, "name is required")
	}
	at := in.Ref
	if at == "" {
		// The old member takes a full commit id and nothing else.
		if _, err := git.ParseObjectID(in.Target); err != nil {
			return cairn.Errorf(cairn.Invalid, "target %q is not a full commit id; ref takes any revision", cairn.Clip(in.Target))
		}
		at = in.Target
	}
	made, err := f.service.CreateTag(r.Context(), r.who, r.repo, service.NewTag{Name: in.Name, At: service.Revision{Name: at}})
	if err != nil {
		return err
	}
	return api.Write(w, http.StatusCreated, struct {
		tagBody
		Message string `json:"message"`
	}{tagBody{Name: made.Name, SHA: made.Commit.String()}, "tag created"})
}

func (f *face) listTags(w http.ResponseWriter, r *request) error {
	limit, err := r.limit(maxRefsPerPage)
	if err != nil {
		return err
	}
	found, err := f.service.ListTags(r.Context(), r.who, r.repo, service.TagsQuery{At: r.at, Cursor: r.query.Get("cursor"), Limit: limit})
	if err != nil {
		return err
	}
	out := struct {
		Tags []tagBody `json:"tags"`
		page
	}{[]tagBody{}, newPage(found.Next)}
	for _, t := range found.Tags {
		out.Tags = append(out.Tags, tagBody{t.Cursor, t.Name, t.Commit.String()})
	}
	return api.Write(w, http.StatusOK, out)
}

func (f *face) tag(w http.ResponseWriter, r *request) error {
	name := r.query.Get("name")
	if name == "" {
		return cairn.Errorf(cairn.Invalid, "name is required")
	}
	found, err := f.service.Tag(r.Context(), r.who, r.repo, service.Revision{Name: name, At: r.at})
	if err != nil {
		return err
	}
	return api.Write(w, http.StatusOK, struct {
		Tag tagBody `json:"tag"`
	}{tagBody{Name: found.Name, SHA: found.Commit.String()}})
}

func (f *face) deleteTag(w http.ResponseWriter, r *request) error {
	name := r.PathValue("tag")
	if name == "" {
		in, err := api.Decode[struct {
			Name string `json:"name"`
		}](w, r.Request)
		if err != nil {
			return err
		}
		name = in.Name
	}
	if name == "" {
		return cairn.Errorf(cairn.Invalid, "name is required")
	}
	if err := f.service.DeleteTag(r.Context(), r.who, r.repo, name); err != nil {
		return err
	}
	return api.Write(w, http.StatusOK, struct {
		Name    string `json:"name"`
		Message string `json:"message"`
	}{name, "tag deleted"})
}
