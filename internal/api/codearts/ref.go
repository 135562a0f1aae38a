package codearts

import (
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/service"
)

var refRoutes = []route{
	{method: "GET", pattern: "/v1/repositories/{repository}/branches", handle: (*Face).listBranchNames},
	{method: "GET", pattern: "/v2/repositories/{repository}/branches", handle: (*Face).listBranches},
	{method: "POST", pattern: "/v2/repositories/{repository}/branches", handle: (*Face).createBranch},
	{method: "GET", pattern: "/v2/repositories/{repository}/tags", handle: (*Face).listTags},
	{method: "POST", pattern: "/v2/repositories/{repository}/tags", handle: (*Face).createTag},
}

// branches returns all branches, the oldest first.
func (f *Face) branches(r *request) (list []service.Branch, err error) {
	for q := (service.BranchesQuery{Limit: refsPerPage}); ; {
		page, err := f.service.ListBranches(r.Context(), r.who, r.repo.Name, q)
		list = append(list, page.Branches...)
		if err != nil || page.Next == "" {
			return list, err
		}
		q.Cursor = page.Next
	}
}

// refsPerPage is how many refs are read at a time.
const refsPerPage = 100

func (f *Face) listBranchNames(w http.ResponseWriter, r *request) error {
	branches, err := f.branches(r)
	if err != nil {
		return err
	}
	type branch struct {
		Name        string `json:"name"`
		IsProtected bool   `json:"is_protected"`
	}
	list := make([]branch, len(branches))
	for i, b := range branches {
		list[i] = branch{Name: b.Name}
	}
	return answer(w, map[string]any{"branches": list, "total": len(list)})
}

// branchBody is a branch of a listing.
type branchBody struct {
	Name   string `json:"name"`
	Commit struct {
		ID            string `json:"id"`
		ShortID       string `json:"short_id"`
		Title         string `json:"title"`
		Message       string `json:"message"`
		CommitterName string `json:"committer_name"`
		CommittedDate string `json:"committed_date"`
	} `json:"commit"`
	Counts struct {
		Ahead  int `json:"ahead"`
		Behind int `json:"behind"`
	} `json:"diverging_commit_counts"`
}

func (f *Face) listBranches(w http.ResponseWriter, r *request) error {
	page, err := r.page("page", "per_page", 20)
	if err != nil {
		return err
	}
	all, err := f.branches(r)
	if err != nil {
		return err
	}
	var names []string
	for _, b := range all {
		if strings.Contains(strings.ToLower(b.Name), strings.ToLower(r.query.Get("match"))) {
			names = append(names, b.Name)
		}
	}
	total := len(names)
	names = names[min(page.offset, total):min(page.offset+page.size, total)]
	counts, err := f.service.Divergences(r.Context(), r.who, r.repo.Name, names)
	if err != nil {
		return err
	}
	list := make([]branchBody, len(names))
	for i, name := range names {
		c, err := f.service.Commit(r.Context(), r.who, r.repo.Name, service.Revision{Name: "refs/heads/" + name})
		if err != nil {
			return err
		}
		b := &list[i]
		b.Name = name
		b.Commit.ID, b.Commit.ShortID, b.Commit.Title, b.Commit.Message = c.ID.String(), c.ID.String()[:shortID], c.Summary(), c.Message
		b.Commit.CommitterName, b.Commit.CommittedDate = c.Committer.Name, sdkTime(c.Committer.When)
		b.Counts.Ahead, b.Counts.Behind = counts[i].Ahead, counts[i].Behind
	}
	return answer(w, map[string]any{"branches": list, "total": total})
}

// branchDetail is a branch that was made.
type branchDetail struct {
	Name               string      `json:"name"`
	Commit             *commitBody `json:"commit"`
	Protected          bool        `json:"protected"`
	DevelopersCanPush  bool        `json:"developers_can_push"`
	DevelopersCanMerge bool        `json:"developers_can_merge"`
	MasterCanPush      bool        `json:"master_can_push"`
	MasterCanMerge     bool        `json:"master_can_merge"`
	NoOneCanPush       bool        `json:"no_one_can_push"`
	NoOneCanMerge      bool        `json:"no_one_can_merge"`
	InOpenRequest      bool        `json:"in_an_opened_merge_request"`
}

