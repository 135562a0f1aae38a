package client

import (
	"context"
	"iter"
	"net/http"
	"time"
)

// Commit is a commit of a history.
type Commit struct {
	SHA            string    `json:"sha"`
	Parents        []string  `json:"parent_shas"`
	Message        string    `json:"message"`
	AuthorName     string    `json:"author_name"`
	AuthorEmail    string    `json:"author_email"`
	CommitterName  string    `json:"committer_name"`
	CommitterEmail string    `json:"committer_email"`
	Date           time.Time `json:"date"`                // the committer's
	Signature      string    `json:"signature,omitempty"` // of a signed commit; Log leaves both out
	Payload        string    `json:"payload,omitempty"`   // what it signs
}

// LogQuery says which commits to go through.
type LogQuery struct {
	Ref       string // where to begin: any revision; empty is the default branch
	Path      string // only what changed this file or folder
	Ephemeral bool
	At        time.Time // the branch as it was then; zero is now
}

// Log goes through a history, the newest first. It goes on from where it began,
// wherever the branch is meanwhile. It ends after an error.
func (r *Repo) Log(ctx context.Context, q LogQuery) iter.Seq2[Commit, error] {
	return list[Commit](ctx, r.client, r.getAt("/commits", q.At, query("ref", q.Ref, "path", q.Path, "ephemeral", q.Ephemeral, "at", q.At, "limit", 100)), "commits")
}

// CommitOf returns the commit that a revision names; ErrNotFound if no ref of
// the repository leads there.
func (r *Repo) CommitOf(ctx context.Context, revision string) (Commit, error) {
	var found struct {
		Commit Commit `json:"commit"`
	}
	err := r.client.json(ctx, r.get("/commit", query("ref", revision)), &found)
	return found.Commit, err
}

// Diff is a difference of two trees.
type Diff struct {
	SHA       string `json:"sha,omitempty"`
	BaseSHA   string `json:"base_sha,omitempty"`
	MergeBase string `json:"merge_base_sha,omitempty"` // what it was compared with, if not the base itself
	Stats     struct {
		Files     int `json:"files"`
		Additions int `json:"additions"`
		Deletions int `json:"deletions"`
	} `json:"stats"`
	Files    []FileDiff `json:"files"`
	Filtered []FileDiff `json:"filtered_files"` // binary, large and lock files, without Patch
}

// FileDiff is the change of one file.
type FileDiff struct {
	Path      string `json:"path"`
	State     string `json:"state"`              // git's letter, with a score for renames: R087
	OldPath   string `json:"old_path,omitempty"` // of renames and copies
	Bytes     int64  `json:"bytes"`
	Additions int    `json:"additions"`
	Deletions int    `json:"deletions"`
	Patch     string `json:"raw,omitempty"`
}

// DiffQuery says what to compare.
type DiffQuery struct {
	Ref  string // any revision
	Base string // any revision; empty is the first parent
	// Paths keeps those files and folders, and shows them whatever they are.
	Paths []string
	// Exact compares blanks too, so that the patches one after the other are one
	// that git apply takes.
	Exact                    bool
	Ephemeral, BaseEphemeral bool
}

// Diff returns what a commit changed, or what it has that its base has not.
func (r *Repo) Diff(ctx context.Context, q DiffQuery) (Diff, error) {
	var found Diff
	err := r.client.json(ctx, r.get("/diff", query("ref", q.Ref, "base_ref", q.Base, "path", q.Paths, "git_apply_compatible", q.Exact,
		"ref_is_ephemeral", q.Ephemeral, "base_is_ephemeral", q.BaseEphemeral)), &found)
	return found, err
}

// BranchDiff returns what a branch brings that its base has not; an empty base
// is the default branch.
func (r *Repo) BranchDiff(ctx context.Context, q DiffQuery) (Diff, error) {
	var found Diff
	err := r.client.json(ctx, r.get("/branches/diff", query("branch", q.Ref, "base", q.Base, "path", q.Paths,
		"ephemeral", q.Ephemeral, "ephemeral_base", q.BaseEphemeral)), &found)
	return found, err
}

