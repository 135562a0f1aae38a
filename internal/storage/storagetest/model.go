package storagetest

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
)

var modelCases = map[string]func(*testing.T, store){
	"random sequences end as in the model": func(t *testing.T, s store) {
		round := 0
		rapid.Check(t, func(r *rapid.T) {
			round++ // one store serves all rounds: each has its own organizations
			random := &randomUpdates{store: s, r: r, prefix: fmt.Sprintf("%d-", round), model: newModel()}
			r.Repeat(map[string]func(*rapid.T){"update": random.update, "": random.compareSometimes})
			random.compare(r)
		})
	},
}

// model is the store as a few maps: what is right by looking at it.
type model struct {
	repositories map[cairn.RepositoryKey]cairn.Repository
	refs         map[cairn.RepositoryKey]map[git.RefName]cairn.Ref
	manifests    map[cairn.RepositoryKey]map[cairn.PackID]int64 // with the version at which each came
	events       map[cairn.RepositoryKey][]cairn.Event
	packs        map[packKey]cairn.Pack
	garbage      map[packKey]time.Time
}

type packKey struct {
	organization cairn.OrganizationID
	id           cairn.PackID
}

func newModel() *model {
	return &model{
		map[cairn.RepositoryKey]cairn.Repository{}, map[cairn.RepositoryKey]map[git.RefName]cairn.Ref{},
		map[cairn.RepositoryKey]map[cairn.PackID]int64{}, map[cairn.RepositoryKey][]cairn.Event{},
		map[packKey]cairn.Pack{}, map[packKey]time.Time{},
	}
}

func (m *model) clone() *model {
	c := *m
	c.repositories, c.packs, c.garbage = maps.Clone(m.repositories), maps.Clone(m.packs), maps.Clone(m.garbage)
	c.events = maps.Clone(m.events) // appended to, never changed
	c.refs, c.manifests = map[cairn.RepositoryKey]map[git.RefName]cairn.Ref{}, map[cairn.RepositoryKey]map[cairn.PackID]int64{}
	for key, refs := range m.refs {
		c.refs[key] = maps.Clone(refs)
	}
	for key, manifest := range m.manifests {
		c.manifests[key] = maps.Clone(manifest)
	}
	return &c
}

func (m *model) named(r cairn.OrganizationID, name cairn.RepositoryName) (cairn.Repository, bool) {
	for _, other := range m.repositories {
		if other.Organization == r && other.Name == name && other.DeletedAt.IsZero() {
			return other, true
		}
	}
	return cairn.Repository{}, false
}

func (m *model) create(r cairn.Repository) error {
	_, named := m.named(r.Organization, r.Name)
	if _, exists := m.repositories[r.RepositoryKey]; exists || named {
		return cairn.Conflict
	}
	m.repositories[r.RepositoryKey] = r
	m.refs[r.RepositoryKey], m.manifests[r.RepositoryKey] = map[git.RefName]cairn.Ref{}, map[cairn.PackID]int64{}
	return nil
}

func (m *model) advance(key cairn.RepositoryKey) (cairn.Repository, error) {
	r, ok := m.repositories[key]
	if !ok || !r.DeletedAt.IsZero() {
		return r, cairn.NotFound
	}
	r.Version++
	m.repositories[key] = r
	return r, nil
}

func (m *model) delete(key cairn.RepositoryKey, at time.Time) error {
	r, ok := m.repositories[key]
	if !ok || !r.DeletedAt.IsZero() {
		return cairn.NotFound
	}
	r.DeletedAt = at
	m.repositories[key] = r
	return nil
}

func (m *model) purge(key cairn.RepositoryKey, at time.Time) error {
	if r, ok := m.repositories[key]; !ok || r.DeletedAt.IsZero() {
		return cairn.NotFound
	}
	old := slices.Collect(maps.Keys(m.manifests[key]))
	delete(m.repositories, key)
	delete(m.refs, key)
	delete(m.manifests, key)
	delete(m.events, key)
	m.discard(key.Organization, old, at)
	return nil
}

func (m *model) discard(org cairn.OrganizationID, ids []cairn.PackID, at time.Time) {
	for _, id := range ids {
		if !m.isNamed(packKey{org, id}) {
			m.garbage[packKey{org, id}] = at
		}
	}
}

