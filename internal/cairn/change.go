package cairn

import (
	"time"

	"github.com/cairn-storage/cairn/internal/git"
)

// ChangeCommit is a commit that a change has, or had.
type ChangeCommit struct {
	Change  git.ChangeID
	Commit  git.ObjectID
	Version int64 // of the repository when that was noted
	Ordinal int   // orders what was noted at one version
	At      time.Time
}

// Changes notes which commits the changes of repositories have had: of those
// changes that a commit's id alone does not tell. It is an index of commits
// that tell their change, and the log of how changes evolved.
type Changes interface {
	// Note adds commits. Of one that its change has already, the rest is
	// replaced.
	Note(RepositoryKey, []ChangeCommit) error
	// Of returns up to limit commits of a change, the last noted first.
	Of(key RepositoryKey, change git.ChangeID, limit int) ([]ChangeCommit, error)
	// Noted is the version of the repository up to which all pushed commits
	// were noted; 0 if none were.
	Noted(RepositoryKey) (int64, error)
	// SetNoted moves it forward; an older version than the present one changes
	// nothing.
	SetNoted(key RepositoryKey, version int64) error
}
