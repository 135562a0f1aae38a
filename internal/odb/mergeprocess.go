package odb

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/pack"
	"github.com/cairn-storage/cairn/internal/gitexec"
)

// mergeProcess is a git merge-tree that stays and makes one merge after the
// other: to start one and have it look into the packs takes as long as many a
// merge. It tells the trees of merges that are clean; any other outcome, an error
// too, is for a command of its own to tell, with the names that its conflict
// markers need. It serves one merge at a time.
//
// git merge-tree --stdin does not flush what it says, which the C library writes
// in blocks. So each question is followed by another one, whose answer is longer
// than a block and pushes the first one out. That answer is read before the next.
type mergeProcess struct {
	in     *os.File
	out    *os.File
	r      *bufio.Reader
	push   string // the question that is asked behind each
	cancel context.CancelFunc
	ended  chan struct{}
}

// mergeStartTime is how long the first answer of a process is waited for.
const mergeStartTime = 10 * time.Second

// mergeTree makes a merge in the process that stays, and returns its tree; false
// if that process cannot tell what comes of it.
func (v *GitView) mergeTree(ctx context.Context, ours, theirs git.ObjectID) (tree git.ObjectID, clean bool, err error) {
	if v.store.noMergeProcess.Load() {
		return tree, false, nil
	}
	o := &v.store.options
	limited, cancel := context.WithTimeout(ctx, o.GitTime)
	defer cancel()
	if v.merges == nil {
		err = v.startMerges(limited, ours.Format())
	}
	if err == nil {
		tree, clean, err = v.merges.merge(limited, ours, theirs)
	}
	if err == nil {
		return tree, clean, nil
	}
	v.uses = maxViewUses // it goes with its process
	switch {
	case ctx.Err() != nil:
		return tree, false, ctx.Err()
	case limited.Err() != nil:
		return tree, false, o.tooSlow("merge-tree")
	}
	return tree, false, nil
}

// startMerges starts a process and sees whether it answers one question at a
// time. If it does not, none is started again.
func (v *GitView) startMerges(ctx context.Context, f git.ObjectFormat) error {
	push, err := addPush(v.View, f)
	if err != nil {
		return err
	}
	stdin, in, err := os.Pipe()
	if err != nil {
		return err
	}
	out, stdout, err := os.Pipe()
	if err != nil {
		return errors.Join(err, stdin.Close(), in.Close())
	}
	running, cancel := context.WithCancel(context.Background())
	p := &mergeProcess{in: in, out: out, r: bufio.NewReader(out), push: push, cancel: cancel, ended: make(chan struct{})}
	v.merges = p
	go func() {
		defer close(p.ended)
		// How it ends does not matter: who waits for an answer sees that there
		// is none.
		_ = v.Run(running, gitexec.Command{
			Args: []string{"merge-tree", "--write-tree", "--stdin"}, Stdin: stdin, Stdout: stdout, Memory: v.store.options.GitMemory,
		})
		stdin.Close()
		stdout.Close()
	}()
	starting, stop := context.WithTimeout(ctx, mergeStartTime)
	defer stop()
	err = p.ask(starting, push+push, func(a *mergeAnswer) error { return a.pass() })
	if err != nil && ctx.Err() == nil {
		v.store.noMergeProcess.Store(true)
		v.store.options.Logger.Info("git merge-tree --stdin is of no use here; merges get a process each", "error", err)
	}
	return err
}

// stop ends the process and waits for that. It may be nil.
func (p *mergeProcess) stop() {
	if p == nil {
		return
	}
	p.cancel()
	<-p.ended
	p.in.Close()
	p.out.Close()
}

// merge returns the tree of a merge; false if it has conflicts. After an error
// the process is of no more use.
func (p *mergeProcess) merge(ctx context.Context, ours, theirs git.ObjectID) (tree git.ObjectID, clean bool, err error) {
	err = p.ask(ctx, mergeQuestion(ours, theirs)+p.push, func(a *mergeAnswer) error {
		err := a.pass() // of the question behind the one before
		if err == nil {
			tree, clean, err = a.read()
		}
		return err
	})
	return tree, clean, err
}

func mergeQuestion(ours, theirs git.ObjectID) string {
	return ours.String() + " " + theirs.String() + "\n"
}

