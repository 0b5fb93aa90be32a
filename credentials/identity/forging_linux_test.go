package identity

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/credentials"
	"github.com/openxpc/openxpc/credentials/codesign"
	"github.com/openxpc/openxpc/credentials/requirement"
	"github.com/openxpc/openxpc/integration/soak"
)

// patience bounds every wait of these tests; nothing is expected to take as long.
const patience = 30 * time.Second

const (
	nobody    = 65534
	markerGID = 4242
)

// stage has the programs of the forging tests, and a registry's view of them.
type stage struct {
	trusted, marked, evil, preload string
	who                            *Identifier
}

// theStage is made by the first test that needs it.
var theStage struct {
	sync.Once
	*stage
	why error // there is none
}

func setStage(t *testing.T) *stage {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to look at other users' processes and to install a set-group-id program")
	}
	fd, _ := pair(t)
	needPins(t, fd)
	theStage.Do(func() { theStage.stage, theStage.why = makeStage(t) })
	if theStage.stage == nil {
		t.Skip("there are no programs that forge what they are: ", theStage.why)
	}
	return theStage.stage
}

func makeStage(t *testing.T) (*stage, error) {
	dir, err := os.MkdirTemp("", "forging")
	must(t, err)
	must(t, os.Chmod(dir, 0o755))
	cleanUp = func() { os.RemoveAll(dir) }
	at := func(name string) string { return filepath.Join(dir, name) }
	s := &stage{trusted: at("trusted"), marked: at("marked"), evil: at("evil"), preload: at("preload.so")}
	for _, args := range [][]string{
		{s.trusted, "testdata/client.c"}, {s.evil, "-static-pie", "-DEVIL", "testdata/client.c"}, {s.preload, "-shared", "-fPIC", "testdata/preload.c"},
	} {
		if b, err := exec.Command("gcc", append([]string{"-O1", "-pthread", "-o"}, args...)...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("gcc %v: %w: %s", args, err, b)
		}
	}
	image, err := os.ReadFile(s.trusted)
	must(t, err)
	must(t, os.WriteFile(s.marked, image, 0o755))
	must(t, os.Chown(s.marked, 0, markerGID))
	must(t, unix.Chmod(s.marked, 0o2755))
	s.who = &Identifier{Verifier: Signatures(signed(t, dir, image)), Etc: at("etc")}
	return s, nil
}

// signed makes a trust store below dir in which the image is signed.
func signed(t *testing.T, dir string, image []byte) *codesign.Verifier {
	t.Helper()
	const team, identifier = "EXAMPLE123", "com.example.trusted"
	places := codesign.System(dir)
	for _, d := range []string{places[1].Trust, places[1].Store, filepath.Join(dir, "etc")} {
		must(t, os.MkdirAll(d, 0o755))
	}
	marker := codesign.MarkerName(team, identifier)
	must(t, os.WriteFile(filepath.Join(dir, "etc/group"), fmt.Appendf(nil, "root:x:0:\n%s:x:%d:\n", marker, markerGID), 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "etc/passwd"), []byte("root:x:0:0::/:/bin/sh\n"), 0o644))
	now := time.Now().Truncate(time.Second)
	signer, c, err := codesign.NewTeam(team, "", now.AddDate(0, 0, -1), now.AddDate(1, 0, 0))
	must(t, err)
	anchor := &codesign.Anchor{Name: "example", Certificate: c, Category: codesign.Developer, Teams: []string{team}}
	must(t, os.WriteFile(filepath.Join(places[1].Trust, "example.pem"), anchor.Format(), 0o644))
	digest, err := codesign.Measure(bytes.NewReader(image), int64(len(image)))
	must(t, err)
	e, err := signer.Sign(&codesign.Manifest{
		Identifier: identifier, Team: team, Marker: marker, Created: now,
		Files: []codesign.File{{Digest: digest, Size: int64(len(image)), Arch: runtime.GOARCH}},
	})
	must(t, err)
	_, err = codesign.StoreSignature(places[1].Store, e)
	must(t, err)
	return codesign.NewVerifier(places, nil)
}

// openFolder makes one that everybody can enter.
func openFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "forging")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	return dir
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// scene is one client at work.
type scene struct {
	t    *testing.T
	s    *stage
	l    *net.UnixListener
	path string
}

