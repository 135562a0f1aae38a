package sqldb

import (
	"database/sql/driver"
	"strings"

	"github.com/cairn-storage/cairn/internal/cairn"
)

type roles struct{ *Tx }

func (t roles) Of(user cairn.UserID, key cairn.RepositoryKey) (cairn.Role, error) {
	return t.highest(`SELECT role FROM collaborators WHERE organization = $2 AND repository = $3 AND user_id = $1
		UNION ALL
		SELECT t.role FROM team_members AS m JOIN teams AS t ON t.organization = m.organization AND t.id = m.team
		WHERE m.user_id = $1 AND m.organization = $2 AND (t.role = 4 OR EXISTS (
			SELECT 1 FROM team_repositories AS r WHERE r.organization = $2 AND r.repository = $3 AND r.team = t.id))`,
		string(user), string(key.Organization), string(key.Repository))
}

func (t roles) In(user cairn.UserID, org cairn.OrganizationID) (cairn.Role, error) {
	return t.highest(`SELECT t.role FROM team_members AS m JOIN teams AS t ON t.organization = m.organization AND t.id = m.team
		WHERE m.user_id = $1 AND m.organization = $2`, string(user), string(org))
}

func (t roles) highest(query string, args ...driver.Value) (role cairn.Role, err error) {
	err = t.query(Read, query, args, func(r *Row) { role = max(role, cairn.Role(r.Int(0))) })
	return role, err
}

func (t roles) Organizations(user cairn.UserID) ([]cairn.Organization, error) {
	return organizations(t).many(`SELECT `+organizationColumns+` FROM organizations
		WHERE id IN (SELECT organization FROM team_members WHERE user_id = $1) ORDER BY name`, string(user))
}

func (t roles) Repositories(user cairn.UserID, n int) ([]cairn.Repository, error) {
	return repositories(t).many(`SELECT `+repositoryColumns+` FROM repositories
		WHERE deleted_at IS NULL AND organization <> $1 AND (organization, id) IN (
			SELECT organization, repository FROM collaborators WHERE user_id = $1
			UNION
			SELECT r.organization, r.repository FROM team_members AS m
			JOIN team_repositories AS r ON r.organization = m.organization AND r.team = m.team WHERE m.user_id = $1
			UNION
			SELECT r.organization, r.id FROM team_members AS m
			JOIN teams AS t ON t.organization = m.organization AND t.id = m.team AND t.role = 4
			JOIN repositories AS r ON r.organization = m.organization WHERE m.user_id = $1)
		ORDER BY organization, name LIMIT CAST($2 AS BIGINT)`, string(user), limit(n))
}

func (t roles) Grant(key cairn.RepositoryKey, user cairn.UserID, role cairn.Role) error {
	_, err := t.exec(`INSERT INTO collaborators (organization, repository, user_id, role) VALUES ($1, $2, $3, $4)
		ON CONFLICT (organization, repository, user_id) DO UPDATE SET role = excluded.role`,
		string(key.Organization), string(key.Repository), string(user), int64(role))
	return err
}

func (t roles) Withdraw(key cairn.RepositoryKey, user cairn.UserID) error {
	_, err := t.exec(`DELETE FROM collaborators WHERE organization = $1 AND repository = $2 AND user_id = $3`,
		string(key.Organization), string(key.Repository), string(user))
	return err
}

func (t roles) Collaborators(key cairn.RepositoryKey) ([]cairn.Collaborator, error) {
	return t.collaborators(`collaborators AS c ON c.user_id = u.id WHERE c.organization = $1 AND c.repository = $2`,
		string(key.Organization), string(key.Repository))
}

// collaborators reads users with the roles that the rows of a table, c, give
// them.
func (t *Tx) collaborators(join string, args ...driver.Value) (list []cairn.Collaborator, err error) {
	err = t.query(Read, `SELECT `+userColumns+`, c.role`+fromUsers+`JOIN `+join+` ORDER BY o.name`, args, func(r *Row) {
		list = append(list, cairn.Collaborator{User: user(r), Role: cairn.Role(r.Int(numUserColumns))})
	})
	return list, err
}

var numUserColumns = strings.Count(userColumns, ",") + 1

func (t roles) CreateTeam(team cairn.Team) error {
	n, err := t.exec(`INSERT INTO teams (organization, id, name, description, role, created_at) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`,
		string(team.Organization), string(team.ID), team.Name, team.Description, int64(team.Role), micros(team.CreatedAt))
	if err == nil && n == 0 {
		err = cairn.Errorf(cairn.Conflict, "the organization has a team %q already", cairn.Clip(team.Name))
	}
	return err
}

func (t roles) Team(org cairn.OrganizationID, id cairn.TeamID) (cairn.Team, error) {
	list, err := t.teams(`organization = $1 AND id = $2`, string(org), string(id))
	if err == nil && len(list) == 0 {
		err = cairn.Errorf(cairn.NotFound, "team not found")
	}
	if err != nil {
		return cairn.Team{}, err
	}
	return list[0], nil
}

func (t roles) Teams(org cairn.OrganizationID) ([]cairn.Team, error) {
	return t.teams(`organization = $1`, string(org))
}

func (t roles) teams(where string, args ...driver.Value) (list []cairn.Team, err error) {
	err = t.query(Read, `SELECT organization, id, name, description, role, created_at FROM teams WHERE `+where+` ORDER BY created_at, id`, args, func(r *Row) {
		list = append(list, cairn.Team{
			Organization: cairn.OrganizationID(r.Text(0)), ID: cairn.TeamID(r.Text(1)), Name: r.Text(2),
			Description: r.Text(3), Role: cairn.Role(r.Int(4)), CreatedAt: r.Moment(5),
		})
	})
	return list, err
}

func (t roles) Join(org cairn.OrganizationID, team cairn.TeamID, user cairn.UserID) error {
	_, err := t.exec(`INSERT INTO team_members (organization, team, user_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, string(org), string(team), string(user))
	return err
}

func (t roles) Leave(org cairn.OrganizationID, team cairn.TeamID, user cairn.UserID) error {
	_, err := t.exec(`DELETE FROM team_members WHERE organization = $1 AND team = $2 AND user_id = $3`, string(org), string(team), string(user))
	return err
}

func (t roles) Members(org cairn.OrganizationID, team cairn.TeamID) ([]cairn.User, error) {
	return users(t).many(`SELECT `+userColumns+fromUsers+`JOIN team_members AS m ON m.user_id = u.id
		WHERE m.organization = $1 AND m.team = $2 ORDER BY o.name`, string(org), string(team))
}

func (t roles) Give(team cairn.TeamID, key cairn.RepositoryKey) error {
	_, err := t.exec(`INSERT INTO team_repositories (organization, repository, team) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
		string(key.Organization), string(key.Repository), string(team))
	return err
}

func (t roles) Take(team cairn.TeamID, key cairn.RepositoryKey) error {
	_, err := t.exec(`DELETE FROM team_repositories WHERE organization = $1 AND repository = $2 AND team = $3`,
		string(key.Organization), string(key.Repository), string(team))
	return err
}
