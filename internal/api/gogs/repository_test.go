package gogs

import (
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/service"
)

func TestMirrorSync(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must("ada", "POST", "repos/ada/site/mirror-sync", "", 404)
	who := w.owner("ada", "mirror")
	made, err := w.service.CreateMirror(t.Context(), who, service.NewMirror{Name: "mirror", Provider: "gitlab", Owner: "acme", UpstreamName: "site"})
	check(t, err)
	if r := read[repository](w, "ada", "repos/ada/mirror"); !r.Mirror {
		t.Errorf("the mirror is %+v", r)
	}
	w.must("stranger", "POST", "repos/ada/mirror/mirror-sync", "", 404)
	w.must("ada", "POST", "repos/ada/mirror/mirror-sync", "", 202)
	state, err := w.service.SyncState(t.Context(), who, made)
	if err != nil || state.Status != cairn.SyncQueued {
		t.Errorf("the sync is %+v, %v", state, err)
	}
}

// TestForks makes a fork through the service, as another face does: its parent
// is shown to who may see it.
func TestForks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	who := w.owner("ada", "fork")
	source := who
	source.Repository = "site"
	_, err := w.service.ForkRepository(t.Context(), who, service.NewFork{Name: "fork", Source: "site", SourceActor: source})
	check(t, err)
	fork := read[repository](w, "ada", "repos/ada/fork")
	if !fork.Fork || fork.Parent == nil || fork.Parent.FullName != "ada/site" || fork.Empty {
		t.Errorf("the fork is %+v", fork)
	}
	if list := read[[]repository](w, "ada", "repos/ada/site/forks"); len(list) != 1 || list[0].ID != fork.ID {
		t.Errorf("the forks are %+v", list)
	}
	if list := read[[]repository](w, "reader", "repos/ada/site/forks"); len(list) != 0 {
		t.Errorf("who may not see the fork sees %+v", list)
	}
	if site := read[repository](w, "ada", "repos/ada/site"); site.Forks != 1 {
		t.Errorf("the source is %+v", site)
	}
}
