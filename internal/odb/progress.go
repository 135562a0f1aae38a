package odb

import (
	"fmt"
	"time"
)

// counter tells how far a count has come, as git does.
type counter struct {
	what  string
	tell  func(string)
	ticks int
	last  time.Time
}

func (c *counter) tick() bool {
	c.ticks++
	return c.ticks%256 == 0
}

func (c *counter) show(n int64) {
	if now := time.Now(); c.last.IsZero() {
		c.last = now
	} else if now.Sub(c.last) > 200*time.Millisecond {
		c.last = now
		c.tell(fmt.Sprintf("%s: %d\r", c.what, n))
	}
}

func (c *counter) done(n int64) { c.tell(fmt.Sprintf("%s: %d, done.\n", c.what, n)) }

// linkCache holds the commits read last: each is looked at as a commit and as
