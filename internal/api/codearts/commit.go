package codearts

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cairn-storage/cairn/internal/admission"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/service"
)

var commitRoutes = []route{
	{method: "GET", pattern: "/v1/repositories/{repository}/commits", handle: (*Face).searchCommits},
	{method: "GET", pattern: "/v1/repositories/{group...}/{name}/commits", handle: (*Face).commitsOfNamed},
	{method: "GET", pattern: "/v2/projects/{repository}/repository/commits", handle: (*Face).listCommits},
	{method: "POST", pattern: "/v2/projects/{repository}/repository/commits", handle: (*Face).createCommit, large: true},
	{method: "GET", pattern: "/v2/projects/{repository}/repository/commits/{sha...}/diff", handle: (*Face).commitDiff},
	{method: "GET", pattern: "/v2/projects/{repository}/repository/commits/{sha...}", handle: (*Face).showCommit},
}

// oldCommitBody is a commit as /v1 shows it.
type oldCommitBody struct {
	ID             string   `json:"id"`
	Message        string   `json:"message"`
	ParentIDs      []string `json:"parent_ids"`
	AuthorName     string   `json:"author_name"`
	AuthorEmail    string   `json:"author_email"`
	AuthoredDate   string   `json:"authored_date"`
	CommitterName  string   `json:"committer_name"`
	CommitterEmail string   `json:"committer_email"`
	CommittedDate  string   `json:"committed_date"`
}

func newOldCommitBody(c service.Commit) oldCommitBody {
	return oldCommitBody{
		c.ID.String(), c.Message, idTexts(c.Parents), c.Author.Name, c.Author.Email, sdkTime(c.Author.When),
		c.Committer.Name, c.Committer.Email, sdkTime(c.Committer.When),
	}
}

// commitBody is a commit as /v2 shows it.
type commitBody struct {
	oldCommitBody
	ShortID   string     `json:"short_id"`
	Title     string     `json:"title"`
	CreatedAt string     `json:"created_at"`
	Stats     *statsBody `json:"stats,omitempty"`
}

type statsBody struct {
	Additions int `json:"additions"`
	Deletions int `json:"deletions"`
	Total     int `json:"total"`
}

// shortID is how long the short ids of commits are.
const shortID = 8

func newCommitBody(c service.Commit) *commitBody {
	return &commitBody{newOldCommitBody(c), c.ID.String()[:shortID], c.Summary(), sdkTime(c.Committer.When), nil}
}

func idTexts(ids []git.ObjectID) []string {
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = id.String()
	}
	return texts
}

// addStats counts the lines that a commit changed.
func (f *Face) addStats(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, body *commitBody) error {
	diff, err := f.service.CommitDiff(ctx, who, repo, service.CommitDiffQuery{Commit: service.Revision{Name: body.ID}, DiffOptions: service.DiffOptions{Exact: true}})
	if err == nil {
		body.Stats = &statsBody{diff.Additions, diff.Deletions, diff.Additions + diff.Deletions}
	}
	return err
}

// searchCommits lists commits with all the filters of /v1.
func (f *Face) searchCommits(w http.ResponseWriter, r *request) error {
	q := service.CommitSearch{
		Revision: service.Revision{Name: r.query.Get("ref_name")}, Count: true,
		Author: r.query.Get("author"), Message: r.query.Get("message"), Path: r.query.Get("path"),
	}
	var err error
	if q.Since, err = r.day("begin_date"); err != nil {
		return err
	}
	if q.Until, err = r.day("end_date"); err != nil {
		return err
	}
	if !q.Until.IsZero() {
		q.Until = q.Until.Add(24*time.Hour - time.Second) // of that day too
	}
	return f.answerCommits(w, r, q)
}

