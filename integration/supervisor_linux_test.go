package integration_test

import (
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// supervisor is a service manager as far as xpcd needs one: it keeps descriptors,
// and starts xpcd with them.
type supervisor struct {
	*world
	args    []string
	env     []string
	notify  *net.UnixConn
	told    chan string // what is not about descriptors
	read    chan struct{}
	barrier chan struct{}

	mu       sync.Mutex // guards the rest
	kept     map[string][]*os.File
	most     int // descriptors that are kept, 0 for all; what comes beyond is dropped without a word
	messages int
	killAt   int // the message after which xpcd is killed, 0 for none
	killed   chan struct{}
	restarts int // of one that was killed before it was ready
}

// supervise starts a registry with these jobs under a supervisor and makes it this process's.
func supervise(t *testing.T, jobs ...job) *supervisor {
	t.Helper()
	s := superviseLater(t, jobs...)
	s.start()
	return s
}

func superviseLater(t *testing.T, jobs ...job) *supervisor {
	t.Helper()
	w, args := prepare(t, jobs...)
	s := &supervisor{world: w, args: args, kept: map[string][]*os.File{}, told: make(chan string, 1<<16),
		read: make(chan struct{}), barrier: make(chan struct{}), killed: make(chan struct{}, 1)}
	path := filepath.Join(w.dir, "notify")
	var err error
	s.notify, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	must(t, err)
	s.env = []string{"NOTIFY_SOCKET=" + path, raceVariable + "=" + raceOptions}
	t.Setenv(bootstrap.EnvRegistry, w.socket)
	// Ends when the socket is closed.
	go s.listen()
	t.Cleanup(s.end)
	return s
}

func (s *supervisor) listen() {
	defer close(s.read)
	text, rights := make([]byte, 4096), make([]byte, unix.CmsgSpace(253*4))
	for {
		n, m, _, _, err := s.notify.ReadMsgUnix(text, rights)
		if err != nil {
			return
		}
		var files []*os.File
		messages, _ := unix.ParseSocketControlMessage(rights[:m])
		for _, c := range messages {
			fds, _ := unix.ParseUnixRights(&c)
			for _, fd := range fds {
				unix.CloseOnExec(fd)
				files = append(files, os.NewFile(uintptr(fd), "kept"))
			}
		}
		s.take(string(text[:n]), files)
	}
}

func (s *supervisor) take(text string, files []*os.File) {
	if text == "barrier" {
		s.barrier <- struct{}{}
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, name, _ := strings.Cut(text, "FDNAME=")
	name, _, _ = strings.Cut(name, "\n")
	switch {
	case strings.HasPrefix(text, "FDSTORE=1\n"):
		for _, f := range files {
			if s.most > 0 && s.count() >= s.most {
				f.Close()
				continue
			}
			s.kept[name] = append(s.kept[name], f)
		}
	case strings.HasPrefix(text, "FDSTOREREMOVE=1\n"):
		for _, f := range s.kept[name] {
			f.Close()
		}
		delete(s.kept, name)
	default:
		s.told <- text
	}
	if s.messages++; s.messages == s.killAt {
		s.registry.Process.Kill()
		s.killed <- struct{}{}
	}
}

func (s *supervisor) count() (n int) {
	for _, files := range s.kept {
		n += len(files)
	}
	return n
}

// start starts xpcd with what is kept, and waits until it is ready. One that was killed before is started again.
func (s *supervisor) start() {
	s.t.Helper()
	ready := make(chan struct{})
	out, errs := s.pipe(s.world.take), s.pipe(s.registryLog(ready))
	defer out.Close()
	defer errs.Close()
	var names []string
	var files []*os.File
	s.mu.Lock()
	for name, fs := range s.kept {
		for _, f := range fs {
			names, files = append(names, name), append(files, f)
		}
	}
	// Only the process itself knows its id before it runs.
	s.registry = exec.Command("sh", slices.Concat([]string{"-c", `LISTEN_PID=$$ exec "$0" "$@"`, xpcd(s.t)}, s.args)...)
	s.registry.Env = slices.Concat(os.Environ(), s.env, []string{
		fmt.Sprintf("LISTEN_FDS=%d", len(files)), "LISTEN_FDNAMES=" + strings.Join(names, ":")})
	s.registry.ExtraFiles = files
	s.registry.Stdout, s.registry.Stderr = out, errs
	err := s.registry.Start()
	s.mu.Unlock()
	must(s.t, err)
	select {
	case <-ready:
	case <-s.killed:
		s.restarts++
		s.gone()
		s.start()
	case <-s.ctx.Done():
		s.t.Fatal("xpcd was never ready")
	}
}

// crash kills xpcd, and waits until all that it has said is known.
func (s *supervisor) crash() {
	s.t.Helper()
	s.registry.Process.Kill()
	s.gone()
}

// journal is the file in which xpcd writes down what it does.
func (s *supervisor) journal() *os.File {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, files := range s.kept {
		if strings.HasPrefix(name, ".state-") {
			return files[0]
		}
	}
	s.t.Fatal("no journal is kept")
	return nil
}

// records are where the journal's records end, and before them where the first begins.
func (s *supervisor) records() []int64 {
	s.t.Helper()
	head := make([]byte, 8)
	ends := []int64{16}
	for {
		end := ends[len(ends)-1]
		if _, err := s.journal().ReadAt(head, end); err != nil {
			return ends
		}
		ends = append(ends, end+int64(len(head))+int64(binary.LittleEndian.Uint32(head)))
	}
}

// truncate has xpcd not have written what is behind the end of a record.
func (s *supervisor) truncate(end int64) {
	s.t.Helper()
	must(s.t, s.journal().Truncate(end))
}

// forget lets go of all that is kept, as a service manager without a store would.
func (s *supervisor) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, files := range s.kept {
		for _, f := range files {
			f.Close()
		}
		delete(s.kept, name)
	}
}

// gone waits for the end of xpcd.
func (s *supervisor) gone() {
	s.t.Helper()
	s.registry.Wait()
	to, err := net.DialUnix("unixgram", nil, s.notify.LocalAddr().(*net.UnixAddr))
	must(s.t, err)
	defer to.Close()
	_, err = to.Write([]byte("barrier"))
	must(s.t, err)
	<-s.barrier
}

// restart kills xpcd and starts it anew.
func (s *supervisor) restart() {
	s.t.Helper()
	s.crash()
	s.start()
}

// upgrade has xpcd execute itself anew, and waits until it is ready.
func (s *supervisor) upgrade() {
	s.t.Helper()
	must(s.t, s.registry.Process.Signal(syscall.SIGHUP))
	s.awaits("RELOADING=1\nMONOTONIC_USEC=")
	s.awaits("READY=1")
}

// awaits waits until the supervisor was told something that begins so.
func (s *supervisor) awaits(want string) {
	s.t.Helper()
	for {
		select {
		case got := <-s.told:
			if strings.HasPrefix(got, want) {
				return
			}
		case <-s.ctx.Done():
			s.t.Fatalf("xpcd never said %s", want)
		}
	}
}

// end stops xpcd, which has to leave nothing behind.
func (s *supervisor) end() {
	s.registry.Process.Signal(syscall.SIGTERM)
	if err := s.registry.Wait(); err != nil {
		s.t.Errorf("xpcd ended with %v", err)
	}
	s.gone()
	s.notify.Close()
	<-s.read
	for name, files := range s.kept {
		s.t.Errorf("%d descriptors are kept as %q after an orderly end", len(files), name)
		for _, f := range files {
			f.Close()
		}
	}
	s.close()
}
