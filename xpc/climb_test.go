package xpc

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/openxpc/openxpc/transport"
	"github.com/openxpc/openxpc/xpc/bootstrap"
	"github.com/openxpc/openxpc/xpc/internal/lifecycle"
)

// registryThat hands each request to answer, on the queue of the connection it came by.
func registryThat(t *testing.T, answer func(p *Connection, m *Dictionary)) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "r")
	fd, err := transport.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	serving(t, NewConnectionFromListener(os.NewFile(uintptr(fd), "registry"), nil), answer)
	return path
}

// fakeRegistry answers look-ups of the names that it was given, and nothing else.
func fakeRegistry(t *testing.T, names map[string]*Endpoint) (path string) {
	t.Helper()
	return registryThat(t, func(p *Connection, m *Dictionary) { found(p, m, names[m.GetString(bootstrap.KeyName)]) })
}

// found answers a look-up; the name is unknown if ep is nil.
func found(p *Connection, m *Dictionary, ep *Endpoint) {
	r := m.CreateReply()
	if r == nil {
		return
	}
	if ep != nil {
		r.Set(bootstrap.KeyEndpoint, ep)
	} else {
		r.SetInt64(bootstrap.KeyError, int64(bootstrap.UnknownService))
	}
	p.SendMessage(r)
}

func clientOf(roots bool, paths ...string) *registryClient {
	return newRegistryClient(registryOrigin{paths: func() []string { return paths }, roots: roots}, false)
}

// callThrough calls a service that is found through registries, and returns the call's error.
func callThrough(t *testing.T, name string, registries ...*registryClient) error {
	t.Helper()
	c := newConnection(lifecycle.Named, name, &nameOrigin{registries}, nil)
	c.SetEventHandler(func(Object) {})
	c.Activate()
	_, err := c.SendMessageWithReplySync(context.Background(), NewDictionary())
	c.Cancel()
	<-c.Done()
	for _, r := range registries {
		if r.mu.Lock(); len(r.names) != 0 || r.conn != nil {
			t.Errorf("a registry's client keeps %d names and connection %v, want nothing when no connection is left", len(r.names), r.conn)
		}
		r.mu.Unlock()
	}
	return err
}

// R211: the nearest registry that knows the name answers; an unknown name is
// unknown only when the last one has said so.
func TestLookUpsClimb(t *testing.T) {
	_, ep := echoListener(t)
	near := fakeRegistry(t, map[string]*Endpoint{"com.example.near": ep})
	far := fakeRegistry(t, map[string]*Endpoint{"com.example.far": ep})
	nowhere := filepath.Join(t.TempDir(), "none")
	for _, c := range []struct {
		why, name string
		from      []string
		want      error
	}{
		{"known near by", "com.example.near", []string{near, far}, nil},
		{"known further up", "com.example.far", []string{near, far}, nil},
		{"known nowhere", "com.example.x", []string{near, far}, ErrUnknownName},
		{"a private registry stands alone", "com.example.far", []string{near}, ErrUnknownName},
		{"no registry near by", "com.example.far", []string{nowhere, far}, nil},
		{"none further up: the first answer counts", "com.example.far", []string{near, nowhere}, ErrUnknownName},
		{"none at all", "com.example.far", []string{nowhere, nowhere}, ErrNoRegistry},
	} {
		t.Run(c.why, func(t *testing.T) {
			var registries []*registryClient
			for _, path := range c.from {
				registries = append(registries, clientOf(false, path))
			}
			if err := callThrough(t, c.name, registries...); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

// R212: PRIVILEGED asks the system's registry alone.
func TestPrivilegedLooksInTheSystemAlone(t *testing.T) {
	both := []string{"/run/user/1000/xpc/registry.sock", bootstrap.SystemPath()}
	if got := originFor(MachServicePrivileged, both).registries; !slices.Equal(got, []*registryClient{systemRegistry}) {
		t.Errorf("privileged: asks %d registries, want the system's alone", len(got))
	}
	if got := originFor(MachServicePrivileged, []string{"/tmp/private"}).registries; !slices.Equal(got, []*registryClient{systemRegistry}) {
		t.Error("XPC_REGISTRY must not stand in for the system's registry")
	}
	if got := originFor(0, both).registries; !slices.Equal(got, []*registryClient{registry, systemRegistry}) {
		t.Error("without the flag the user's registry is asked first, then the system's")
	}
}

// R212: what answers at the system's path must be root's.
func TestTheSystemsRegistryMustBeRoots(t *testing.T) {
	_, ep := echoListener(t)
	path := fakeRegistry(t, map[string]*Endpoint{"com.example.x": ep})
	err := callThrough(t, "com.example.x", clientOf(true, path))
	if os.Geteuid() == 0 && err != nil {
		t.Errorf("root's own registry was refused: %v", err)
	}
	if os.Geteuid() != 0 && !errors.Is(err, ErrNoRegistry) {
		t.Errorf("got %v, want ErrNoRegistry: another user could pose as the system", err)
	}
}
