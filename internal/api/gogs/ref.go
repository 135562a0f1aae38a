package gogs

import (
	"context"
	"encoding/binary"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/git"
	"github.com/cairn-storage/cairn/internal/service"
)

// Bounds of lists.
const (
	maxRefs        = 10_000 // branches or tags of one answer
	commitsPerPage = 30
	maxCommits     = 100
)

// branch is a branch or a tag.
type branch struct {
	Name   string         `json:"name"`
	Commit *payloadCommit `json:"commit"`
}

// notThere makes what no name can be a thing that is not there.
func notThere(err error) error {
	if cairn.KindOf(err) == cairn.Invalid {
		return cairn.Errorf(cairn.NotFound, "%w", err)
	}
	return err
}

func (f *Face) listBranches(w http.ResponseWriter, in *request) error {
	skip, limit := in.part(maxRefs)
	tips, err := f.service.BranchTips(in.Context(), in.who, in.repo.Name, skip, limit)
	if err != nil {
		return err
	}
	return f.writeTips(w, in, tips)
}

func (f *Face) listTags(w http.ResponseWriter, in *request) error {
	skip, limit := in.part(maxRefs)
	tips, err := f.service.TagTips(in.Context(), in.who, in.repo.Name, skip, limit)
	if err != nil {
		return err
	}
	return f.writeTips(w, in, tips)
}

func (f *Face) writeTips(w http.ResponseWriter, in *request, tips []service.Tip) error {
	var by []git.Signature
	for _, tip := range tips {
		by = append(by, tip.Commit.Author, tip.Commit.Committer)
	}
	known, err := f.people(in, by)
	if err != nil {
		return err
	}
	shown := make([]branch, len(tips))
	for i, tip := range tips {
		shown[i] = branch{tip.Name, f.showPayloadCommit(known, in, tip.Commit)}
	}
	return api.Write(w, http.StatusOK, shown)
}

func (f *Face) branch(w http.ResponseWriter, in *request) error {
	name := in.PathValue("branch")
	c, err := f.service.Commit(in.Context(), in.who, in.repo.Name, service.Revision{Name: "refs/heads/" + name})
	if err != nil {
		return notThere(err)
	}
	if _, err := f.service.Branch(in.Context(), in.who, in.repo.Name, service.Revision{Name: name}); err != nil {
		return notThere(err)
	}
	known, err := f.people(in, authors(c.Commit))
	if err != nil {
		return err
	}
	return api.Write(w, http.StatusOK, branch{name, f.showPayloadCommit(known, in, c.Commit)})
}

// release is a version that somebody published.
type release struct {
	ID         int64     `json:"id"`
	Tag        string    `json:"tag_name"`
	Target     string    `json:"target_commitish"`
	Name       string    `json:"name"`
	Body       string    `json:"body"`
	Draft      bool      `json:"draft"`
	Prerelease bool      `json:"prerelease"`
	Author     user      `json:"author"`
	CreatedAt  time.Time `json:"created_at"`
}

// releases answers with the annotated tags: of all that is stored they are what
// people make to publish a version, with a title, a text and an author.
func (f *Face) releases(w http.ResponseWriter, in *request) error {
	list, err := f.service.Releases(in.Context(), in.who, in.repo.Name)
	if err != nil {
		return err
	}
	list = cut(in, list)
	taggers := make([]git.Signature, len(list))
	for i, r := range list {
		taggers[i] = r.Tagger
	}
	known, err := f.people(in, taggers)
	if err != nil {
		return err
	}
	shown := make([]release, len(list))
	for i, r := range list {
		author := f.userOf(known, r.Tagger)
		if author == nil { // nobody that this server knows
			author = &user{FullName: r.Tagger.Name, Email: r.Tagger.Email}
		}
		if in.login.Nobody() {
			author.Email = ""
		}
		shown[i] = release{
			ID: releaseID(r.ID), Tag: r.Tag, Target: r.Commit.String(), Name: r.Title, Body: r.Text, Author: *author, CreatedAt: second(r.Tagger.When),
		}
	}
	return api.Write(w, http.StatusOK, shown)
}

// releaseID makes a number of the id of a tag: its first 52 bits, which programs
// that know only floating-point numbers can tell apart too.
func releaseID(id git.ObjectID) int64 {
	return int64(binary.BigEndian.Uint64(id.AppendTo(nil)) >> 12)
}

type signature struct {
	Name  string    `json:"name"`
	Email string    `json:"email"`
	Date  time.Time `json:"date"`
}

type link struct {
	URL string `json:"url"`
	SHA string `json:"sha"`
}

// commit is a commit in full.
type commit struct {
	link
	HTMLURL string `json:"html_url"`
	Commit  struct {
		URL       string    `json:"url"`
		Author    signature `json:"author"`
		Committer signature `json:"committer"`
		Message   string    `json:"message"`
		Tree      link      `json:"tree"`
	} `json:"commit"`
	Author    *user  `json:"author"`
	Committer *user  `json:"committer"`
	Parents   []link `json:"parents"`
}