func (f *Face) createBranch(w http.ResponseWriter, r *request) error {
	in, err := decode[struct {
		Name string `json:"branch_name"`
		Ref  string `json:"ref"`
	}](r)
	if err != nil {
		return err
	}
	if err := checkBranchName(in.Name); err != nil {
		return err
	}
	if in.Ref == "" {
		return cairn.Errorf(cairn.Invalid, "ref is required: the branch to start from")
	}
	// What is there already stays where it is: it is not made.
	_, err = f.service.Branch(r.Context(), r.who, r.repo.Name, service.Revision{Name: in.Name})
	if err == nil {
		return cairn.Errorf(cairn.Conflict, "branch %q exists already", in.Name)
	}
	made, err := f.service.CreateBranch(r.Context(), r.who, r.repo.Name, service.NewBranch{Name: in.Name, Base: in.Ref})
	if err != nil {
		return err
	}
	c, err := f.service.Commit(r.Context(), r.who, r.repo.Name, service.Revision{Name: made.Head.String()})
	if err != nil {
		return err
	}
	return answer(w, branchDetail{
		Name: made.Name, Commit: newCommitBody(c.Commit),
		DevelopersCanPush: true, DevelopersCanMerge: true, MasterCanPush: true, MasterCanMerge: true,
	})
}

// checkBranchName holds names to the rules of this API beside Git's own.
func checkBranchName(name string) error {
	ok := name != "" && utf8.RuneCountInString(name) <= maxBranch && !strings.ContainsAny(name, " [\\<~^:?*!()'\"|")
	for _, begin := range []string{"-", ".", "refs/heads/", "refs/remotes/"} {
		ok = ok && !strings.HasPrefix(name, begin)
	}
	for _, end := range []string{".", "/", ".lock"} {
		ok = ok && !strings.HasSuffix(name, end)
	}
	if !ok {
		return cairn.Errorf(cairn.Invalid, "branch_name %q is not the name of a branch", cairn.Clip(name))
	}
	return nil
}

func (f *Face) listTags(w http.ResponseWriter, r *request) error {
	type tag struct {
		Name         string `json:"name"`
		IsDoubleName bool   `json:"is_double_name"`
	}
	branches, err := f.branches(r)
	if err != nil {
		return err
	}
	isBranch := make(map[string]bool, len(branches))
	for _, b := range branches {
		isBranch[b.Name] = true
	}
	list := []tag{}
	for q := (service.TagsQuery{Limit: refsPerPage}); ; {
		page, err := f.service.ListTags(r.Context(), r.who, r.repo.Name, q)
		if err != nil {
			return err
		}
		for _, t := range page.Tags {
			list = append(list, tag{t.Name, isBranch[t.Name]})
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			return answer(w, map[string]any{"tags": list, "total": len(list)})
		}
	}
}

// createTag makes a tag. With a message it is one with a text of its own.
func (f *Face) createTag(w http.ResponseWriter, r *request) error {
	in, err := decode[struct {
		Name    string `json:"tag_name"`
		Ref     string `json:"ref"`
		Message string `json:"message"`
	}](r)
	if err != nil {
		return err
	}
	if in.Name == "" || in.Ref == "" {
		return cairn.Errorf(cairn.Invalid, "tag_name and ref are required")
	}
	made, err := f.service.CreateTag(r.Context(), r.who, r.repo.Name, service.NewTag{
		Name: in.Name, At: service.Revision{Name: in.Ref}, Message: in.Message, Tagger: author(r.who, ""),
	})
	if err != nil {
		return err
	}
	c, err := f.service.Commit(r.Context(), r.who, r.repo.Name, service.Revision{Name: made.Commit.String()})
	if err != nil {
		return err
	}
	return answer(w, map[string]any{"name": made.Name, "message": in.Message, "commit": newCommitBody(c.Commit)})
}
