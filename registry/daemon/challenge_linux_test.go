package daemon

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/registry"
	"github.com/openxpc/openxpc/xpc/bootstrap"
	"github.com/openxpc/openxpc/xpc/wire"
)

const (
	frameChallenge = 7
	frameAnswer    = 8
)

func init() {
	roles["impostor"], roles["accomplice"] = impostor, accomplice
	roles["idle"] = func() { unix.Pause() }
}

// impostor asks for its job's name over the socket that it inherited, and executes the
// program that may own it, which knows nothing of the socket. Another process of its
// reads what the registry says.
func impostor() {
	fd, _ := strconv.Atoi(os.Getenv(bootstrap.EnvBootstrapFD))
	at := func(name string) string { return filepath.Join(os.Getenv("AT"), name) }
	text := func(b []byte, pairs ...string) []byte {
		for _, s := range pairs {
			b = wire.AppendString(b, s)
		}
		return b
	}
	hello := wire.AppendUint64(text(wire.AppendMapHeader(nil, 2), "version"), 1)
	hello = wire.AppendUint64(text(hello, "flags"), 2) // it answers challenges
	asks := text(wire.AppendMapHeader(nil, 2), bootstrap.KeyOp, bootstrap.OpCheckIn, bootstrap.KeyName, os.Getenv("NAME"))
	said := append(frame(frameHello, 0, 0, 0, hello), frame(frameMessage, 1, 0, 1, asks)...)

	unix.CloseOnExec(fd)
	other := exec.Command("/proc/self/exe")
	other.Env = append(os.Environ(), roleVariable+"=accomplice", "SAID="+strconv.Itoa(len(said)))
	other.ExtraFiles = []*os.File{os.NewFile(uintptr(fd), "bootstrap")}
	other.Stderr = os.Stderr
	if err := other.Start(); err != nil {
		panic(err)
	}
	os.WriteFile(at("ready"), []byte(strconv.Itoa(os.Getpid())), 0) // until the test reads it
	os.ReadFile(at("go"))
	other.ExtraFiles[0].Write(said)
	trusted := os.Getenv("TRUSTED")
	unix.Exec(trusted, []string{trusted}, []string{roleVariable + "=idle"})
	panic("the trusted program cannot be executed")
}

// accomplice answers the challenge as the impostor's library would have, and tells what
// the registry answered.
func accomplice() {
	sock := os.NewFile(3, "bootstrap")
	said, _ := strconv.ParseUint(os.Getenv("SAID"), 10, 64)
	for {
		var h [headerSize]byte
		if _, err := io.ReadFull(sock, h[:]); err != nil {
			return
		}
		body := make([]byte, binary.BigEndian.Uint32(h[:]))
		io.ReadFull(sock, body)
		switch h[4] {
		case frameChallenge:
			nonce := body[len(body)-16:]
			b := wire.AppendData(wire.AppendString(wire.AppendMapHeader(nil, 2), "nonce"), nonce)
			b = wire.AppendUint64(wire.AppendString(b, "sent"), said)
			sock.Write(frame(frameAnswer, 0, 0, 0, b))
		case frameReply:
			os.WriteFile(filepath.Join(os.Getenv("AT"), "answer"), body, 0)
			return
		}
	}
}

// A job's process that was another program when it asked gets no name that demands the
// one that it is now, and neither does who shares its socket: the registry challenges
// over that very socket.
func TestAJobThatExecutesAnotherProgramAfterAsking(t *testing.T) {
	ownPidfd(t)
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"ready", "go", "answer"} {
		must(t, unix.Mkfifo(at(name), 0o600))
	}
	image, err := os.ReadFile(self(t))
	must(t, err)
	must(t, os.WriteFile(at("unsigned"), append(image, 'x'), 0o755))

	var d *daemon
	s := serve(t, Options{TrustRoot: trustRoot(t), started: func(it *daemon) { d = it }, Jobs: []*registry.Job{func() *registry.Job {
		j := requiring(t, "asked", "", signedAs)
		j.Program, j.RunAtLoad = at("unsigned"), true
		j.Environment[roleVariable], j.Environment["AT"], j.Environment["TRUSTED"] = "impostor", dir, self(t)
		return j
	}()}})
	pid, err := os.ReadFile(at("ready"))
	must(t, err)
	// The registry is kept from looking before the trusted program runs.
	held := make(chan struct{})
	d.queue.Async(func() {
		close(held)
		for s.ctx.Err() == nil {
			if exe, _ := os.Readlink(fmt.Sprintf("/proc/%s/exe", pid)); exe == self(t) {
				return
			}
		}
		t.Error("the impostor does not execute the trusted program")
	})
	<-held
	must(t, os.WriteFile(at("go"), nil, 0))
	answer, err := os.ReadFile(at("answer"))
	must(t, err)
	for _, words := range []string{"has a requirement for check-in", "more than one process wrote to the socket"} {
		if !strings.Contains(string(answer), words) {
			t.Errorf("the answer %q has no %q", answer, words)
		}
	}
	reply, _ := s.tool(bootstrap.OpPrint, map[string]string{bootstrap.KeyLabel: "asked"})
	if reply.GetDictionary(bootstrap.KeyJob).GetDictionary("endpoints").GetDictionary("com.example.asked").GetBool("active") {
		t.Error("the impostor has the name")
	}
}
