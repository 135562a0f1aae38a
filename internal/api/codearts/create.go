package codearts

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/cairn-storage/cairn/internal/cairn"
	"github.com/cairn-storage/cairn/internal/service"
	"github.com/cairn-storage/cairn/internal/starter"
)

// newRepository is the body of a creation.
type newRepository struct {
	Name          string   `json:"name"`
	ProjectUUID   string   `json:"project_uuid"`
	GroupID       flexible `json:"group_id"` // projects are the only groups: there is none with a number
	ImportMembers flexible `json:"import_members"`
	TemplateID    string   `json:"template_id"`
	Visibility    flexible `json:"visibility_level"`
	ImportURL     string   `json:"import_url"`
	Description   string   `json:"description"`
	GitignoreID   string   `json:"gitignore_id"`
	LicenseID     flexible `json:"license_id"`
	EnableReadme  flexible `json:"enable_readme"`
	Caller        string   `json:"caller"`
}

// defaultBranch is what HEAD of a new repository names.
const defaultBranch = "master"

// Bounds of a creation, in characters.
const (
	maxName        = 256
	maxDescription = 2000
	minImportURL   = 10
	maxImportURL   = 512
)

func (f *Face) createRepository(w http.ResponseWriter, r *request) error {
	in, err := decode[newRepository](r)
	if err != nil {
		return err
	}
	if err := in.check(); err != nil {
		return err
	}
	project, err := f.service.Project(r.Context(), r.who, cairn.ProjectID(in.ProjectUUID))
	if errors.Is(err, cairn.NotFound) {
		return cairn.Errorf(cairn.Invalid, "project_uuid %q: there is no such project", in.ProjectUUID)
	} else if err != nil {
		return err
	}
	made, err := f.create(r, project, in)
	if err != nil {
		return err
	}
	return answer(w, map[string]string{"repository_uuid": repositoryUUID(made)})
}

// check looks at everything that can be known without the stores.
func (in newRepository) check() error {
	if err := checkName(in.Name); err != nil {
		return err
	}
	switch {
	case !isProjectUUID(in.ProjectUUID):
		return cairn.Errorf(cairn.Invalid, "project_uuid must be 32 letters and digits")
	case in.ImportMembers != 0 && in.ImportMembers != 1:
		return cairn.Errorf(cairn.Invalid, "import_members must be 0 or 1")
	case in.GroupID != 0:
		return cairn.Errorf(cairn.Invalid, "group_id: there is no code group %d; leave it out", in.GroupID)
	case in.Visibility != private && in.Visibility != public:
		return cairn.Errorf(cairn.Invalid, "visibility_level must be 0 or 20")
	case in.EnableReadme != 0 && in.EnableReadme != 1:
		return cairn.Errorf(cairn.Invalid, "enable_readme must be 0 or 1")
	case utf8.RuneCountInString(in.Description) > maxDescription:
		return cairn.Errorf(cairn.Invalid, "description has more than %d characters", maxDescription)
	case in.ImportURL != "" && in.TemplateID != "":
		return cairn.Errorf(cairn.Invalid, "a repository is imported or made from a template, not both")
	}
	return nil
}

// checkName holds names to the rules of this API, which are narrower than those
// of the store: most of all they hold no slash.
func checkName(name string) error {
	ok := name != "" && utf8.RuneCountInString(name) <= maxName
	for i := range len(name) {
		c := name[i]
		first := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
		ok = ok && (first || i > 0 && (c == '-' || c == '.'))
	}
	for _, end := range []string{".", ".git", ".atom"} {
		ok = ok && !strings.HasSuffix(name, end)
	}
	if !ok {
		return cairn.Errorf(cairn.Invalid, "name %q: use a letter, a digit or _, then those, - and ., at most %d, without .git, .atom or . at the end",
			cairn.Clip(name), maxName)
	}
	return nil
}

func isProjectUUID(text string) bool {
	if len(text) != uuidLength {
		return false
	}
	for i := range len(text) {
		c := text[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9') {
			return false
		}
	}
	return true
}

// create makes a repository as the body says: imported, from a template, or with
// the files that it asks for, if any. What is imported or copied has its own.
func (f *Face) create(r *request, project cairn.Project, in newRepository) (cairn.Repository, error) {
	name := cairn.RepositoryName(project.Folder() + in.Name)
	who, err := f.service.For(r.Context(), r.who, name)
	if err != nil {
		return cairn.Repository{}, err
	}
	switch {
	case in.ImportURL != "":
		return f.importRepository(r, who, name, in)
	case in.TemplateID != "":
		reader, template, err := f.repository(r, in.TemplateID)
		if isHidden(err) {
			err = cairn.Errorf(cairn.Invalid, "template_id %q: there is no such repository", cairn.Clip(in.TemplateID))
		}
		if err != nil {
			return cairn.Repository{}, err
		}
		return f.service.ForkRepository(r.Context(), who, service.NewFork{
			Name: name, Source: template.Name, SourceActor: reader,
			Description: in.Description, Public: in.Visibility == public, ImportMembers: in.ImportMembers == 1,
		})
	}
	return f.begin(r, who, name, in)
}

