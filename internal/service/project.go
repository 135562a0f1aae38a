package service

import (
	"context"
	"errors"

	"github.com/cairn-storage/cairn/internal/cairn"
)

// Bounds of listings of projects.
const (
	projectsPerPage    = 100
	maxProjectsPerPage = 1000
)

// CreateProject makes a project in the actor's organization; Conflict if the
// name is taken. It needs repo:write for all of the organization.
func (s *Service) CreateProject(ctx context.Context, who cairn.Actor, name string) (cairn.Project, error) {
	if err := authorize(who, "", cairn.RepoWrite); err != nil {
		return cairn.Project{}, err
	}
	parsed, err := cairn.ParseProjectName(name)
	if err != nil {
		return cairn.Project{}, err
	}
	made := cairn.Project{Organization: who.Organization.ID, ID: cairn.NewProjectID(), Name: parsed, CreatedAt: s.now().UTC()}
	err = s.metadata.Update(ctx, func(tx cairn.Tx) error {
		return tx.Projects().Create(made)
	})
	return made, err
}

// ProjectPage is a part of the list of an organization's projects.
type ProjectPage struct {
	Projects []cairn.Project
	Next     string // the cursor of the next page; empty at the end
}

// ListProjects returns the projects of the actor's organization by name.
func (s *Service) ListProjects(ctx context.Context, who cairn.Actor, cursor string, limit int) (ProjectPage, error) {
	if err := authorize(who, "", cairn.OrgRead); err != nil {
		return ProjectPage{}, err
	}
	listing := query{"projects", string(who.Organization.ID)}
	position, err := listing.position(cursor, 1)
	if err != nil {
		return ProjectPage{}, err
	}
	var after cairn.ProjectName
	if position != nil {
		after = cairn.ProjectName(position[0])
	}
	limit = clampLimit(limit, projectsPerPage, maxProjectsPerPage)
	var page ProjectPage
	err = s.metadata.View(ctx, func(tx cairn.Tx) error {
		page.Projects, err = tx.Projects().List(who.Organization.ID, after, limit+1)
		return err
	})
	if err != nil {
		return ProjectPage{}, err
	}
	if len(page.Projects) > limit {
		page.Projects = page.Projects[:limit]
		page.Next = listing.cursor(string(page.Projects[limit-1].Name))
	}
	return page, nil
}

// Project returns a project of the actor's organization; to know a project's id
// is right enough.
func (s *Service) Project(ctx context.Context, who cairn.Actor, id cairn.ProjectID) (found cairn.Project, err error) {
	err = s.metadata.View(ctx, func(tx cairn.Tx) error {
		found, err = tx.Projects().Get(who.Organization.ID, id)
		return err
	})
	return found, err
}

// ProjectsOf returns the projects in which repositories lie that the caller was
// shown, by name. Those that lie in none are passed over.
func (s *Service) ProjectsOf(ctx context.Context, who cairn.Actor, repos ...cairn.Repository) (map[cairn.ProjectName]cairn.Project, error) {
	var found map[cairn.ProjectName]cairn.Project
	err := s.metadata.View(ctx, func(tx cairn.Tx) error {
		found = make(map[cairn.ProjectName]cairn.Project)
		for _, repo := range repos {
			name, ok := repo.Name.Project()
			if _, known := found[name]; !ok || known {
				continue
			}
			project, err := tx.Projects().Find(who.Organization.ID, name)
			if errors.Is(err, cairn.NotFound) {
				continue
			} else if err != nil {
				return err
			}
			found[name] = project
		}
		return nil
	})
	return found, err
}
