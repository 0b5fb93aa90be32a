package xpc

// work is what the reading goroutine may run itself.
type work struct {
	greets  *Queue // entered for a delivery of the listener's, which announces the connection
	late    bool   // Late was called before that began
	deliver *Queue // entered for a delivery of the connection
	replies []replyBlock
}

// replyBlock is a reply handler on its way to its queue, which was entered.
type replyBlock struct {
	q *Queue
	h Handler
	o Object
}

func (b replyBlock) run() {
	b.h(b.o)
	if d, ok := b.o.(*Dictionary); ok && d.in != nil {
		d.handlerReturned()
	}
}

// runEntered runs the block of a queue that was entered for it.
func (b replyBlock) runEntered() {
	b.run()
	b.q.exit()
}

// Late gives to others what was to run after the listener's handler: that may wait for it.
func (l *link) Late() {
	c := l.c
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reader = nil
	l.work.late = l.work.greets != nil
	if l.work.deliver != nil || len(l.work.replies) > 0 {
		// Ends with the blocks.
		go l.Work()
	}
}

// Work runs what Receive left for the reading goroutine. There is more than one
// block if another reader came before this one got here; each may wait for what
// another does, so only one runs here.
func (l *link) Work() {
	c := l.c
	c.mu.Lock()
	if q := l.work.greets; q != nil {
		l.work.greets = nil
		if !l.work.late {
			c.reader = l // which handles the first message, too, unless the listener's handler takes long
		}
		c.mu.Unlock()
		c.home.conn.deliver()
		q.exit()
		c.mu.Lock()
		c.reader = nil
	}
	w := l.work
	l.work = work{}
	for len(w.replies) > 1 || len(w.replies) > 0 && w.deliver != nil {
		// Ends with the block.
		go w.replies[0].runEntered()
		w.replies = w.replies[1:]
	}
	if w.deliver != nil {
		c.deliverLocked()
		w.deliver.exit()
		return
	}
	if len(w.replies) == 0 {
		c.mu.Unlock()
		return
	}
	b := w.replies[0]
	w.replies[0] = replyBlock{}
	l.work.replies = w.replies[:0] // room for the next
	c.mu.Unlock()
	b.runEntered()
}
