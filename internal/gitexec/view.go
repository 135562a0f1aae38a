package gitexec

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/cairn-storage/cairn/internal/git"
)

// View is a private directory that git takes for a bare repository: it holds
// links to some packs, and what commands write. It has no refs but those that
// are set, and HEAD names none: so git looks for attributes nowhere. It is not
// safe for concurrent changes; commands may run side by side.
type View struct {
	git *Git
	dir string
}

// NewView makes a view in a new directory below parent. The caller closes it.
func (g *Git) NewView(parent string, f git.ObjectFormat) (*View, error) {
	parent, err := filepath.Abs(parent) // git runs in another directory
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(parent, "view-")
	if err != nil {
		return nil, err
	}
	v := &View{g, dir}
	config := "[core]\n\trepositoryformatversion = 0\n\tbare = true\n"
	if f != git.SHA1 {
		config = "[core]\n\trepositoryformatversion = 1\n\tbare = true\n[extensions]\n\tobjectformat = " + f.String() + "\n"
	}
	err = errors.Join(
		os.MkdirAll(v.packDir(), 0o700),
		os.Mkdir(v.Path("refs"), 0o700),
		os.Mkdir(v.Path("work"), 0o700),
		os.WriteFile(v.Path("HEAD"), []byte("ref: refs/none\n"), 0o600),
		os.WriteFile(v.Path("config"), []byte(config), 0o600))
	if err != nil {
		return nil, errors.Join(err, v.Close())
	}
	return v, nil
}

// Close removes the directory and all in it.
func (v *View) Close() error { return os.RemoveAll(v.dir) }

// CountWritten estimates how many loose objects commands wrote: from one of the
// 256 directories that git puts them into, as git does itself before it packs
// them.
func (v *View) CountWritten() int {
	some, _ := os.ReadDir(v.Path("objects/17"))
	return 256 * len(some)
}

// Path returns the path of something in the directory.
func (v *View) Path(name string) string { return filepath.Join(v.dir, name) }

func (v *View) packDir() string { return v.Path("objects/pack") }

// PackFile is one of the files of a pack, or a file beside it: a file with a name, which is linked
// where that is possible, or else bytes that are copied.
type PackFile struct {
	File *os.File // may be nil
	Data io.Reader
}

// AddPack puts a pack into the view, under its checksum in hexadecimal.
func (v *View) AddPack(checksum string, pack, index PackFile) error {
	base := filepath.Join(v.packDir(), "pack-"+checksum)
	// The index comes last: git looks for packs by their indexes.
	if err := pack.place(base + ".pack"); err != nil {
		return fmt.Errorf("pack %s in a view: %w", checksum, err)
	}
	if err := index.place(base + ".idx"); err != nil {
		return fmt.Errorf("index of pack %s in a view: %w", checksum, err)
	}
	return nil
}

// AddCommitGraph gives the view a commit-graph, which git trusts: all of its
// commits must be in the view's packs. A view has one at most.
func (v *View) AddCommitGraph(graph PackFile) error {
	dir := v.Path("objects/info")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	if err := graph.place(filepath.Join(dir, "commit-graph")); err != nil {
		return fmt.Errorf("commit-graph in a view: %w", err)
	}
	return nil
}

// SetRefs makes these the refs of the view, under their full names.
func (v *View) SetRefs(refs map[git.RefName]git.ObjectID) error {
	var b bytes.Buffer
	for name, id := range refs {
		fmt.Fprintf(&b, "%s %s\n", id, name)
	}
	return os.WriteFile(v.Path("packed-refs"), b.Bytes(), 0o600)
}

func (p PackFile) place(name string) error {
	if p.File != nil && linked(p.File, name) {
		return nil
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, p.Data)
	return errors.Join(err, f.Close())
}

// linked gives a file another name and tells whether the name is really that
// file's.
func linked(f *os.File, name string) bool {
	if os.Link(f.Name(), name) != nil {
		return false
	}
	want, err := f.Stat()
	if err == nil {
		var got os.FileInfo
		if got, err = os.Lstat(name); err == nil && os.SameFile(got, want) {
			return true
		}
	}
	_ = os.Remove(name)
	return false
}

// Run runs a command on the view. When ctx is done the command is killed and
// the error is that of ctx; a command that fails gives an *ExitError.
func (v *View) Run(ctx context.Context, c Command) error {
	return v.git.run(ctx, v.Path("work"), []string{
		"GIT_DIR=" + v.dir,
		"GIT_CEILING_DIRECTORIES=" + filepath.Dir(v.dir),
	}, c)
}