// begin makes a repository with its first files, if there are any.
func (f *Face) begin(r *request, who cairn.Actor, name cairn.RepositoryName, in newRepository) (cairn.Repository, error) {
	files, err := in.files()
	if err != nil {
		return cairn.Repository{}, err
	}
	made := service.NewRepository{
		Name: name, DefaultBranch: defaultBranch, Description: in.Description, Public: in.Visibility == public, ImportMembers: in.ImportMembers == 1,
	}
	if len(files) > 0 {
		made.First = &service.FirstCommit{CommitInfo: service.CommitInfo{Message: "Initial commit", Author: author(who, "")}, Files: files}
	}
	return f.service.CreateRepository(r.Context(), who, made)
}

// importRepository makes a repository that takes over once what another one has.
func (f *Face) importRepository(r *request, who cairn.Actor, name cairn.RepositoryName, in newRepository) (cairn.Repository, error) {
	bad := func(why string) (cairn.Repository, error) {
		return cairn.Repository{}, cairn.Errorf(cairn.Invalid, "import_url %s", why)
	}
	if len(in.ImportURL) < minImportURL || len(in.ImportURL) > maxImportURL {
		return bad("has not 10 to 512 characters")
	}
	address, ok := decodeBase64(in.ImportURL)
	if !ok {
		return bad("is not the Base64 form of an address")
	}
	upstream, err := service.ParseCloneAddress(address)
	if err != nil {
		return cairn.Repository{}, cairn.Errorf(cairn.Invalid, "import_url: %w", err)
	}
	upstream.Name, upstream.DefaultBranch, upstream.Access, upstream.Once = name, defaultBranch, service.PublicAccess, true
	upstream.Description, upstream.Public = in.Description, in.Visibility == public
	upstream.ImportMembers = in.ImportMembers == 1
	return f.service.CreateMirror(r.Context(), who, upstream)
}

// decodeBase64 reads any of the alphabets and endings of Base64.
func decodeBase64(text string) (string, bool) {
	text = strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(text), "=")
	decoded, err := base64.RawStdEncoding.DecodeString(text)
	return string(decoded), err == nil && utf8.Valid(decoded)
}

// createProjectAndRepository makes a project with a first repository in it. The
// project stays if the repository cannot be made.
func (f *Face) createProjectAndRepository(w http.ResponseWriter, r *request) error {
	in, err := decode[struct {
		ProjectName   string   `json:"project_name"`
		Name          string   `json:"repo_name"`
		ImportMembers flexible `json:"import_members"`
		Visibility    flexible `json:"visibility_level"`
	}](r)
	if err != nil {
		return err
	}
	if in.Visibility == members {
		in.Visibility = private // to members only is what private is
	}
	body := newRepository{Name: in.Name, ProjectUUID: string(cairn.NewProjectID()), ImportMembers: in.ImportMembers, Visibility: in.Visibility}
	if err := body.check(); err != nil {
		return err // before there is a project
	}
	project, err := f.service.CreateProject(r.Context(), r.who, in.ProjectName)
	if err != nil {
		return err
	}
	made, err := f.create(r, project, body)
	if err != nil {
		return err
	}
	return answer(w, map[string]string{"projectUuid": string(project.ID), "repositoryUuid": repositoryUUID(made)})
}

// Levels of visibility.
const (
	private = 0
	members = 10
	public  = 20
)

func visibility(repo cairn.Repository) int {
	if repo.Public {
		return public
	}
	return private
}

// licenses are the licenses of this API by their numbers. Its page merges the
// second and the third into one line, and two lists of others differ in the
// order of the third to the fifth; this is the page's, parted.
var licenses = map[flexible]string{
	1: "Apache License 2.0", 2: "MIT License", 3: "BSD 3-clause License", 4: "Eclipse Public License 1.0", 5: "BSD 2-clause License",
	6: "GNU General Public License v2.0", 7: "GNU General Public License v3.0", 8: "GNU Affero General Public License v3.0",
	9: "GNU Lesser General Public License v2.1", 10: "GNU Lesser General Public License v3.0", 11: "Mozilla Public License 2.0", 12: "The Unlicense",
}

// gitignoreNames are the gitignores that have another name in this API.
var gitignoreNames = map[string]string{"C#": "VisualStudio", "JavaScript": "Node", "KiCad": "KiCAD"}

// files are the first files of a repository.
func (in newRepository) files() (files []service.FirstFile, err error) {
	add := func(path, text string) { files = append(files, service.FirstFile{Path: path, Text: text}) }
	if in.EnableReadme == 1 {
		text := "# " + in.Name + "\n"
		if in.Description != "" {
			text += "\n" + in.Description + "\n"
		}
		add("README.md", text)
	}
	if name := in.GitignoreID; name != "" {
		if other, ok := gitignoreNames[name]; ok {
			name = other
		}
		text, ok := starter.Gitignore(name)
		if !ok {
			return nil, cairn.Errorf(cairn.Invalid, "gitignore_id: there is no %q", cairn.Clip(in.GitignoreID))
		}
		add(".gitignore", text)
	}
	if in.LicenseID != 0 {
		text, ok := starter.License(licenses[in.LicenseID])
		if !ok {
			return nil, cairn.Errorf(cairn.Invalid, "license_id: there is no %d; use 1 to %d", in.LicenseID, len(licenses))
		}
		add("LICENSE", text)
	}
	return files, nil
}
