package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/odb"
)

const (
	// spoolAfter is how much of an unfinished content is held in memory: a
	// pack entry begins with its size, which is known only at the end.
	spoolAfter = 1 << 20
	// maxOpenContents bounds the contents that have begun and not ended, and
	// so both memory and open files of one request.
	maxOpenContents = 32
	// smallContents is how much finished content is held in memory so that a
	// commit becomes one pack and one durable write. Above it, content goes
	// into a pack of its own, stored once however often the rest is redone.
	smallContents = 1 << 20
	// maxLinkText is the longest text of a submodule's commit id.
	maxLinkText = 128
)

// contents collects the bytes of a commit's files.
type contents struct {
	service *Service
	repo    cairn.Repository
	byID    map[string]*content
	open    int   // begun and not ended
	total   int64 // bytes seen
	blobs   int   // finished ones

	small     []*content // finished, in memory
	smallSize int64
	pack      *odb.PackBuilder // finished ones that do not fit in memory
	stored    []odb.Staged     // that pack
	used      bool             // a commit names it, or may
}

// content is the bytes that one content_id names.
type content struct {
	name    string
	blob    bool   // some path wants it as a blob
	link    bool   // some path wants it as a submodule's commit
	modules string // a path of it that Git reads settings from

	data   []byte
	file   *os.File // instead of data when there is much
	size   int64
	begun  bool
	done   bool
	blobID git.ObjectID
	linkID git.ObjectID
}

// newContents expects what the changes need. What only other files of the
// request name, deleted ones and those that later ones replace, may come too.
func newContents(s *Service, repo cairn.Repository, files, changes []FileChange) *contents {
	c := &contents{service: s, repo: repo, byID: make(map[string]*content, len(files))}
	for _, file := range files {
		if file.ContentID != "" {
			c.byID[file.ContentID] = &content{name: file.ContentID}
		}
	}
	for _, change := range changes {
		if change.Delete {
			continue
		}
		item := c.byID[change.ContentID]
		if change.Mode == git.ModeSubmodule {
			item.link = true
			continue
		}
		item.blob = true
		if change.Mode != git.ModeSymlink && git.IsGitmodulesName(change.Path[strings.LastIndexByte(change.Path, '/')+1:]) {
			item.modules = change.Path
		}
	}
	return c
}

// add takes a chunk; it keeps data.
func (c *contents) add(ctx context.Context, name string, data []byte, last bool) error {
	item := c.byID[name]
	switch {
	case item == nil:
		return cairn.Errorf(cairn.Invalid, "content_id %q is not in the metadata's files", cairn.Clip(name))
	case item.done:
		return cairn.Errorf(cairn.Invalid, "content_id %q: a chunk after its last one", cairn.Clip(name))
	case !item.begun && c.open >= maxOpenContents:
		return cairn.Errorf(cairn.TooLarge, "more than %d contents are unfinished at once: send one after the other", maxOpenContents)
	}
	if !item.begun {
		item.begun = true
		c.open++
	}
	item.size += int64(len(data))
	c.total += int64(len(data))
	if limit := c.service.limits.FileSize; item.size > limit {
		return cairn.Errorf(cairn.TooLarge, "content_id %q has more than the limit of %d bytes (max-file-size)", cairn.Clip(name), limit)
	}
	if limit := c.service.limits.RequestSize; c.total > limit {
		return cairn.Errorf(cairn.TooLarge, "the commit's files have more than the limit of %d bytes (max-request-size)", limit)
	}
	if item.blob || item.link { // else nothing needs it
		if err := c.append(item, data, last); err != nil {
			return err
		}
	}
	if !last {
		return nil
	}
	item.done = true
	c.open--
	return c.end(ctx, item)
}

// append adds a chunk to an unfinished content, in memory or in its file. A
// content that comes as one chunk is in memory already and stays there.
func (c *contents) append(item *content, data []byte, last bool) error {
	whole := last && item.data == nil
	if item.file == nil && (whole || len(item.data)+len(data) <= spoolAfter) {
		if item.data == nil {
			item.data = data
		} else {
			item.data = append(item.data, data...)
		}
		return nil
	}
	if item.file == nil {
		f, err := c.service.store.Scratch()
		if err != nil {
			return fmt.Errorf("spool content: %w", err)
		}
		item.file = f
		if _, err := f.Write(item.data); err != nil {
			return fmt.Errorf("spool content: %w", err)
		}
		item.data = nil
	}
	if _, err := item.file.Write(data); err != nil {
		return fmt.Errorf("spool content: %w", err)
	}
	return nil
}