// ask writes questions and has answers read until ctx is done.
func (p *mergeProcess) ask(ctx context.Context, questions string, read func(*mergeAnswer) error) error {
	stop := context.AfterFunc(ctx, func() { _ = p.out.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	_, err := p.in.WriteString(questions)
	if err == nil {
		err = read(&mergeAnswer{p.r, maxGitOutput})
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// mergeAnswer is what git merge-tree --stdin says of one merge, in items that
// each end with a NUL: 1 if the merge is clean and 0 if it is not, then what git
// merge-tree -z says, then an empty item.
type mergeAnswer struct {
	r    *bufio.Reader
	left int // bytes that may still be read
}

func (a *mergeAnswer) item() (string, error) {
	var item []byte
	for {
		part, err := a.r.ReadSlice(0)
		if a.left -= len(part); a.left < 0 {
			return "", errFull
		}
		item = append(item, part...)
		if err == nil {
			return string(item[:len(item)-1]), nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return "", fmt.Errorf("answer of git merge-tree: %w", err)
		}
	}
}

// pass reads an answer that nobody asked for.
func (a *mergeAnswer) pass() error {
	_, _, err := a.read()
	return err
}

func (a *mergeAnswer) read() (tree git.ObjectID, clean bool, err error) {
	status, err := a.item()
	if err != nil {
		return tree, false, err
	}
	id, err := a.item()
	if err != nil {
		return tree, false, err
	}
	if tree, err = git.ParseObjectID(id); err != nil {
		return tree, false, err
	}
	switch status {
	case "1":
		end, err := a.item()
		if err == nil && end != "" {
			err = fmt.Errorf("answer of git merge-tree: %q behind a clean merge", clipBytes([]byte(end)))
		}
		return tree, true, err
	case "0":
		return tree, false, a.passConflicts()
	}
	return tree, false, fmt.Errorf("answer of git merge-tree: status %q", clipBytes([]byte(status)))
}

// passConflicts reads versions of files up to an empty item, and messages up to
// another: a count of paths, these, a kind and a text for each.
func (a *mergeAnswer) passConflicts() error {
	for {
		entry, err := a.item()
		if err != nil {
			return err
		}
		if entry == "" {
			break
		}
	}
	for {
		count, err := a.item()
		if err != nil || count == "" {
			return err
		}
		n, err := strconv.Atoi(count)
		if err != nil || n < 0 {
			return fmt.Errorf("answer of git merge-tree: a message of %q paths", clipBytes([]byte(count)))
		}
		for range n + 2 {
			if _, err := a.item(); err != nil {
				return err
			}
		}
	}
}

// pushPath is how long the path is in the question that pushes. Its answer names
// the path five times; a block of the C libraries has 4 or 8 KiB.
const pushPath = 3500

// addPush puts a small history into a view and returns the question about it:
// one side deletes a file with a long name that the other side changed.
func addPush(v *gitexec.View, f git.ObjectFormat) (string, error) {
	spool := pack.NewSpool(1<<20, nil)
	defer spool.Close()
	b := pack.NewBuilder(f, spool, packLevel)
	var err error
	add := func(t git.ObjectType, data string) git.ObjectID {
		id, addErr := b.Add(t, []byte(data))
		err = errors.Join(err, addErr)
		return id
	}
	commit := func(file string, parents ...git.ObjectID) git.ObjectID {
		tree := ""
		if file != "" {
			blob := add(git.BlobObject, file)
			tree = string(git.EncodeTree([]git.TreeEntry{{Name: strings.Repeat("x", pushPath), Mode: git.ModeFile, ID: blob}}))
		}
		text := "tree " + add(git.TreeObject, tree).String() + "\n"
		for _, parent := range parents {
			text += "parent " + parent.String() + "\n"
		}
		return add(git.CommitObject, text+"author cairn <cairn@localhost> 0 +0000\ncommitter cairn <cairn@localhost> 0 +0000\n\n")
	}
	base := commit("base")
	question := mergeQuestion(commit("", base), commit("changed", base))
	if err != nil {
		return "", err
	}
	checksum, index, err := b.Finish()
	if err != nil {
		return "", err
	}
	data, err := spool.Bytes()
	if err != nil {
		return "", err
	}
	return question, v.AddPack(hex.EncodeToString(checksum), gitexec.PackFile{Data: bytes.NewReader(data)}, gitexec.PackFile{Data: bytes.NewReader(index)})
}
