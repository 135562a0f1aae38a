package sqldb

import (
	"database/sql/driver"

	"github.com/cairn-storage/cairn/internal/cairn"
)

type projects struct{ *Tx }

// projectColumns are what many reads.
const projectColumns = `organization, id, name, created_at`

func (t projects) Create(p cairn.Project) error {
	n, err := t.exec(`INSERT INTO projects (`+projectColumns+`) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
		string(p.Organization), string(p.ID), string(p.Name), micros(p.CreatedAt))
	if err == nil && n == 0 {
		err = cairn.Errorf(cairn.Conflict, "project %q exists already", p.Name)
	}
	return err
}

func (t projects) Get(org cairn.OrganizationID, id cairn.ProjectID) (cairn.Project, error) {
	return t.one(string(id), `SELECT `+projectColumns+` FROM projects WHERE organization = $1 AND id = $2`, string(org), string(id))
}

func (t projects) Find(org cairn.OrganizationID, name cairn.ProjectName) (cairn.Project, error) {
	return t.one(string(name), `SELECT `+projectColumns+` FROM projects WHERE organization = $1 AND name = $2`, string(org), string(name))
}

func (t projects) List(org cairn.OrganizationID, after cairn.ProjectName, n int) ([]cairn.Project, error) {
	return t.many(`SELECT `+projectColumns+` FROM projects WHERE organization = $1 AND name > $2 ORDER BY name LIMIT CAST($3 AS BIGINT)`,
		string(org), string(after), limit(n))
}

func (t projects) SetMember(org cairn.OrganizationID, id cairn.ProjectID, user cairn.UserID, role cairn.Role) error {
	if role == cairn.NoRole {
		_, err := t.exec(`DELETE FROM project_members WHERE organization = $1 AND project = $2 AND user_id = $3`, string(org), string(id), string(user))
		return err
	}
	_, err := t.exec(`INSERT INTO project_members (organization, project, user_id, role) VALUES ($1, $2, $3, $4)
		ON CONFLICT (organization, project, user_id) DO UPDATE SET role = excluded.role`, string(org), string(id), string(user), int64(role))
	return err
}

func (t projects) Members(org cairn.OrganizationID, id cairn.ProjectID) ([]cairn.Collaborator, error) {
	return t.collaborators(`project_members AS c ON c.user_id = u.id WHERE c.organization = $1 AND c.project = $2`, string(org), string(id))
}

// one reads the project that a query returns; what is how it is asked for.
func (t projects) one(what, query string, args ...driver.Value) (cairn.Project, error) {
	list, err := t.many(query, args...)
	if err == nil && len(list) == 0 {
		err = cairn.Errorf(cairn.NotFound, "project %q not found", cairn.Clip(what))
	}
	if err != nil {
		return cairn.Project{}, err
	}
	return list[0], nil
}

func (t projects) many(query string, args ...driver.Value) (list []cairn.Project, err error) {
	err = t.query(Read, query, args, func(r *Row) {
		list = append(list, cairn.Project{
			Organization: cairn.OrganizationID(r.Text(0)), ID: cairn.ProjectID(r.Text(1)), Name: cairn.ProjectName(r.Text(2)), CreatedAt: r.Moment(3),
		})
	})
	return list, err
}