func (m *model) isNamed(p packKey) bool {
	for key, manifest := range m.manifests {
		if _, ok := manifest[p.id]; ok && key.Organization == p.organization {
			return true
		}
	}
	return false
}

func (m *model) move(key cairn.RepositoryKey, version int64, at time.Time, u cairn.RefUpdate) error {
	refs := m.refs[key]
	ref := refs[u.Name]
	switch {
	case ref.Target != u.Old:
		return &cairn.RefConflict{Update: u, Current: ref.Target}
	case u.New.IsZero():
		delete(refs, u.Name)
	case u.Old.IsZero():
		refs[u.Name] = cairn.Ref{Name: u.Name, Target: u.New, CreatedAt: at, Created: version}
	default:
		ref.Target = u.New
		refs[u.Name] = ref
	}
	return nil
}

func (m *model) add(key cairn.RepositoryKey, added []cairn.Pack) {
	for _, p := range added {
		if _, ok := m.packs[packKey{key.Organization, p.ID}]; !ok {
			m.packs[packKey{key.Organization, p.ID}] = p
		}
		if _, ok := m.manifests[key][p.ID]; !ok {
			m.manifests[key][p.ID] = m.repositories[key].Version
		}
	}
}

func (m *model) replace(key cairn.RepositoryKey, old []cairn.PackID, added []cairn.Pack, at time.Time) error {
	for _, id := range old {
		if _, ok := m.manifests[key][id]; !ok {
			return cairn.Conflict
		}
		delete(m.manifests[key], id)
	}
	m.add(key, added)
	m.discard(key.Organization, old, at)
	return nil
}

func (m *model) share(from, to cairn.RepositoryKey) {
	for id, version := range maps.Clone(m.manifests[from]) {
		if _, ok := m.manifests[to][id]; !ok {
			m.manifests[to][id] = version - m.repositories[from].Version
		}
	}
}

func (m *model) collect(p packKey) bool {
	_, ok := m.garbage[p]
	delete(m.garbage, p)
	if !ok || m.isNamed(p) {
		return false
	}
	delete(m.packs, p)
	return true
}

