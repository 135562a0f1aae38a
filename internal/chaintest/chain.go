// Package chaintest checks that what concurrent clients saw of one ref could
// have happened one after the other (linearizability). Every value of the ref
// is written once, as commit ids are, so the successful updates must form one
// chain from old to new; the chain then orders everything else, and the check
// is linear in the number of operations. It is for tests alone.
package chaintest

import (
	"fmt"

	"github.com/cairn-storage/cairn/internal/git"
)

// Kind is what an operation did.
type Kind uint8

// The kinds of operation.
const (
	Write   Kind = iota // the ref was moved from Old to New
	Unknown             // the same was asked, and the answer never came
	Read                // the ref was seen at New
	Refused             // an update was refused because the ref was at New
)

// Op is one operation of one client. Start and End are instants on one clock:
// before the request was sent, after its answer was there.
type Op struct {
	Kind       Kind
	Old, New   git.ObjectID
	Start, End int64
}

// Check returns the values that the ref had, in order and without the first
// one, or an error that says why no order explains the operations. The ref is
// at first when the first operation starts.
func Check(first git.ObjectID, ops []Op) ([]git.ObjectID, error) {
	chain, err := order(first, ops)
	if err != nil {
		return nil, err
	}
	place := make(map[git.ObjectID]int, len(chain)+1)
	place[first] = 0
	for i, v := range chain {
		place[v] = i + 1
	}
	clusters := make([]cluster, len(chain)+1)
	for _, op := range ops {
		at, ok := place[op.New]
		switch {
		case ok:
			clusters[at].add(op)
		case op.Kind == Read || op.Kind == Refused:
			return nil, fmt.Errorf("the ref was seen at %s, which no update made", op.New)
		}
	}
	// An operation that saw a later value must not have ended before one that
	// saw an earlier value began.
	var latestStart int64
	for i := range clusters {
		c := &clusters[i]
		if c.size > 0 && i > 0 && c.firstEnd < latestStart {
			return nil, fmt.Errorf("value %d of the chain, %s, was seen and then an earlier value after it", i, chain[i-1])
		}
		if c.readEnd != 0 && c.readEnd < c.writeStart {
			return nil, fmt.Errorf("value %s was read before it was written", chain[i-1])
		}
		latestStart = max(latestStart, c.lastStart)
	}
	return chain, nil
}

// cluster is the operations that saw or made one value.
type cluster struct {
	size                int
	firstEnd, lastStart int64
	writeStart, readEnd int64
}

func (c *cluster) add(op Op) {
	end := op.End
	if op.Kind == Unknown {
		end = 1<<63 - 1
	}
	if c.size == 0 || end < c.firstEnd {
		c.firstEnd = end
	}
	c.lastStart = max(c.lastStart, op.Start)
	if op.Kind == Write || op.Kind == Unknown {
		c.writeStart = op.Start
	} else if c.readEnd == 0 || end < c.readEnd {
		c.readEnd = end
	}
	c.size++
}

// order follows the updates from first on. One with an unknown outcome
// happened if something else saw its value.
func order(first git.ObjectID, ops []Op) ([]git.ObjectID, error) {
	seen := map[git.ObjectID]bool{}
	for _, op := range ops {
		switch op.Kind {
		case Write:
			seen[op.Old] = true
		case Read, Refused:
			seen[op.New] = true
		}
	}
	next := map[git.ObjectID]git.ObjectID{}
	writes := 0
	for _, op := range ops {
		if op.Kind != Write && (op.Kind != Unknown || !seen[op.New]) {
			continue
		}
		if other, ok := next[op.Old]; ok {
			return nil, fmt.Errorf("both %s and %s replaced %s: an update was lost", other, op.New, op.Old)
		}
		next[op.Old] = op.New
		writes++
	}
	var chain []git.ObjectID
	for at, ok := next[first]; ok && len(chain) <= writes; at, ok = next[at] {
		chain = append(chain, at)
	}
	if len(chain) != writes {
		return nil, fmt.Errorf("%d updates succeeded, but only %d lie on the chain from %s", writes, len(chain), first)
	}
	return chain, nil
}
