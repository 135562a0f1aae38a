package service

import (
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/odb"
)

// TestForgedCursorsGainNothing makes cursors with true checksums, as anybody
// can, and positions that no listing gives. See decision 0013.
func TestForgedCursorsGainNothing(t *testing.T) {
	t.Parallel()
	f := newTenants(t)
	repo := f.create(t, "acme", "app")
	main := f.commit(t, repo, "refs/heads/main")
	secret := f.commit(t, f.create(t, "acme", "other"), "refs/heads/secret")
	who := f.actor(t, "acme", "app", cairn.GitRead)
	sn, err := f.store.SnapshotOf(t.Context(), repo.RepositoryKey)
	if err != nil {
		t.Fatal(err)
	}
	defer sn.Close()
	commits := CommitsQuery{Revision: Revision{Name: "main"}}.listing(sn, "")
	for _, position := range [][]string{
		{secret.String(), "0"}, {strings.Repeat("12", 20), "0"}, {main.String(), "-1"}, {main.String(), "99999999999999999999"}, {"main", "0"}, {"", ""},
		{main.String(), "0x10"}, {odb.EphemeralPrefix, "0"},
	} {
		_, err := f.ListCommits(t.Context(), who, "app", CommitsQuery{Revision: Revision{Name: "main"}, Cursor: commits.cursor(position...)})
		wantKind(t, strings.Join(position, " "), err, cairn.Invalid)
	}
	far, err := f.ListCommits(t.Context(), who, "app", CommitsQuery{Revision: Revision{Name: "main"}, Cursor: commits.cursor(main.String(), "9223372036854775807")})
	if err != nil || len(far.Commits) > 0 || far.Next != "" {
		t.Errorf("far beyond the end: %+v, %v", far, err)
	}
	if _, err := f.ListCommits(t.Context(), f.actor(t, "acme", "other", cairn.GitRead), "other", CommitsQuery{
		Revision: Revision{Name: "main"}, Cursor: commits.cursor(main.String(), "0"),
	}); err == nil {
		t.Error("the cursor of another repository is taken")
	}
}
