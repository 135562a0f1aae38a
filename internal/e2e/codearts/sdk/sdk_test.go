package sdk

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/auth/basic"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/sdkerr"
	codeartsrepo "github.com/huaweicloud/huaweicloud-sdk-go-v3/services/codeartsrepo/v3"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/services/codeartsrepo/v3/model"
)

// The server under test; whoever starts it says where it is.
var (
	server      = os.Getenv("CAIRN_TEST_SERVER")
	accessKey   = os.Getenv("CAIRN_TEST_ACCESS_KEY")
	secretKey   = os.Getenv("CAIRN_TEST_SECRET_KEY")
	user        = os.Getenv("CAIRN_TEST_USER")
	userID      = os.Getenv("CAIRN_TEST_USER_ID")
	password    = os.Getenv("CAIRN_TEST_PASSWORD")
	project     = os.Getenv("CAIRN_TEST_PROJECT")
	upstream    = os.Getenv("CAIRN_TEST_UPSTREAM")
	upstreamTip = os.Getenv("CAIRN_TEST_UPSTREAM_TIP")
)

const group = "acme/web"

func TestMain(m *testing.M) {
	home, err := os.MkdirTemp("", "cairn-home-") // where the SDK writes a file
	if err != nil {
		panic(err)
	}
	os.Setenv("HOME", home)
	code := m.Run()
	os.RemoveAll(home)
	os.Exit(code)
}

func newClient(t *testing.T, ak, sk, iamProject string) *codeartsrepo.CodeArtsRepoClient {
	t.Helper()
	credentials := basic.NewCredentialsBuilder().WithAk(ak).WithSk(sk)
	if iamProject != "" {
		credentials = credentials.WithProjectId(iamProject)
	}
	auth, err := credentials.SafeBuild()
	if err != nil {
		t.Fatal(err)
	}
	h, err := codeartsrepo.CodeArtsRepoClientBuilder().WithEndpoint(server).WithCredential(auth).SafeBuild()
	if err != nil {
		t.Fatal(err)
	}
	return codeartsrepo.NewCodeArtsRepoClient(h)
}

func p[T any](v T) *T { return &v }

