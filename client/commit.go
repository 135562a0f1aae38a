package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"
)

// Signature is who made something. The zero Date is now.
type Signature struct {
	Name  string    `json:"name"`
	Email string    `json:"email"`
	Date  time.Time `json:"date,omitzero"`
}

// Modes of files.
const (
	ModeFile       = "100644"
	ModeExecutable = "100755"
	ModeSymlink    = "120000" // the content is the target
	ModeSubmodule  = "160000" // the content is a commit id in hexadecimal
)

// Change is what a commit does to one path.
type Change struct {
	path, mode string
	remove     bool
	open       func() (io.ReadCloser, error)
	once       bool
}

// Put writes a file with that content.
func Put(path string, content []byte) Change {
	return Change{path: path, open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }}
}

// PutString writes a file with that text.
func PutString(path, text string) Change { return Put(path, []byte(text)) }

// PutReader writes a file with what is read. It is sent as it is read, so a file
// of any size needs little memory. If r is an io.Seeker the commit can be tried
// again after a failure on the way.
func PutReader(path string, r io.Reader) Change {
	seeker, ok := r.(io.Seeker)
	if !ok {
		return Change{path: path, once: true, open: func() (io.ReadCloser, error) { return io.NopCloser(r), nil }}
	}
	start, err := seeker.Seek(0, io.SeekCurrent)
	return Change{path: path, once: err != nil, open: func() (io.ReadCloser, error) {
		if err != nil {
			return io.NopCloser(r), nil // a pipe: it is a Seeker by its type alone
		}
		_, err := seeker.Seek(start, io.SeekStart)
		return io.NopCloser(r), err
	}}
}

// PutFile writes a file with the content of one of this machine, which is opened
// when the commit is sent.
func PutFile(path, name string) Change {
	return Change{path: path, open: func() (io.ReadCloser, error) { return os.Open(name) }}
}

// Remove deletes a file, or a folder with what is in it.
func Remove(path string) Change { return Change{path: path, remove: true} }

// WithMode says what kind of file it is. Without it a file keeps the kind that
// it has, and a new one is ModeFile.
func (c Change) WithMode(mode string) Change {
	c.mode = mode
	return c
}

// NewCommit is a commit to make.
type NewCommit struct {
	Branch    string    // which it continues
	Message   string    //
	Author    Signature //
	Committer Signature // the author if zero

	// Base is the branch at which a branch that is not there yet begins.
	Base string
	// ExpectedHead is a guard: the commit that the branch is at, or its base if
	// the branch is new. Empty is no guard: the commit goes onto whatever the
	// branch is at when it arrives.
	ExpectedHead string
	// Ephemeral and BaseEphemeral look the branches up among the ephemeral ones.
	Ephemeral, BaseEphemeral bool

	// Changes are for Commit alone; of two for one path the later wins.
	Changes []Change
	// Key is by what the server knows the commit again if it is sent twice; a
	// new one if it is empty.
	Key string
	// Progress, if not nil, is told how many bytes of content were sent.
	Progress func(bytes int64)
}

// CommitResult is a commit that was made.
type CommitResult struct {
	SHA       string `json:"commit_sha"`
	Tree      string `json:"tree_sha"`
	Branch    string `json:"target_branch"`
	Old       string `json:"old_sha"` // where the branch was; zeros if it was not there
	PackBytes int64  `json:"pack_bytes"`
	Blobs     int    `json:"blob_count"`
}

type commitMetadata struct {
	Branch        string       `json:"target_branch"`
	Message       string       `json:"commit_message,omitempty"`
	Author        Signature    `json:"author"`
	Committer     *Signature   `json:"committer,omitempty"`
	Base          string       `json:"base_branch,omitempty"`
	Expected      string       `json:"expected_target_sha,omitempty"`
	Ephemeral     bool         `json:"target_is_ephemeral,omitempty"`
	BaseEphemeral bool         `json:"base_is_ephemeral,omitempty"`
	Restore       string       `json:"base_ref,omitempty"` // of RestoreCommit
	Files         []commitFile `json:"files,omitempty"`
}

type commitFile struct {
	Path      string `json:"path"`
	ContentID string `json:"content_id,omitempty"`
	Operation string `json:"operation"`
	Mode      string `json:"mode,omitempty"`
}

func (in *NewCommit) metadata() commitMetadata {
	m := commitMetadata{
		Branch: in.Branch, Message: in.Message, Author: in.Author, Base: in.Base, Expected: in.ExpectedHead,
		Ephemeral: in.Ephemeral, BaseEphemeral: in.BaseEphemeral,
	}
	if in.Committer != (Signature{}) {
		m.Committer = &in.Committer
	}
	return m
}

