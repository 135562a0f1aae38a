package mesa

import (
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/diff"
	"github.com/cairn-storage/cairn/internal/service"
)

// commitText is a commit's id; zeros for the virtual root.
func commitText(id git.ObjectID) string {
	if id.IsZero() {
		return strings.Repeat("0", git.SHA1.HexSize())
	}
	return id.String()
}

// side is one version of a conflict.
type side struct {
	Content []byte `json:"content"`
}

func showSide(text *[]byte) *side {
	if text == nil {
		return nil
	}
	return &side{append([]byte{}, *text...)}
}

// conflictHunk is one place of a conflicted file.
type conflictHunk struct {
	ID       string `json:"hunk_id"`
	OldStart int    `json:"old_start"`
	OldLines int    `json:"old_lines"`
	NewStart int    `json:"new_start"`
	NewLines int    `json:"new_lines"`
	Target   *side  `json:"target"`
	Base     *side  `json:"base"`
	Source   *side  `json:"source"`
}

// conflictedFile is a file of which the versions could not be merged.
type conflictedFile struct {
	Path    string         `json:"path"`
	Hunks   []conflictHunk `json:"hunks"`
	Size    int64          `json:"size_bytes"`
	Omitted *string        `json:"omitted_reason"`
}

func showConflicts(files []service.ConflictedFile) []conflictedFile {
	out := []conflictedFile{}
	for _, file := range files {
		shown := conflictedFile{Path: file.Path, Hunks: []conflictHunk{}, Size: file.Size, Omitted: textOrNull(file.Omitted)}
		for _, h := range file.Hunks {
			shown.Hunks = append(shown.Hunks, conflictHunk{
				h.ID, h.OldStart, h.OldLines, h.NewStart, h.NewLines, showSide(h.Target), showSide(h.Base), showSide(h.Source),
			})
		}
		out = append(out, shown)
	}
	return out
}

// diffFile is a file that differs.
type diffFile struct {
	Path         string     `json:"path"`
	Status       string     `json:"status"`
	OldPath      *string    `json:"old_path"`
	Size         int64      `json:"size_bytes"`
	IsConflicted bool       `json:"is_conflicted"`
	Omitted      *string    `json:"omitted_reason"`
	Hunks        []diffHunk `json:"hunks"` // null if omitted
	Conflicts    *struct{}  `json:"conflict_hunks"`
}

type diffHunk struct {
	OldStart int        `json:"old_start"`
	OldLines int        `json:"old_lines"`
	NewStart int        `json:"new_start"`
	NewLines int        `json:"new_lines"`
	Lines    []diffLine `json:"lines"`
}

type diffLine struct {
	Kind string `json:"kind"`
	Text string `json:"text"`
}

// statuses are the words for what became of a file.
var statuses = map[diff.Status]string{
	diff.Added: "added", diff.Deleted: "deleted", diff.Renamed: "renamed", diff.Modified: "modified", diff.TypeChanged: "modified",
}

var lineKinds = map[byte]string{' ': "context", '+': "added", '-': "deleted"}

func showDiffFile(file service.ChangeFileDiff) diffFile {
	out := diffFile{Path: file.Path, Status: statuses[file.Status], OldPath: textOrNull(file.OldPath), Size: file.Size, Omitted: textOrNull(file.Omitted)}
	if file.Omitted != "" {
		return out
	}
	out.Hunks = []diffHunk{}
	for _, h := range file.Hunks {
		shown := diffHunk{h.OldStart, h.OldLines, h.NewStart, h.NewLines, []diffLine{}}
		for _, line := range h.Lines {
			kind, ok := lineKinds[line.Sign]
			if !ok {
				kind = "annotation"
			}
			shown.Lines = append(shown.Lines, diffLine{kind, line.Text})
		}
		out.Hunks = append(out.Hunks, shown)
	}
	return out
}

// diffStats sums a diff up.
type diffStats struct {
	Entries           int `json:"entries"`
	Additions         int `json:"additions"`
	Deletions         int `json:"deletions"`
	Changes           int `json:"changes"`
	ConflictedEntries int `json:"conflicted_entries"`
	ConflictedHunks   int `json:"conflicted_hunks"`
}

func (f *face) diff(w http.ResponseWriter, in *request) error {
	patch, err := wantsPatch(in.Header.Values("Accept"))
	if err != nil {
		return err
	}
	var q service.ChangeDiffQuery
	if q.Base, err = parseChange("base_change_id", in.query.Get("base_change_id")); err != nil {
		return err
	}
	if q.Head, err = parseChange("head_change_id", in.query.Get("head_change_id")); err != nil {
		return err
	}
	switch filter := in.query.Get("conflicts"); filter {
	case "", "include":
	case "only", "exclude":
		q.Conflicts = service.ConflictFilter(filter)
	default:
		return cairn.Errorf(cairn.Invalid, "conflicts %q: use include, only or exclude", cairn.Clip(filter))
	}
	found, err := f.service.ChangeDiff(in.Context(), in.who, in.repo, q)
	if err != nil {
		return err
	}
	if patch {
		return writePatch(w, found.Patch)
	}
	out := struct {
		Base       string           `json:"base_change_id"`
		Head       string           `json:"head_change_id"`
		Stats      diffStats        `json:"stats"`
		Truncated  bool             `json:"truncated"`
		Entries    []diffFile       `json:"entries"`
		Conflicted []conflictedFile `json:"conflicted_entries"`
	}{Base: q.Base.String(), Head: q.Head.String(), Truncated: found.Truncated, Entries: []diffFile{}, Conflicted: showConflicts(found.Conflicted)}
	for _, file := range found.Files {
		out.Entries = append(out.Entries, showDiffFile(file))
	}
	out.Stats = diffStats{
		Entries: len(out.Entries), Additions: found.Additions, Deletions: found.Deletions, Changes: found.Additions + found.Deletions,
		ConflictedEntries: len(out.Conflicted),
	}
	for _, file := range out.Conflicted {
		out.Stats.ConflictedHunks += len(file.Hunks)
	}
	return api.Write(w, http.StatusOK, out)
}

// wantsPatch tells whether a client wants a diff as one text. JSON is the answer
// if it does not say.
func wantsPatch(accept []string) (bool, error) {
	header := strings.Join(accept, ",")
	if strings.TrimSpace(header) == "" {
		return false, nil
	}
	text, other := false, false
	for part := range strings.SplitSeq(header, ",") {
		kind, _, err := mime.ParseMediaType(part)
		switch {
		case err != nil:
		case kind == "text/plain":
			text = true
		case kind == "application/json", kind == "application/*", kind == "*/*":
			other = true
		}
	}
	if !text && !other {
		return false, errNotAcceptable("this is to be had as application/json, and as text/plain")
	}
	return text, nil
}

// writePatch answers with a patch. It may hold anything, so nothing shows it as
// a page.
func writePatch(w http.ResponseWriter, patch []byte) error {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(patch)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(patch)
	return nil
}
