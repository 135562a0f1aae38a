package odb

import (
	"context"

	"golang.org/x/sys/unix"

	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/git/commitgraph"
	"github.com/cairn-storage/cairn/internal/git/graph"
)

// commitGraph returns the commit-graph of what the last full repack wrote; nil
// if there is none. All of its commits are in the snapshot's packs: it counts
// only while every pack that the closure beside it names is in the manifest.
func (sn *Snapshot) commitGraph(ctx context.Context) (*commitgraph.Graph, error) {
	if known := sn.graph.Load(); known != nil {
		return known.graph, nil
	}
	if err := sn.load(ctx); err != nil {
		return nil, err
	}
	found := new(knownGraph)
	present := sn.packIDs()
	for _, p := range sn.packs {
		if !p.info.Sidecars {
			continue
		}
		c, err := p.readClosure(ctx, sn.format())
		if err != nil {
			return nil, err
		}
		if n := c.present(present); n == 0 || n < len(c.levels) {
			continue
		}
		if found.graph, err = p.readGraph(ctx, sn.format()); err != nil {
			return nil, err
		}
		if found.graph != nil {
			found.beside = p
			break
		}
	}
	sn.graph.Store(found)
	return found.graph, nil
}

// knownGraph is the answer of commitGraph.
type knownGraph struct {
	graph  *commitgraph.Graph
	beside *openPack // where it lies; nil without a graph
}

// readGraph returns the commit-graph beside the pack, which stays mapped as
// long as the pack. One that cannot be read is as none: it only makes things
// quick.
func (p *openPack) readGraph(ctx context.Context, f git.ObjectFormat) (*commitgraph.Graph, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.graphRead {
		return p.graph, nil
	}
	s, key := p.cache.store, p.info.Key+graphSuffix
	data, err := mapItem(ctx, s.options.Bucket, key)
	if err == nil {
		if p.graph, err = commitgraph.Parse(f, data); err == nil {
			p.mapped = append(p.mapped, data)
		} else {
			_ = unix.Munmap(data)
		}
	}
	if ctx.Err() != nil && p.graph == nil {
		return nil, ctx.Err()
	}
	if err != nil {
		s.options.Logger.Warn("sidecar cannot be read", "key", key, "error", err)
	}
	p.graphRead = true
	return p.graph, nil
}

// Generations makes a Snapshot a graph.Indexed.
func (sn *Snapshot) Generations(ctx context.Context) (graph.Generations, error) {
	g, err := sn.commitGraph(ctx)
	if g == nil || err != nil {
		return nil, err
	}
	return generations{g}, nil
}

type generations struct{ *commitgraph.Graph }

// Generation returns the generation number of a commit that the file has.
func (g generations) Generation(id git.ObjectID) (int64, bool) {
	pos, ok := g.Find(id)
	if !ok {
		return 0, false
	}
	return g.Graph.Generation(pos), true
}

// PathFilters tells which commits did not change a path. It knows some of a
// snapshot's commits.
type PathFilters struct {
	graph *commitgraph.Graph
	key   commitgraph.Key
}

// PathFilters returns the filters for a path: a file or a folder, without
// slashes at its ends.
func (sn *Snapshot) PathFilters(ctx context.Context, path string) (PathFilters, error) {
	g, err := sn.commitGraph(ctx)
	if g == nil || err != nil {
		return PathFilters{}, err
	}
	return PathFilters{g, g.NewKey(path)}, nil
}

// Unchanged tells whether the commit is known to have the same at the path, or
// nothing, as its first parent, or as no tree if it has no parents.
func (f PathFilters) Unchanged(id git.ObjectID) bool {
	filter, ok := filterOf(f.graph, id)
	return ok && !filter.MayContain(f.key)
}

// filterOf returns a commit's filter of changed paths; false if there is none.
// The graph may be nil.
func filterOf(g *commitgraph.Graph, id git.ObjectID) (commitgraph.Filter, bool) {
	if g == nil {
		return commitgraph.Filter{}, false
	}
	pos, ok := g.Find(id)
	if !ok {
		return commitgraph.Filter{}, false
	}
	return g.Filter(pos)
}

// ChangedPaths are the filters of a snapshot's commits for who asks each of them
// about many paths. It knows some of the commits.
type ChangedPaths struct{ graph *commitgraph.Graph }

// ChangedPaths returns the filters that the snapshot has.
func (sn *Snapshot) ChangedPaths(ctx context.Context) (ChangedPaths, error) {
	g, err := sn.commitGraph(ctx)
	return ChangedPaths{g}, err
}

// Key returns what to ask the filters for a path, of which the folders above
// have been asked for already.
func (c ChangedPaths) Key(path string) commitgraph.Key {
	if c.graph == nil {
		return commitgraph.Key{}
	}
	return c.graph.NewShallowKey(path)
}

// Filter returns the filter of a commit; false if there is none.
func (c ChangedPaths) Filter(id git.ObjectID) (commitgraph.Filter, bool) {
	return filterOf(c.graph, id)
}
