package mesa

import (
	"net/http"

	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/service"
)

// bookmark is a bookmark as this face shows it.
type bookmark struct {
	Name      string `json:"name"`
	ChangeID  string `json:"change_id"`
	IsDefault bool   `json:"is_default"`
}

func showBookmark(b service.Bookmark) bookmark {
	return bookmark{b.Name, b.Change.ID.String(), b.Default}
}

func (f *face) listBookmarks(w http.ResponseWriter, in *request) error {
	cursor, limit, err := in.page()
	if err != nil {
		return err
	}
	page, err := f.service.ListBookmarks(in.Context(), in.who, in.repo, in.query.Get("glob"), cursor, limit)
	if err != nil {
		return err
	}
	out := struct {
		pageMarks
		Bookmarks []bookmark `json:"bookmarks"`
	}{marks(page.Next), []bookmark{}}
	for _, b := range page.Bookmarks {
		out.Bookmarks = append(out.Bookmarks, showBookmark(b))
	}
	return api.Write(w, http.StatusOK, out)
}

func (f *face) createBookmark(w http.ResponseWriter, in *request) error {
	body, err := api.Decode[struct {
		Name     string `json:"name"`
		ChangeID string `json:"change_id"`
	}](w, in.Request)
	if err != nil {
		return err
	}
	id, err := parseChange("change_id", body.ChangeID)
	if err != nil {
		return err
	}
	made, err := f.service.CreateBookmark(in.Context(), in.who, in.repo, body.Name, id)
	if err != nil {
		return err
	}
	return api.Write(w, http.StatusCreated, showBookmark(made))
}

func (f *face) bookmark(w http.ResponseWriter, in *request) error {
	found, err := f.service.Bookmark(in.Context(), in.who, in.repo, in.value("bookmark"))
	if err != nil {
		return err
	}
	return api.Write(w, http.StatusOK, showBookmark(found))
}

// moveBookmark moves a bookmark. Where the body does not say whether it may go
// backwards, clients up to 0.42 expect that it may, and newer ones that it may
// not: the server's setting decides.
func (f *face) moveBookmark(w http.ResponseWriter, in *request) error {
	body, err := api.Decode[struct {
		ChangeID  string `json:"change_id"`
		Backwards *bool  `json:"allow_backwards"`
	}](w, in.Request)
	if err != nil {
		return err
	}
	id, err := parseChange("change_id", body.ChangeID)
	if err != nil {
		return err
	}
	backwards := !f.strictMoves
	if body.Backwards != nil {
		backwards = *body.Backwards
	}
	from, moved, err := f.service.MoveBookmark(in.Context(), in.who, in.repo, in.value("bookmark"), id, backwards)
	if err != nil {
		return err
	}
	return api.Write(w, http.StatusOK, struct {
		bookmark
		From string `json:"from_change_id"`
	}{showBookmark(moved), from.ID.String()})
}

func (f *face) deleteBookmark(w http.ResponseWriter, in *request) error {
	if err := f.service.DeleteBookmark(in.Context(), in.who, in.repo, in.value("bookmark")); err != nil {
		return err
	}
	return api.Write(w, http.StatusOK, success)
}

func (f *face) mergeBookmark(w http.ResponseWriter, in *request) error {
	body, err := decodeFiles[struct {
		Target      string       `json:"target"`
		Source      string       `json:"source"`
		Delete      bool         `json:"delete_source"`
		Conflicted  bool         `json:"allow_conflicted"`
		Message     *string      `json:"message"`
		Resolutions []resolution `json:"resolutions"`
	}](w, in)
	if err != nil {
		return err
	}
	m := service.BookmarkMerge{Target: body.Target, Source: body.Source, DeleteSource: body.Delete, AllowConflicts: body.Conflicted, Message: body.Message}
	if m.Resolutions, err = parseResolutions(body.Resolutions); err != nil {
		return err
	}
	done, err := f.service.MergeBookmark(in.Context(), in.who, in.repo, m)
	if err != nil {
		return conflicted(err)
	}
	return api.Write(w, http.StatusOK, struct {
		Type          service.MergeKind `json:"merge_type"`
		Conflicted    bool              `json:"is_conflicted"`
		Commit        string            `json:"commit_oid"`
		ChangeID      string            `json:"change_id"`
		Target        string            `json:"target"`
		Source        string            `json:"source"`
		SourceDeleted bool              `json:"source_deleted"`
	}{done.Kind, done.Conflicted, commitText(done.At.Commit), done.At.ID.String(), body.Target, body.Source, done.SourceDeleted})
}