// Commit makes a commit of changes to files. Contents are streamed. What is
// refused leaves nothing behind: ErrGuard if ExpectedHead does not hold.
func (r *Repo) Commit(ctx context.Context, in NewCommit) (CommitResult, error) {
	metadata := in.metadata()
	once := false
	for i, c := range in.Changes {
		f := commitFile{Path: c.path, Operation: "delete"}
		if !c.remove {
			f = commitFile{c.path, strconv.Itoa(i), "upsert", c.mode}
			once = once || c.once
		}
		metadata.Files = append(metadata.Files, f)
	}
	return r.writeCommit(ctx, "/commit-pack", in.Key, once, func(w *ndjson) error {
		if err := w.line("metadata", metadata); err != nil {
			return err
		}
		for i, c := range in.Changes {
			if c.remove {
				continue
			}
			content, err := c.open()
			if err != nil {
				return fmt.Errorf("%s: %w", c.path, err)
			}
			err = w.chunks("blob_chunk", strconv.Itoa(i), content, in.Progress)
			if err = errors.Join(err, content.Close()); err != nil {
				return fmt.Errorf("%s: %w", c.path, err)
			}
		}
		return nil
	})
}

// CommitPatch makes a commit of a patch as git diff prints it, binary ones too.
// It applies exactly or not at all; ErrConflict says that it does not.
func (r *Repo) CommitPatch(ctx context.Context, in NewCommit, patch io.Reader) (CommitResult, error) {
	c := PutReader("patch", patch)
	metadata := in.metadata()
	return r.writeCommit(ctx, "/diff-commit", in.Key, c.once, func(w *ndjson) error {
		if err := w.line("metadata", metadata); err != nil {
			return err
		}
		content, err := c.open()
		if err != nil {
			return err
		}
		defer content.Close()
		return w.chunks("diff_chunk", "", content, in.Progress)
	})
}

// RestoreCommit makes a commit on top of the branch whose files are those of an
// earlier commit, which any revision may name. History is kept.
func (r *Repo) RestoreCommit(ctx context.Context, in NewCommit, revision string) (CommitResult, error) {
	metadata := in.metadata()
	metadata.Restore = revision
	q := r.write(http.MethodPost, "/restore-commit", map[string]any{"metadata": metadata})
	q.key = in.Key
	return r.commitAnswer(ctx, q)
}

// writeCommit streams the body of a commit.
func (r *Repo) writeCommit(ctx context.Context, path, key string, once bool, write func(*ndjson) error) (CommitResult, error) {
	q := r.write(http.MethodPost, path, nil)
	q.key, q.once = key, once
	q.stream = func() (io.ReadCloser, error) {
		in, out := io.Pipe()
		go func() { // ends when the transport closes the body
			w := &ndjson{bufio.NewWriterSize(out, 64<<10)}
			err := write(w)
			if err == nil {
				err = w.out.Flush()
			}
			_ = out.CloseWithError(err)
		}()
		return in, nil
	}
	return r.commitAnswer(ctx, q)
}

func (r *Repo) commitAnswer(ctx context.Context, q call) (CommitResult, error) {
	var out struct {
		Commit CommitResult `json:"commit"`
		Result struct {
			Old string `json:"old_sha"`
		} `json:"result"`
	}
	err := r.client.json(ctx, q, &out)
	out.Commit.Old = out.Result.Old
	return out.Commit, err
}

// ndjson writes the lines of a commit's body.
type ndjson struct{ out *bufio.Writer }

func (w *ndjson) line(name string, value any) error {
	enc := json.NewEncoder(w.out)
	enc.SetEscapeHTML(false)
	return enc.Encode(map[string]any{name: value})
}

// chunkSize is how much content a line holds; the server takes 4 MiB.
const chunkSize = 512 << 10

// chunks writes content in lines, the last of which is marked.
func (w *ndjson) chunks(name, id string, content io.Reader, progress func(int64)) error {
	type chunk struct {
		ID   string `json:"content_id,omitempty"`
		Data string `json:"data"`
		EOF  bool   `json:"eof"`
	}
	buffer := make([]byte, chunkSize)
	var sent int64
	for {
		n, err := io.ReadFull(content, buffer)
		last := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !last {
			return err
		}
		if err := w.line(name, chunk{id, base64.StdEncoding.EncodeToString(buffer[:n]), last}); err != nil {
			return err
		}
		if sent += int64(n); progress != nil {
			progress(int64(n))
		}
		if last {
			return nil
		}
	}
}