// commitsOfNamed is searchCommits for a repository that is named, without
// filters.
func (f *Face) commitsOfNamed(w http.ResponseWriter, r *request) error {
	var err error
	if r.who, r.repo, err = f.named(r, r.path["group"], r.path["name"]); err != nil {
		return err
	}
	return f.answerCommits(w, r, service.CommitSearch{Revision: service.Revision{Name: r.query.Get("ref_name")}, Count: true})
}

func (f *Face) answerCommits(w http.ResponseWriter, r *request, q service.CommitSearch) error {
	if q.Name == "" {
		return cairn.Errorf(cairn.Invalid, "ref_name is required")
	}
	page, err := r.page("page_index", "page_size", 20)
	if err != nil {
		return err
	}
	q.Offset, q.Limit = page.offset, page.size
	found, err := f.service.SearchCommits(r.Context(), r.who, r.repo.Name, q)
	if err != nil {
		return err
	}
	list := make([]oldCommitBody, len(found.Commits))
	for i, c := range found.Commits {
		list[i] = newOldCommitBody(c)
	}
	return answer(w, map[string]any{"commits": list, "total": found.Total})
}

// day reads a date of the query, the beginning of that day.
func (r *request) day(name string) (time.Time, error) { return r.time(name, time.DateOnly) }

// time reads a time of the query; zero if there is none.
func (r *request) time(name, layout string) (time.Time, error) {
	text := r.query.Get(name)
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(layout, text)
	if err != nil {
		return t, cairn.Errorf(cairn.Invalid, "%s is %q: use the form %s", name, cairn.Clip(text), layout)
	}
	return t, nil
}

// boolean reads a flag of the query.
func (r *request) boolean(name string, usual bool) (bool, error) {
	text := r.query.Get(name)
	if text == "" {
		return usual, nil
	}
	value, err := strconv.ParseBool(text)
	if err != nil {
		return false, cairn.Errorf(cairn.Invalid, "%s is %q: use true or false", name, cairn.Clip(text))
	}
	return value, nil
}

// listCommits lists commits as /v2 does: a bare list, without a total.
func (f *Face) listCommits(w http.ResponseWriter, r *request) error {
	q := service.CommitSearch{Revision: service.Revision{Name: r.query.Get("ref_name")}, Path: r.query.Get("path")}
	var err error
	if q.Since, err = r.time("since", time.RFC3339); err != nil {
		return err
	}
	if q.Until, err = r.time("until", time.RFC3339); err != nil {
		return err
	}
	if q.AllBranches, err = r.boolean("all", false); err != nil {
		return err
	}
	stats, err := r.boolean("with_stats", false)
	if err != nil {
		return err
	}
	page, err := r.page("page", "per_page", 20)
	if err != nil {
		return err
	}
	q.Offset, q.Limit = page.offset, page.size
	found, err := f.service.SearchCommits(r.Context(), r.who, r.repo.Name, q)
	if err != nil {
		return err
	}
	list := make([]*commitBody, len(found.Commits))
	for i, c := range found.Commits {
		list[i] = newCommitBody(c)
		if !stats {
			continue
		}
		if err := f.addStats(r.Context(), r.who, r.repo.Name, list[i]); err != nil {
			return err
		}
	}
	return answer(w, list)
}

func (f *Face) showCommit(w http.ResponseWriter, r *request) error {
	stats, err := r.boolean("stats", true)
	if err != nil {
		return err
	}
	c, err := f.service.Commit(r.Context(), r.who, r.repo.Name, service.Revision{Name: r.path["sha"]})
	if err != nil {
		return err
	}
	body := newCommitBody(c.Commit)
	if stats {
		err = f.addStats(r.Context(), r.who, r.repo.Name, body)
	}
	if err != nil {
		return err
	}
	return answer(w, body)
}

// diffBody is what a commit did to one file.
type diffBody struct {
	OldPath string `json:"old_path"`
	NewPath string `json:"new_path"`
	OldMode string `json:"a_mode"`
	NewMode string `json:"b_mode"`
	Diff    string `json:"diff"`
	IsNew   bool   `json:"new_file"`
	Renamed bool   `json:"renamed_file"`
	Deleted bool   `json:"deleted_file"`
}