// The strategies of a merge.
const (
	MergeCommit            = "merge"     // a merge commit, unless there is nothing to merge
	MergeFastForwardOnly   = "ff_only"   // a fast-forward or ErrConflict
	MergeFastForwardPrefer = "ff_prefer" // a fast-forward where it is possible
)

// Merge is a merge to make.
type Merge struct {
	Source   string     `json:"source_ref"` // any revision
	Target   string     `json:"target_branch"`
	Strategy string     `json:"strategy"`
	Message  string     `json:"commit_message,omitempty"` // needed if a commit is made
	Author   *Signature `json:"author,omitempty"`         // likewise
	// Squash makes one ordinary commit of all that the source brings.
	Squash bool `json:"squash,omitempty"`
	// Unrelated merges histories that have nothing in common.
	Unrelated bool `json:"allow_unrelated_histories,omitempty"`
	// ExpectedTarget is a guard: where the target is.
	ExpectedTarget  string     `json:"expected_target_sha,omitempty"`
	Committer       *Signature `json:"committer,omitempty"`
	SourceEphemeral bool       `json:"source_is_ephemeral,omitempty"`
	TargetEphemeral bool       `json:"target_is_ephemeral,omitempty"`
}

// MergeResult is what a merge came to.
type MergeResult struct {
	Result    string `json:"result"` // merge_commit, fast_forward, no_op or squash
	SHA       string `json:"commit_sha"`
	Tree      string `json:"tree_sha"`
	MergeBase string `json:"merge_base_sha,omitempty"`
	Promoted  int    `json:"promoted_commits"` // commits that the target had not
	Source    struct {
		Ref string `json:"ref"`
		SHA string `json:"sha"`
	} `json:"source"`
	Target struct {
		Branch string `json:"branch"`
		Old    string `json:"old_sha"`
		New    string `json:"new_sha"`
	} `json:"target"`
}

// Merge merges into a branch. The outcome is that of git merge. ErrConflict
// says that nothing was changed; the Error's ConflictType and ConflictPaths say
// why.
func (r *Repo) Merge(ctx context.Context, in Merge) (MergeResult, error) {
	var made MergeResult
	err := r.client.json(ctx, r.write(http.MethodPost, "/merge", in), &made)
	return made, err
}

// MergePreview is what a merge would come to.
type MergePreview struct {
	Status        string     `json:"status"` // clean or conflicted
	Result        string     `json:"result"` // merge_commit, fast_forward or no_op
	SourceSHA     string     `json:"source_tip_sha"`
	TargetSHA     string     `json:"target_tip_sha"`
	MergeBase     string     `json:"merge_base_sha,omitempty"`
	ConflictPaths []string   `json:"conflict_paths,omitempty"`
	Conflicts     []Conflict `json:"conflicts,omitempty"`
}

// Conflict is a file that cannot be merged, in its versions.
type Conflict struct {
	Path   string          `json:"path"`
	Result ConflictVersion `json:"result"` // with conflict markers
	Base   ConflictVersion `json:"base"`
	Ours   ConflictVersion `json:"ours"` // the target's
	Theirs ConflictVersion `json:"theirs"`
}

// ConflictVersion is a version of a file; without an OID the file is not there.
type ConflictVersion struct {
	OID       string `json:"oid,omitempty"`
	Content   string `json:"content,omitempty"`
	Truncated bool   `json:"truncated"`
	Binary    bool   `json:"binary"`
}

// PreviewMerge tells what a merge of source into target would come to, with
// the text of the files in conflict if that is wanted. Nothing is written.
func (r *Repo) PreviewMerge(ctx context.Context, in Merge, content bool) (MergePreview, error) {
	var found MergePreview
	err := r.client.json(ctx, r.get("/merge/preview", query("source_ref", in.Source, "source_branch", in.Source, "target_branch", in.Target,
		"source_is_ephemeral", in.SourceEphemeral, "target_is_ephemeral", in.TargetEphemeral, "include_content", content)), &found)
	return found, err
}
