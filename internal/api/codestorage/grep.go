package codestorage

import (
	"net/http"

	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/service"
)

// grepRequest is the body of a search. Rev is the old name of ref.
type grepRequest struct {
	Ref       string `json:"ref"`
	Rev       string `json:"rev"`
	Ephemeral bool   `json:"ephemeral"`
	Query     struct {
		Pattern       string `json:"pattern"`
		CaseSensitive *bool  `json:"case_sensitive"`
	} `json:"query"`
	Paths       []string `json:"paths"`
	FileFilters struct {
		Include    []string `json:"include_globs"`
		Exclude    []string `json:"exclude_globs"`
		Extensions []string `json:"extension_filters"`
	} `json:"file_filters"`
	Context struct {
		Before int `json:"before"`
		After  int `json:"after"`
	} `json:"context"`
	Limits struct {
		MaxLines          int `json:"max_lines"`
		MaxMatchesPerFile int `json:"max_matches_per_file"`
	} `json:"limits"`
	Pagination struct {
		Cursor string `json:"cursor"`
		Limit  int    `json:"limit"`
	} `json:"pagination"`
}

func (f *face) grep(w http.ResponseWriter, r *request) error {
	in, err := api.Decode[grepRequest](w, r.Request)
	if err != nil {
		return err
	}
	for _, n := range []int{in.Context.Before, in.Context.After, in.Limits.MaxLines, in.Limits.MaxMatchesPerFile, in.Pagination.Limit} {
		if n < 0 {
			return cairn.Errorf(cairn.Invalid, "limits and context are numbers from 0")
		}
	}
	if in.Query.Pattern == "" {
		return cairn.Errorf(cairn.Invalid, "query.pattern is required")
	}
	sensitive := in.Query.CaseSensitive == nil || *in.Query.CaseSensitive
	found, err := f.service.Grep(r.Context(), r.who, r.repo, service.GrepQuery{
		Revision:      service.Revision{Name: oneOf(in.Ref, in.Rev), Ephemeral: in.Ephemeral, At: r.at},
		Pattern:       in.Query.Pattern,
		CaseSensitive: sensitive,
		Paths:         in.Paths,
		Include:       in.FileFilters.Include,
		Exclude:       in.FileFilters.Exclude,
		Extensions:    in.FileFilters.Extensions,
		Before:        in.Context.Before,
		After:         in.Context.After,
		MaxLines:      in.Limits.MaxLines,
		MaxMatches:    in.Limits.MaxMatchesPerFile,
		Cursor:        in.Pagination.Cursor,
		Limit:         in.Pagination.Limit,
	})
	if err != nil {
		return err
	}
	w.Header().Set("X-Cache", "MISS") // every search is made anew
	return api.Write(w, http.StatusOK, newGrepBody(in.Query.Pattern, sensitive, found))
}

// grepBody is the answer to a search.
type grepBody struct {
	Query struct {
		Pattern       string `json:"pattern"`
		CaseSensitive bool   `json:"case_sensitive"`
	} `json:"query"`
	Repo struct {
		Ref    string `json:"ref"`
		Commit string `json:"commit"`
	} `json:"repo"`
	Matches []grepFile `json:"matches"`
	page
}

type grepFile struct {
	Path  string     `json:"path"`
	Lines []grepLine `json:"lines"`
}

type grepLine struct {
	Number int    `json:"line_number"`
	Text   string `json:"text"`
	Type   string `json:"type"`
}

func newGrepBody(pattern string, sensitive bool, found service.GrepPage) grepBody {
	out := grepBody{Matches: make([]grepFile, len(found.Matches)), page: newPage(found.Next)}
	out.Query.Pattern, out.Query.CaseSensitive = pattern, sensitive
	out.Repo.Ref, out.Repo.Commit = found.Ref, found.Commit.String()
	for i, file := range found.Matches {
		out.Matches[i] = grepFile{file.Path, make([]grepLine, len(file.Lines))}
		for j, l := range file.Lines {
			kind := "context"
			if l.Match {
				kind = "match"
			}
			out.Matches[i].Lines[j] = grepLine{l.Number, l.Text, kind}
		}
	}
	return out
}
