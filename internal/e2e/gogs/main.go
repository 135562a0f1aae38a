// Command gogs runs the official Go client of Gogs, unmodified, against a
// server: every function of it that the server has a route for, and some that
// it answers with a clear refusal. It is a module of its own so that the client
// is no dependency of the product. Its arguments are the address of the server
// and the name and password of an administrator.
package main

import (
	"archive/zip"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	gogs "github.com/gogs/go-gogs-client"
)

var failed bool

func expect(what string, err error, ok bool, got ...any) {
	if err != nil || !ok {
		failed = true
		fmt.Printf("FAIL %s: %v %+v\n", what, err, got)
	}
}

// refused looks for an error with a text in it.
func refused(what string, err error, text string) {
	if err == nil || !strings.Contains(err.Error(), text) {
		failed = true
		fmt.Printf("FAIL %s: got error %v, want %q\n", what, err, text)
	}
}

func main() {
	address, admin, password := os.Args[1], os.Args[2], os.Args[3]
	root := login(address, admin, password)
	users(root)
	ada := login(address, "ada", "pass of ada")
	bob := login(address, "bob", "pass of bob")
	tokens(address)
	repositories(ada)
	gitAccess(address, ada)
	keys(root, ada, bob)
	collaborators(ada, bob)
	hooks(ada)
	migrations(ada)
	organizations(root, ada, bob)
	elsewhere(ada)
	refused("DeleteRepo of another", bob.DeleteRepo("Ada", "Site"), "404")
	expect("DeleteRepo", ada.DeleteRepo("Ada", "Site"), true)
	refused("DeleteRepo again", ada.DeleteRepo("Ada", "Site"), "404")
	refused("AdminDeleteUser of an only owner", root.AdminDeleteUser("ada"), "only owner")
	refused("AdminDeleteUser with repositories", root.AdminDeleteUser("bob"), "still has repositories")
	expect("AdminDeleteUser", root.AdminDeleteUser("carol"), true)
	refused("AdminDeleteUser by a user", ada.AdminDeleteUser("bob"), "403")
	if failed {
		os.Exit(1)
	}
}

// login makes a token with the password and returns a client with it.
func login(address, name, password string) *gogs.Client {
	t, err := gogs.NewClient(address, "").CreateAccessToken(name, password, gogs.CreateAccessTokenOption{Name: "e2e"})
	expect("CreateAccessToken of "+name, err, t != nil && len(t.Sha1) == 40, t)
	return gogs.NewClient(address+"/", t.Sha1)
}

func users(root *gogs.Client) {
	for _, name := range []string{"Ada", "bob", "carol"} {
		made, err := root.AdminCreateUser(gogs.CreateUserOption{Username: name, Email: name + "@example.com", Password: "pass of " + strings.ToLower(name), FullName: "Full " + name})
		expect("AdminCreateUser", err, made.UserName == name && made.ID > 0 && made.Email == name+"@example.com", made)
	}
	_, err := root.AdminCreateUser(gogs.CreateUserOption{Username: "ADA", Email: "other@example.com", Password: "x"})
	refused("AdminCreateUser twice", err, "already exists")
	_, err = root.AdminCreateUser(gogs.CreateUserOption{Username: "dave", Email: "bob@example.com", Password: "x"})
	refused("AdminCreateUser with another's address", err, "email")
	yes, no := true, false
	expect("AdminEditUser", root.AdminEditUser("carol", gogs.EditUserOption{Email: "c@example.com", FullName: "Carol C", Admin: &yes, Active: &no}), true)
	found, err := root.GetUserInfo("carol")
	expect("GetUserInfo", err, found.FullName == "Carol C" && found.Email == "c@example.com", found)
	_, err = root.GetUserInfo("nobody")
	refused("GetUserInfo of nobody", err, "404")
}

func tokens(address string) {
	c := gogs.NewClient(address, "")
	_, err := c.CreateAccessToken("ada", "pass of ada", gogs.CreateAccessTokenOption{Name: "e2e"})
	refused("CreateAccessToken twice", err, "access token already exists")
	list, err := c.ListAccessTokens("ada", "pass of ada")
	expect("ListAccessTokens", err, len(list) == 1 && list[0].Name == "e2e", list)
	_, err = gogs.NewClient(address, list[0].Sha1).GetSelfInfo()
	refused("what the list shows is no token", err, "token is required")
	_, err = c.CreateAccessToken("ada", "wrong", gogs.CreateAccessTokenOption{Name: "x"})
	refused("CreateAccessToken with a wrong password", err, "required")
}

