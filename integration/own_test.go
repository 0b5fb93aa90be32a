package integration_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/openxpc/openxpc/xpc"
)

const ownName = "com.example.own"

// ownService is a service that belongs to a program. It says when it begins.
var ownService = helper("own service", func() {
	say("begins in mode %s", os.Getenv("MODE"))
	xpc.Main(func(c *xpc.Connection) {
		k := &keeper{Connection: c}
		c.SetEventHandler(func(o xpc.Object) {
			if _, ok := o.(*xpc.Dictionary); ok {
				k.handle(o)
			}
		})
		c.Activate()
	})
})

// ownClient is that program. An order is what to do with its connection; it says
// what came of it.
var ownClient = helper("own client", func() {
	connect := func(c *xpc.Connection) *xpc.Connection {
		c.SetEventHandler(func(o xpc.Object) { say("%s", eventName(o)) })
		c.Activate()
		return c
	}
	var c *xpc.Connection
	for order := range orders() {
		switch do, name, _ := strings.Cut(order, " "); do {
		case "connect":
			c = connect(xpc.NewConnection(name, nil))
			say("connected")
		case "mach":
			c = connect(xpc.NewMachServiceConnection(name, nil, 0))
			say("connected")
		case "cancel":
			c.Cancel()
			<-c.Done()
		default:
			reply, err := c.SendMessageWithReplySync(testContext(), message(do, ""))
			if err != nil {
				say("%v; %s", err, c.InvalidationReason())
				continue
			}
			say("served by %d", reply.GetInt64("pid"))
		}
	}
})

// application makes a folder with a copy of this binary and, beside it, the files
// of its own services.
func application(t *testing.T, files map[string]string) (program string) {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	text, err := os.ReadFile(self)
	must(t, err)
	program = filepath.Join(t.TempDir(), "program")
	must(t, os.WriteFile(program, text, 0o755))
	for name, text := range files {
		path := filepath.Join(filepath.Dir(program), "XPCServices", name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte(text), 0o644))
	}
	return program
}

// ownFile is a service's file; more is put into it.
func ownFile(name, executable, more string) string {
	return fmt.Sprintf(`{"CFBundleIdentifier": %q, "CFBundleExecutable": %q, "CFBundlePackageType": "XPC!", "CFBundleVersion": "1",
		"XPCService": {"ServiceType": "Application", "RunLoopType": "dispatch_main",
			"EnvironmentVariables": {"MODE": "private", %q: %q, %q: %q}}%s}`,
		name, executable, raceVariable, raceOptions, helperVariable, use(ownService), more)
}

// servedBy is the pid that the client says.
func (w *world) servedBy(why string) (pid int) {
	w.t.Helper()
	l := w.next(why, ownClient)
	if _, err := fmt.Sscanf(l.text, "served by %d", &pid); err != nil {
		w.t.Fatalf("%s: the client says %q", why, l.text)
	}
	return pid
}

func (w *world) gone(why string, pid int) {
	w.t.Helper()
	if err := syscall.Kill(pid, 0); err != syscall.ESRCH {
		w.t.Errorf("%s: pid %d is still there: %v", why, pid, err)
	}
}

