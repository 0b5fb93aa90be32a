package transport

import (
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

// sleeper works for a long time on each frame and then answers it.
type sleeper struct {
	conn   *Conn
	closed chan error
	left   int // frames; touched by the reading goroutine only
}

func (s *sleeper) Receive(f *Frame, inline bool) Outcome { s.left++; return Work }
func (s *sleeper) Closed(err error)                      { s.closed <- err }
func (s *sleeper) Work() {
	if s.left == 0 { // after the end
		return
	}
	s.left--
	time.Sleep(time.Hour)
	s.conn.Append(&Frame{})
	s.conn.Flush()
}

// TestPipeInBubble: in memory nothing waits for real time or from outside, so
// that tests of what is above run on a clock of their own.
func TestPipeInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe(Options{}, Options{})
		s := &sleeper{conn: b, closed: make(chan error, 1)}
		b.Start(s)
		client := startAsker(a)
		begin := time.Now()
		if err := client.ask(nil); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(begin); d != time.Hour {
			t.Errorf("the reply came after %v, want exactly the hour that the work takes", d)
		}
		client.waiter.Reset()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := a.Wait(ctx, client.waiter); err != context.DeadlineExceeded {
			t.Errorf("Wait gave %v, want DeadlineExceeded", err)
		}
		a.Close()
		if err := <-s.closed; err != io.EOF {
			t.Errorf("the other end was told %v, want EOF", err)
		}
	})
}
