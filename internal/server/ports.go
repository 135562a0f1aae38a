package server

import (
	"net"
	"slices"
	"sync"
)

// ports are the ports on which the server listens. The zero value is none; safe
// for concurrent use.
type ports struct {
	mu  sync.Mutex
	all []uint16
}

// add notes the port of a listener.
func (p *ports) add(a net.Addr) {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = append(p.all, uint16(tcp.Port))
}

func (p *ports) list() []uint16 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.all)
}
