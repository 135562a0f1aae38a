package service

import (
	linked "container/list"
	"context"
	"sync"

	"github.com/cairn-storage/cairn/internal/admission"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/graph"
	"github.com/cairn-storage/cairn/internal/odb"
)

// commitLog is a history that is being listed, page by page. The commits below
// a tip never change, so a log goes on over any later state of its repository.
// It is not safe for concurrent use.
type commitLog struct {
	logPlace
	src     *logSource
	history *pathHistory // nil: all commits
	walk    *graph.Walk
	pending git.ObjectID // put back
	walked  int          // how many commits the walk went over
}

// logPlace says which history a log is of, and where it is there.
type logPlace struct {
	repository cairn.RepositoryKey
	tip        git.ObjectID
	path       string // empty: all commits
	shown      int    // how many commits were given out
}

// logSource is the state of the repository that a log reads at the moment.
type logSource struct{ *odb.Snapshot }

// newCommitLog begins the history of tips, of which the first is its place among
// those that are kept.
func newCommitLog(ctx context.Context, sn *odb.Snapshot, path string, tips ...git.ObjectID) (*commitLog, error) {
	l := &commitLog{logPlace: logPlace{sn.Repository().RepositoryKey, tips[0], path, 0}, src: &logSource{sn}}
	var commits graph.Commits = l.src
	if path != "" {
		l.history = newPathHistory(l.src, path)
		commits = l.history
	}
	l.walk = graph.NewWalk(commits, tips, nil)
	return l, l.readFrom(ctx, sn)
}

// readFrom has the log go on over a state of the repository that reaches its
// tip.
func (l *commitLog) readFrom(ctx context.Context, sn *odb.Snapshot) error {
	l.src.Snapshot = sn
	if l.history == nil {
		return nil
	}
	return l.history.useFilters(ctx, sn)
}

// next returns the next commit, or false at the end.
func (l *commitLog) next(ctx context.Context) (git.ObjectID, bool, error) {
	if id := l.pending; !id.IsZero() {
		l.pending = git.ObjectID{}
		l.shown++
		return id, true, nil
	}
	for {
		id, _, more, err := l.walk.Next(ctx)
		if err != nil || !more {
			return id, more, err
		}
		l.walked++
		if l.history == nil || l.history.takeChanged(id) {
			l.shown++
			return id, true, nil
		}
	}
}

// putBack has next return the commit again that it returned last.
func (l *commitLog) putBack(id git.ObjectID) {
	l.pending = id
	l.shown--
}

// Bounds of the logs that are kept for their next page. A commit that was
// walked over takes about a hundred bytes.
const (
	maxLogs       = 1024
	maxLogCommits = 128 << 10
)

// logCache keeps logs whose next page may be asked for soon, so that a page
// costs what it shows and not all that comes before. The zero value is ready;
// safe for concurrent use.
type logCache struct {
	mu     sync.Mutex
	logs   map[logPlace]*linked.Element // of *commitLog
	used   linked.List                  // most recently used first
	walked int                          // of all
}

// open returns the log of a history after so many commits: a kept one, or a new
// one that walks there.
func (c *logCache) open(ctx context.Context, sn *odb.Snapshot, tip git.ObjectID, path string, skip int) (*commitLog, error) {
	var kept *commitLog
	if skip > 0 {
		kept = c.take(logPlace{sn.Repository().RepositoryKey, tip, path, skip})
	}
	if path != "" || kept == nil && skip > maxCommitsPerPage {
		if err := admission.Enter(ctx, admission.History); err != nil {
			return nil, err
		}
	}
	if kept != nil {
		return kept, kept.readFrom(ctx, sn)
	}
	l, err := newCommitLog(ctx, sn, path, tip)
	if err != nil {
		return nil, err
	}
	for l.shown < skip {
		if _, more, err := l.next(ctx); err != nil || !more {
			return l, err
		}
	}
	return l, nil
}

// take takes the log out that is kept at a place; nil if there is none.
func (c *logCache) take(at logPlace) *commitLog {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.logs[at]
	if !ok {
		return nil
	}
	return c.remove(e)
}

func (c *logCache) remove(e *linked.Element) *commitLog {
	l := c.used.Remove(e).(*commitLog)
	delete(c.logs, l.logPlace)
	c.walked -= l.walked
	return l
}

// keep keeps a log that its caller uses no more. One that went over more than
// all together may is let go: its next page walks there again.
func (c *logCache) keep(l *commitLog) {
	l.src.Snapshot = nil // its packs are not held
	if l.walked > maxLogCommits {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.logs[l.logPlace]; ok {
		c.remove(e)
	}
	if c.logs == nil {
		c.logs = map[logPlace]*linked.Element{}
	}
	c.logs[l.logPlace] = c.used.PushFront(l)
	c.walked += l.walked
	for c.used.Len() > maxLogs || c.walked > maxLogCommits {
		c.remove(c.used.Back())
	}
}