// must ends the test after an error.
func must(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// refused checks an error of the server.
func refused(t *testing.T, what string, err error, status int, code string) {
	t.Helper()
	var failed *sdkerr.ServiceResponseError
	if !errors.As(err, &failed) {
		t.Errorf("%s: got %v, want a refusal", what, err)
		return
	}
	if failed.StatusCode != status || failed.ErrorCode != code || failed.RequestId == "" || failed.ErrorMessage == "" {
		t.Errorf("%s: got %+v, want %d %s", what, failed, status, code)
	}
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := tryGit(dir, args...)
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return out
}

// tryGit is git for what may fail.
func tryGit(dir string, args ...string) (string, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0")
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// TestSDK makes the calls in the order in which a program would.
func TestSDK(t *testing.T) {
	if server == "" {
		t.Skip("CAIRN_TEST_SERVER is not set: the package above runs this")
	}
	s := &session{T: t, c: newClient(t, accessKey, secretKey, "")}
	s.create()
	s.show()
	s.list()
	s.commits()
	s.files()
	s.archive()
	s.branches()
	s.tags()
	s.hooks()
	s.members()
	s.keys()
	s.keysV4()
	s.wrongRequests()
	s.credentials()
	s.imports()
	s.remove()
}

// session is a repository and what is known of it.
type session struct {
	*testing.T
	c             *codeartsrepo.CodeArtsRepoClient
	uuid          string
	id            int32
	url           string
	first, second string // commits
}

var (
	isUUID   = regexp.MustCompile(`^[0-9a-f]{32}$`)
	isCommit = regexp.MustCompile(`^[0-9a-f]{40}$`)
)

func (s *session) isFree(name string) bool {
	s.Helper()
	free, err := s.c.ShowRepositoryNameExist(&model.ShowRepositoryNameExistRequest{ProjectUuid: project, RepositoryName: name})
	must(s.T, "ShowRepositoryNameExist", err)
	return *free.Result
}

func (s *session) status(uuid string) int32 {
	s.Helper()
	status, err := s.c.ListRepositoryStatus(&model.ListRepositoryStatusRequest{RepositoryUuid: uuid})
	must(s.T, "ListRepositoryStatus", err)
	return *status.Result
}

func (s *session) create() {
	equal(s.T, "a name before", s.isFree("demo1"), true)
	made, err := s.c.CreateRepository(&model.CreateRepositoryRequest{Body: &model.CreateRepoRequest{
		Name: "demo1", ProjectUuid: project, Description: p("A demo"), EnableReadme: p[int32](1),
		GitignoreId: p("Go"), LicenseId: p[int32](2), VisibilityLevel: p[int32](0), ImportMembers: p[int32](1),
	}})
	must(s.T, "CreateRepository", err)
	equal(s.T, "status", made.HttpStatusCode, http.StatusOK)
	if *made.Status != "success" || made.Error != nil || !isUUID.MatchString(*made.Result.RepositoryUuid) {
		s.Fatalf("CreateRepository: got %v", made)
	}
	s.uuid = *made.Result.RepositoryUuid
	equal(s.T, "status", s.status(s.uuid), 0)
	equal(s.T, "a name after", s.isFree("demo1"), false)
	_, err = s.c.CreateRepository(&model.CreateRepositoryRequest{Body: &model.CreateRepoRequest{Name: "demo1", ProjectUuid: project}})
	refused(s.T, "a name twice", err, 400, "CH.010001")
}

func (s *session) show() {
	shown, err := s.c.ShowRepositoryByUuid(&model.ShowRepositoryByUuidRequest{RepositoryUuid: s.uuid})
	must(s.T, "ShowRepositoryByUuid", err)
	r := shown.Result
	s.id, s.url = *r.RepositoryId, *r.HttpsUrl
	if s.id <= 0 || *r.RepositoryUuid != s.uuid || *r.RepositoryName != "demo1" || *r.ProjectUuid != project || *r.VisibilityLevel != 0 || *r.GroupName != group {
		s.Errorf("ShowRepositoryByUuid: got %v", r)
	}
	if !strings.HasSuffix(s.url, "/"+group+"/demo1.git") {
		s.Errorf("https_url is %q", s.url)
	}
	number, err := s.c.ShowRepoId(&model.ShowRepoIdRequest{GroupName: group, RepositoryName: "demo1"})
	must(s.T, "ShowRepoId", err)
	equal(s.T, "ShowRepoId", *number.Result, s.id)
	clone := s.clone(s.url)
	equal(s.T, "branch", git(s.T, clone, "rev-parse", "--abbrev-ref", "HEAD"), "master")
	equal(s.T, "files", git(s.T, clone, "ls-files"), ".gitignore\nLICENSE\nREADME.md")
	git(s.T, clone, "fsck", "--strict")
	// A push with the same credential.
	must(s.T, "write", os.WriteFile(filepath.Join(clone, "pushed"), []byte("by git\n"), 0o600))
	git(s.T, clone, "add", "pushed")
	git(s.T, clone, "-c", "user.name=A", "-c", "user.email=a@example.com", "commit", "-q", "-m", "Pushed")
	git(s.T, clone, "push", "-q", "origin", "HEAD:refs/heads/pushed")
}

// clone clones with the access key as user name and password.
func (s *session) clone(address string) string {
	s.Helper()
	u, err := url.Parse(address)
	must(s.T, "address", err)
	u.User = url.UserPassword(accessKey, secretKey)
	dir := filepath.Join(s.TempDir(), "clone")
	git(s.T, ".", "clone", "-q", u.String(), dir)
	return dir
}

func (s *session) list() {
	other, err := s.c.CreateRepository(&model.CreateRepositoryRequest{Body: &model.CreateRepoRequest{Name: "demo2", ProjectUuid: project}})
	must(s.T, "CreateRepository", err)
	all, err := s.c.ListUserAllRepositories(&model.ListUserAllRepositoriesRequest{Search: p("demo1")})
	must(s.T, "ListUserAllRepositories", err)
	if *all.Result.Total != 1 || *(*all.Result.Repositories)[0].RepositoryUuid != s.uuid {
		s.Errorf("ListUserAllRepositories: got %v", all)
	}
	var names []string
	for page := int32(1); page <= 3; page++ {
		list, err := s.c.ShowAllRepositoryByTwoProjectId(&model.ShowAllRepositoryByTwoProjectIdRequest{ProjectUuid: project, PageIndex: &page, PageSize: p[int32](1)})
		must(s.T, "ShowAllRepositoryByTwoProjectId", err)
		equal(s.T, "total", *list.Result.Total, 2)
		for _, r := range *list.Result.Repositories {
			names = append(names, *r.RepositoryName)
		}
	}
	equal(s.T, "pages", strings.Join(names, " "), "demo1 demo2")
	_, err = s.c.DeleteRepository(&model.DeleteRepositoryRequest{RepositoryUuid: *other.Result.RepositoryUuid})
	must(s.T, "DeleteRepository", err)
}

func (s *session) commit(message string, actions ...model.CommitAction) string {
	s.Helper()
	made, err := s.c.CreateCommit(&model.CreateCommitRequest{RepoId: s.id, Body: &model.CreateCommitRequestBody{
		Branch: "master", CommitMessage: message, Actions: actions, AuthorEmail: p("ada@example.com"), Stats: p(true),
	}})
	must(s.T, "CreateCommit", err)
	r := made.Result
	if !isCommit.MatchString(*r.Id) || !strings.HasPrefix(*r.Id, *r.ShortId) || *r.Stats.Total == 0 || *r.AuthorEmail != "ada@example.com" || *r.AuthorName != "ada" {
		s.Errorf("CreateCommit: got %v", r)
	}
	return *r.Id
}

var kinds = struct{ CREATE, UPDATE, MOVE, CHMOD, DELETE string }{"create", "update", "move", "chmod", "delete"}

func (s *session) commits() {
	s.first = s.commit("Add\n\nTwo files.",
		model.CommitAction{Action: kinds.CREATE, FilePath: "src/a.txt", Content: p("one\ntwo\n")},
		model.CommitAction{Action: kinds.CREATE, FilePath: "src/run.sh", Content: p(base64.StdEncoding.EncodeToString([]byte("#!/bin/sh\n"))), Encoding: p("base64")},
		model.CommitAction{Action: kinds.CREATE, FilePath: "gone", Content: p("gone\n")},
	)
	s.second = s.commit("Change",
		model.CommitAction{Action: kinds.UPDATE, FilePath: "src/a.txt", Content: p("one\nthree\n")},
		model.CommitAction{Action: kinds.MOVE, FilePath: "docs/README.md", PreviousPath: p("README.md")},
		model.CommitAction{Action: kinds.CHMOD, FilePath: "src/run.sh", ExecuteFilemode: p(true)},
		model.CommitAction{Action: kinds.DELETE, FilePath: "gone"},
	)
	for what, action := range map[string]model.CommitAction{
		"create what is there": {Action: kinds.CREATE, FilePath: "src/a.txt", Content: p("x")},
		"update what is not":   {Action: kinds.UPDATE, FilePath: "absent", Content: p("x")},
		"delete what is not":   {Action: kinds.DELETE, FilePath: "absent"},
		"outside":              {Action: kinds.CREATE, FilePath: "../x", Content: p("x")},
		"without content":      {Action: kinds.CREATE, FilePath: "x"},
	} {
		_, err := s.c.CreateCommit(&model.CreateCommitRequest{RepoId: s.id, Body: &model.CreateCommitRequestBody{Branch: "master", CommitMessage: "x", Actions: []model.CommitAction{action}}})
		refused(s.T, what, err, 400, "CH.010001")
	}
	list, err := s.c.ListCommits(&model.ListCommitsRequest{RepoId: s.id, WithStats: p(true)})
	must(s.T, "ListCommits", err)
	if c := *list.Result; len(c) != 3 || *c[0].Id != s.second || *c[1].Id != s.first || (*c[0].ParentIds)[0] != s.first || *c[1].Title != "Add" || time.Since(time.Time(*c[0].CommittedDate)) > time.Hour {
		s.Errorf("ListCommits: got %v", list)
	}
	found, err := s.c.ShowCommitsByRepoId(&model.ShowCommitsByRepoIdRequest{RepositoryId: s.id, RefName: "master", Author: p("ADA"), Path: p("src"), PageIndex: p[int32](2), PageSize: p[int32](1),
		BeginDate: p(time.Now().UTC().AddDate(0, 0, -1).Format(time.DateOnly)), EndDate: p(time.Now().UTC().AddDate(0, 0, 1).Format(time.DateOnly))})
	must(s.T, "ShowCommitsByRepoId", err)
	if c := *found.Result.Commits; *found.Result.Total != 2 || len(c) != 1 || *c[0].Id != s.first {
		s.Errorf("ShowCommitsByRepoId: got %v", found)
	}
	named, err := s.c.ShowCommitsByBranch(&model.ShowCommitsByBranchRequest{GroupName: group, RepositoryName: "demo1", RefName: "master"})
	must(s.T, "ShowCommitsByBranch", err)
	equal(s.T, "ShowCommitsByBranch", *named.Result.Total, 3)
	one, err := s.c.ShowSingleCommit(&model.ShowSingleCommitRequest{RepoId: s.id, Sha: s.second})
	must(s.T, "ShowSingleCommit", err)
	if *one.Result.Id != s.second || *one.Result.Stats.Additions == 0 || *one.Result.Stats.Deletions == 0 {
		s.Errorf("ShowSingleCommit: got %v", one)
	}
	diff, err := s.c.ShowDiffCommit(&model.ShowDiffCommitRequest{RepoId: s.id, Sha: s.second})
	must(s.T, "ShowDiffCommit", err)
	var told []string
	for _, d := range *diff.Result {
		what := "changed"
		switch {
		case *d.RenamedFile:
			what = "renamed"
		case *d.DeletedFile:
			what = "deleted"
		case *d.NewFile:
			what = "new"
		}
		told = append(told, what+" "+*d.OldPath+" "+*d.NewPath+" "+*d.AMode+" "+*d.BMode)
		if *d.NewPath == "src/a.txt" && *d.Diff != "@@ -1,2 +1,2 @@\n one\n-two\n+three\n" {
			s.Errorf("the diff is %q", *d.Diff)
		}
	}
	slices.Sort(told)
	equal(s.T, "ShowDiffCommit", strings.Join(told, "\n"), "changed src/a.txt src/a.txt 100644 100644\nchanged src/run.sh src/run.sh 100644 100755\n"+
		"deleted gone gone 100644 000000\nrenamed README.md docs/README.md 100644 100644")
	clone := s.clone(s.url)
	equal(s.T, "head", git(s.T, clone, "rev-parse", "HEAD"), s.second)
	git(s.T, clone, "fsck", "--strict")
}

func (s *session) files() {
	folder, err := s.c.ListSubfiles(&model.ListSubfilesRequest{RepositoryUuid: s.uuid, BranchName: "master"})
	must(s.T, "ListSubfiles", err)
	var names []string
	for _, e := range *folder.Result.Trees {
		names = append(names, *e.Type+" "+*e.FilePath)
		if *e.FileName == "src" && *e.Commit.Id != s.second {
			s.Errorf("src was changed last by %s", *e.Commit.Id)
		}
	}
	equal(s.T, "ListSubfiles", strings.Join(names, ", "), "blob .gitignore, blob LICENSE, tree docs, tree src")
	part, err := s.c.ListSubfiles(&model.ListSubfilesRequest{RepositoryUuid: s.uuid, BranchName: "master", Path: p("src"), Offset: p[int32](2), Limit: p[int32](1)})
	must(s.T, "ListSubfiles", err)
	if trees := *part.Result.Trees; *part.Result.Total != 2 || len(trees) != 1 || *trees[0].FilePath != "src/run.sh" {
		s.Errorf("ListSubfiles: got %v", part)
	}
	s.readsFile("master")
	file, err := s.c.ListFilesByQuery(&model.ListFilesByQueryRequest{RepoId: s.id, FilePath: "src/a.txt", Ref: "master"})
	must(s.T, "ListFilesByQuery", err)
	content, err := base64.StdEncoding.DecodeString(*file.Result.Content)
	must(s.T, "content", err)
	sum := sha256.Sum256(content)
	if string(content) != "one\nthree\n" || *file.Result.Size != 10 || *file.Result.ContentSha256 != hex.EncodeToString(sum[:]) || *file.Result.LastCommitId != s.second {
		s.Errorf("ListFilesByQuery: got %v", file)
	}
	_, err = s.c.ListFilesByQuery(&model.ListFilesByQueryRequest{RepoId: s.id, FilePath: "absent", Ref: "master"})
	refused(s.T, "a file that is not there", err, 404, "CH.000404")
}

func (s *session) readsFile(branch string) {
	s.Helper()
	file, err := s.c.ListFiles(&model.ListFilesRequest{RepositoryUuid: s.uuid, BranchName: branch, Path: "src/a.txt"})
	must(s.T, "ListFiles "+branch, err)
	content, err := base64.StdEncoding.DecodeString(*file.Result.Content)
	if err != nil || string(content) != "one\nthree\n" || *file.Result.Size != "10" {
		s.Errorf("ListFiles of %s: got %v, %v", branch, file, err)
	}
}

func (s *session) branches() {
	id := strconv.Itoa(int(s.id))
	made, err := s.c.CreateNewBranch(&model.CreateNewBranchRequest{RepositoryId: id, Body: &model.CreateNewBranchRequestBody{BranchName: "feature/x", Ref: "master"}})
	must(s.T, "CreateNewBranch", err)
	equal(s.T, "CreateNewBranch", *made.Result.Commit.Id, s.second)
	_, err = s.c.CreateNewBranch(&model.CreateNewBranchRequest{RepositoryId: id, Body: &model.CreateNewBranchRequestBody{BranchName: "feature/x", Ref: "master"}})
	refused(s.T, "a branch twice", err, 400, "CH.010001")
	_, err = s.c.CreateNewBranch(&model.CreateNewBranchRequest{RepositoryId: id, Body: &model.CreateNewBranchRequestBody{BranchName: "-x", Ref: "master"}})
	refused(s.T, "a bad name", err, 400, "CH.010001")
	names, err := s.c.ShowBranchesByRepositoryId(&model.ShowBranchesByRepositoryIdRequest{RepositoryId: id})
	must(s.T, "ShowBranchesByRepositoryId", err)
	equal(s.T, "branches", *names.Result.Total, 3)
	list, err := s.c.ListBranchesByRepositoryId(&model.ListBranchesByRepositoryIdRequest{RepositoryId: s.id, Match: p("FEATURE")})
	must(s.T, "ListBranchesByRepositoryId", err)
	b := *list.Result.Branches
	if len(b) != 1 || *b[0].Name != "feature/x" || *b[0].DivergingCommitCounts.Ahead != 0 || *b[0].DivergingCommitCounts.Behind != 0 {
		s.Errorf("ListBranchesByRepositoryId: got %v", list)
	}
	pushed, err := s.c.ListBranchesByRepositoryId(&model.ListBranchesByRepositoryIdRequest{RepositoryId: s.id, Match: p("pushed")})
	must(s.T, "ListBranchesByRepositoryId", err)
	if b := (*pushed.Result.Branches)[0]; *b.DivergingCommitCounts.Ahead != 1 || *b.DivergingCommitCounts.Behind != 2 {
		s.Errorf("pushed is %v", b)
	}
	for _, branch := range []string{"feature/x", "feature%2Fx"} {
		folder, err := s.c.ListSubfiles(&model.ListSubfilesRequest{RepositoryUuid: s.uuid, BranchName: branch})
		must(s.T, "ListSubfiles "+branch, err)
		equal(s.T, "files of "+branch, *folder.Result.Total, 4)
		s.readsFile(branch)
	}
}

func (s *session) tags() {
	made, err := s.c.AddTagV2(&model.AddTagV2Request{RepositoryId: s.id, Body: &model.AddTagsRequest{TagName: "v1.0", Ref: "master"}})
	must(s.T, "AddTagV2", err)
	equal(s.T, "AddTagV2", *made.Result.Commit.Id, s.second)
	_, err = s.c.AddTagV2(&model.AddTagV2Request{RepositoryId: s.id, Body: &model.AddTagsRequest{TagName: "pushed", Ref: "master"}})
	must(s.T, "AddTagV2", err)
	list, err := s.c.ShowBranchesByTwoRepositoryId(&model.ShowBranchesByTwoRepositoryIdRequest{RepositoryId: strconv.Itoa(int(s.id))})
	must(s.T, "ShowBranchesByTwoRepositoryId", err)
	told, err := s.c.AddTagV2(&model.AddTagV2Request{RepositoryId: s.id, Body: &model.AddTagsRequest{TagName: "v1.1", Ref: "master", Message: p("What is new")}})
	must(s.T, "AddTagV2 with a message", err)
	if *told.Result.Message != "What is new" || *told.Result.Commit.Id != s.second {
		s.Errorf("AddTagV2 with a message: got %v", told)
	}
	clone := s.clone(s.url)
	git(s.T, clone, "fsck", "--strict")
	if text := git(s.T, clone, "cat-file", "tag", "v1.1"); !strings.Contains(text, "object "+s.second+"\ntype commit\ntag v1.1\ntagger ada <") || !strings.HasSuffix(text, "\n\nWhat is new") {
		s.Errorf("the tag is %q", text)
	}
	if tags := *list.Result.Tags; len(tags) != 2 || *tags[0].Name != "pushed" || !*tags[0].IsDoubleName || *tags[1].Name != "v1.0" || *tags[1].IsDoubleName {
		s.Errorf("ShowBranchesByTwoRepositoryId: got %v", list)
	}
}

func (s *session) hooks() {
	made, err := s.c.AddHooks(&model.AddHooksRequest{GroupName: group, RepositoryName: "demo1", Body: &model.RepositoryHookRequest{
		HookUrl: "https://example.com/hook", Service: "devops", Token: p("secret"), HookEvents: []string{"push_events", "tag_push_events"},
	}})
	must(s.T, "AddHooks", err)
	if *made.Result.Id <= 0 || !*made.Result.PushEvents || *made.Result.ProjectId != s.id {
		s.Errorf("AddHooks: got %v", made)
	}
	_, err = s.c.AddHooks(&model.AddHooksRequest{GroupName: group, RepositoryName: "demo1", Body: &model.RepositoryHookRequest{HookUrl: "https://example.com/hook", Service: "x", HookEvents: []string{"no_events"}}})
	refused(s.T, "a hook for nothing", err, 400, "CH.010001")
	count := func() int {
		list, err := s.c.ListHooks(&model.ListHooksRequest{GroupName: group, RepositoryName: "demo1"})
		must(s.T, "ListHooks", err)
		return len(*list.Result.Hooks)
	}
	equal(s.T, "hooks", count(), 1)
	_, err = s.c.DeleteHooks(&model.DeleteHooksRequest{GroupName: group, RepositoryName: "demo1", HookId: *made.Result.Id})
	must(s.T, "DeleteHooks", err)
	equal(s.T, "hooks", count(), 0)
}

func (s *session) wrongRequests() {
	for _, name := range []string{"-x", "a.git", "a.atom", "a.", "", strings.Repeat("a", 257)} {
		_, err := s.c.CreateRepository(&model.CreateRepositoryRequest{Body: &model.CreateRepoRequest{Name: name, ProjectUuid: project}})
		refused(s.T, "name "+name, err, 400, "CH.010001")
	}
	for _, id := range []string{project[:31], strings.Repeat("0", 32)} {
		_, err := s.c.CreateRepository(&model.CreateRepositoryRequest{Body: &model.CreateRepoRequest{Name: "x", ProjectUuid: id}})
		refused(s.T, "project "+id, err, 400, "CH.010001")
	}
	_, err := s.c.CreateRepository(&model.CreateRepositoryRequest{Body: &model.CreateRepoRequest{Name: "x", ProjectUuid: project, ImportUrl: p("!!!not base64!!!")}})
	refused(s.T, "import_url", err, 400, "CH.010001")
}

func (s *session) credentials() {
	show := &model.ShowRepositoryByUuidRequest{RepositoryUuid: s.uuid}
	_, err := newClient(s.T, accessKey, secretKey, "0123456789abcdef0123456789abcdef").ShowRepositoryByUuid(show)
	must(s.T, "with a project id", err)
	_, err = newClient(s.T, accessKey, "wrong", "").ShowRepositoryByUuid(show)
	refused(s.T, "another secret", err, 401, "APIG.0301")
	_, err = newClient(s.T, "CAKAAAAAAAAAAAAAAAAA", secretKey, "").ShowRepositoryByUuid(show)
	refused(s.T, "an unknown key", err, 401, "APIG.0301")
}

func (s *session) imports() {
	made, err := s.c.CreateRepository(&model.CreateRepositoryRequest{Body: &model.CreateRepoRequest{
		Name: "imported", ProjectUuid: project, ImportUrl: p(base64.StdEncoding.EncodeToString([]byte(upstream))),
	}})
	must(s.T, "CreateRepository", err)
	uuid := *made.Result.RepositoryUuid
	for deadline := time.Now().Add(30 * time.Second); s.status(uuid) != 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.Fatal("the import does not end")
		}
	}
	shown, err := s.c.ShowRepositoryByUuid(&model.ShowRepositoryByUuidRequest{RepositoryUuid: uuid})
	must(s.T, "ShowRepositoryByUuid", err)
	clone := s.clone(*shown.Result.HttpsUrl)
	equal(s.T, "the branch that was imported", git(s.T, clone, "rev-parse", "refs/heads/trunk"), upstreamTip)
	// A copy of a template has its history.
	copied, err := s.c.CreateRepository(&model.CreateRepositoryRequest{Body: &model.CreateRepoRequest{Name: "copied", ProjectUuid: project, TemplateId: &uuid}})
	must(s.T, "CreateRepository", err)
	names, err := s.c.ShowRepositoryByUuid(&model.ShowRepositoryByUuidRequest{RepositoryUuid: *copied.Result.RepositoryUuid})
	must(s.T, "ShowRepositoryByUuid", err)
	equal(s.T, "the branch that was copied", git(s.T, s.clone(*names.Result.HttpsUrl), "rev-parse", "refs/heads/trunk"), upstreamTip)
}