// end takes a complete content to where it waits for the commit.
func (c *contents) end(ctx context.Context, item *content) error {
	if item.link {
		if err := c.endLink(item); err != nil {
			return err
		}
	}
	if !item.blob {
		item.free()
		return nil
	}
	c.blobs++
	if item.modules != "" {
		if err := checkModules(item); err != nil {
			return err
		}
	}
	if item.file == nil && c.pack == nil && c.smallSize+item.size <= smallContents {
		c.small = append(c.small, item)
		c.smallSize += item.size
		return nil
	}
	return c.endLarge(ctx, item)
}

// endLarge adds a content, and all that were small until now, to the pack of
// contents.
func (c *contents) endLarge(ctx context.Context, item *content) error {
	if c.pack == nil {
		c.pack = c.service.store.NewPack(c.repo.Format)
		if err := c.addSmall(c.pack); err != nil {
			return err
		}
		for _, small := range c.small {
			small.free()
		}
		c.small = nil
	}
	defer item.free()
	var err error
	if item.file == nil {
		item.blobID, err = c.pack.Add(git.BlobObject, item.data)
		return blobError(err)
	}
	if _, err := item.file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("read spooled content: %w", err)
	}
	item.blobID, err = c.pack.AddReader(git.BlobObject, item.size, contextReader{ctx, item.file})
	return blobError(err)
}

// contextReader ends a long read when its caller leaves.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

// Read reads on while the caller is there.
func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// addSmall adds what is held in memory to a pack.
func (c *contents) addSmall(pack *odb.PackBuilder) error {
	for _, item := range c.small {
		id, err := pack.Add(git.BlobObject, item.data)
		if err != nil {
			return blobError(err)
		}
		item.blobID = id
	}
	return nil
}

// blobError gives the one fault of a blob that its sender must answer for its
// kind.
func blobError(err error) error {
	if errors.Is(err, git.ErrCollision) {
		return cairn.Errorf(cairn.Invalid, "%w", err)
	}
	return err
}

// endLink reads the content of a submodule's path: the text of the commit id
// that the path pins, the one thing about a submodule that a tree can hold.
func (c *contents) endLink(item *content) error {
	text := string(bytes.TrimSpace(item.data))
	id, err := git.ParseObjectID(text)
	if item.file != nil || item.size > maxLinkText || err != nil || id.IsZero() || id.Format() != c.repo.Format {
		return cairn.Errorf(cairn.Invalid, "content_id %q: the content of a submodule (mode 160000) is its commit id of %d hexadecimal digits",
			cairn.Clip(item.name), c.repo.Format.HexSize())
	}
	item.linkID = id
	return nil
}

// checkModules refuses a .gitmodules that would harm who clones it.
func checkModules(item *content) error {
	if item.file != nil || item.size > spoolAfter {
		return cairn.Errorf(cairn.Invalid, "%q has more than %d bytes", cairn.Clip(item.modules), spoolAfter)
	}
	if err := git.CheckGitmodules(item.data); err != nil {
		return cairn.Errorf(cairn.Invalid, "%q: %w", cairn.Clip(item.modules), err)
	}
	return nil
}

// finish checks that every content has come whole, and stores the pack of
// contents if there is one.
func (c *contents) finish(ctx context.Context) error {
	for _, item := range c.byID {
		if (item.blob || item.link) && !item.done {
			return cairn.Errorf(cairn.Invalid, "content_id %q: the body ended before its last chunk", cairn.Clip(item.name))
		}
	}
	if c.pack == nil || c.stored != nil {
		return nil
	}
	staged, err := c.pack.Finish(ctx, c.repo.Organization)
	if err != nil {
		return err
	}
	c.stored = []odb.Staged{staged}
	return nil
}

// staged returns the pack of contents, if there is one.
func (c *contents) staged() []odb.Staged { return c.stored[:len(c.stored):len(c.stored)] }

// id is the object that a path of that mode names.
func (c *contents) id(name string, mode git.FileMode) git.ObjectID {
	item := c.byID[name]
	if mode == git.ModeSubmodule {
		return item.linkID
	}
	return item.blobID
}

func (c *contents) close() {
	if c == nil {
		return
	}
	for _, item := range c.byID {
		item.free()
	}
	if c.pack != nil {
		c.pack.Close()
	}
	if !c.used {
		c.service.store.Discard(context.Background(), c.stored...)
	}
}

// free lets go of a content's bytes.
func (item *content) free() {
	item.data = nil
	if item.file != nil {
		item.file.Close()
		os.Remove(item.file.Name())
		item.file = nil
	}
}
