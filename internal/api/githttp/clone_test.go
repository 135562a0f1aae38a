package githttp_test

import (
	"testing"

	"github.com/cairn-storage/cairn/internal/gittest"
)

func TestPushAndCloneEverything(t *testing.T) {
	t.Parallel()
	protocols(t, func(t *testing.T, version string) {
		s := start(t)
		key := s.create("team/app")
		source := gittest.Random(t, 7, gittest.Options{})
		must(t, source.Dir, "-c", version, "push", "--mirror", s.remote("team/app", ""))
		s.fsck(key)
		copied := clone(t, s.remote("team/app", ""), "-c", version, "--mirror")
		gittest.Fsck(t, copied)
		gittest.SameRefs(t, source.Dir, copied)
	})
}
