package daemon

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/credentials"
	"github.com/openxpc/openxpc/credentials/codesign"
	"github.com/openxpc/openxpc/credentials/requirement"
	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// trustRoot makes a folder with a team's anchor and a signature of this test binary.
func trustRoot(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	place := codesign.System(root)[1]
	for _, dir := range []string{place.Trust, place.Platform, place.Store, filepath.Join(root, "etc")} {
		must(t, os.MkdirAll(dir, 0o755))
	}
	signer, c, err := codesign.NewTeam("EXAMPLE123", codesign.ECDSA, time.Now().AddDate(0, 0, -1), time.Now().AddDate(1, 0, 0))
	must(t, err)
	a := &codesign.Anchor{Name: "example", Certificate: c, Category: codesign.Developer, Teams: []string{"EXAMPLE123"}, Entitlements: []string{"com.example.*"}}
	must(t, os.WriteFile(filepath.Join(place.Trust, "example.pem"), a.Format(), 0o644))
	exe, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Skip(err)
	}
	defer exe.Close()
	info, err := exe.Stat()
	must(t, err)
	digest, err := codesign.Measure(exe, info.Size())
	must(t, err)
	e, err := signer.Sign(&codesign.Manifest{
		Identifier: "com.example.test", Team: "EXAMPLE123", Created: time.Now().Truncate(time.Second),
		Files:        []codesign.File{{Digest: digest, Size: info.Size(), Arch: runtime.GOARCH}},
		Entitlements: map[string]any{"com.example.see": true, "com.example.deep": deepest()},
	})
	must(t, err)
	_, err = codesign.StoreSignature(place.Store, e)
	must(t, err)
	return root
}

// deepest is an entitlement as deep as a manifest can have one: facts about it have to
// fit into a message.
func deepest() any {
	var v any = int64(1)
	for range 30 {
		v = []any{v}
	}
	return v
}

// ownPidfd is a handle of this process, as a peer of itself.
func ownPidfd(t *testing.T) int {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	pidfd, err := credentials.PeerPidfd(fds[0])
	if errors.Is(err, credentials.ErrUnsupported) {
		t.Skip(err)
	}
	must(t, err)
	t.Cleanup(func() { unix.Close(pidfd) })
	return pidfd
}

func attestation(pidfd, pid int) *xpc.Dictionary {
	m := xpc.NewDictionary()
	m.SetString(bootstrap.KeyOp, bootstrap.OpAttest)
	if pidfd >= 0 {
		m.SetFD(bootstrap.KeyProcess, pidfd)
	}
	m.SetInt64(bootstrap.KeyPID, int64(pid))
	m.SetInt64(bootstrap.KeyUID, int64(os.Geteuid()))
	m.SetInt64(bootstrap.KeyGID, int64(os.Getegid()))
	return m
}

func TestAttest(t *testing.T) {
	pidfd := ownPidfd(t)
	s := serve(t, Options{TrustRoot: trustRoot(t)})
	c := dialRegistry()
	defer func() { c.Cancel(); <-c.Done() }()
	ask := func(m *xpc.Dictionary) *xpc.Dictionary {
		t.Helper()
		reply, err := c.SendMessageWithReplySync(s.ctx, m)
		must(t, err)
		return reply
	}
	factsOf := func(m *xpc.Dictionary) (*requirement.Facts, uint64) {
		t.Helper()
		reply := ask(m)
		f, err := xpc.DecodeFacts(reply.GetDictionary(bootstrap.KeyFacts))
		if err != nil {
			t.Fatalf("%v: %v", reply, err)
		}
		return f, reply.GetUint64(bootstrap.KeyPin)
	}
	pinned := func(op string, pin uint64) bootstrap.Code {
		t.Helper()
		m := xpc.NewDictionary()
		m.SetString(bootstrap.KeyOp, op)
		m.SetUint64(bootstrap.KeyPin, pin)
		return bootstrap.Code(ask(m).GetInt64(bootstrap.KeyError))
	}

	f, pin := factsOf(attestation(pidfd, os.Getpid()))
	if f.Code == nil || f.Code.Identifier != "com.example.test" || f.Code.Team != "EXAMPLE123" || !f.Code.Trusted || f.Assurance != requirement.Image || f.Code.Entitlements["com.example.see"] != true {
		t.Errorf("%+v, %+v; want the signature of this program", f, f.Code)
	}
	if code := pinned(bootstrap.OpConfirm, pin); pin == 0 || code != 0 {
		t.Errorf("pin %d: %v; this program has executed nothing", pin, code)
	}
	if code := pinned(bootstrap.OpUnpin, pin); code != 0 {
		t.Errorf("unpin: %v", code)
	}
	self := attestation(pidfd, os.Getpid())
	self.SetBool(bootstrap.KeyPinned, true)
	if f, pin := factsOf(self); f.Code == nil || pin != 0 {
		t.Errorf("%+v, pin %d; want the signature, and no pin for who has one", f, pin)
	}
	for _, op := range []string{bootstrap.OpConfirm, bootstrap.OpUnpin} {
		if code := pinned(op, pin); code != bootstrap.BadRequest {
			t.Errorf("%s of a pin that was given up: %v", op, code)
		}
	}
	if f, pin := factsOf(attestation(pidfd, 1)); f.Code != nil || pin != 0 || !strings.Contains(f.Why, "another process's") {
		t.Errorf("%+v, pin %d; the handle and the process id are not the same process's", f, pin)
	}
	if f, pin := factsOf(attestation(-1, os.Getpid())); f.Code != nil || pin != 0 || f.Why == "" {
		t.Errorf("%+v, pin %d; without a handle nothing is known", f, pin)
	}
	if f, pin := factsOf(attestation(int(os.Stderr.Fd()), os.Getpid())); f.Code != nil || pin != 0 || f.Why == "" {
		t.Errorf("%+v, pin %d; standard error is no process", f, pin)
	}
}

// What a client makes the registry hold is bounded, and given back with its connection:
// the descriptors are counted after the tests.
func TestPinsAreBounded(t *testing.T) {
	pidfd := ownPidfd(t)
	s := serve(t, Options{})
	c := dialRegistry()
	defer func() { c.Cancel(); <-c.Done() }()
	for n := 0; ; n++ {
		reply, err := c.SendMessageWithReplySync(s.ctx, attestation(pidfd, os.Getpid()))
		must(t, err)
		code := bootstrap.Code(reply.GetInt64(bootstrap.KeyError))
		if code == bootstrap.OverQuota && n == MaxClientPins {
			return
		}
		if code != 0 || n > MaxClientPins {
			t.Fatalf("pin %d: %v; want room for %d", n, code, MaxClientPins)
		}
	}
}
