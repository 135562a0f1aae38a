package service

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/cairn-storage/cairn/internal/admission"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/protocol"
	"github.com/cairn-storage/cairn/internal/odb"
)

// The reasons by which git refuses updates; clients and scripts know them.
const (
	reasonFunny    = "funny refname"
	reasonUnpacker = "unpacker error"
	reasonMoved    = "failed to update ref"
	reasonMissing  = "missing necessary objects"
	reasonShallow  = "shallow update not allowed"
	reasonDefault  = "deletion of the current branch prohibited"
	reasonAtomic   = "atomic push failure"
	reasonNoCommit = "trying to write non-commit object to branch"
)

// maxDisconnected is how many updates of one push may turn out to lack objects
// before the others are refused unseen.
const maxDisconnected = 16

// maxDrain bounds how much of a pack is read on after the push has been
// refused, so that a client that is still sending sees why.
const maxDrain = 1 << 30

// ReceivePack carries out a push. The updates that are accepted happen in one
// transaction, together with the pack. HEAD stays what it is, even if the
// default branch does not exist and another is pushed: the default branch is a
// setting of the repository that its creator chose, and clients that race to
// fill a new repository must not decide it by chance.
func (g *GitSession) ReceivePack(ctx context.Context, r io.Reader, w io.Writer) error {
	out := newGitWriter(w)
	request, err := protocol.ReadPush(protocol.NewReader(r), g.sn.Repository().Format, g.service.limits.Git)
	if err != nil {
		if request.Sideband() { // then the client reads nothing else
			out.band = protocol.NewSideband(out.Writer, protocol.Sideband64k)
			_, _ = io.CopyN(io.Discard, r, maxDrain)
		}
		return out.refuse(err)
	}
	if len(request.Commands) == 0 {
		return out.finish()
	}
	p := newPush(g, request, out)
	err = p.run(ctx)
	return errors.Join(err, p.report())
}

// push is one push under way.
type push struct {
	g          *GitSession
	request    *protocol.PushRequest
	out        *gitWriter
	band       *protocol.Sideband // nil if the client wants none
	commands   []command
	messages   strings.Builder // for the client's terminal
	unpack     string          // why the pack was refused
	quarantine *odb.Quarantine
}

// command is one ref update of a push.
type command struct {
	cairn.RefUpdate        // stored name
	visible         string // the name as the client sent it
	reason          string // why it is refused; empty while it is not
}

func newPush(g *GitSession, request *protocol.PushRequest, out *gitWriter) *push {
	p := &push{g: g, request: request, out: out, commands: make([]command, len(request.Commands))}
	if request.Sideband() {
		p.band = protocol.NewSideband(out.Writer, protocol.Sideband64k)
	}
	for i, c := range request.Commands {
		p.commands[i].visible = c.Name
		p.commands[i].Old, p.commands[i].New = c.Old, c.New
	}
	return p
}

// refused tells whether no update is left that may be done.
func (p *push) refused() bool {
	for i := range p.commands {
		if p.commands[i].reason == "" {
			return false
		}
	}
	return true
}

// run decides about every update and does those that are accepted. Its error
// is for the log; the client reads the reasons in the report.
func (p *push) run(ctx context.Context) error {
	for i := range p.commands {
		p.checkName(&p.commands[i])
	}
	p.checkFolders()
	p.checkAtomic()
	if p.refused() {
		return p.drain()
	}
	var staged []odb.Staged
	if p.request.Pack != nil {
		if err := admission.Enter(ctx, admission.Push); err != nil {
			p.failAll(gitText(err))
			return errors.Join(err, p.drain())
		}
		if err := p.receive(ctx); err != nil {
			p.failAll(reasonUnpacker)
			p.unpack = gitText(err)
			return errors.Join(err, p.drain())
		}
		defer p.quarantine.Close()
		if err := p.checkObjects(ctx); err != nil {
			p.failAll(gitText(err))
			return err
		}
	}
	if err := p.checkPolicies(ctx); err != nil {
		p.failAll(gitText(err))
		return err
	}
	p.checkAtomic()
	if p.refused() {
		return nil
	}
	if p.quarantine != nil {
		pack, ok, err := p.quarantine.Stage(ctx)
		if err != nil {
			p.failAll(gitText(err))
			return err
		}
		if ok {
			staged = append(staged, pack)
		}
	}
	done, err := p.write(ctx, staged)
	if !done {
		p.g.service.store.Discard(ctx, staged...)
	}
	return err
}

