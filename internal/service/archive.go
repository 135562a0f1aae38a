package service

import (
	"archive/tar"
	"archive/zip"
	"context"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/cairn-storage/cairn/internal/admission"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/glob"
	"github.com/cairn-storage/cairn/internal/odb"
)

// maxArchivePrefix bounds the prefix of an archive, in bytes.
const maxArchivePrefix = 1024

// ArchiveQuery says what to put into an archive.
type ArchiveQuery struct {
	Revision
	Include     []string // globs of which one must match; none means all
	Exclude     []string // globs of which none may match
	MaxBlobSize int64    // larger files are left out; 0 means no bound
	Prefix      string   // the folder that all is put in; empty means none
}

// Archive is a tar archive of a commit that waits to be written. It must be
// closed.
type Archive struct {
	Ref    string // the revision as asked for, or the default branch
	Commit git.ObjectID

	sn               *odb.Snapshot
	links            git.CommitLinks
	query            ArchiveQuery
	include, exclude *glob.Set
	walk             odb.WalkOptions
}

// OpenArchive prepares an archive: what can be refused is refused here, a tree
// with too many entries too.
func (s *Service) OpenArchive(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, q ArchiveQuery) (*Archive, error) {
	sn, err := s.openAt(ctx, who, repo, q.At)
	if err != nil {
		return nil, err
	}
	a := &Archive{sn: sn, query: q, walk: odb.WalkOptions{Recursive: true, Trees: true, MaxEntries: s.limits.WalkEntries}}
	if err := a.prepare(ctx); err != nil {
		sn.Close()
		return nil, err
	}
	return a, nil
}

func (a *Archive) prepare(ctx context.Context) error {
	q := &a.query
	if q.MaxBlobSize < 0 {
		return cairn.Errorf(cairn.Invalid, "max_blob_size is less than 0")
	}
	var err error
	if q.Prefix, err = archivePrefix(q.Prefix); err != nil {
		return err
	}
	if a.include, a.exclude, err = compileGlobs(q.Include, q.Exclude); err != nil {
		return err
	}
	if err := admission.Enter(ctx, admission.List); err != nil {
		return err
	}
	q.Revision = q.orDefault(a.sn)
	a.Ref = q.Name
	if a.Commit, err = q.resolve(ctx, a.sn); err != nil {
		return err
	}
	if a.links, err = a.sn.Commit(ctx, a.Commit); err != nil {
		return err
	}
	return a.sn.Walk(ctx, a.links.Tree, a.walk, func(string, git.TreeEntry) error { return nil })
}

// archivePrefix checks a prefix and ends it with a slash.
func archivePrefix(prefix string) (string, error) {
	if prefix == "" {
		return "", nil
	}
	if len(prefix) > maxArchivePrefix || strings.ContainsAny(prefix, "\\\x00") || prefix[0] == '/' {
		return "", cairn.Errorf(cairn.Invalid, "prefix %q is not a relative path of at most %d bytes", cairn.Clip(prefix), maxArchivePrefix)
	}
	prefix = strings.TrimSuffix(prefix, "/")
	for name := range strings.SplitSeq(prefix, "/") {
		if name == "" || name == "." || name == ".." {
			return "", cairn.Errorf(cairn.Invalid, "prefix %q holds an empty name, . or ..", cairn.Clip(prefix))
		}
	}
	return prefix + "/", nil
}

// Close lets go of the repository's state.
func (a *Archive) Close() { a.sn.Close() }

// Write writes the archive as tar.gz: the entries that git archive writes, in
// its order, with its modes and times. The same query gives the same bytes.
// Attributes of paths (export-ignore, export-subst) have no say.
func (a *Archive) Write(ctx context.Context, w io.Writer) error {
	compressed := &gzipWriter{w: w}
	out := archiveWriter{Archive: a, tar: tar.NewWriter(compressed), when: time.Unix(max(a.links.Date, 0), 0)}
	err := out.tar.WriteHeader(&tar.Header{
		Typeflag: tar.TypeXGlobalHeader, Name: "pax_global_header", PAXRecords: map[string]string{"comment": a.Commit.String()},
	})
	if err != nil {
		return err
	}
	if a.query.Prefix != "" {
		out.folders = []string{a.query.Prefix}
	}
	err = a.sn.Walk(ctx, a.links.Tree, a.walk, func(path string, e git.TreeEntry) error { return out.entry(ctx, path, e) })
	if err != nil {
		return err
	}
	if err := out.tar.Close(); err != nil {
		return err
	}
	return compressed.Close()
}

