package client

import (
	"context"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// Entry is a file or folder of a listing.
type Entry struct {
	Path string `json:"path"`
	Type string `json:"type"` // blob, tree, symlink or submodule
	Mode string `json:"mode"`
}

// ListQuery says what to list.
type ListQuery struct {
	Ref       string    // any revision; empty is the default branch
	Path      string    // only what is below
	Shallow   bool      // one folder, with its folders; else all files
	Ephemeral bool      //
	At        time.Time // the branch as it was then; zero is now
}

func (q ListQuery) values(limit int) url.Values {
	values := query("ref", q.Ref, "path", q.Path, "ephemeral", q.Ephemeral, "at", q.At, "limit", limit)
	if q.Shallow {
		values.Set("recursive", "false")
	}
	return values
}

// List goes through files by path. It ends after an error.
func (r *Repo) List(ctx context.Context, q ListQuery) iter.Seq2[Entry, error] {
	return list[Entry](ctx, r.client, r.getAt("/files", q.At, q.values(5000)), "entries")
}

// FileInfo is a file with the commit that changed it last.
type FileInfo struct {
	Entry
	Size       int64      `json:"size"`
	LastCommit LastCommit `json:"last_commit"`
}

// LastCommit is the commit that changed a file last.
type LastCommit struct {
	SHA     string    `json:"sha"`
	Author  string    `json:"author"`
	Date    time.Time `json:"date"`
	Message string    `json:"message"`
}

// ListInfo goes through files by path, each with its size and the commit that
// changed it last. It ends after an error.
func (r *Repo) ListInfo(ctx context.Context, q ListQuery) iter.Seq2[FileInfo, error] {
	q.Shallow = false
	return pages(func(cursor string) ([]FileInfo, string, error) {
		values := q.values(1000)
		if cursor != "" {
			values.Set("cursor", cursor)
		}
		var page struct {
			Files []struct {
				Entry
				Size int64  `json:"size"`
				Last string `json:"last_commit_sha"`
			} `json:"files"`
			Commits map[string]LastCommit `json:"commits"`
			Next    string                `json:"next_cursor"`
		}
		if err := r.client.json(ctx, r.getAt("/files/metadata", q.At, values), &page); err != nil {
			return nil, "", err
		}
		infos := make([]FileInfo, len(page.Files))
		for i, f := range page.Files {
			last := page.Commits[f.Last]
			last.SHA = f.Last
			infos[i] = FileInfo{f.Entry, f.Size, last}
		}
		return infos, page.Next, nil
	})
}

// FileQuery says which file to read.
type FileQuery struct {
	Path      string
	Ref       string // any revision; empty is the default branch
	Ephemeral bool
	At        time.Time // the branch as it was then; zero is now
	// Offset and Length are a part of the file; a Length of 0 is to its end.
	Offset, Length int64
}

// File is a file that is being read; the caller closes it.
type File struct {
	io.ReadCloser
	SHA        string // of the blob
	Size       int64  // of what is read
	LastCommit string // the commit that changed it last
	Modified   time.Time
}

// Open reads a file as a stream; ErrNotFound if it is not there. A symbolic
// link reads as its target's path.
func (r *Repo) Open(ctx context.Context, q FileQuery) (*File, error) {
	c := r.getAt("/file", q.At, query("path", q.Path, "ref", q.Ref, "ephemeral", q.Ephemeral, "at", q.At))
	if q.Offset > 0 || q.Length > 0 {
		last := ""
		if q.Length > 0 {
			last = fmt.Sprint(q.Offset + q.Length - 1)
		}
		c.header = http.Header{"Range": {fmt.Sprintf("bytes=%d-%s", q.Offset, last)}}
	}
	response, err := r.client.do(ctx, c)
	if err != nil {
		return nil, err
	}
	modified, _ := http.ParseTime(response.Header.Get("Last-Modified"))
	return &File{
		ReadCloser: response.Body,
		SHA:        response.Header.Get("X-Blob-Sha"),
		Size:       response.ContentLength,
		LastCommit: response.Header.Get("X-Last-Commit-Sha"),
		Modified:   modified,
	}, nil
}

// Read returns a whole file, which should fit into memory.
func (r *Repo) Read(ctx context.Context, q FileQuery) ([]byte, error) {
	f, err := r.Open(ctx, q)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// BlameQuery says what to blame.
type BlameQuery struct {
	Path      string
	Ref       string
	Ephemeral bool
	Ranges    []string // as git blame -L takes them; at most 16
	Moves     bool     // look for lines that were moved or copied
}

// BlameLine is a line and the commit that it is from.
type BlameLine struct {
	Line         int       `json:"line_number"`
	SHA          string    `json:"commit_sha"`
	OriginalLine int       `json:"original_line_number"`
	OriginalPath string    `json:"original_path"`
	PreviousSHA  string    `json:"previous_commit_sha,omitempty"`
	AuthorName   string    `json:"author_name"`
	AuthorEmail  string    `json:"author_email"`
	AuthorTime   time.Time `json:"author_time"`
	Summary      string    `json:"summary"`
}

// Blame tells which commit each line of a file is from.
func (r *Repo) Blame(ctx context.Context, q BlameQuery) ([]BlameLine, error) {
	var found struct {
		Lines []BlameLine `json:"lines"`
	}
	err := r.client.json(ctx, r.get("/blame", query("path", q.Path, "ref", q.Ref, "ephemeral", q.Ephemeral, "range", q.Ranges, "detect_moves", q.Moves)), &found)
	return found.Lines, err
}

// GrepQuery says what to look for.
type GrepQuery struct {
	Pattern    string   // a regular expression, RE2
	Ref        string   // any revision; empty is the default branch
	Paths      []string // files and folders
	Include    []string // globs, such as **/*.md
	Exclude    []string
	Extensions []string // such as .go
	IgnoreCase bool
	Ephemeral  bool
	Before     int // lines of context
	After      int
}

// GrepMatch is a file with lines that match.
type GrepMatch struct {
	Path  string     `json:"path"`
	Lines []GrepLine `json:"lines"`
}

// GrepLine is a line of a file.
type GrepLine struct {
	Number int    `json:"line_number"`
	Text   string `json:"text"`
	Type   string `json:"type"` // match or context
}

// Grep goes through the files with lines that match, by path. A file with many
// lines may come in several parts. It ends after an error.
func (r *Repo) Grep(ctx context.Context, q GrepQuery) iter.Seq2[GrepMatch, error] {
	body := map[string]any{"query": map[string]any{"pattern": q.Pattern, "case_sensitive": !q.IgnoreCase}}
	setIf(body, "ref", q.Ref)
	if len(q.Paths) > 0 {
		body["paths"] = q.Paths
	}
	if q.Ephemeral {
		body["ephemeral"] = true
	}
	filters := map[string]any{}
	for name, globs := range map[string][]string{"include_globs": q.Include, "exclude_globs": q.Exclude, "extension_filters": q.Extensions} {
		if len(globs) > 0 {
			filters[name] = globs
		}
	}
	if len(filters) > 0 {
		body["file_filters"] = filters
	}
	if q.Before > 0 || q.After > 0 {
		body["context"] = map[string]int{"before": q.Before, "after": q.After}
	}
	return pages(func(cursor string) ([]GrepMatch, string, error) {
		delete(body, "pagination")
		if cursor != "" {
			body["pagination"] = map[string]any{"cursor": cursor}
		}
		var page struct {
			Matches []GrepMatch `json:"matches"`
			Next    string      `json:"next_cursor"`
		}
		err := r.client.json(ctx, call{method: http.MethodPost, path: "/grep", repo: r.name, scope: ScopeGitRead, in: body}, &page)
		return page.Matches, page.Next, err
	})
}

// ArchiveQuery says what to put into an archive.
type ArchiveQuery struct {
	Ref         string   // any revision; empty is the default branch
	Include     []string // globs; none is everything
	Exclude     []string // globs
	MaxFileSize int64    // larger files are left out; 0 is no bound
	Prefix      string   // a folder that everything is in
}

// Archive returns the files as a stream in the format tar.gz; the caller closes
// it.
func (r *Repo) Archive(ctx context.Context, q ArchiveQuery) (io.ReadCloser, error) {
	body := map[string]any{}
	setIf(body, "ref", q.Ref)
	if len(q.Include) > 0 {
		body["include_globs"] = q.Include
	}
	if len(q.Exclude) > 0 {
		body["exclude_globs"] = q.Exclude
	}
	if q.MaxFileSize > 0 {
		body["max_blob_size"] = q.MaxFileSize
	}
	if q.Prefix != "" {
		body["archive"] = map[string]string{"prefix": q.Prefix}
	}
	response, err := r.client.do(ctx, call{method: http.MethodPost, path: "/archive", repo: r.name, scope: ScopeGitRead, in: body})
	if err != nil {
		return nil, err
	}
	return response.Body, nil
}