// manifest lists a manifest newest first.
func (m *model) manifest(key cairn.RepositoryKey) []cairn.Pack {
	var list []cairn.Pack
	for id := range m.manifests[key] {
		list = append(list, bare(m.packs[packKey{key.Organization, id}]))
	}
	slices.SortFunc(list, func(a, b cairn.Pack) int {
		return cmp.Or(cmp.Compare(m.manifests[key][b.ID], m.manifests[key][a.ID]), b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return list
}

// errDisagree is an error of the comparison, not of the store.
var errDisagree = errors.New("the store does not agree with the model")

// operation does the same to a transaction and to the model.
type operation struct {
	name string
	run  func(cairn.Tx, *model) error
}

// randomUpdates drives a store and a model side by side.
type randomUpdates struct {
	store  store
	r      *rapid.T
	prefix string
	model  *model
	clock  int
	steps  int
}

// update draws some operations and runs them in one Update, which sometimes
// fails in the end.
func (u *randomUpdates) update(r *rapid.T) {
	operations := make([]operation, rapid.IntRange(1, 4).Draw(r, "operations"))
	for i := range operations {
		operations[i] = u.operation(r)
	}
	abort := rapid.IntRange(0, 5).Draw(r, "abort") == 0
	var next *model
	err := u.store.Update(u.store.t.Context(), func(tx cairn.Tx) error {
		next = u.model.clone() // f may run again
		for _, o := range operations {
			if err := o.run(tx, next); err != nil {
				return fmt.Errorf("%s: %w", o.name, err)
			}
		}
		if abort {
			return errMine
		}
		return nil
	})
	switch {
	case err == nil:
		u.model = next
	case errors.Is(err, errDisagree), errors.Is(err, cairn.Unavailable), errors.Is(err, cairn.Internal):
		r.Fatal(err)
	}
}

// agree compares the errors of the store and of the model, and passes on the
// store's.
func agree(got, want error) error {
	var conflict, wanted *cairn.RefConflict
	switch {
	case errors.As(want, &wanted):
		if !errors.As(got, &conflict) || *conflict != *wanted {
			return fmt.Errorf("%w: got error %v, want %v", errDisagree, got, want)
		}
	case (got == nil) != (want == nil) || want != nil && !errors.Is(got, want):
		return fmt.Errorf("%w: got error %v, want %v", errDisagree, got, want)
	}
	return got
}

// tolerate is agree for operations whose errors leave the transaction as it
// was.
func tolerate(got, want error) error {
	if err := agree(got, want); errors.Is(err, errDisagree) {
		return err
	}
	return nil
}

// The small worlds from which operations are drawn.
var (
	modelNames   = []cairn.RepositoryName{"a", "a/b", "B"}
	modelRefs    = []git.RefName{"refs/heads/a", "refs/heads/\xff", "refs/tags/a"}
	modelTargets = []git.ObjectID{{}, id(1), id(2)}
)

func (u *randomUpdates) organization(r *rapid.T) cairn.OrganizationID {
	return u.organizations()[rapid.IntRange(0, 1).Draw(r, "organization")]
}

func (u *randomUpdates) organizations() []cairn.OrganizationID {
	return []cairn.OrganizationID{cairn.OrganizationID(u.prefix + "x"), cairn.OrganizationID(u.prefix + "y")}
}

func (u *randomUpdates) key(r *rapid.T, org cairn.OrganizationID) cairn.RepositoryKey {
	return cairn.RepositoryKey{Organization: org, Repository: cairn.RepositoryID(rapid.SampledFrom([]string{"1", "2", "3"}).Draw(r, "repository"))}
}

func drawPack(r *rapid.T) cairn.Pack {
	n := rapid.IntRange(1, 5).Draw(r, "pack")
	p := pack(n)
	if rapid.Bool().Draw(r, "inline") {
		p = inline(n, n*10)
	}
	p.Role = cairn.PackRole(rapid.IntRange(0, 2).Draw(r, "role"))
	return p
}

// now is a time that has not been before.
func (u *randomUpdates) now() time.Time {
	u.clock++
	return day(1).Add(time.Duration(u.clock) * time.Minute)
}

func (u *randomUpdates) operation(r *rapid.T) operation {
	org := u.organization(r)
	key := u.key(r, org)
	switch choice := rapid.IntRange(0, 15).Draw(r, "operation"); choice {
	case 0, 1:
		repository := newRepository(org, rapid.SampledFrom(modelNames).Draw(r, "name"))
		repository.RepositoryKey = key
		return operation{"create", func(tx cairn.Tx, m *model) error {
			_, err := tx.Repositories().Create(repository)
			return tolerate(err, m.create(repository))
		}}
	case 2:
		at := u.now()
		return operation{"delete", func(tx cairn.Tx, m *model) error {
			return tolerate(tx.Repositories().Delete(key, at), m.delete(key, at))
		}}
	case 3:
		at := u.now()
		return operation{"purge", func(tx cairn.Tx, m *model) error {
			_, err := tx.Repositories().Purge(key, at, 1000)
			return tolerate(err, m.purge(key, at))
		}}
	case 4, 5:
		p := drawPack(r)
		return operation{"collect", func(tx cairn.Tx, m *model) error {
			got, err := tx.Packs().Collect(org, p.ID)
			if want := m.collect(packKey{org, p.ID}); err == nil && got != want {
				err = fmt.Errorf("%w: collected: got %v, want %v", errDisagree, got, want)
			}
			return err
		}}
	default:
		return u.write(r, key)
	}
}

// write draws an operation that comes after Advance.
func (u *randomUpdates) write(r *rapid.T, key cairn.RepositoryKey) operation {
	var write operation
	at := u.now()
	switch rapid.IntRange(0, 7).Draw(r, "write") {
	case 0, 1, 2:
		update := cairn.RefUpdate{Name: rapid.SampledFrom(modelRefs).Draw(r, "ref"),
			Old: rapid.SampledFrom(modelTargets).Draw(r, "old"), New: rapid.SampledFrom(modelTargets).Draw(r, "new")}
		write = operation{"move ref", func(tx cairn.Tx, m *model) error {
			version := m.repositories[key].Version
			return agree(tx.Refs().Update(key, version, at, []cairn.RefUpdate{update}), m.move(key, version, at, update))
		}}
	case 3, 4:
		packs := []cairn.Pack{drawPack(r), drawPack(r)}
		write = operation{"add packs", func(tx cairn.Tx, m *model) error {
			m.add(key, packs)
			return agree(tx.Packs().Add(key, packs...), nil)
		}}
	case 5:
		old, added := []cairn.PackID{drawPack(r).ID}, []cairn.Pack{drawPack(r)}
		write = operation{"replace packs", func(tx cairn.Tx, m *model) error {
			return agree(tx.Packs().Replace(key, old, added, at), m.replace(key, old, added, at))
		}}
	case 6:
		from := u.key(r, key.Organization)
		write = operation{"share", func(tx cairn.Tx, m *model) error {
			m.share(from, key)
			return agree(tx.Packs().Share(from, key), nil)
		}}
	case 7:
		write = operation{"append event", func(tx cairn.Tx, m *model) error {
			e := cairn.Event{Version: m.repositories[key].Version, At: at, Kind: cairn.RefChanged}
			m.events[key] = append(slices.Clip(m.events[key]), e)
			return agree(tx.Events().Append(key, []cairn.Event{e}), nil)
		}}
	}
	return operation{"advance and " + write.name, func(tx cairn.Tx, m *model) error {
		want, wantErr := m.advance(key)
		got, err := tx.Repositories().Advance(key)
		if disagree := tolerate(err, wantErr); disagree != nil || wantErr != nil {
			return disagree
		}
		if got != want {
			return fmt.Errorf("%w: advanced to %+v, want %+v", errDisagree, got, want)
		}
		return write.run(tx, m)
	}}
}

// compareSometimes compares after every fourth update: to read everything takes
// much longer than an update, and what went wrong stays wrong.
func (u *randomUpdates) compareSometimes(r *rapid.T) {
	if u.steps++; u.steps%4 == 0 {
		u.compare(r)
	}
}

// compare reads all that the round's organizations have.
func (u *randomUpdates) compare(r *rapid.T) {
	var got, want []string
	note := func(list *[]string, what ...any) { *list = append(*list, fmt.Sprintf("%+v", what)) }
	m := u.model
	for _, org := range u.organizations() {
		for _, name := range modelNames {
			found, ok := m.named(org, name)
			note(&want, "named", org, name, found, ok)
		}
		for _, n := range []cairn.RepositoryID{"1", "2", "3"} {
			key := cairn.RepositoryKey{Organization: org, Repository: n}
			refs := slices.SortedFunc(maps.Values(m.refs[key]), func(a, b cairn.Ref) int { return strings.Compare(string(a.Name), string(b.Name)) })
			note(&want, "repository", m.repositories[key], refs, m.manifest(key), m.events[key])
		}
		for n := 1; n <= 5; n++ {
			p := m.packs[packKey{org, packID(n)}]
			note(&want, "pack", bare(p), string(p.Data), string(p.Index))
		}
	}
	garbage := map[packKey]time.Time{}
	err := u.store.View(u.store.t.Context(), func(tx cairn.Tx) error {
		got = nil
		for _, org := range u.organizations() {
			for _, name := range modelNames {
				found, err := tx.Repositories().Find(org, name)
				note(&got, "named", org, name, found, err == nil)
			}
			for _, n := range []cairn.RepositoryID{"1", "2", "3"} {
				key := cairn.RepositoryKey{Organization: org, Repository: n}
				repository, err1 := tx.Repositories().Get(key)
				refs, err2 := tx.Refs().List(key, "")
				packs, err3 := tx.Packs().Manifest(key)
				events, err4 := tx.Events().List(key, 0, 0, 1000)
				if err := errors.Join(err2, err3, err4); err != nil || err1 != nil && !errors.Is(err1, cairn.NotFound) {
					return errors.Join(err, err1)
				}
				note(&got, "repository", repository, refs, packs, events)
			}
			for n := 1; n <= 5; n++ {
				p, err := tx.Packs().Get(org, packID(n))
				if err != nil {
					p = cairn.Pack{}
				}
				note(&got, "pack", bare(p), string(p.Data), string(p.Index))
			}
		}
		list, err := tx.Packs().Garbage(day(28), 1_000_000)
		for _, g := range list {
			if strings.HasPrefix(string(g.Organization), u.prefix) {
				garbage[packKey{g.Organization, g.ID}] = g.Since
			}
		}
		return err
	})
	if err != nil {
		r.Fatal(err)
	}
	for i := range want {
		if i >= len(got) || got[i] != want[i] {
			r.Fatalf("the store does not agree with the model:\n got %s\nwant %s", got[i], want[i])
		}
	}
	if !maps.Equal(garbage, m.garbage) {
		r.Fatalf("garbage:\n got %v\nwant %v", garbage, m.garbage)
	}
}
