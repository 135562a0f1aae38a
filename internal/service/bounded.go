package service

// boundedMap is a map of at most twice the size: when the young half is full,
// the old half is dropped and the young one takes its place. What is in use
// survives, at the price of a map lookup more. The zero value is ready. It is
// not safe for concurrent use.
type boundedMap[K comparable, V any] struct {
	size       int
	young, old map[K]V
}

func (m *boundedMap[K, V]) get(key K) (V, bool) {
	if v, ok := m.young[key]; ok {
		return v, true
	}
	v, ok := m.old[key]
	if ok {
		m.put(key, v)
	}
	return v, ok
}

func (m *boundedMap[K, V]) put(key K, value V) {
	if m.young == nil || len(m.young) >= m.size {
		m.old, m.young = m.young, make(map[K]V)
	}
	m.young[key] = value
}

func (m *boundedMap[K, V]) remove(key K) {
	delete(m.young, key)
	delete(m.old, key)
}