func (s *stage) scene(t *testing.T) *scene {
	t.Helper()
	path := filepath.Join(openFolder(t), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	must(t, err)
	t.Cleanup(func() { l.Close() })
	l.SetDeadline(time.Now().Add(patience))
	must(t, os.Chmod(path, 0o777))
	onSocket(t, l, func(fd int) error { return credentials.EnableReceive(fd) })
	return &scene{t, s, l, path}
}

func onSocket(t *testing.T, c syscall.Conn, use func(fd int) error) {
	t.Helper()
	raw, err := c.SyscallConn()
	must(t, err)
	must(t, raw.Control(func(fd uintptr) { err = use(int(fd)) }))
	must(t, err)
}

// start runs a client as nobody, in a group of its own that is ended with the test.
func (s *scene) start(program, mode, other string, env ...string) *exec.Cmd {
	s.t.Helper()
	cmd := exec.Command(program, mode, s.path, other)
	cmd.Dir, cmd.Env = "/", append([]string{"SPEAK_TO=" + s.path}, env...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	must(s.t, cmd.Start())
	s.t.Cleanup(func() {
		unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
		cmd.Wait()
	})
	return cmd
}

func (s *scene) accept() *net.UnixConn {
	s.t.Helper()
	c, err := s.l.AcceptUnix()
	must(s.t, err)
	s.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

// verdict is what became of a client.
type verdict struct {
	level     requirement.Assurance // at which its code was known; of nobody's, CredentialsOnly
	delivered []string
	refused   error // why the next message was not delivered
}

// judge does what docs/identity.md says: look, challenge, look again, and then look
// at each message.
func (s *scene) judge(c *net.UnixConn, messages int) (v verdict) {
	s.t.Helper()
	var peer *Peer
	onSocket(s.t, c, func(fd int) (err error) {
		peer, err = s.s.who.Socket(s.t.Context(), fd)
		return err
	})
	defer peer.Close()
	if peer.Facts.Code == nil {
		v.refused = errors.New(peer.Facts.Why)
		return v
	}
	nonce := make([]byte, 16)
	rand.Read(nonce)
	c.Write(nonce)
	heard := func() ([]byte, error) {
		b, oob := make([]byte, 16), make([]byte, 2*credentials.ControlSpace())
		n, oobn, _, _, err := c.ReadMsgUnix(b, oob)
		if err != nil || n != 16 {
			return nil, fmt.Errorf("%d bytes, %v", n, err)
		}
		h, data, _, err := unix.ParseOneSocketControlMessage(oob[:oobn])
		if err != nil {
			return nil, err
		}
		if who, _ := credentials.ParseCredentials(h, data); who.PID != peer.Facts.Credentials.PID {
			return nil, fmt.Errorf("a message from pid %d, connector is %d", who.PID, peer.Facts.Credentials.PID)
		}
		return b, peer.Check()
	}
	b, err := heard()
	if err == nil && !bytes.Equal(b, nonce) {
		err = errors.New("bytes before the challenge's answer")
	}
	if v.refused = err; err != nil {
		return v
	}
	v.level = peer.Facts.Assurance
	for range messages {
		b, err := heard()
		if v.refused = err; err != nil {
			return v
		}
		v.delivered = append(v.delivered, string(b))
		c.Write([]byte("x"))
	}
	return v
}

const (
	genuine = "GENUINE MESSAGE."
	forged  = "EVIL EVIL EVIL E"
)

// Level image stands for the file that a process shows as its own, and some can forge
// that: the rows with forged text say which. At level granted there is none of them.
// Each row is played by a program of one thread, whose memory and image are compared, and
// by one of two, where the second tells of an exec.
func TestForging(t *testing.T) {
	s := setStage(t)
	const none, image, granted = requirement.CredentialsOnly, requirement.Image, requirement.Granted
	type row struct {
		name, program, mode, other string
		env                        []string
		messages                   int
		level                      requirement.Assurance
		delivered                  string // comma between messages
		refused                    string // part of why the next one was
	}
	preload := "LD_PRELOAD=" + s.preload
	rows := []row{
		{name: "honest", program: s.trusted, mode: "plain", messages: 1, level: image, delivered: genuine},
		{name: "honest and installed", program: s.marked, mode: "plain", messages: 1, level: granted, delivered: genuine},
		{name: "unsigned", program: s.evil, mode: "plain", refused: "has no signature"},
		{name: "exec after connect", program: s.trusted, mode: "exec", other: s.evil, messages: 2, level: image, delivered: genuine, refused: "executed another"},
		{name: "exec after connect, installed", program: s.marked, mode: "exec", other: s.evil, messages: 2, level: granted, delivered: genuine, refused: "executed another"},
		{name: "exec with the old memory kept", program: s.trusted, mode: "keep-exec", other: s.evil, messages: 2, level: image, delivered: genuine, refused: "executed another"},
		{name: "a child speaks", program: s.trusted, mode: "child", messages: 1, level: image, refused: "a message from pid"},
		{name: "a partner steals the challenge", program: s.trusted, mode: "steal", refused: "a message from pid"},
		{name: "memfd", program: s.evil, mode: "memfd", other: s.trusted, refused: "memfd"},
		{name: "preload", program: s.trusted, mode: "plain", env: []string{preload}, refused: "LD_PRELOAD"},
		{name: "preload that wipes its traces", program: s.trusted, mode: "plain", env: []string{preload, "WIPE=1"}, messages: 1, level: image, delivered: forged},
		{name: "preload, installed", program: s.marked, mode: "plain", env: []string{preload}, messages: 1, level: granted, delivered: genuine},
		{name: "traced", program: s.evil, mode: "traced", other: s.trusted, refused: "traces it"},
		{name: "traced from birth", program: s.evil, mode: "trace", other: s.trusted, messages: 1, level: image, delivered: forged},
		{name: "traced from birth, installed", program: s.evil, mode: "trace", other: s.marked, messages: 1, level: image, delivered: forged},
		{name: "no new privileges", program: s.evil, mode: "no-new-privileges", other: s.marked, messages: 1, level: image, delivered: genuine},
		{name: "user namespace", program: s.evil, mode: "namespace", other: s.marked, refused: "another user namespace"},
		{name: "a copy without the group", program: s.evil, mode: "no-new-privileges", other: s.trusted, messages: 1, level: image, delivered: genuine},
	}
	if runtime.GOARCH == "amd64" {
		rows = append(rows,
			row{name: "forged exe in a namespace", program: s.evil, mode: "forge-namespace", other: s.trusted, refused: "another user namespace"},
			row{name: "forged exe by a helper", program: s.evil, mode: "forge", other: s.trusted, messages: 1, level: image, delivered: forged},
			row{name: "forged exe by a helper, installed", program: s.evil, mode: "forge", other: s.marked, messages: 1, level: image, delivered: forged},
		)
	}
	for n := range 2 * len(rows) {
		r, threads, demanded := rows[n/2], []string{"THREADS=1"}[n%2:], 1000
		if r.mode == "child" || r.mode == "steal" { // of a shared descriptor
			demanded = 10_000
		}
		repeat(t, strings.Join(append(threads, r.name), " "), soak.Times(1, demanded), func(t *testing.T) {
			w := s.scene(t)
			w.start(r.program, r.mode, r.other, append(r.env, threads...)...)
			v := w.judge(w.accept(), r.messages)
			if got := strings.Join(v.delivered, ","); got != r.delivered || v.level != r.level {
				t.Errorf("at level %v %q was delivered, then: %v; want level %v, %q", v.level, got, v.refused, r.level, r.delivered)
			}
			if r.refused != "" && (v.refused == nil || !strings.Contains(v.refused.Error(), r.refused)) {
				t.Errorf("refused because of %v; want %q", v.refused, r.refused)
			}
			if v.level >= granted && strings.Contains(strings.Join(v.delivered, ""), forged) {
				t.Errorf("a forged message was delivered at level %v", v.level)
			}
		})
	}
}

// repeat does a test so often, and cleans up each time.
func repeat(t *testing.T, name string, times int, test func(t *testing.T)) {
	t.Run(name, func(t *testing.T) {
		for range times {
			if !t.Run("", test) {
				return
			}
		}
	})
}

// The bytes were written before the trusted program ran: a look at any time after
// that sees the trusted program, and only the challenge tells.
func TestForgingQueueThenExec(t *testing.T) {
	s := setStage(t)
	w := s.scene(t)
	cmd := w.start(s.evil, "queue", s.trusted)
	c := w.accept()
	w.executes(cmd.Process.Pid, s.trusted)
	if v := w.judge(c, 1); v.delivered != nil || v.refused == nil || !strings.Contains(v.refused.Error(), "before the challenge") {
		t.Errorf("%+v", v)
	}
}

// Who connected has ended, a child speaks on its socket, and the process id is the
// trusted program's now.
func TestForgingPIDReuse(t *testing.T) {
	s := setStage(t)
	repeat(t, "again", soak.Times(1, 1000), func(t *testing.T) {
		w := s.scene(t)
		// In a group of its own its id would stay in use as the group's.
		cmd := exec.Command(s.evil, "orphan", w.path)
		cmd.Dir, cmd.Stderr = "/", os.Stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		must(t, cmd.Start())
		c := w.accept()
		cmd.Wait()
		again := exec.Command(s.trusted, "as", w.path, strconv.Itoa(cmd.Process.Pid))
		again.Stderr = os.Stderr
		again.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		must(t, again.Start())
		t.Cleanup(func() {
			unix.Kill(-again.Process.Pid, unix.SIGKILL)
			again.Wait()
		})
		w.executes(cmd.Process.Pid, s.trusted)
		if v := w.judge(c, 1); v.delivered != nil || v.level != requirement.CredentialsOnly {
			t.Errorf("%+v", v)
		}
	})
}

// executes returns when the process's image is the program.
func (s *scene) executes(pid int, program string) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); ; runtime.Gosched() {
		if exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); exe == program {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("process %d does not execute %s", pid, program)
		}
	}
}

// A marked program puts its group aside, keeping it saved: what it executes has it no more.
func TestForgingGroupIsNotInherited(t *testing.T) {
	s := setStage(t)
	w := s.scene(t)
	w.start(s.marked, "drop-exec", s.trusted)
	if v := w.judge(w.accept(), 1); v.level != requirement.Granted || v.delivered == nil {
		t.Errorf("the marked program itself: %+v", v)
	}
	if v := w.judge(w.accept(), 1); v.level != requirement.Image {
		t.Errorf("what it executed: %+v; want no more than the image", v)
	}
}
