package git_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/gittest"
)

// TestTagText holds the parts of a tag's message to those of stock git.
func TestTagText(t *testing.T) {
	t.Parallel()
	repo := gittest.Init(t)
	commit := repo.Commit("main", "first", gittest.Files{"a": "1\n"})
	const signature = "-----BEGIN PGP SIGNATURE-----\n\niQEz\n-----END PGP SIGNATURE-----\n"
	messages := []string{
		"v1\n", "", "\n\nLate subject\n\nBody\n", "Two\nlines\n\nBody\n\nmore\n\n\n", "No end", "Signed\n" + signature, "Signed\n\nBody\n" + signature,
		"Quoted\n\n" + signature + "and on\n" + strings.ReplaceAll(signature, "PGP", "SSH"), "Not -----BEGIN PGP SIGNATURE-----\n\nat the start\n",
		"A\r\nB\r\n\r\nC\r\n", " \n\nblank\n", signature,
	}
	for i, message := range messages {
		data := fmt.Sprintf("object %s\ntype commit\ntag v%d\ntagger A U Thor <a@example.com> 1700000000 +0000\n\n%s", commit, i, message)
		repo.Git("update-ref", fmt.Sprintf("refs/tags/v%d", i), repo.Write("tag", []byte(data)))
		tag, err := git.ParseTag(git.SHA1, []byte(data))
		if err != nil {
			t.Fatal(err)
		}
		subject, body := tag.Text()
		for part, got := range map[string]string{"subject": subject, "body": body} {
			want := repo.Git("for-each-ref", "--format=%(contents:"+part+")", fmt.Sprintf("refs/tags/v%d", i))
			if strings.TrimSpace(got) != strings.TrimSpace(want) {
				t.Errorf("%s of %q: got %q, want %q", part, message, got, want)
			}
		}
	}
}