// WriteZip writes the archive as zip: the same files, with symbolic links as
// Unix zips have them.
func (a *Archive) WriteZip(ctx context.Context, w io.Writer) error {
	out := zip.NewWriter(w)
	if err := out.SetComment(a.Commit.String()); err != nil {
		return err
	}
	when := time.Unix(max(a.links.Date, 0), 0).UTC()
	err := a.sn.Walk(ctx, a.links.Tree, a.walk, func(path string, e git.TreeEntry) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return a.zipEntry(ctx, out, when, path, e)
	})
	if err != nil {
		return err
	}
	return out.Close()
}

func (a *Archive) zipEntry(ctx context.Context, out *zip.Writer, when time.Time, path string, e git.TreeEntry) error {
	h := &zip.FileHeader{Name: a.query.Prefix + path, Method: zip.Deflate, Modified: when}
	switch {
	case e.Mode.IsTree(), e.Mode.IsSubmodule():
		h.Name, h.Method = h.Name+"/", zip.Store
		h.SetMode(fs.ModeDir | 0o775)
		_, err := out.CreateHeader(h)
		return err
	case e.Mode.IsSymlink():
		h.SetMode(fs.ModeSymlink | 0o777)
	case e.Mode&0o100 != 0:
		h.SetMode(0o775)
	default:
		h.SetMode(0o664)
	}
	to, err := out.CreateHeader(h)
	if err != nil {
		return err
	}
	content, _, err := a.sn.OpenBlob(ctx, e.ID)
	if err != nil {
		return err
	}
	defer content.Close()
	_, err = io.Copy(to, content)
	return err
}

// archiveWriter writes one archive.
type archiveWriter struct {
	*Archive
	tar     *tar.Writer
	when    time.Time
	folders []string // those that hold the present path and are not written yet
}

// entry writes what lies at a path. Folders are written before the first thing
// in them that is.
func (w *archiveWriter) entry(ctx context.Context, path string, e git.TreeEntry) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	name := w.query.Prefix + path
	for n := len(w.folders); n > 0 && !strings.HasPrefix(name, w.folders[n-1]); n-- {
		w.folders = w.folders[:n-1]
	}
	if e.Mode.IsTree() {
		w.folders = append(w.folders, name+"/")
		return nil
	}
	if len(w.query.Include) > 0 && !w.include.Match(path) || w.exclude.Match(path) {
		return nil
	}
	size := int64(0)
	if !e.Mode.IsSubmodule() {
		var err error
		if size, err = w.sn.BlobSize(ctx, e.ID); err != nil {
			return err
		}
	}
	if w.query.MaxBlobSize > 0 && size > w.query.MaxBlobSize {
		return nil
	}
	for _, folder := range w.folders {
		if err := w.header(folder, tar.TypeDir, 0o775, 0, ""); err != nil {
			return err
		}
	}
	w.folders = w.folders[:0]
	return w.file(ctx, name, e, size)
}

func (w *archiveWriter) header(name string, kind byte, mode, size int64, target string) error {
	return w.tar.WriteHeader(&tar.Header{
		Typeflag: kind, Name: name, Linkname: target, Mode: mode, Size: size, ModTime: w.when, Uname: "root", Gname: "root",
	})
}

func (w *archiveWriter) file(ctx context.Context, name string, e git.TreeEntry, size int64) error {
	switch {
	case e.Mode.IsSubmodule():
		return w.header(name+"/", tar.TypeDir, 0o775, 0, "")
	case e.Mode.IsSymlink():
		target, err := w.sn.Blob(ctx, e.ID, git.MaxPathLength)
		if err != nil {
			return fmt.Errorf("symbolic link %q: %w", name, err)
		}
		return w.header(name, tar.TypeSymlink, 0o777, 0, string(target))
	}
	mode := int64(0o664)
	if e.Mode&0o100 != 0 {
		mode = 0o775
	}
	if err := w.header(name, tar.TypeReg, mode, size, ""); err != nil {
		return err
	}
	content, _, err := w.sn.OpenBlob(ctx, e.ID)
	if err != nil {
		return err
	}
	defer content.Close()
	_, err = io.Copy(w.tar, content)
	return err
}