func (s *session) archive() {
	for _, ref := range []string{"master", s.second} {
		archive, err := s.c.ShowRepositoryArchive(&model.ShowRepositoryArchiveRequest{RepositoryUuid: s.uuid, Sha: ref, Format: "zip"})
		must(s.T, "ShowRepositoryArchive", err)
		var data bytes.Buffer
		_, err = archive.Consume(&data)
		must(s.T, "archive", err)
		z, err := zip.NewReader(bytes.NewReader(data.Bytes()), int64(data.Len()))
		must(s.T, "archive", err)
		content, err := fs.ReadFile(z, "demo1/src/a.txt")
		if err != nil || string(content) != "one\nthree\n" {
			s.Errorf("the archive of %s: got %q, %v", ref, content, err)
		}
	}
	_, err := s.c.ShowRepositoryArchive(&model.ShowRepositoryArchiveRequest{RepositoryUuid: s.uuid, Sha: "master", Format: "rar"})
	refused(s.T, "an unknown format", err, 400, "CH.010001")
	_, err = s.c.ShowRepositoryArchive(&model.ShowRepositoryArchiveRequest{RepositoryUuid: s.uuid, Sha: "absent", Format: "zip"})
	refused(s.T, "an archive of no branch", err, 404, "CH.000404")
}

