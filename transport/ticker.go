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
	running bool
}

func addToTicker(c *Conn) {
	t := &ticker
	t.mu.Lock()
	defer t.mu.Unlock()
	t.conns = append(t.conns, c)
	if !t.running {
		t.running = true
		// Ends by itself when no connection is in use.
		go runTicker()
	}
}

func runTicker() {
	t := &ticker
	var now []*Conn
	for {
		time.Sleep(tickEvery + time.Duration(len(now))*time.Microsecond)
		t.mu.Lock()
		if len(t.conns) == 0 {
			t.running = false
			t.mu.Unlock()
			return
		}
		now, t.conns = t.conns, now[:0]
		t.mu.Unlock()
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
