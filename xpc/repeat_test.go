package xpc

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/transport"
	"github.com/openxpc/openxpc/xpc/bootstrap"
	"github.com/openxpc/openxpc/xpc/internal/lifecycle"
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
	f := &forgetful{dir: t.TempDir(), last: make(chan string, 1), asked: map[string]int{}, owner: map[string]*Connection{}}
	f.path = registryThat(t, f.request)
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

// A registry that was started again without a memory does not know a name before the
// program that serves it has told: that is not the name's end. It is if it lasts.
func TestANameComesBackAfterTheRegistry(t *testing.T) {
	const name = "com.example.late"
	for _, tt := range []struct {
		what   string
		denied int64 // look-ups after the restart
		lost   int64 // the look-up after which the registry is restarted once more, or 0
		asked  int64 // look-ups until the end
		want   []error
	}{
		{"it comes back", 3, 0, 5, []error{ErrConnectionInterrupted}},
		{"it never does", math.MaxInt64, 0, 9, []error{ErrConnectionInterrupted, ErrConnectionInvalid}},
		{"it never does, and each registry has its second", math.MaxInt64, 7, 7 + 8, []error{ErrConnectionInterrupted, ErrConnectionInvalid}},
	} {
		t.Run(tt.what, func(t *testing.T) {
			peers := make(chan *Connection, 2) // one for each request
			l := NewConnection("", nil)
			serving(t, l, func(p *Connection, m *Dictionary) {
				peers <- p
				p.SendMessage(m.CreateReply())
			})
			ep := NewEndpoint(l)
			var asked atomic.Int64
			back := make(chan struct{})
			r := clientOf(false, registryThat(t, func(p *Connection, m *Dictionary) {
				switch n := asked.Add(1); {
				case n == 1:
					found(p, m, ep)
					p.SendBarrier(p.Cancel)
				case n-1 <= tt.denied:
					found(p, m, nil)
					if n == tt.lost {
						p.SendBarrier(p.Cancel)
					}
				default:
					found(p, m, ep)
					close(back)
				}
			}))
			events := make(chan error, 4)
			c := newConnection(lifecycle.Named, name, &nameOrigin{[]*registryClient{r}}, nil)
			c.SetEventHandler(func(o Object) { events <- o.(*Error) })
			c.Activate()
			if _, err := c.SendMessageWithReplySync(context.Background(), NewDictionary()); err != nil {
				t.Fatal(err)
			}
			if len(tt.want) == 1 {
				select {
				case <-back:
				case <-time.After(30 * time.Second):
					t.Fatal("the name was not asked for again")
				}
			}
			(<-peers).Cancel() // the service goes on, and only this connection to it ends
			for _, want := range tt.want {
				if got := <-events; got != want {
					t.Errorf("got %v, want %v", got, want)
				}
			}
			if n := asked.Load(); n != tt.asked {
				t.Errorf("the name was asked for %d times, want %d", n, tt.asked)
			}
			if len(tt.want) == 1 {
				if _, err := c.SendMessageWithReplySync(context.Background(), NewDictionary()); err != nil {
					t.Errorf("the name is there, and a request fails: %v", err)
				}
			}
			c.Cancel()
			<-c.Done()
		})
	}
}

// Who has begun to use a name since the registry was asked for it does not hear of an
// end that was answered to others.
func TestTheEndOfANameIsForThoseWhoWaited(t *testing.T) {
	_, ep := echoListener(t)
	var r *registryClient
	named := func() *Connection { return newConnection(lifecycle.Named, "n", nearestAlone, nil) }
	early, late := named(), named()
	r = clientOf(false, registryThat(t, func(p *Connection, m *Dictionary) {
		r.known("n", late)
		found(p, m, nil)
	}))
	r.names["n"] = &registryName{endpoint: ep, users: map[*Connection]struct{}{early: {}}}
	if there, err := r.foundAgain(r.use(), "n", true); there || err != nil {
		t.Errorf("got %v and %v, want that it is to be asked for again", there, err)
	}
	if early.rarely().unloaded == nil || late.rarely().unloaded != nil {
		t.Error("the early one must be told, and the late one not")
	}
	r.leave("n", late)
	r.done()
	for _, c := range []*Connection{early, late} {
		c.SetEventHandler(func(Object) {})
		c.Activate()
		c.Cancel()
		<-c.Done()
	}
}
