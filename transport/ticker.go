package transport

import (
	"sync"
	"time"
)

// tickEvery is how long work may keep the reading role from others, and how long
// a resting connection goes without the poller.
const tickEvery = time.Millisecond

// ticker looks at the connections in use; it exists only while there are any.
var ticker struct {
	mu      sync.Mutex // guards the rest
	conns   []*Conn
	lent    *polling // not nil if it was lent since the last tick
	running bool
}

func addToTicker(c *Conn) {
	t := &ticker
	t.mu.Lock()
	defer t.mu.Unlock()
	t.conns = append(t.conns, c)
	startTicker()
}

// tickPolling has p ticked once.
func tickPolling(p *polling) {
	t := &ticker
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lent = p
	startTicker()
}

// startTicker is called with ticker.mu held.
func startTicker() {
	if !ticker.running {
		ticker.running = true
		// Ends by itself when nothing is in use.
		go runTicker()
	}
}

func runTicker() {
	t := &ticker
	var now []*Conn
	for {
		time.Sleep(tickEvery + time.Duration(len(now))*time.Microsecond)
		t.mu.Lock()
		p := t.lent
		if len(t.conns) == 0 && p == nil {
			t.running = false
			t.mu.Unlock()
			return
		}
		t.lent = nil
		now, t.conns = t.conns, now[:0]
		t.mu.Unlock()
		if p != nil {
			p.tick()
		}
		kept := 0
		for _, c := range now {
			if c.tick() {
				now[kept] = c
				kept++
			}
		}
		t.mu.Lock()
		t.conns = append(t.conns, now[:kept]...)
		t.mu.Unlock()
		clear(now)
	}
}
