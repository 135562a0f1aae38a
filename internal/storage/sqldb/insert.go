package sqldb

import (
	"database/sql/driver"
	"fmt"
	"strings"
)

// batchRows is how many rows one statement inserts where there are many: most
// of what a row costs by itself is the statement.
const batchRows = 64

// insertion inserts rows of one table that have some columns in common.
type insertion struct {
	own   int    // columns that each row has for itself
	one   string // the statement for one row
	batch string // the statement for batchRows rows
}

// newInsertion is for a table whose key is among the columns.
func newInsertion(table string, shared, own []string) insertion {
	into := fmt.Sprintf("INSERT INTO %s (%s, %s) ", table, strings.Join(shared, ", "), strings.Join(own, ", "))
	tuples := make([]string, batchRows)
	for i := range tuples {
		tuples[i] = "(" + parameters(len(shared)+1+i*len(own), len(own)) + ")"
	}
	return insertion{
		own: len(own),
		one: into + "VALUES (" + parameters(1, len(shared)+len(own)) + ") ON CONFLICT DO NOTHING",
		// Each parameter once and in order, which lets them be anonymous.
		batch: into + "SELECT " + parameters(1, len(shared)) + ", rows.* FROM (VALUES " + strings.Join(tuples, ", ") + ") AS rows WHERE true ON CONFLICT DO NOTHING",
	}
}

// parameters is a list of n parameters from a number on.
func parameters(first, n int) string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("$%d", first+i)
	}
	return strings.Join(names, ", ")
}

// insert inserts n rows, one after the other, up to the first whose key is
// taken, and returns how many it inserted. shared are the columns that all rows
// have in common; row appends those of one.
func (t *Tx) insert(in *insertion, shared []driver.Value, n int, row func(values []driver.Value, i int) []driver.Value) (int, error) {
	args := make([]driver.Value, len(shared), len(shared)+min(n, batchRows)*in.own)
	copy(args, shared)
	done := 0
	for n-done >= batchRows {
		args = args[:len(shared)]
		for i := done; i < done+batchRows; i++ {
			args = row(args, i)
		}
		whole, err := t.insertBatch(in.batch, args)
		if err != nil {
			return done, err
		}
		if !whole {
			break // which of them, they tell one by one
		}
		done += batchRows
	}
	for ; done < n; done++ {
		inserted, err := t.exec(in.one, row(args[:len(shared)], done)...)
		if err != nil || inserted == 0 {
			return done, err
		}
	}
	return done, nil
}

// insertBatch inserts all rows of a batch, or none if the key of any is taken.
func (t *Tx) insertBatch(statement string, args []driver.Value) (bool, error) {
	if _, err := t.exec("SAVEPOINT batch"); err != nil {
		return false, err
	}
	n, err := t.exec(statement, args...)
	if err != nil {
		return false, err
	}
	if n < batchRows {
		if _, err := t.exec("ROLLBACK TO batch"); err != nil {
			return false, err
		}
	}
	_, err = t.exec("RELEASE batch")
	return n == batchRows, err
}