func repositories(ada *gogs.Client) {
	self, err := ada.GetSelfInfo()
	expect("GetSelfInfo", err, self.UserName == "Ada", self)
	made, err := ada.CreateRepo(gogs.CreateRepoOption{
		Name: "Site", Description: "A site.", Private: true, AutoInit: true, Readme: "Default", Gitignores: "Go,C++", License: "MIT License",
	})
	expect("CreateRepo", err, made.ID > 0 && made.FullName == "Ada/Site" && made.Private && !made.Empty && made.Permissions.Admin && made.DefaultBranch == "main", made)
	_, err = ada.CreateRepo(gogs.CreateRepoOption{Name: "site"})
	refused("CreateRepo twice", err, "repository already exists")
	for _, o := range []gogs.CreateRepoOption{
		{Name: "x", AutoInit: true, Readme: "../Default"}, {Name: "x", AutoInit: true, Gitignores: "go"}, {Name: "x", AutoInit: true, License: "MIT"},
	} {
		_, err = ada.CreateRepo(o)
		refused("CreateRepo with a text that is not there", err, "there is no")
	}
	_, err = ada.GetRepo("ada", "x")
	refused("what was refused", err, "404")
	_, err = ada.CreateRepo(gogs.CreateRepoOption{Name: "x.git"})
	refused("CreateRepo with a reserved name", err, "name is not allowed")
	found, err := ada.GetRepo("ADA", "SITE")
	expect("GetRepo", err, found.ID == made.ID && found.Description == "A site." && found.CloneURL != "", found)
	for what, list := range map[string]func() ([]*gogs.Repository, error){
		"ListMyRepos": ada.ListMyRepos, "ListUserRepos": func() ([]*gogs.Repository, error) { return ada.ListUserRepos("ada") },
	} {
		all, err := list()
		expect(what, err, len(all) == 1 && all[0].ID == made.ID, all)
	}
	branches, err := ada.ListRepoBranches("ada", "site")
	expect("ListRepoBranches", err, len(branches) == 1 && branches[0].Name == "main" && branches[0].Commit.Message == "Initial commit\n", branches)
	branch, err := ada.GetRepoBranch("ada", "site", "main")
	expect("GetRepoBranch", err, branch.Commit.ID == branches[0].Commit.ID && branch.Commit.Author.UserName == "Ada", branch)
	_, err = ada.GetRepoBranch("ada", "site", "nothing")
	refused("GetRepoBranch of nothing", err, "404")
	commit, err := ada.GetSingleCommit("ada", "site", "main")
	expect("GetSingleCommit", err, commit.SHA == branch.Commit.ID && commit.Author != nil && commit.CommitMeta.URL != "" && commit.RepoCommit.Message == "Initial commit", commit)
	sha, err := ada.GetReferenceSHA("ada", "site", "main")
	expect("GetReferenceSHA", err, sha == commit.SHA, sha)
	readme, err := ada.GetFile("ada", "site", "main", "README.md")
	expect("GetFile", err, string(readme) == "# Site\n\nA site.", string(readme))
	ignored, err := ada.GetFile("ada", "site", commit.SHA, ".gitignore")
	expect("GetFile of .gitignore", err, strings.Contains(string(ignored), "# ---> Go\n") && strings.Contains(string(ignored), "# ---> C++\n"))
	_, err = ada.GetFile("ada", "site", "main", "nothing")
	refused("GetFile of nothing", err, "404")
	packed, err := ada.GetArchive("ada", "site", "main", ".zip")
	expect("GetArchive", err, len(packed) > 0)
	z, err := zip.NewReader(bytes.NewReader(packed), int64(len(packed)))
	expect("the archive", err, z != nil && len(z.File) == 3 && strings.HasPrefix(z.File[0].Name, "site/"))
	packed, err = ada.GetArchive("ada", "site", "main", ".tar.gz")
	expect("GetArchive as tar", err, bytes.HasPrefix(packed, []byte("\x1f\x8b")))
}

