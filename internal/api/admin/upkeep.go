package admin

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/service"
)

// progressEvery is how often a long operation tells how far it is.
const progressEvery = 200 * time.Millisecond

// stream answers with NDJSON: lines of progress, then one of the result or of
// an error. It sends nothing before the first line, so that what fails at once
// still gets its own status.
type stream struct {
	w       http.ResponseWriter
	r       *http.Request
	started bool
	last    time.Time
}

func (s *stream) progress(line any) {
	if now := time.Now(); now.Sub(s.last) >= progressEvery {
		s.last = now
		s.line(line)
	}
}

func (s *stream) line(line any) {
	if !s.started {
		s.started = true
		s.w.Header().Set("Content-Type", "application/x-ndjson")
		s.w.Header().Set("Cache-Control", "no-store")
		s.w.WriteHeader(http.StatusOK)
	}
	// A caller who went away is noticed through the request's context.
	_ = json.NewEncoder(s.w).Encode(line)
	_ = http.NewResponseController(s.w).Flush()
}

// end finishes the stream with what the operation returned.
func (s *stream) end(result any, err error) error {
	switch {
	case err == nil:
		s.line(map[string]any{"result": result})
	case !s.started:
		return err
	default:
		api.NoteError(s.r, err)
		s.line(api.Problem{Error: api.Text(err), Status: api.Status(err), Title: http.StatusText(api.Status(err))})
	}
	return nil
}

type checkProgress struct {
	Done int `json:"objects_done"`
	All  int `json:"objects"`
}

type checkResult struct {
	Packs    int      `json:"packs"`
	Objects  int      `json:"objects"`
	Problems []string `json:"problems"`
}

func (f *face) checkRepository(w http.ResponseWriter, r *http.Request) error {
	who, err := f.auth.OperatorOf(r, r.PathValue("organization"))
	if err != nil {
		return err
	}
	out := stream{w: w, r: r}
	result, err := f.service.CheckRepository(r.Context(), who, cairn.RepositoryName(r.PathValue("name")), func(done, all int) {
		out.progress(checkProgress{done, all})
	})
	return out.end(checkResult{result.Packs, result.Objects, append([]string{}, result.Problems...)}, err)
}

type repackProgress struct {
	Message string `json:"message"`
}

type repackResult struct {
	PacksBefore int   `json:"packs_before"`
	PacksAfter  int   `json:"packs_after"`
	BytesBefore int64 `json:"bytes_before"`
	BytesAfter  int64 `json:"bytes_after"`
	Dropped     int64 `json:"objects_dropped"`
}

func (f *face) repackRepository(w http.ResponseWriter, r *http.Request) error {
	who, err := f.auth.OperatorOf(r, r.PathValue("organization"))
	if err != nil {
		return err
	}
	out := stream{w: w, r: r}
	result, err := f.service.RepackRepository(r.Context(), who, cairn.RepositoryName(r.PathValue("name")), func(text string) {
		out.progress(repackProgress{strings.TrimSpace(text)})
	})
	before, after := result.Before, result.After
	return out.end(repackResult{before.Packs, after.Packs, before.Bytes, after.Bytes, result.Dropped}, err)
}

type garbageProgress struct {
	Repositories int `json:"repositories_done"`
}

type garbageResult struct {
	Repositories int   `json:"repositories"`
	Compacted    int   `json:"compacted"`
	Purged       int   `json:"repositories_purged"`
	Packs        int   `json:"packs_removed"`
	Orphans      int   `json:"orphans_removed"`
	OrphanBytes  int64 `json:"orphan_bytes"`
}

func (f *face) collectGarbage(w http.ResponseWriter, r *http.Request) error {
	who, err := f.auth.Operator(r)
	if err != nil {
		return err
	}
	out := stream{w: w, r: r}
	result, err := f.service.CollectGarbage(r.Context(), who, func(p service.GarbageResult) {
		out.progress(garbageProgress{p.Repositories})
	})
	return out.end(garbageResult(result), err)
}
