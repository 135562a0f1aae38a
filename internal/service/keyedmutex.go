package service

import (
	"context"
	"sync"
)

// keyedMutex is a mutex for each key. The zero value is ready; keys that
// nobody holds or waits for take no memory.
type keyedMutex struct {
	mu    sync.Mutex
	locks map[string]*keyLock
}

// keyLock holds a token in its channel while it is free.
type keyLock struct {
	free  chan struct{}
	users int // that hold it or wait for it; guarded by keyedMutex.mu
}

// lock waits for the key and returns the function that gives it back, or the
// context's error.
func (m *keyedMutex) lock(ctx context.Context, key string) (unlock func(), err error) {
	l := m.enter(key)
	select {
	case <-l.free:
		return func() {
			l.free <- struct{}{}
			m.leave(key, l)
		}, nil
	case <-ctx.Done():
		m.leave(key, l)
		return nil, ctx.Err()
	}
}

func (m *keyedMutex) enter(key string) *keyLock {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.locks[key]
	if l == nil {
		l = &keyLock{free: make(chan struct{}, 1)}
		l.free <- struct{}{}
		if m.locks == nil {
			m.locks = make(map[string]*keyLock)
		}
		m.locks[key] = l
	}
	l.users++
	return l
}

func (m *keyedMutex) leave(key string, l *keyLock) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if l.users--; l.users == 0 {
		delete(m.locks, key)
	}
}
