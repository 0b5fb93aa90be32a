//go:build linux

package integration_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/openxpc/openxpc/credentials/codesign"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

const privilegedGroup = 4243

// privileged is the example of that name, installed below a folder of its own.
type privileged struct {
	t      *testing.T
	dir    string
	client string
	socket string
	log    chan string // the registry's and the service's lines
}

// installPrivileged builds the example, signs its client as xpcsign does, installs it with
// its group, and starts root's registry with the service.
func installPrivileged(t *testing.T) *privileged {
	t.Helper()
	p := privilegedFolder(t)
	service := filepath.Join(p.dir, "service")
	for out, src := range map[string]string{service: "../examples/privileged/service", p.client: "../examples/privileged/client"} {
		cmd := exec.Command("go", "build", "-o", out, src)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if b, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, b)
		}
	}
	p.sign("com.example.privileged.client", nil)
	p.serve(fmt.Appendf(nil, `{"Label":"com.example.privileged","Program":%q,"MachServices":{"com.example.privileged":true},"ThrottleInterval":0}`, service))
	return p
}

func privilegedFolder(t *testing.T) *privileged {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, for a privileged service and a set-group-id client")
	}
	dir, err := os.MkdirTemp("", "privileged")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	return &privileged{t: t, dir: dir, client: filepath.Join(dir, "client"), socket: filepath.Join(dir, "run", "r.sock"), log: make(chan string, 1000)}
}

// serve starts root's registry with a job.
func (p *privileged) serve(job []byte) {
	t := p.t
	t.Helper()
	file := filepath.Join(p.dir, "job.json")
	must(t, os.WriteFile(file, job, 0o600))
	registry := exec.Command(xpcd(t), "--socket", p.socket, "--end-with-parent", "--trust-root", p.dir, "--job", file)
	errs, err := registry.StderrPipe()
	must(t, err)
	in, err := registry.StdinPipe()
	must(t, err)
	must(t, registry.Start())
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		for s := bufio.NewScanner(errs); s.Scan(); {
			select {
			case p.log <- s.Text():
			default:
			}
		}
	}()
	t.Cleanup(func() {
		in.Close()
		<-drained
		registry.Wait()
	})
	p.logged("serving")
	// Only the machine's own registry is everybody's from the start.
	must(t, os.Chmod(filepath.Dir(p.socket), 0o755))
	must(t, os.Chmod(p.socket, 0o666))
}

// sign makes a team that this root trusts, and the client one of its programs, installed.
func (p *privileged) sign(identifier string, entitlements map[string]any) {
	const team = "EXAMPLE123"
	place, group := codesign.System(p.dir)[1], codesign.MarkerName(team, identifier)
	for _, d := range []string{place.Trust, place.Store, filepath.Join(p.dir, "etc")} {
		must(p.t, os.MkdirAll(d, 0o755))
	}
	must(p.t, os.WriteFile(filepath.Join(p.dir, "etc/group"), fmt.Appendf(nil, "%s:x:%d:\n", group, privilegedGroup), 0o644))
	must(p.t, os.WriteFile(filepath.Join(p.dir, "etc/passwd"), []byte("root:x:0:0::/:/bin/sh\n"), 0o644))
	now := time.Now().Truncate(time.Second)
	signer, c, err := codesign.NewTeam(team, "", now.AddDate(0, 0, -1), now.AddDate(1, 0, 0))
	must(p.t, err)
	anchor := &codesign.Anchor{Name: "example", Certificate: c, Category: codesign.Developer, Teams: []string{team}, Entitlements: []string{"com.example.*"}}
	must(p.t, os.WriteFile(filepath.Join(place.Trust, "example.pem"), anchor.Format(), 0o644))
	image, err := os.ReadFile(p.client)
	must(p.t, err)
	digest, err := codesign.Measure(bytes.NewReader(image), int64(len(image)))
	must(p.t, err)
	e, err := signer.Sign(&codesign.Manifest{
		Identifier: identifier, Team: team, Marker: group, Created: now, Entitlements: entitlements,
		Files: []codesign.File{{Digest: digest, Size: int64(len(image)), Arch: runtime.GOARCH}},
	})
	must(p.t, err)
	_, err = codesign.StoreSignature(place.Store, e)
	must(p.t, err)
	must(p.t, os.Chown(p.client, 0, privilegedGroup))
	must(p.t, os.Chmod(p.client, 0o755|os.ModeSetgid))
}

// logged waits for a line with all of these words.
func (p *privileged) logged(words ...string) {
	p.t.Helper()
	deadline := time.After(patience)
	var seen []string
next:
	for {
		select {
		case line := <-p.log:
			seen = append(seen, line)
			for _, w := range words {
				if !strings.Contains(line, w) {
					continue next
				}
			}
			return
		case <-deadline:
			p.t.Fatalf("no line of the log has %q:\n%s", words, strings.Join(seen, "\n"))
		}
	}
}

// run runs a client as another user.
func (p *privileged) run(env []string, program ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program[0], program[1:]...)
	cmd.Dir = "/"
	cmd.Env = append([]string{bootstrap.EnvRegistry + "=" + p.socket}, env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: otherUser, Gid: otherUser}}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (p *privileged) copy(name string, more string) string {
	b, err := os.ReadFile(p.client)
	must(p.t, err)
	path := filepath.Join(p.dir, name)
	must(p.t, os.WriteFile(path, append(b, more...), 0o755))
	return path
}

// The example as its readers use it: the one client is answered, and whoever is not
// quite that client is not, and the log says which clause he does not meet and why.
func TestPrivilegedHelper(t *testing.T) {
	p := installPrivileged(t)
	if out, err := p.run(nil, p.client); err != nil || !strings.Contains(out, "was answered by user 0") {
		t.Fatalf("the signed client: %v, %s", err, out)
	}
	copied, changed := p.copy("copy", ""), p.copy("changed", "x")
	strace, _ := exec.LookPath("strace")
	for _, tt := range []struct {
		name    string
		env     []string
		program []string
		why     []string
	}{
		{"unsigned", nil, []string{changed}, []string{"refused", "identifier", "has no signature"}},
		{"a copy, preloaded", []string{"LD_PRELOAD=/nowhere.so"}, []string{copied}, []string{"refused", "identifier", "LD_PRELOAD"}},
		{"a copy", nil, []string{copied}, []string{"refused", "identifier", `assurance "image"`}},
		{"traced", nil, []string{strace, "-f", "-o", "/dev/null", p.client}, []string{"refused", "identifier", "traces it"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.program[0] == "" {
				t.Skip("there is no strace")
			}
			out, err := p.run(tt.env, tt.program...)
			if err == nil || strings.Contains(out, "was answered") {
				t.Errorf("%v was answered: %s", tt.program, out)
			}
			p.t = t
			p.logged(tt.why...)
		})
	}
}