// members gives a user roles and tries with Git what each lets.
func (s *session) members() {
	add := func(id, name string, role int32) (*model.AddRepoMembersResponse, error) {
		return s.c.AddRepoMembers(&model.AddRepoMembersRequest{RepositoryUuid: s.uuid, Body: &model.CreateRepoMemberRequest{
			Users: &[]model.RepoMemberInfo{{Id: id, Name: name, Role: role}},
		}})
	}
	s.memberMay(false, false)
	_, err := add("absent", "absent", 20)
	refused(s.T, "no such user", err, 400, "CH.010112")
	_, err = add(userID, user, 50)
	refused(s.T, "no such role", err, 400, "CH.010001")
	added, err := add(userID, user, 20)
	must(s.T, "AddRepoMembers", err)
	if r := *added.Result; len(r) != 1 || *r[0].Status != "success" || *r[0].Name != user || !isUUID.MatchString(*r[0].Id) {
		s.Fatalf("AddRepoMembers: got %v", added)
	}
	id := *(*added.Result)[0].Id
	equal(s.T, "the role", s.memberRole(id), 20)
	s.memberMay(true, false)
	changed, err := s.c.SetRepoRole(&model.SetRepoRoleRequest{RepositoryUuid: s.uuid, MemberId: id, Body: &model.SetRepoRoleRequestBody{Role: model.GetSetRepoRoleRequestBodyRoleEnum().E_30}})
	must(s.T, "SetRepoRole", err)
	equal(s.T, "SetRepoRole", *changed.Status, "success")
	equal(s.T, "the role", s.memberRole(id), 30)
	s.memberMay(true, true)
	removed, err := s.c.DeleteRepoMember(&model.DeleteRepoMemberRequest{RepositoryUuid: s.uuid, MemberId: id})
	must(s.T, "DeleteRepoMember", err)
	equal(s.T, "DeleteRepoMember", *removed.Status, "success")
	s.memberMay(false, false)
	_, err = s.c.DeleteRepoMember(&model.DeleteRepoMemberRequest{RepositoryUuid: s.uuid, MemberId: id})
	refused(s.T, "no member any more", err, 404, "CH.000404")
}

