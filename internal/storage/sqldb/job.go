package sqldb

import (
	"database/sql/driver"
	"strings"
	"time"

	"github.com/cairn-storage/cairn/internal/cairn"
)

type jobs struct{ *Tx }

// jobColumns are what job reads.
const jobColumns = `organization, repository, kind, name, created_at, due_at, attempts, claim, last_error, payload`

// jobByKey finds one job.
const jobByKey = ` WHERE organization = $1 AND repository = $2 AND kind = $3 AND name = $4`

const insertJob = `INSERT INTO jobs (` + jobColumns + `) VALUES ($1, $2, $3, $4, $5, $6, 0, '', '', $7)
	ON CONFLICT (organization, repository, kind, name) DO UPDATE SET `

// A job that is claimed keeps its due_at, which is where the claim ends.
func (t jobs) Enqueue(j cairn.Job) error {
	return t.insert(j, insertJob+`payload = excluded.payload,
		attempts = CASE WHEN jobs.claim = '' THEN 0 ELSE jobs.attempts END,
		due_at = CASE WHEN jobs.claim = '' AND excluded.due_at < jobs.due_at THEN excluded.due_at ELSE jobs.due_at END,
		again_at = CASE WHEN jobs.claim <> '' AND (jobs.again_at IS NULL OR excluded.due_at < jobs.again_at)
			THEN excluded.due_at ELSE jobs.again_at END`)
}

func (t jobs) Remind(j cairn.Job) error {
	return t.insert(j, insertJob+`again_at = CASE WHEN jobs.again_at IS NULL OR excluded.due_at < jobs.again_at
		THEN excluded.due_at ELSE jobs.again_at END WHERE jobs.claim <> ''`)
}

func (t jobs) insert(j cairn.Job, statement string) error {
	if len(j.Payload) > cairn.MaxJobPayload {
		return cairn.Errorf(cairn.Invalid, "a job's payload is larger than %d bytes", cairn.MaxJobPayload)
	}
	payload := j.Payload
	if payload == nil {
		payload = []byte{}
	}
	_, err := t.exec(statement, append(jobKey(j.JobKey), micros(j.CreatedAt), micros(j.DueAt), payload)...)
	return err
}

func (t jobs) Get(key cairn.JobKey) (cairn.Job, error) {
	return t.one(Read, `SELECT `+jobColumns+` FROM jobs`+jobByKey, jobKey(key)...)
}

func (t jobs) Due(kind cairn.JobKind, before time.Time, except []cairn.OrganizationID, n int) (list []cairn.Job, err error) {
	args := values(string(kind), micros(before), limit(n))
	for i := range cairn.MaxDueExcept {
		if i < len(except) {
			args = append(args, string(except[i]))
		} else {
			args = append(args, "") // nobody's
		}
	}
	err = t.query(Read, `SELECT `+jobColumns+` FROM jobs WHERE kind = $1 AND due_at < $2 AND organization NOT IN
		($4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19) ORDER BY due_at LIMIT CAST($3 AS BIGINT)`,
		args, func(row *Row) { list = append(list, job(row)) })
	return list, err
}

func (t jobs) Claim(key cairn.JobKey, now, until time.Time) (cairn.Job, error) {
	claimed, err := t.one(Write, `UPDATE jobs SET claim = $5, due_at = $6, again_at = NULL, attempts = attempts + 1`+jobByKey+
		` AND due_at <= $7 RETURNING `+jobColumns, append(jobKey(key), cairn.NewID(), micros(until), micros(now))...)
	if cairn.KindOf(err) != cairn.NotFound {
		return claimed, err
	}
	if _, err := t.Get(key); err != nil {
		return cairn.Job{}, err
	}
	return cairn.Job{}, cairn.Errorf(cairn.Conflict, "the job is not due")
}

func (t jobs) Renew(claimed cairn.Job, until time.Time) error {
	return t.change(claimed, `UPDATE jobs SET due_at = $6`+jobByKey+` AND claim = $5`, micros(until))
}

func (t jobs) Finish(claimed cairn.Job) error {
	again, err := t.exec(`UPDATE jobs SET due_at = again_at, again_at = NULL, claim = '', attempts = 0, last_error = ''`+
		jobByKey+` AND claim = $5 AND again_at IS NOT NULL`, append(jobKey(claimed.JobKey), claimed.Claim)...)
	if err != nil || again > 0 {
		return err
	}
	return t.change(claimed, `DELETE FROM jobs`+jobByKey+` AND claim = $5`)
}

func (t jobs) Retry(claimed cairn.Job, due time.Time, reason string) error {
	return t.change(claimed, `UPDATE jobs SET due_at = $6, again_at = NULL, claim = '', last_error = $7`+jobByKey+` AND claim = $5`,
		micros(due), displayed(reason))
}

func (t jobs) Release(claimed cairn.Job, now time.Time) error {
	return t.change(claimed, `UPDATE jobs SET due_at = $6, again_at = NULL, claim = '', attempts = attempts - 1`+jobByKey+` AND claim = $5`,
		micros(now))
}

// change runs a statement on a job whose claim must be the present one.
func (t jobs) change(claimed cairn.Job, statement string, args ...driver.Value) error {
	n, err := t.exec(statement, append(append(jobKey(claimed.JobKey), claimed.Claim), args...)...)
	if err == nil && (n == 0 || claimed.Claim == "") {
		err = cairn.Errorf(cairn.Conflict, "the claim of the job is over")
	}
	return err
}

// displayed is text that any database takes, cut to the length of an error
// that is shown.
func displayed(reason string) string {
	reason = strings.ToValidUTF8(strings.ReplaceAll(reason, "\x00", ""), "?")
	if len(reason) > cairn.MaxJobError {
		reason = strings.ToValidUTF8(reason[:cairn.MaxJobError], "")
	}
	return reason
}

func jobKey(key cairn.JobKey) []driver.Value {
	return values(string(key.Organization), string(key.Repository), string(key.Kind), key.Name)
}

// one reads the job that a query returns.
func (t jobs) one(m Mode, query string, args ...driver.Value) (j cairn.Job, err error) {
	found := false
	err = t.query(m, query, args, func(row *Row) { j, found = job(row), true })
	if err == nil && !found {
		err = cairn.Errorf(cairn.NotFound, "job not found")
	}
	return j, err
}

// job reads jobColumns.
func job(row *Row) cairn.Job {
	return cairn.Job{
		JobKey: cairn.JobKey{
			RepositoryKey: cairn.RepositoryKey{Organization: cairn.OrganizationID(row.Text(0)), Repository: cairn.RepositoryID(row.Text(1))},
			Kind:          cairn.JobKind(row.Text(2)),
			Name:          row.Text(3),
		},
		CreatedAt: row.Moment(4),
		DueAt:     row.Moment(5),
		Attempts:  int(row.Int(6)),
		Claim:     row.Text(7),
		LastError: row.Text(8),
		Payload:   append([]byte(nil), row.Bytes(9)...),
	}
}
