package gogs

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cairn-storage/cairn/internal/api"
	"github.com/cairn-storage/cairn/internal/cairn"
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
	if err != nil && cairn.KindOf(err) == cairn.Invalid {
		return cairn.Errorf(cairn.NotFound, "%w", err)
	}
	return err
}

func (f *Face) listBranches(w http.ResponseWriter, in *request) error {
	var names []string
	for cursor := ""; len(names) < maxRefs; {
		page, err := f.service.ListBranches(in.Context(), in.who, in.repo.Name, service.BranchesQuery{Cursor: cursor, Limit: maxRefs})
		if err != nil {
			return err
		}
		for _, b := range page.Branches {
			names = append(names, b.Name)
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	slices.Sort(names)
	return f.writeRefs(w, in, "refs/heads/", cut(in, names))
}

func (f *Face) listTags(w http.ResponseWriter, in *request) error {
	var names []string
	for cursor := ""; len(names) < maxRefs; {
		page, err := f.service.ListTags(in.Context(), in.who, in.repo.Name, service.TagsQuery{Cursor: cursor, Limit: maxRefs})
		if err != nil {
			return err
		}
		for _, t := range page.Tags {
			names = append(names, t.Name)
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	return f.writeRefs(w, in, "refs/tags/", cut(in, names))
}

// writeRefs answers with refs and their commits. A tag of no commit has none.
func (f *Face) writeRefs(w http.ResponseWriter, in *request, prefix string, names []string) error {
	known := f.people(in.Context())
	shown := make([]branch, 0, len(names))
	for _, name := range names {
		c, err := f.service.Commit(in.Context(), in.who, in.repo.Name, service.Revision{Name: prefix + name})
		if err != nil && cairn.KindOf(err) == cairn.NotFound {
			continue // deleted meanwhile
		} else if err != nil {
			return err
		}
		commit, err := f.showPayloadCommit(known, in, c.Commit)
		if err != nil {
			return err
		}
		shown = append(shown, branch{name, commit})
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
	commit, err := f.showPayloadCommit(f.people(in.Context()), in, c.Commit)
	if err != nil {
		return err
	}
	return api.Write(w, http.StatusOK, branch{name, commit})
}

// releases answers with the releases, of which the API can make none.
func (f *Face) releases(w http.ResponseWriter, _ *request) error {
	return api.Write(w, http.StatusOK, []struct{}{})
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

func (f *Face) showCommit(p *people, in *request, c service.Commit) (*commit, error) {
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
	var err error
	if shown.Author, err = p.find(c.Author.Email); err != nil {
		return nil, err
	}
	shown.Committer, err = p.find(c.Committer.Email)
	return shown, err
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
	if err != nil && cairn.KindOf(err) == cairn.NotFound && q.Name == "" {
		page, err = service.CommitPage{}, nil // nothing was committed yet
	}
	if err != nil {
		return notThere(err)
	}
	known := f.people(in.Context())
	shown := make([]*commit, len(page.Commits))
	for i, c := range page.Commits {
		if shown[i], err = f.showCommit(known, in, c); err != nil {
			return err
		}
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
	shown, err := f.showCommit(f.people(in.Context()), in, c.Commit)
	if err != nil {
		return err
	}
	return api.Write(w, http.StatusOK, shown)
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