// memberRole is the role that the list of members has of a user.
func (s *session) memberRole(id string) int32 {
	s.Helper()
	list, err := s.c.ListRepoMembers(&model.ListRepoMembersRequest{RepositoryUuid: s.uuid, PageIndex: p[int32](1), PageSize: p[int32](10), Subject: &user})
	must(s.T, "ListRepoMembers", err)
	r := list.Result
	if *r.Total != 1 || *(*r.Users)[0].UserId != id || *(*r.Users)[0].Name != user || *(*r.Users)[0].Email != "bea@example.com" || *(*r.Users)[0].Enabled != "true" {
		s.Fatalf("ListRepoMembers: got %v", list)
	}
	return *(*r.Users)[0].Role
}

// memberMay checks what the user may do with Git, by name and password.
func (s *session) memberMay(fetch, push bool) {
	s.Helper()
	u, err := url.Parse(s.url)
	must(s.T, "address", err)
	u.User = url.UserPassword(user, password)
	clone := s.clone(s.url)
	_, err = tryGit(clone, "ls-remote", u.String())
	equal(s.T, "the member may fetch", err == nil, fetch)
	_, err = tryGit(clone, "push", "-q", u.String(), "HEAD:refs/heads/by-member")
	equal(s.T, "the member may push", err == nil, push)
}

func (s *session) remove() {
	_, err := s.c.DeleteRepository(&model.DeleteRepositoryRequest{RepositoryUuid: s.uuid})
	must(s.T, "DeleteRepository", err)
	_, err = s.c.ShowRepositoryByUuid(&model.ShowRepositoryByUuidRequest{RepositoryUuid: s.uuid})
	refused(s.T, "after the end", err, 401, "CH.080401")
}
