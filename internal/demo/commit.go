package demo

import (
	"bytes"
	"encoding/json"
)

// File is the new content of a path.
type File struct {
	Path    string
	Content []byte
}

// Commit is what a commit over HTTP says.
type Commit struct {
	Branch  string
	Base    string // a branch to start from where Branch does not exist; may be empty
	Expect  string // the commit that the branch must be at; empty: wherever it is
	Message string
	Files   []File
}

// Written is what a server answers to a Commit.
type Written struct {
	Commit struct {
		SHA  string `json:"commit_sha"`
		Tree string `json:"tree_sha"`
	} `json:"commit"`
	Result struct {
		Old     string `json:"old_sha"`
		New     string `json:"new_sha"`
		Success bool   `json:"success"`
		Status  string `json:"status"`
		Message string `json:"message"`
	} `json:"result"`
}

// Body is the commit as the NDJSON that /repos/commit-pack takes: a line of
// metadata, then the content of every file. No content may be larger than
// 4 MiB, the largest chunk.
func (c Commit) Body() []byte {
	type file struct {
		Path      string `json:"path"`
		ContentID string `json:"content_id"`
		Operation string `json:"operation"`
		Mode      string `json:"mode"`
	}
	type metadata struct {
		Branch  string            `json:"target_branch"`
		Base    string            `json:"base_branch,omitempty"`
		Expect  string            `json:"expected_head_sha,omitempty"`
		Message string            `json:"commit_message"`
		Author  map[string]string `json:"author"`
		Files   []file            `json:"files"`
	}
	type chunk struct {
		ContentID string `json:"content_id"`
		Data      []byte `json:"data"` // base64
		Last      bool   `json:"eof"`
	}
	m := metadata{
		Branch: c.Branch, Base: c.Base, Expect: c.Expect, Message: c.Message,
		Author: map[string]string{"name": "Ada Author", "email": "ada@example.com"},
		Files:  make([]file, len(c.Files)),
	}
	for i, f := range c.Files {
		m.Files[i] = file{Path: f.Path, ContentID: f.Path, Operation: "upsert", Mode: "100644"}
	}
	var body bytes.Buffer
	lines := json.NewEncoder(&body)
	write := func(v any) {
		if err := lines.Encode(v); err != nil {
			panic("demo: " + err.Error())
		}
	}
	write(map[string]metadata{"metadata": m})
	for _, f := range c.Files {
		data := f.Content
		if data == nil {
			data = []byte{} // null is no base64
		}
		write(map[string]chunk{"blob_chunk": {f.Path, data, true}})
	}
	return body.Bytes()
}
