package service

// boundedMap is a map of at most twice the size, in entries or in whatever its
// user weighs them by: when the young half is full, the old half is dropped and
// the young one takes its place. What is in use survives, at the price of a map
// lookup more. The zero value is ready. It is not safe for concurrent use.
type boundedMap[K comparable, V any] struct {
	size       int
	weight     int // of the young half
	young, old map[K]weighed[V]
}

type weighed[V any] struct {
	value  V
	weight int
}

func (m *boundedMap[K, V]) get(key K) (V, bool) {
	if e, ok := m.young[key]; ok {
		return e.value, true
	}
	e, ok := m.old[key]
	if ok {
		m.putWeighed(key, e.value, e.weight)
	}
	return e.value, ok
}

func (m *boundedMap[K, V]) put(key K, value V) { m.putWeighed(key, value, 1) }

func (m *boundedMap[K, V]) putWeighed(key K, value V, weight int) {
	if m.young == nil || m.weight >= m.size {
		m.old, m.young, m.weight = m.young, make(map[K]weighed[V]), 0
	}
	m.weight += weight - m.young[key].weight
	m.young[key] = weighed[V]{value, weight}
}

func (m *boundedMap[K, V]) remove(key K) {
	m.weight -= m.young[key].weight
	delete(m.young, key)
	delete(m.old, key)
}