func (f *Face) showCommit(p people, in *request, c service.Commit) *commit {
	id := c.ID.String()
	shown := &commit{link: link{f.commitURL(in, id), id}, HTMLURL: f.pageOf(in) + "/commits/" + id, Parents: []link{}}
	shown.Commit.URL = shown.URL
	shown.Commit.Author = signature{c.Author.Name, c.Author.Email, c.Author.When}
	shown.Commit.Committer = signature{c.Committer.Name, c.Committer.Email, c.Committer.When}
	shown.Commit.Message = c.Summary()
	shown.Commit.Tree = link{f.address(in) + "/git/trees/" + c.Tree.String(), c.Tree.String()}
	for _, parent := range c.Parents {
		shown.Parents = append(shown.Parents, link{f.commitURL(in, parent.String()), parent.String()})
	}
	shown.Author, shown.Committer = f.userOf(p, c.Author), f.userOf(p, c.Committer)
	return shown
}

// listCommits gives the newest commits of the default branch, or of sha, that
// changed path.
func (f *Face) listCommits(w http.ResponseWriter, in *request) error {
	query := in.URL.Query()
	size := commitsPerPage
	if text := query.Get("pageSize"); text != "" {
		var err error
		if size, err = strconv.Atoi(text); err != nil || size < 0 {
			return &problem{http.StatusBadRequest, "pageSize is not a number from 0"}
		}
		if size == 0 {
			size = commitsPerPage
		}
	}
	q := service.CommitsQuery{Revision: service.Revision{Name: query.Get("sha")}, Path: query.Get("path"), Limit: min(size, maxCommits)}
	page, err := f.service.ListCommits(in.Context(), in.who, in.repo.Name, q)
	if cairn.KindOf(err) == cairn.NotFound && q.Name == "" {
		page, err = service.CommitPage{}, nil // nothing was committed yet
	}
	if err != nil {
		return notThere(err)
	}
	known, err := f.people(in, authors(page.Commits...))
	if err != nil {
		return err
	}
	shown := make([]*commit, len(page.Commits))
	for i, c := range page.Commits {
		shown[i] = f.showCommit(known, in, c)
	}
	return api.Write(w, http.StatusOK, shown)
}

// commit answers with a commit or, for who asks for it or names a ref with
// slashes, with the id of the commit of a branch or a tag as text.
func (f *Face) commit(w http.ResponseWriter, in *request) error {
	rev := in.PathValue("commit")
	if strings.Contains(rev, "/") || strings.Contains(in.Header.Get("Accept"), "application/vnd.gogs.sha") {
		return f.referenceSHA(w, in, rev)
	}
	c, err := f.service.Commit(in.Context(), in.who, in.repo.Name, service.Revision{Name: rev})
	if err != nil {
		return notThere(err)
	}
	known, err := f.people(in, authors(c.Commit))
	if err != nil {
		return err
	}
	return api.Write(w, http.StatusOK, f.showCommit(known, in, c.Commit))
}

func (f *Face) referenceSHA(w http.ResponseWriter, in *request, name string) error {
	candidates := []string{"refs/heads/" + name, "refs/tags/" + name}
	if strings.HasPrefix(name, "refs/heads/") || strings.HasPrefix(name, "refs/tags/") {
		candidates = []string{name}
	}
	var err error
	for _, full := range candidates {
		var c service.SignedCommit
		if c, err = f.service.Commit(in.Context(), in.who, in.repo.Name, service.Revision{Name: full}); err == nil {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			_, err = io.WriteString(w, c.ID.String())
			api.NoteError(in.Request, err)
			return nil
		}
	}
	return notThere(err)
}

// splitRef parts a branch or a tag, which may hold slashes, from the path after
// it: the shortest that there is. What else comes first is taken for a commit.
func (f *Face) splitRef(ctx context.Context, in *request, text string) (rev, path string, err error) {
	for i := range len(text) + 1 {
		if i < len(text) && text[i] != '/' {
			continue
		}
		name := text[:i]
		for _, prefix := range []string{"refs/heads/", "refs/tags/"} {
			_, err := f.service.Commit(ctx, in.who, in.repo.Name, service.Revision{Name: prefix + name})
			if err == nil {
				return prefix + name, strings.TrimPrefix(text[i:], "/"), nil
			}
			if kind := cairn.KindOf(err); kind != cairn.NotFound && kind != cairn.Invalid {
				return "", "", err
			}
		}
		if strings.Count(name, "/") >= maxRefDepth {
			break
		}
	}
	rev, path, _ = strings.Cut(text, "/")
	return rev, path, nil
}

// maxRefDepth is how many slashes a branch may hold whose files are asked for
// with the path after it.
const maxRefDepth = 16