func (f *Face) commitDiff(w http.ResponseWriter, r *request) error {
	diff, err := f.service.CommitDiff(r.Context(), r.who, r.repo.Name, service.CommitDiffQuery{
		Commit: service.Revision{Name: r.path["sha"]}, DiffOptions: service.DiffOptions{Exact: true},
	})
	if err != nil {
		return err
	}
	list := []diffBody{}
	for _, file := range append(diff.Files, diff.Filtered...) {
		list = append(list, newDiffBody(file))
	}
	return answer(w, list)
}

// newDiffBody shows the change of one file; the header of its text has the
// modes, the hunks after it are the text here.
func newDiffBody(file service.FileDiff) diffBody {
	b := diffBody{OldPath: file.Path, NewPath: file.Path}
	if file.OldPath != "" {
		b.OldPath = file.OldPath
	}
	b.OldMode, b.NewMode = file.OldMode.String(), file.NewMode.String()
	switch file.State[0] {
	case 'A':
		b.IsNew = true
	case 'D':
		b.Deleted = true
	case 'R':
		b.Renamed = true
	}
	if at := strings.Index(file.Raw, "\n@@ "); at >= 0 {
		b.Diff = file.Raw[at+1:]
	}
	return b
}

// Bounds of a commit.
const (
	maxActions       = 100
	maxCommitMessage = 2000 // characters
	maxBranch        = 200  // characters
)

// newCommit is the body of a commit.
type newCommit struct {
	Branch      string   `json:"branch"`
	Message     string   `json:"commit_message"`
	Actions     []action `json:"actions"`
	StartBranch string   `json:"start_branch"`
	AuthorEmail string   `json:"author_email"`
	AuthorName  string   `json:"author_name"`
	Stats       *bool    `json:"stats"`
	Force       bool     `json:"force"`
}

// action is one change of a commit.
type action struct {
	Kind       string  `json:"action"`
	Path       string  `json:"file_path"`
	OldPath    string  `json:"previous_path"`
	Content    *string `json:"content"`
	Encoding   string  `json:"encoding"`
	LastCommit string  `json:"last_commit_id"`
	Executable bool    `json:"execute_filemode"`
}

func (f *Face) createCommit(w http.ResponseWriter, r *request) error {
	if err := admission.Enter(r.Context(), admission.Commit); err != nil {
		return err // as the body is held whole
	}
	in, err := decode[newCommit](r)
	if err != nil {
		return err
	}
	if err := in.check(); err != nil {
		return err
	}
	made, err := f.commitActions(r, in)
	if err != nil {
		return err
	}
	c, err := f.service.Commit(r.Context(), r.who, r.repo.Name, service.Revision{Name: made.String()})
	if err != nil {
		return err
	}
	body := newCommitBody(c.Commit)
	if in.Stats == nil || *in.Stats {
		if err := f.addStats(r.Context(), r.who, r.repo.Name, body); err != nil {
			return err
		}
	}
	return answer(w, body)
}

func (in newCommit) check() error {
	switch {
	case in.Branch == "" || utf8.RuneCountInString(in.Branch) > maxBranch || utf8.RuneCountInString(in.StartBranch) > maxBranch:
		return cairn.Errorf(cairn.Invalid, "branch has 1 to %d characters, start_branch no more", maxBranch)
	case utf8.RuneCountInString(in.Message) > maxCommitMessage:
		return cairn.Errorf(cairn.Invalid, "commit_message has more than %d characters", maxCommitMessage)
	case len(in.Actions) == 0 || len(in.Actions) > maxActions:
		return cairn.Errorf(cairn.Invalid, "actions are 1 to %d", maxActions)
	case in.Force && in.StartBranch == "":
		return cairn.Errorf(cairn.Invalid, "force goes with start_branch")
	}
	return nil
}

// maxCommitTries is how often a commit is made anew that another one overtook.
const maxCommitTries = 10

