package codesign

import "container/list"

// lru remembers the values of the keys that were used last, at most so many.
type lru[K comparable, V any] struct {
	most  int
	order *list.List // of entry[K, V], the last used first
	at    map[K]*list.Element
}

type entry[K comparable, V any] struct {
	key   K
	value V
}

func newLRU[K comparable, V any](most int) *lru[K, V] {
	l := &lru[K, V]{most: most}
	l.clear()
	return l
}

func (l *lru[K, V]) clear() {
	l.order, l.at = list.New(), map[K]*list.Element{}
}

func (l *lru[K, V]) get(key K) (v V, ok bool) {
	e, ok := l.at[key]
	if !ok {
		return v, false
	}
	l.order.MoveToFront(e)
	return e.Value.(entry[K, V]).value, true
}

func (l *lru[K, V]) put(key K, value V) {
	if e := l.at[key]; e != nil {
		e.Value = entry[K, V]{key, value}
		l.order.MoveToFront(e)
		return
	}
	if len(l.at) == l.most {
		oldest := l.order.Back()
		delete(l.at, oldest.Value.(entry[K, V]).key)
		l.order.Remove(oldest)
	}
	l.at[key] = l.order.PushFront(entry[K, V]{key, value})
}