func TestR051_AProgramsOwnServices(t *testing.T) {
	w := begin(t, theService)
	program := application(t, map[string]string{ownName + ".json": ownFile(ownName, "../program", "")})
	one, two := w.runProgram(program, ownClient), w.runProgram(program, ownClient)

	one.order("connect " + ownName)
	w.says("", ownClient, "connected")
	one.order("call")
	first := w.servedBy("the registry launches the service from the folder beside the program")
	w.says("with what its file says", ownService, "begins in mode private")
	one.order("call")
	if again := w.servedBy("a second call"); again != first {
		t.Errorf("one instance serves the process: %d and %d", first, again)
	}
	two.order("connect " + ownName)
	w.says("", ownClient, "connected")
	two.order("call")
	second := w.servedBy("another process of the same program")
	w.says("", ownService, "begins in mode private")
	if second == first {
		t.Errorf("each client process has an instance of its own (R227): both have %d", first)
	}
	w.to(ownName).wants("to everybody else the name does not exist", invalid)
	two.order("mach " + ownName)
	w.says("nor is it among the names (R51)", ownClient, "connected", invalid)

	one.order("connect " + serviceName)
	w.says("", ownClient, "connected")
	one.order("")
	if pid := w.servedBy("what is no service of its own is looked up among the names"); pid != w.running(theService) {
		t.Errorf("served by %d", pid)
	}

	must(t, syscall.Kill(second, syscall.SIGKILL))
	w.finally("a crash is told as usual", ownClient, interrupted)
	two.order("connect " + ownName)
	w.says("", ownClient, "connected")
	two.order("call")
	third := w.servedBy("and the next message launches it again (R121)")
	w.says("", ownService, "begins in mode private")

	one.end()
	w.dies("the domain of a process ends with it (R210)", `msg=unloaded job=pid/`+fmt.Sprint(one.Process.Pid)+"/"+ownName)
	w.gone("the service too", first)
	must(t, syscall.Kill(two.Process.Pid, syscall.SIGKILL))
	w.dies("also when it is killed", `msg=unloaded job=pid/`+fmt.Sprint(two.Process.Pid)+"/"+ownName)
	w.gone("", third)
}

// In the shape of a bundle the program is elsewhere; cancelling ends nothing.
func TestR227_ABundle(t *testing.T) {
	w := begin(t)
	info := ownFile(ownName, "run", `, "NSHumanReadableCopyright": "nobody's"`)
	program := application(t, map[string]string{
		ownName + ".xpc/Contents/Info.plist": info,
	})
	inside := filepath.Join(filepath.Dir(program), "XPCServices", ownName+".xpc", "Contents", "MacOS")
	must(t, os.Mkdir(inside, 0o755))
	must(t, os.Symlink(program, filepath.Join(inside, "run")))
	p := w.runProgram(program, ownClient)
	p.order("connect " + ownName)
	w.says("", ownClient, "connected")
	p.order("call")
	first := w.servedBy("")
	w.says("", ownService, "begins in mode private")
	p.order("cancel")
	w.says("", ownClient, invalid)
	p.order("connect " + ownName)
	w.says("", ownClient, "connected")
	p.order("call")
	if again := w.servedBy("a new connection"); again != first {
		t.Errorf("the instance is the process's, not a connection's: %d and %d", first, again)
	}
	p.end()
	w.dies("", "msg=unloaded")
	w.gone("", first)
}

// A file that is wrong, or that others could change, is refused, and the client is told why.
func TestR051_WhatIsRefused(t *testing.T) {
	w := begin(t)
	program := application(t, map[string]string{
		"com.example.open.json":   ownFile("com.example.open", "../program", ""),
		"com.example.shared.json": strings.Replace(ownFile("com.example.shared", "../program", ""), "Application", "System", 1),
		"com.example.kept.json":   ownFile("com.example.kept", "../program", `, "KeepAlive": true`),
		"com.example.other.json":  ownFile("com.example.another", "../program", ""),
	})
	must(t, os.Chmod(filepath.Join(filepath.Dir(program), "XPCServices", "com.example.open.json"), 0o666))
	p := w.runProgram(program, ownClient)
	for name, want := range map[string]string{
		"com.example.open":   "can be written by others (mode 0666)",
		"com.example.shared": `"ServiceType" "System" is not served`,
		"com.example.kept":   `"KeepAlive" is for job files`,
		"com.example.other":  `the file is that of "com.example.other"`,
		"com.example.none":   "no job declares",
	} {
		p.order("connect " + name)
		w.says(name, ownClient, "connected", invalid)
		p.order("call")
		if l := w.next(name, ownClient); !strings.Contains(l.text, want) {
			t.Errorf("%s: the client is told %q, want %q", name, l.text, want)
		}
	}
}