// commitActions makes a commit on the state that it looked at; if that is not
// the present one any more, it looks again.
func (f *Face) commitActions(r *request, in newCommit) (git.ObjectID, error) {
	for try := 1; ; try++ {
		made, err := f.tryCommit(r, in)
		if !errors.Is(err, cairn.Stale) || try == maxCommitTries {
			return made, err
		}
	}
}

// tryCommit makes a commit on the branch where it is, or on a new one that
// begins at start_branch. With force the branch is moved to a commit on
// start_branch, wherever it was: that one is made in the ephemeral namespace, so
// that the branch moves once.
func (f *Face) tryCommit(r *request, in newCommit) (git.ObjectID, error) {
	ctx, repo := r.Context(), r.repo.Name
	target := service.CommitTarget{Branch: in.Branch, Base: in.StartBranch}
	if in.Force {
		target.Branch, target.Ephemeral = "codearts/"+strings.ToLower(cairn.NewID()), true
	}
	head, err := f.headOf(ctx, r.who, repo, in)
	if err != nil {
		return git.ObjectID{}, err
	}
	if !head.IsZero() {
		target.Expected = head.String()
	}
	commit := service.CommitRequest{CommitTarget: target, CommitInfo: service.CommitInfo{Message: in.Message, Author: author(r.who, in.AuthorEmail)}}
	if in.AuthorName != "" {
		commit.Author.Name = in.AuthorName
	}
	contents := make(map[string][]byte)
	for i, a := range in.Actions {
		changes, err := f.changes(ctx, r.who, repo, head, a, strconv.Itoa(i), contents)
		if err != nil {
			return git.ObjectID{}, err
		}
		commit.Files = append(commit.Files, changes...)
	}
	made, err := f.commit(ctx, r.who, repo, commit, contents)
	if err != nil || !in.Force {
		return made, err
	}
	_, err = f.service.CreateBranch(ctx, r.who, repo, service.NewBranch{Name: in.Branch, Base: made.String(), BaseEphemeral: true, Force: true})
	return made, errors.Join(err, f.service.DeleteBranch(ctx, r.who, repo, target.Branch, true))
}

// headOf is the commit that a new one comes on top of; zero if it is the first.
func (f *Face) headOf(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, in newCommit) (git.ObjectID, error) {
	if !in.Force {
		branch, err := f.service.Branch(ctx, who, repo, service.Revision{Name: in.Branch})
		if err == nil || !errors.Is(err, cairn.NotFound) || in.StartBranch == "" {
			if errors.Is(err, cairn.NotFound) {
				err = nil
			}
			return branch.Head, err
		}
	}
	branch, err := f.service.Branch(ctx, who, repo, service.Revision{Name: in.StartBranch})
	return branch.Head, err
}

// author is who a commit is by: the holder of the key.
func author(who cairn.Actor, email string) service.Identity {
	if email == "" {
		email = "noreply@" + string(who.Organization.Name) + ".invalid"
	}
	return service.Identity{Name: who.Name, Email: email}
}

// commit makes a commit of whole files.
func (f *Face) commit(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, in service.CommitRequest, contents map[string][]byte) (git.ObjectID, error) {
	writer, err := f.service.BeginCommit(ctx, who, repo, in)
	if err != nil {
		return git.ObjectID{}, err
	}
	defer writer.Close()
	for id, data := range contents {
		if err := writer.AddChunk(ctx, id, data, true); err != nil {
			return git.ObjectID{}, err
		}
	}
	made, err := writer.Commit(ctx)
	return made.Commit, err
}