// gitAccess clones and pushes with each form of a credential.
func gitAccess(address string, ada *gogs.Client) {
	t, err := gogs.NewClient(address, "").CreateAccessToken("ada", "pass of ada", gogs.CreateAccessTokenOption{Name: "git"})
	expect("CreateAccessToken for git", err, t != nil)
	dir, err := os.MkdirTemp("", "gogs")
	expect("scratch", err, true)
	defer os.RemoveAll(dir)
	for i, credential := range []string{"ada:pass%20of%20ada", t.Sha1 + ":x", "whoever:" + t.Sha1} {
		work := filepath.Join(dir, fmt.Sprint(i))
		git(dir, "clone", "-q", strings.Replace(address, "://", "://"+credential+"@", 1)+"/Ada/Site.git", work)
		expect("write", os.WriteFile(filepath.Join(work, "file"), []byte(credential), 0o600), true)
		git(work, "add", ".")
		git(work, "-c", "user.name=Ada", "-c", "user.email=ada@example.com", "commit", "-q", "-m", "change")
		git(work, "push", "-q", "origin", "HEAD")
		git(work, "fsck", "--strict")
		head := git(work, "rev-parse", "HEAD")
		sha, err := ada.GetReferenceSHA("ada", "site", "main")
		expect("what was pushed", err, sha == head, sha, head)
	}
}

func git(dir string, args ...string) string {
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
	out, err := cmd.CombinedOutput()
	expect("git "+args[0], err, true, string(out))
	return strings.TrimSpace(string(out))
}

func collaborators(ada, bob *gogs.Client) {
	_, err := bob.GetRepo("ada", "site")
	refused("a stranger's GetRepo", err, "404")
	refused("IsCollaborator before", ada.IsCollaborator("ada", "site", "bob"), "404")
	read := "read"
	expect("AddCollaborator", ada.AddCollaborator("ada", "site", "bob", gogs.AddCollaboratorOption{Permission: &read}), true)
	expect("IsCollaborator", ada.IsCollaborator("ada", "site", "bob"), true)
	list, err := ada.ListCollaborator("ada", "site")
	expect("ListCollaborator", err, len(list) == 1 && list[0].UserName == "bob" && list[0].Permissions.Pull && !list[0].Permissions.Push, list)
	found, err := bob.GetRepo("ada", "site")
	expect("a collaborator's GetRepo", err, found.Permissions.Pull && !found.Permissions.Push, found)
	refused("a reader's DeleteRepo", bob.DeleteRepo("ada", "site"), "403")
	refused("a reader's AddCollaborator", bob.AddCollaborator("ada", "site", "carol", gogs.AddCollaboratorOption{}), "403")
	owner := "owner"
	refused("AddCollaborator as owner", ada.AddCollaborator("ada", "site", "bob", gogs.AddCollaboratorOption{Permission: &owner}), "permission")
	mine, err := bob.ListMyRepos()
	expect("ListMyRepos of a collaborator", err, len(mine) == 1, mine)
	expect("DeleteCollaborator", ada.DeleteCollaborator("ada", "site", "bob"), true)
	_, err = bob.GetRepo("ada", "site")
	refused("who is no collaborator any more", err, "404")
}

func hooks(ada *gogs.Client) {
	config := map[string]string{"url": "https://receiver.example/hook", "content_type": "json", "secret": "sesame"}
	made, err := ada.CreateRepoHook("ada", "site", gogs.CreateHookOption{Type: "gogs", Config: config, Events: []string{"push", "create"}, Active: true})
	expect("CreateRepoHook", err, made != nil && made.ID > 0 && made.Active && len(made.Events) == 2 && made.Config["secret"] == "", made)
	_, err = ada.CreateRepoHook("ada", "site", gogs.CreateHookOption{Type: "slack", Config: config})
	refused("CreateRepoHook of another type", err, "slack")
	_, err = ada.CreateRepoHook("ada", "site", gogs.CreateHookOption{Type: "gogs", Config: map[string]string{"url": "https://127.0.0.1/", "content_type": "json"}})
	refused("CreateRepoHook to an address inside", err, "url")
	no := false
	expect("EditRepoHook", ada.EditRepoHook("ada", "site", made.ID, gogs.EditHookOption{Config: map[string]string{"content_type": "form"}, Active: &no}), true)
	refused("EditRepoHook of none", ada.EditRepoHook("ada", "site", 999, gogs.EditHookOption{}), "404")
	list, err := ada.ListRepoHooks("ada", "site")
	expect("ListRepoHooks", err, len(list) == 1 && list[0].ID == made.ID && !list[0].Active && list[0].Config["content_type"] == "form", list)
	expect("DeleteRepoHook", ada.DeleteRepoHook("ada", "site", made.ID), true)
}

func migrations(ada *gogs.Client) {
	self, err := ada.GetSelfInfo()
	expect("GetSelfInfo", err, true)
	for _, address := range []string{"/etc", "https://127.0.0.1/a/b.git", "file:///srv/a/b.git"} {
		_, err = ada.MigrateRepo(gogs.MigrateRepoOption{CloneAddr: address, UID: int(self.ID), RepoName: "evil"})
		refused("MigrateRepo from "+address, err, "address")
	}
	_, err = ada.GetRepo("ada", "evil")
	refused("what was not migrated", err, "404")
}

