package daemon

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// roleVariable makes this test binary a service or a client of the daemon under test.
const roleVariable = "XPC_TEST_ROLE"

// play is the process of a job, or of a stranger.
func play(role string) {
	switch role {
	case "echo":
		echo(os.Getenv("NAME"))
	case "late":
		late()
	case "listening":
		fmt.Println(len(listeningSockets()))
	case "unsteady":
		// Crashes a few times before it serves, and counts in a file.
		if countUp(os.Getenv("COUNTER")) < 4 {
			os.Exit(1)
		}
		echo(os.Getenv("NAME"))
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
		echo(os.Getenv("NAME"))
	case "busy":
		xpc.TransactionBegin()
		echo(os.Getenv("NAME"))
	case "mute":
		os.Unsetenv(bootstrap.EnvTransactions) // as a library that knows nothing of them
		echo(os.Getenv("NAME"))
	case "sockets":
		serveSockets()
	case "stranger":
		stranger()
	case "looker":
		looker()
	case "poor":
		poor()
	default:
		if run := roles[role]; run != nil {
			run()
		}
	}
}

// roles are those of one system's tests.
var roles = map[string]func(){}

// poorDescriptors is how many a daemon has that is to run out of them.
const poorDescriptors = 48

// poor is a daemon with few descriptors, until its input ends.
func poor() {
	unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: poorDescriptors, Max: poorDescriptors})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	if err := Serve(ctx, Options{Ready: func() { fmt.Println("ready") }}); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func countUp(path string) int {
	text, _ := os.ReadFile(path)
	n, _ := strconv.Atoi(string(text))
	os.WriteFile(path, []byte(strconv.Itoa(n+1)), 0o600)
	return n + 1
}

// echo answers every message with the same and its pid. What "do" asks for is done first.
func echo(name string) {
	inherited := os.Getenv(bootstrap.EnvListener) != ""
	listener := xpc.NewMachServiceConnection(name, nil, xpc.MachServiceListener)
	listener.SetEventHandler(func(o xpc.Object) {
		peer, ok := o.(*xpc.Connection)
		if !ok {
			answering.Wait()
			fmt.Fprintln(os.Stderr, "listener:", listener.InvalidationReason())
			os.Exit(9)
		}
		peer.SetEventHandler(func(o xpc.Object) {
			if m, ok := o.(*xpc.Dictionary); ok {
				answerEcho(listener, peer, m, inherited)
			}
		})
		peer.Activate()
	})
	listener.Activate()
	select {}
}

// answering is an answer that the end of the process waits for.
var answering sync.WaitGroup

func answerEcho(listener, peer *xpc.Connection, m *xpc.Dictionary, inherited bool) {
	switch m.GetString("do") {
	case "exit":
		os.Exit(3)
	case "hang":
		m.Retain()
		return
	case "shut the socket":
		shutListeners()
	case "check out":
		answering.Add(1) // the process ends with the listener, but not before its answer has left
		defer peer.SendBarrier(answering.Done)
		listener.Cancel()
	}
	reply := m.CreateReply()
	if reply == nil {
		return
	}
	reply.SetInt64("pid", int64(os.Getpid()))
	reply.SetString("text", m.GetString("text"))
	reply.SetBool("inherited", inherited)
	switch m.GetString("do") {
	case "endpoint":
		reply.SetConnection("endpoint", listener)
	case "a child":
		reply.SetString("text", child())
	}
	peer.SendMessage(reply)
}

// child is what a program that the service starts sees of the service's socket.
func child() string {
	self, _ := os.Executable()
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), roleVariable+"=listening")
	out, err := cmd.Output()
	return fmt.Sprintf("%q sockets %s %v", os.Getenv(bootstrap.EnvListener), strings.TrimSpace(string(out)), err)
}

// late uses the library only when it is signalled to, and minds no SIGTERM before.
func late() {
	signal.Ignore(syscall.SIGTERM)
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGUSR1)
	os.WriteFile(os.Getenv("STARTED"), nil, 0o600)
	<-told
	echo(os.Getenv("NAME"))
}

// shutListeners does what a hostile job would: it shuts down every listening
// socket that it holds, and so the registry's share of them.
func shutListeners() {
	for _, fd := range listeningSockets() {
		unix.Shutdown(fd, unix.SHUT_RDWR)
	}
}

func listeningSockets() (fds []int) {
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		fd, _ := strconv.Atoi(e.Name())
		if on, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err == nil && on == 1 {
			fds = append(fds, fd)
		}
	}
	return fds
}

// noDeadline is the context of processes that the test itself ends.
var noDeadline = context.Background()

// stranger tries, as another user, what only the registry's user may, and prints
// what it was told.
func stranger() {
	for _, op := range []string{bootstrap.OpLoad, bootstrap.OpUnload, bootstrap.OpCheckIn, bootstrap.OpPing} {
		m := xpc.NewDictionary()
		m.SetString(bootstrap.KeyOp, op)
		m.SetString(bootstrap.KeyLabel, "echo")
		m.SetString(bootstrap.KeyName, "com.example.stranger")
		m.SetData(bootstrap.KeyDocument, []byte(`{"Label":"evil","Program":"/bin/sh"}`))
		reply, err := askRegistry(context.Background(), m)
		if err != nil {
			fmt.Println(op, err)
			continue
		}
		fmt.Println(op, strings.ReplaceAll(bootstrap.Code(reply.GetInt64(bootstrap.KeyError)).String(), " ", "-"))
	}
}

// askRegistry sends one request on a connection of its own.
func askRegistry(ctx context.Context, m *xpc.Dictionary) (*xpc.Dictionary, error) {
	c := dialRegistry()
	defer func() {
		c.Cancel()
		<-c.Done()
	}()
	return c.SendMessageWithReplySync(ctx, m)
}

func dialRegistry() *xpc.Connection {
	c := xpc.NewMachServiceConnection(bootstrap.RegistryName, nil, 0)
	c.SetEventHandler(func(xpc.Object) {})
	c.Activate()
	return c
}
