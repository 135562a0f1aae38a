package gogs

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/service"
	"github.com/cairn-storage/cairn/internal/storage/sqlite"
)

// statements is how many statements a request runs: the fewest of some, as the
// first gives things their numbers, and the store may be at work beside it.
func (w *world) statements(ask func(i int)) int64 {
	count := w.metadata.(*sqlite.Metadata).Statements
	fewest := int64(math.MaxInt64)
	for i := range 3 {
		before := count()
		ask(i)
		fewest = min(fewest, count()-before)
	}
	return fewest
}

// TestCostOfCreation counts what making a repository asks of the database: who
// asks, who owns the place, whether the name is free, the row and its number,
// and three transactions around them.
func TestCostOfCreation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.statements(func(i int) { w.must("ada", "POST", "user/repos", fmt.Sprintf(`{"name":"new%d"}`, i), 201) })
	if n > 15 {
		t.Errorf("it runs %d statements", n)
	}
}

// TestCostOfLists counts what lists ask of the database: as much for many as
// for a few.
func TestCostOfLists(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	paths := []string{
		"user/repos", "users/ada/repos", "orgs/acme/repos", "repos/search?q=x", "repos/search?uid=1", "repos/ada/open/forks", "user/orgs", "orgs/acme/teams", "users/search?q=many",
		"repos/ada/open/branches", "repos/ada/open/tags", "repos/ada/open/releases", "repos/ada/open/commits", "repos/ada/open/collaborators",
	}
	grow := func(from, to int) {
		for i := from; i < to; i++ {
			w.must("ada", "POST", "user/repos", fmt.Sprintf(`{"name":"x%d"}`, i), 201)
			w.must("owner", "POST", "org/acme/repos", fmt.Sprintf(`{"name":"x%d"}`, i), 201)
			w.must("owner", "POST", "user/orgs", fmt.Sprintf(`{"username":"org%d"}`, i), 201)
			name := fmt.Sprintf("many%d", i)
			w.must("root", "POST", "admin/users", fmt.Sprintf(`{"username":%q,"email":"%[1]s@example.com"}`, name), 201)
			w.must("ada", "PUT", "repos/ada/open/collaborators/"+name, `{"permission":"read"}`, 204)
			w.must("root", "POST", "admin/orgs/acme/teams", fmt.Sprintf(`{"name":%q}`, name), 201)
			_, err := w.service.WriteFile(t.Context(), w.actor("ada", "open"), "open", service.FileWrite{
				Branch: "on-" + name, Path: name, Message: "By " + name, Content: []byte(name), Author: service.Identity{Name: name, Email: name + "@example.com"},
			})
			check(t, err)
			fork := cairn.RepositoryName(fmt.Sprintf("fork%d", i))
			_, err = w.service.ForkRepository(t.Context(), w.owner("ada", fork), service.NewFork{Name: fork, Source: "open", SourceActor: w.owner("ada", "open")})
			check(t, err)
		}
	}
	each := func(f func(user, path string)) {
		for _, path := range paths {
			for _, user := range []string{"ada", "owner", "stranger"} {
				if user == "ada" || !strings.HasSuffix(path, "/collaborators") {
					f(user, path)
				}
			}
		}
	}
	grow(0, 2)
	few := map[string]int64{}
	cost := func(user, path string) int64 {
		return w.statements(func(int) { w.must(user, "GET", path, "", 200) })
	}
	each(func(user, path string) { few[user+path] = cost(user, path) })
	grow(2, 12)
	each(func(user, path string) {
		n := cost(user, path)
		if n > few[user+path] || n > 20 {
			t.Errorf("%s: %s runs %d statements for few and %d for many", user, path, few[user+path], n)
		}
	})
}
