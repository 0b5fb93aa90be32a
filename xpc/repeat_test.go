package xpc

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/transport"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// forgetful is a registry that ends, as far as its client can see, when it is first
// asked for a name, and again when it has given it away; then it stays. A name is
// given to one connection as long as that lasts, and once.
type forgetful struct {
	path string
	dir  string // of the names' sockets
	last chan string

	mu    sync.Mutex // guards the rest
	asked map[string]int
	owner map[string]*Connection
}

func newForgetful(t *testing.T) *forgetful {
	t.Helper()
	dir := t.TempDir()
	f := &forgetful{path: filepath.Join(dir, "r"), dir: dir, last: make(chan string, 1), asked: map[string]int{}, owner: map[string]*Connection{}}
	fd, err := transport.Listen(f.path)
	if err != nil {
		t.Fatal(err)
	}
	l := NewConnectionFromListener(os.NewFile(uintptr(fd), "registry"), nil)
	l.SetEventHandler(func(o Object) {
		p, ok := o.(*Connection)
		if !ok {
			return
		}
		p.SetEventHandler(func(o Object) {
			if m, ok := o.(*Dictionary); ok {
				f.request(p, m)
			}
		})
		p.Activate()
	})
	l.Activate()
	t.Cleanup(func() { l.Cancel(); <-l.Done() })
	return f
}

func (f *forgetful) request(p *Connection, m *Dictionary) {
	f.mu.Lock()
	defer f.mu.Unlock()
	name, again := m.GetString(bootstrap.KeyName), m.GetBool(bootstrap.KeyAgain)
	if m.GetString(bootstrap.KeyOp) != bootstrap.OpCheckIn {
		return
	}
	f.asked[name]++
	if f.asked[name] == 1 {
		p.Cancel()
		return
	}
	r := m.CreateReply()
	if o := f.owner[name]; o == p && !again {
		r.SetInt64(bootstrap.KeyError, int64(bootstrap.ServiceActive))
		p.SendMessage(r)
		return
	}
	f.owner[name] = p
	path := filepath.Join(f.dir, name)
	fd, err := transport.Listen(path)
	if err != nil {
		r.SetInt64(bootstrap.KeyError, int64(bootstrap.BadRequest))
		p.SendMessage(r)
		return
	}
	os.Remove(path)
	r.SetFD(bootstrap.KeyListener, fd)
	unix.Close(fd)
	p.SendMessage(r)
	if f.asked[name] == 2 {
		p.SendBarrier(p.Cancel)
	} else if f.asked[name] == 3 {
		f.last <- name
	}
}

// However the end of a registry, the answer to a check-in and its repetition overlap:
// the new registry hears of each listener, and none is taken for a second one.
func TestACheckInWhileTheRegistryEnds(t *testing.T) {
	f := newForgetful(t)
	t.Setenv(bootstrap.EnvRegistry, f.path)
	for i := range 200 {
		name := fmt.Sprintf("n%d", i)
		c := NewMachServiceConnection(name, nil, MachServiceListener)
		ended := make(chan string, 2)
		c.SetEventHandler(func(o Object) { ended <- c.InvalidationReason() })
		c.Activate()
		select {
		case got := <-f.last:
			if got != name {
				t.Fatalf("the registry hears of %s, want %s", got, name)
			}
		case why := <-ended:
			t.Fatalf("%s has ended: %s", name, why)
		case <-time.After(30 * time.Second):
			t.Fatalf("the last registry never heard of %s", name)
		}
		select {
		case why := <-ended:
			t.Fatalf("%s has ended: %s", name, why)
		default:
		}
		c.Cancel()
		<-c.Done()
		<-ended
	}
}
