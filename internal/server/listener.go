package server

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
)

// listen opens a listener that bounds the connections open at a time: one more
// is closed at once, which its client sees, where one that is never accepted
// would hang.
func listen(ctx context.Context, address string, limit int) (net.Listener, error) {
	config := net.ListenConfig{Control: boundUnsent}
	inner, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &listener{TCPListener: inner.(*net.TCPListener), limit: int64(limit)}, nil
}

type listener struct {
	*net.TCPListener
	limit int64
	open  atomic.Int64
}

// Accept waits for the next connection that may stay.
func (l *listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.AcceptTCP()
		if err != nil {
			return nil, err
		}
		if l.open.Add(1) <= l.limit {
			return &countedConn{TCPConn: conn, count: &l.open}, nil
		}
		l.open.Add(-1)
		conn.Close()
	}
}

// countedConn is a connection that is counted until it is closed.
type countedConn struct {
	*net.TCPConn
	count *atomic.Int64
	once  sync.Once
}

// Close closes the connection.
func (c *countedConn) Close() error {
	c.once.Do(func() { c.count.Add(-1) })
	return c.TCPConn.Close()
}