func organizations(root, ada, bob *gogs.Client) {
	made, err := ada.CreateOrg(gogs.CreateOrgOption{UserName: "Initech", FullName: "Acme Ltd", Website: "https://acme.example"})
	expect("CreateOrg", err, made.UserName == "Initech" && made.ID > 0, made)
	_, err = ada.CreateOrg(gogs.CreateOrgOption{UserName: "INITECH"})
	refused("CreateOrg twice", err, "already exists")
	_, err = ada.CreateOrg(gogs.CreateOrgOption{UserName: "api"})
	refused("CreateOrg with a reserved name", err, "reserved")
	expect("EditOrg", ada.EditOrg("initech", gogs.EditOrgOption{FullName: "Acme Inc"}), true)
	refused("a stranger's EditOrg", bob.EditOrg("initech", gogs.EditOrgOption{}), "403")
	found, err := ada.GetOrg("initech")
	expect("GetOrg", err, found.FullName == "Acme Inc" && found.Website == "", found)
	orgs, err := ada.ListMyOrgs()
	expect("ListMyOrgs", err, len(orgs) == 1 && orgs[0].ID == made.ID, orgs)
	orgs, err = bob.ListUserOrgs("ada")
	expect("ListUserOrgs", err, len(orgs) == 0, orgs)
	repo, err := ada.CreateOrgRepo("initech", gogs.CreateRepoOption{Name: "tools", Private: true})
	expect("CreateOrgRepo", err, repo.FullName == "Initech/tools" && repo.Empty, repo)
	_, err = bob.CreateOrgRepo("initech", gogs.CreateRepoOption{Name: "evil"})
	refused("a stranger's CreateOrgRepo", err, "403")
	_, err = bob.CreateOrgRepo("nobody", gogs.CreateRepoOption{Name: "evil"})
	refused("CreateOrgRepo nowhere", err, "404")
	branches, err := ada.ListRepoBranches("initech", "tools")
	expect("ListRepoBranches of nothing", err, len(branches) == 0, branches)
	repos, err := ada.ListOrgRepos("initech")
	expect("ListOrgRepos", err, len(repos) == 1, repos)
	repos, err = bob.ListOrgRepos("initech")
	expect("a stranger's ListOrgRepos", err, len(repos) == 0, repos)
	team, err := root.AdminCreateTeam("initech", gogs.CreateTeamOption{Name: "dev", Permission: "write"})
	expect("AdminCreateTeam", err, team.ID > 0 && team.Permission == "write", team)
	expect("AdminAddTeamMembership", root.AdminAddTeamMembership(team.ID, "bob"), true)
	_, err = bob.GetRepo("initech", "tools")
	refused("a member without a repository", err, "404")
	expect("AdminAddTeamRepository", root.AdminAddTeamRepository(team.ID, "tools"), true)
	repo, err = bob.GetRepo("initech", "tools")
	expect("a member's GetRepo", err, repo.Permissions.Push && !repo.Permissions.Admin, repo)
	teams, err := ada.ListTeams("initech")
	expect("ListTeams", err, len(teams) == 2 && teams[0].Permission == "owner", teams)
	_, err = root.AdminCreateOrg("ada", gogs.CreateOrgOption{UserName: "second"})
	expect("AdminCreateOrg", err, true)
	repo, err = root.AdminCreateRepo("bob", gogs.CreateRepoOption{Name: "gift"})
	expect("AdminCreateRepo", err, repo.Owner.UserName == "bob", repo)
	_, err = ada.AdminCreateRepo("bob", gogs.CreateRepoOption{Name: "evil"})
	refused("AdminCreateRepo by a user", err, "403")
}

// elsewhere asks for what the server does not have: each is not found.
func elsewhere(ada *gogs.Client) {
	_, err := ada.ListRepoIssues("ada", "site", gogs.ListIssueOption{})
	refused("ListRepoIssues", err, "404")
	_, err = ada.ListRepoLabels("ada", "site")
	refused("ListRepoLabels", err, "404")
	_, err = ada.ListRepoMilestones("ada", "site")
	refused("ListRepoMilestones", err, "404")
	refused("AddOrgMembership", ada.AddOrgMembership("initech", "bob", gogs.AddOrgMembershipOption{}), "404")
	refused("MirrorSync of what is no mirror", ada.MirrorSync("ada", "site"), "404")
}
