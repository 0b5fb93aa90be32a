package xpc

import (
	"fmt"
	"time"
)

// boundReplies is called after a reply was handed to the socket: a peer that leaves
// its replies unread gets no more of its requests read. It cannot lead to two sides
// that wait for each other: who is owed a reply reads. A nil link is none.
func (l *link) boundReplies(lim *Limits) {
	// One request more is read before the reader hears of it.
	if l == nil || l.conn.Queued() < lim.MaxUnreadReplyBytes && l.conn.QueuedFrames()+1 < lim.MaxUnreadReplies {
		return
	}
	c := l.c
	c.mu.Lock()
	if l.unread != nil || c.link != l {
		c.mu.Unlock()
		return
	}
	l.awaitReading(lim.UnreadReplyPatience, unreadLooks)
	c.mu.Unlock()
	l.conn.Written(l.repliesRead)
}

// unreadLooks is how often it is looked whether the peer reads, within its patience.
const unreadLooks = 4

// awaitReading looks at the peer after a part of the patience; left is how many
// looks in a row may find that it has read nothing. c.mu is held.
func (l *link) awaitReading(patience time.Duration, left int) {
	taken := l.conn.Taken()
	l.unread = time.AfterFunc(patience/unreadLooks, func() { l.look(taken, patience, left-1) })
}

// repliesRead: what waited has left, or was dropped. Requests are read again.
func (l *link) repliesRead() {
	c := l.c
	c.mu.Lock()
	l.repliesLeft()
	if c.link == l {
		c.account(0)
	}
	c.unlock()
}

// repliesLeft stops waiting for the peer; c.mu is held.
func (l *link) repliesLeft() {
	if l.unread != nil {
		l.unread.Stop()
		l.unread = nil
	}
}

// look ends the connection of a peer that has read nothing for so long.
func (l *link) look(taken int64, patience time.Duration, left int) {
	c := l.c
	c.mu.Lock()
	over := false
	switch {
	case l.unread == nil || c.link != l:
	case l.conn.Taken() != taken:
		l.awaitReading(patience, unreadLooks)
	case left > 0:
		l.awaitReading(patience, left)
	default:
		over = true
	}
	c.mu.Unlock()
	if over {
		c.cancelBecause(fmt.Errorf("the connection's limit UnreadReplyPatience of %v was reached: the peer reads none of its replies", patience))
	}
}