// drain reads what is left of a pack that nobody wants any more.
func (p *push) drain() error {
	if p.request.Pack == nil {
		return nil
	}
	_, err := io.CopyN(io.Discard, p.request.Pack, maxDrain)
	if err == io.EOF {
		err = nil
	}
	return err
}

// failAll gives every update that is not refused yet a reason.
func (p *push) failAll(reason string) {
	for i := range p.commands {
		if p.commands[i].reason == "" {
			p.commands[i].reason = reason
		}
	}
}

// checkAtomic refuses all if one is refused and the client wants all or none.
func (p *push) checkAtomic() {
	if !p.request.Atomic() {
		return
	}
	for i := range p.commands {
		if p.commands[i].reason != "" {
			p.failAll(reasonAtomic)
			return
		}
	}
}

// checkName refuses what may not be the name of a ref here, or not be done to
// it, whatever the objects.
func (p *push) checkName(c *command) {
	name, err := git.ParseRefName(c.visible)
	switch {
	case err != nil, strings.HasPrefix(c.visible, "refs/namespaces/"), isOddShortName(name):
		c.reason = reasonFunny
		return
	}
	c.Name = p.g.remote.stored(name)
	repo := p.g.sn.Repository()
	if err := checkNoPush(p.g.who, repo, c.Name); err != nil {
		c.reason = gitText(err)
		return
	}
	if c.New.IsZero() && c.Name == repo.DefaultBranch {
		c.reason = reasonDefault
		return
	}
	current, _ := p.g.sn.Ref(c.Name)
	if current.Target != c.Old {
		p.moved(c, current.Target)
	}
}

// checkFolders refuses new refs that have a ref for a folder, or are one, so
// that one such does not make the whole transaction fail. What the push itself
// deletes does not count; of two new refs the first wins.
func (p *push) checkFolders() {
	names := newRefNames(p.g.sn)
	for i := range p.commands {
		if c := &p.commands[i]; c.reason == "" && c.New.IsZero() {
			names.gone[c.Name] = true
		}
	}
	for i := range p.commands {
		c := &p.commands[i]
		if c.reason != "" || c.New.IsZero() || !c.Old.IsZero() {
			continue
		}
		if other, clash := names.add(c.Name); clash {
			c.reason = gitText(folderClash(c.Name, other))
		}
	}
}

// isOddShortName tells names of branches and tags that no client can handle:
// options, and the name of the symbolic ref.
func isOddShortName(name git.RefName) bool {
	if !name.IsBranch() && !name.IsTag() {
		return false
	}
	short := name.Short()
	return short[0] == '-' || short == string(git.HEAD)
}

// moved refuses an update whose ref is not where the client believed it.
func (p *push) moved(c *command, current git.ObjectID) {
	c.reason = reasonMoved
	switch {
	case current.IsZero():
		p.message("error: cannot lock ref '%s': unable to resolve reference", c.visible)
	case c.Old.IsZero():
		p.message("error: cannot lock ref '%s': reference already exists", c.visible)
	default:
		p.message("error: cannot lock ref '%s': is at %s but expected %s", c.visible, current, c.Old)
	}
}

// message notes a line for the client's terminal. It is sent with the report:
// over HTTP/1 nothing may be written before the request is read.
func (p *push) message(format string, args ...any) {
	fmt.Fprintf(&p.messages, format+"\n", args...)
}

// receive takes the pack in. Progress is told once all of it is read.
func (p *push) receive(ctx context.Context) error {
	show := throttled(func(n int) { p.progress(fmt.Sprintf("Resolving deltas: %d\r", n)) })
	var err error
	p.quarantine, err = p.g.sn.Receive(ctx, p.request.Pack, odb.ReceiveOptions{Old: p.g.remote == ImportRemote, Progress: show})
	return err
}

func (p *push) progress(text string) {
	if p.band != nil && !p.request.Quiet() {
		_ = p.band.Progress(text)
		_ = p.out.flush()
	}
}

// checkObjects refuses updates to what is not there as a whole.
func (p *push) checkObjects(ctx context.Context) error {
	failures := 0
	for i := range p.commands {
		c := &p.commands[i]
		if c.reason != "" || c.New.IsZero() {
			continue
		}
		if failures > maxDisconnected {
			c.reason = reasonMissing
			continue
		}
		err := p.quarantine.Connected(ctx, c.New)
		switch {
		case errors.Is(err, odb.ErrMissingObjects):
			failures++
			c.reason = reasonMissing
			if len(p.request.Shallow) > 0 {
				c.reason = reasonShallow
			}
			p.message("error: %s: %v", c.visible, err)
			continue
		case err != nil:
			return err
		}
		if name := git.RefName(c.visible); name.IsBranch() {
			if t, _, err := p.quarantine.Header(ctx, c.New); err != nil {
				return err
			} else if t != git.CommitObject {
				c.reason = reasonNoCommit
			}
		}
	}
	return nil
}

