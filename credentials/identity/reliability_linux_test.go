package identity

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/credentials/requirement"
	"github.com/openxpc/openxpc/integration/soak"
)

// Who has ended before anybody looks is whom the kernel noted when he connected, and of
// no program: never root, and never nobody in particular.
func TestVanishedPeers(t *testing.T) {
	s := setStage(t)
	const batch = 100
	repeat(t, "batch", soak.Times(100, 10_000)/batch, func(t *testing.T) {
		w := s.scene(t)
		must(t, w.start(s.trusted, "vanish", fmt.Sprint(batch)).Wait())
		for range batch {
			c := w.accept()
			onSocket(t, c, func(fd int) error {
				p, err := s.who.Socket(t.Context(), fd)
				if err != nil {
					return nil // refused
				}
				defer p.Close()
				f := p.Facts
				if f.Credentials.UID != nobody || f.Credentials.GID != nobody || f.Credentials.PID <= 0 {
					t.Errorf("credentials %+v, want those of the connect", f.Credentials)
				}
				if f.Code != nil || f.Assurance != requirement.CredentialsOnly || f.Why == "" || p.Check() == nil {
					t.Errorf("%+v: nothing but the credentials is known of who has ended", f)
				}
				return nil
			})
			c.Close()
		}
	})
}

// The moment of the exec is anywhere beside that of the look: before, between, after.
func TestForgingAtAnyMoment(t *testing.T) {
	s := setStage(t)
	many := soak.Times(10, 10_000)
	nap := func() []string {
		return append([]string{"THREADS=1"}[rand.IntN(2):], fmt.Sprintf("NAP=%d", rand.IntN(5000)))
	}
	repeat(t, "queue, then exec", many, func(t *testing.T) {
		w := s.scene(t)
		w.start(s.evil, "queue", s.trusted, nap()...)
		if v := w.judge(w.accept(), 1); v.delivered != nil || v.refused == nil {
			t.Errorf("%+v", v)
		}
	})
	repeat(t, "verified, then exec", many, func(t *testing.T) {
		w := s.scene(t)
		w.start(s.trusted, "exec", s.evil, nap()...)
		if v := w.judge(w.accept(), 2); strings.Join(v.delivered, ",") != genuine || v.refused == nil {
			t.Errorf("%+v", v)
		}
	})
}

// In another user namespace nobody is anything but his credentials; every other
// namespace changes nothing but that the peer is not the host's.
func TestNamespaces(t *testing.T) {
	s := setStage(t)
	const user = syscall.CLONE_NEWUSER
	for name, flags := range map[string]uintptr{
		"none": 0, "pid": unix.CLONE_NEWPID, "mount": unix.CLONE_NEWNS, "network": unix.CLONE_NEWNET,
		"user": user, "user and everything": user | unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS,
	} {
		for program, level := range map[string]requirement.Assurance{s.trusted: requirement.Image, s.marked: requirement.Granted} {
			if flags&user != 0 {
				level = requirement.CredentialsOnly
			}
			w := s.scene(t)
			cmd := exec.Command(program, "plain", w.path)
			cmd.Dir = "/"
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags, Credential: &syscall.Credential{Uid: nobody, Gid: nobody, NoSetGroups: flags&user != 0}}
			if flags&user != 0 {
				same := []syscall.SysProcIDMap{{ContainerID: nobody, HostID: nobody, Size: 1}}
				cmd.SysProcAttr.UidMappings, cmd.SysProcAttr.GidMappings = same, same
			}
			if err := cmd.Start(); err != nil {
				t.Skipf("%s: %v", name, err)
			}
			c := w.accept()
			onSocket(t, c, func(fd int) error {
				p, err := s.who.Socket(t.Context(), fd)
				if err != nil {
					return err
				}
				defer p.Close()
				f := p.Facts
				if f.Assurance != level || (f.Code != nil) != (level > requirement.CredentialsOnly) || f.Credentials.UID != nobody {
					t.Errorf("%s, %s: %+v, want level %v", name, program, f, level)
				}
				if host := flags&(user|unix.CLONE_NEWPID) == 0; f.Host == nil || *f.Host != host {
					t.Errorf("%s, %s: of the host %v, want %v", name, program, f.Host, host)
				}
				return nil
			})
			c.Close()
			cmd.Process.Kill()
			cmd.Wait()
		}
	}
}