// changes are what an action does to paths, on top of a commit; zero is none. It
// puts contents under the given name.
func (f *Face) changes(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, head git.ObjectID, a action, name string, contents map[string][]byte) ([]service.FileChange, error) {
	content, err := a.content()
	if err != nil {
		return nil, err
	}
	look := a.Path
	if a.Kind == "move" {
		look = a.OldPath
	}
	old, err := f.oldFile(ctx, who, repo, head, look, content == nil && (a.Kind == "move" || a.Kind == "chmod"), maxLargeBody-totalSize(contents))
	if err != nil {
		return nil, err
	}
	switch {
	case a.Kind == "create" && old != nil:
		return nil, cairn.Errorf(cairn.Conflict, "a file %q exists already", cairn.Clip(a.Path))
	case a.Kind != "create" && old == nil:
		return nil, cairn.Errorf(cairn.Invalid, "there is no file %q", cairn.Clip(look))
	case old != nil && a.LastCommit != "" && a.LastCommit != old.LastCommit.String():
		return nil, cairn.Errorf(cairn.Conflict, "file %q was changed last by commit %s", cairn.Clip(look), old.LastCommit)
	}
	change := service.FileChange{Path: a.Path, ContentID: name}
	if content == nil && old != nil {
		content = old.content
	}
	switch a.Kind {
	case "delete":
		return []service.FileChange{{Path: a.Path, Delete: true}}, nil
	case "move":
		change.Mode = old.Mode
	case "chmod":
		change.Mode = git.ModeFile
		if a.Executable {
			change.Mode = git.ModeExecutable
		}
	}
	contents[name] = content
	if a.Kind == "move" {
		return []service.FileChange{{Path: a.OldPath, Delete: true}, change}, nil
	}
	return []service.FileChange{change}, nil
}

// content is what an action brings; nil if nothing.
func (a action) content() ([]byte, error) {
	switch a.Kind {
	case "create", "update":
		if a.Content == nil {
			return nil, cairn.Errorf(cairn.Invalid, "action %s of %q needs content", a.Kind, cairn.Clip(a.Path))
		}
	case "move":
		if a.OldPath == "" {
			return nil, cairn.Errorf(cairn.Invalid, "action move to %q needs previous_path", cairn.Clip(a.Path))
		}
	case "delete", "chmod":
		return nil, nil
	default:
		return nil, cairn.Errorf(cairn.Invalid, "action %q: use create, update, move, delete or chmod", cairn.Clip(a.Kind))
	}
	if a.Content == nil {
		return nil, nil
	}
	switch a.Encoding {
	case "", "text":
		return []byte(*a.Content), nil
	case "base64":
		data, err := base64.StdEncoding.DecodeString(*a.Content)
		if err != nil {
			return nil, cairn.Errorf(cairn.Invalid, "content of %q is not base64", cairn.Clip(a.Path))
		}
		return data, nil
	}
	return nil, cairn.Errorf(cairn.Invalid, "encoding %q: use text or base64", cairn.Clip(a.Encoding))
}

// oldFile is a file as it was before an action.
type oldFile struct {
	service.File
	content []byte
}

// oldFile looks a file up; nil if there is none. Its content may have so many
// bytes.
func (f *Face) oldFile(ctx context.Context, who cairn.Actor, repo cairn.RepositoryName, head git.ObjectID, path string, withContent bool, room int64) (*oldFile, error) {
	if head.IsZero() {
		return nil, nil
	}
	file, err := f.service.OpenFile(ctx, who, repo, service.Revision{Name: head.String()}, path)
	if errors.Is(err, cairn.NotFound) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	defer file.Close()
	old := &oldFile{File: *file}
	if withContent {
		old.content, err = readFile(ctx, file, room)
	}
	return old, err
}

func totalSize(contents map[string][]byte) (n int64) {
	for _, data := range contents {
		n += int64(len(data))
	}
	return n
}

// readFile reads a file whole, into memory.
func readFile(ctx context.Context, file *service.File, limit int64) ([]byte, error) {
	if file.Size > limit {
		return nil, cairn.Errorf(cairn.TooLarge, "file %q has more than %d bytes; use Git for it", cairn.Clip(file.Path), limit)
	}
	content, err := file.Content(ctx)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	return io.ReadAll(content)
}
