package daemon

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/registry"
	"github.com/openxpc/openxpc/xpc"
)

// serveSockets tells each client of each of its sockets which one that is, and who
// serves it. It ends when it is told to.
func serveSockets() {
	if _, err := xpc.ActivateSocket("none"); !errors.Is(err, unix.ENOENT) {
		panic(err)
	}
	for _, name := range []string{"one", "two"} {
		files, err := xpc.ActivateSocket(name)
		if err != nil {
			panic(err)
		}
		if _, err := xpc.ActivateSocket(name); !errors.Is(err, unix.EALREADY) {
			panic(err)
		}
		for _, f := range files {
			l, err := net.FileListener(f)
			if err != nil {
				panic(err)
			}
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						panic(err)
					}
					fmt.Fprintln(c, name, os.Getpid(), os.Getenv("LISTEN_FDS"))
					go func() {
						if text, _ := io.ReadAll(c); string(text) == "end" {
							os.Exit(0)
						}
					}()
				}
			}()
		}
	}
	select {}
}

func dialed(t *testing.T, network, address string) net.Conn {
	t.Helper()
	c, err := net.Dial(network, address)
	must(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

func firstLine(t *testing.T, c net.Conn) string {
	t.Helper()
	var name, pid string
	_, err := fmt.Fscan(c, &name, &pid)
	must(t, err)
	return name + " " + pid
}

// A job is started by a client of one of its sockets, has all of them, and is started
// again for who came after its end.
func TestSockets(t *testing.T) {
	dir := shortDir(t)
	path := filepath.Join(dir, "a.sock")
	mode := 0o600
	j := service(t, "sockets", "sockets", nil)
	j.MachServices, j.ThrottleInterval = nil, 0
	j.Sockets = []registry.Socket{
		{Name: "one", Network: "unix", Address: path, Mode: &mode, Owner: -1, Group: -1},
		{Name: "two", Network: "tcp4", Address: freePort(t), Owner: -1, Group: -1},
	}
	s := serve(t, Options{Jobs: []*registry.Job{j}})
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket's file: %v, %v, want mode 0600", info, err)
	}
	if state := s.job("sockets").GetString("state"); state != "not running" {
		t.Errorf("nobody has come, and the job is %s", state)
	}
	first := dialed(t, "unix", path)
	one := firstLine(t, first)
	two := firstLine(t, dialed(t, "tcp", j.Sockets[1].Address))
	pid, same := strings.CutPrefix(two, "two ")
	if !same || one != "one "+pid {
		t.Errorf("one process serves both: %q, %q", one, two)
	}
	first.Write([]byte("end"))
	first.(*net.UnixConn).CloseWrite()
	io.Copy(io.Discard, first)
	if again := firstLine(t, dialed(t, "tcp", j.Sockets[1].Address)); again == two || !strings.HasPrefix(again, "two ") {
		t.Errorf("another process serves who came later: %q", again)
	}
	s.tool("unload", map[string]string{"label": "sockets"})
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the socket's file outlives the job: %v", err)
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().String()
}

// Clients of a program that cannot be executed are turned away: the registry does not
// try for ever.
func TestSocketsOfAMissingProgram(t *testing.T) {
	path := filepath.Join(shortDir(t), "a.sock")
	j := &registry.Job{Label: "missing", Program: "/nonexistent/program", Arguments: []string{"x"},
		Sockets: []registry.Socket{{Name: "one", Network: "unix", Address: path, Owner: -1, Group: -1}}}
	serve(t, Options{Jobs: []*registry.Job{j}})
	for range 3 {
		if text, err := io.ReadAll(dialed(t, "unix", path)); err != nil || len(text) != 0 {
			t.Errorf("got %q, %v, want the end", text, err)
		}
	}
}

// A job whose socket cannot be made is not loaded, and leaves none of its sockets.
func TestSocketsThatCannotBeMade(t *testing.T) {
	dir := shortDir(t)
	s := serve(t, Options{})
	text := fmt.Sprintf(`{"Label": "x", "Program": "/bin/true", "Sockets": {"a": [{"SockPathName": %q}, {"SockPathName": "/nonexistent/s"}]}}`, filepath.Join(dir, "s"))
	for range 2 {
		reply, code := s.tool("load", map[string]string{"document": text})
		if code == 0 || !strings.Contains(reply.GetString("reason"), "/nonexistent/s") {
			t.Errorf("got %v", reply)
		}
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// inetd's ways: a process for each client, and one for the socket.
func TestInetd(t *testing.T) {
	dir := shortDir(t)
	nowait := &registry.Job{Label: "nowait", Program: "/bin/sh", Arguments: []string{"sh", "-c", "read x; echo $x $x"}, Inetd: &registry.Inetd{},
		Sockets: []registry.Socket{{Name: "s", Network: "unix", Address: filepath.Join(dir, "n"), Owner: -1, Group: -1}}}
	s := serve(t, Options{Jobs: []*registry.Job{nowait}})
	var clients []net.Conn
	for range registry.MaxInstances + 2 {
		clients = append(clients, dialed(t, "unix", nowait.Sockets[0].Address))
	}
	// They are served side by side, and in any order.
	slices.Reverse(clients)
	for i, c := range clients[2:] {
		fmt.Fprintln(c, i)
	}
	for i, c := range clients[2:] {
		if text, err := io.ReadAll(c); err != nil || string(text) != fmt.Sprintf("%d %d\n", i, i) {
			t.Errorf("client %d got %q, %v", i, text, err)
		}
	}
	for _, c := range clients[:2] { // they had to wait for others to end
		fmt.Fprintln(c, "last")
		if text, err := io.ReadAll(c); err != nil || string(text) != "last last\n" {
			t.Errorf("the last one got %q, %v", text, err)
		}
	}
	if state := s.job("nowait").GetString("state"); state != "not running" {
		t.Errorf("the job itself is %s, want its instances only", state)
	}
}

// A program that knows systemd alone finds its sockets by systemd's variables.
func TestSocketsAsSystemdPassesThem(t *testing.T) {
	dir := shortDir(t)
	out := filepath.Join(dir, "out")
	must(t, unix.Mkfifo(out, 0o600))
	f, err := os.OpenFile(out, os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	j := &registry.Job{Label: "x", Program: "/bin/sh", StandardOutPath: out,
		Arguments: []string{"sh", "-c", `test $LISTEN_PID = $$ && test -S /dev/fd/3 && test -S /dev/fd/4 && echo $LISTEN_FDS $LISTEN_FDNAMES $XPC_BOOTSTRAP_FD`},
		RunAtLoad: true, Sockets: []registry.Socket{
			{Name: "a", Network: "unix", Address: filepath.Join(dir, "a"), Owner: -1, Group: -1},
			{Name: "b", Network: "unixgram", Address: filepath.Join(dir, "b"), Owner: -1, Group: -1},
		}}
	serve(t, Options{Jobs: []*registry.Job{j}})
	text := make([]byte, 64)
	n, err := f.Read(text)
	if string(text[:n]) != "2 a:b 5\n" {
		t.Errorf("got %q, %v", text[:n], err)
	}
}