// checkPolicies asks the policy about each update by itself, so that one that
// is refused does not take the others with it.
func (p *push) checkPolicies(ctx context.Context) error {
	for i := range p.commands {
		c := &p.commands[i]
		if c.reason != "" {
			continue
		}
		err := checkRefUpdate(ctx, p.g.who, p.g.sn, p.history(), c.RefUpdate)
		if err != nil && !errors.Is(err, cairn.Denied) {
			return err
		}
		if err != nil {
			c.reason = gitText(err)
		}
	}
	return nil
}

func (p *push) history() history {
	if p.quarantine != nil {
		return p.quarantine
	}
	return p.g.sn
}

// maxRaces is how often a push is tried again without the updates that lost a
// race.
const maxRaces = 10

// write does the accepted updates. Updates that lost a race are refused, and
// the others are tried again without them. done tells whether the packs are in
// use now, or may be.
func (p *push) write(ctx context.Context, packs []odb.Staged) (done bool, err error) {
	for range maxRaces {
		w := refWrite{Who: p.g.who, Packs: packs, History: p.history(), Pushed: true}
		for i := range p.commands {
			// To delete what is not there is no change.
			if c := &p.commands[i]; c.reason == "" && c.Old != c.New {
				w.Updates = append(w.Updates, c.RefUpdate)
			}
		}
		if len(w.Updates) == 0 {
			return false, nil
		}
		err := p.g.service.apply(ctx, p.g.sn, w)
		if errors.Is(err, odb.ErrOutdated) {
			if err := p.checkAgain(ctx); err != nil {
				p.failAll(gitText(err))
				return false, err
			}
			continue
		}
		var conflict *cairn.RefConflict
		switch {
		case err == nil:
			return true, nil
		case !errors.As(err, &conflict):
			p.failAll(gitText(err))
			return !isRefused(err), err
		}
		if err := p.lost(ctx, conflict); err != nil {
			p.failAll(gitText(err))
			return false, err
		}
		p.checkAtomic()
	}
	p.failAll(reasonMoved)
	return false, nil
}

// checkAgain looks at the objects once more, in the present state of the
// repository.
func (p *push) checkAgain(ctx context.Context) error {
	now, err := p.g.service.store.SnapshotOf(ctx, p.g.sn.Repository().RepositoryKey)
	if err != nil {
		return err
	}
	if p.quarantine != nil {
		if err := p.quarantine.MoveTo(ctx, now); err != nil {
			now.Close()
			return err
		}
	}
	p.g.sn.Close()
	p.g.sn = now
	if p.quarantine != nil {
		if err := p.checkObjects(ctx); err != nil {
			return err
		}
	}
	p.checkAtomic()
	return nil
}

// lost refuses the update that lost a race, and all others that would lose it
// one by one if they were tried: those whose refs are elsewhere by now.
func (p *push) lost(ctx context.Context, conflict *cairn.RefConflict) error {
	now, err := p.g.service.store.SnapshotOf(ctx, p.g.sn.Repository().RepositoryKey)
	if err != nil {
		return err
	}
	defer now.Close()
	for i := range p.commands {
		c := &p.commands[i]
		if c.reason != "" {
			continue
		}
		current, _ := now.Ref(c.Name)
		switch {
		case c.Name == conflict.Update.Name:
			p.moved(c, conflict.Current)
		case current.Target != c.Old:
			p.moved(c, current.Target)
		}
	}
	return nil
}

// report tells the client what became of its updates.
func (p *push) report() error {
	if p.band != nil && p.messages.Len() > 0 {
		_ = p.band.Progress(p.messages.String())
	}
	if version := p.request.ReportVersion(); version > 0 {
		results := make([]protocol.RefResult, len(p.commands))
		for i := range p.commands {
			results[i] = protocol.RefResult{Name: p.commands[i].visible, Reason: p.commands[i].reason}
		}
		if p.band == nil {
			_ = protocol.WriteReport(p.out.Writer, p.unpack, results, version)
		} else {
			data := bufio.NewWriterSize(p.band.DataWriter(), 16<<10)
			_ = protocol.WriteReport(protocol.NewWriter(data), p.unpack, results, version)
			_ = data.Flush()
		}
	}
	if p.band != nil {
		_ = p.band.Close()
	}
	return p.out.finish()
}
