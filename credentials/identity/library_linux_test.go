package identity

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/credentials/codesign"
	"github.com/openxpc/openxpc/credentials/requirement"
)

// validating is a stage whose program asks for library validation, the libraries that the
// program needs, and what makes one part of the platform and has its team sign the others.
func validating(t *testing.T) (s *stage, libraries []string, signAll func()) {
	t.Helper()
	s = setStage(t)
	dir := filepath.Dir(s.trusted)
	out, err := exec.Command("ldd", s.trusted).Output()
	if err != nil {
		t.Skip("ldd does not say which libraries a program has")
	}
	for _, word := range strings.Fields(string(out)) {
		if filepath.IsAbs(word) {
			libraries = append(libraries, word)
		}
	}
	sign := signer(t, dir)
	sign(s.trusted, requirement.LibraryValidation)
	anew := func() { s.who.Verifier = Signatures(codesign.NewVerifier(codesign.System(dir), nil)) }
	anew()
	return s, libraries, func() {
		for n, path := range libraries {
			if n > 0 {
				sign(path, 0)
				continue
			}
			library, err := os.ReadFile(path)
			must(t, err)
			e, err := codesign.Sign(manifestOf(t, library), nil, nil)
			must(t, err)
			_, err = codesign.StoreSignature(codesign.System(dir)[1].Store, e)
			must(t, err)
			list := codesign.System(dir)[1].Platform
			must(t, os.MkdirAll(list, 0o755))
			must(t, os.WriteFile(filepath.Join(list, "libraries.list"), fmt.Appendf(nil, "cdhash %x\n", e.CDHash), 0o644))
		}
		anew()
	}
}

// signer makes a team below dir whose programs are marked with the stage's group, and
// signs files for it.
func signer(t *testing.T, dir string) (sign func(path string, flags requirement.CodeFlags)) {
	t.Helper()
	const team, identifier = "EXAMPLE456", "com.example.validating"
	place, marker := codesign.System(dir)[1], codesign.MarkerName(team, identifier)
	must(t, os.WriteFile(filepath.Join(dir, "etc/group"), fmt.Appendf(nil, "root:x:0:\n%s:x:%d:\n", marker, markerGID), 0o644))
	now := time.Now().Truncate(time.Second)
	key, c, err := codesign.NewTeam(team, "", now.AddDate(0, 0, -1), now.AddDate(1, 0, 0))
	must(t, err)
	anchor := &codesign.Anchor{Name: "validating", Certificate: c, Category: codesign.Developer, Teams: []string{team}}
	must(t, os.WriteFile(filepath.Join(place.Trust, "validating.pem"), anchor.Format(), 0o644))
	return func(path string, flags requirement.CodeFlags) {
		t.Helper()
		b, err := os.ReadFile(path)
		must(t, err)
		m := manifestOf(t, b)
		m.Identifier, m.Team, m.Marker, m.Flags = identifier, team, marker, flags
		e, err := key.Sign(m)
		must(t, err)
		_, err = codesign.StoreSignature(place.Store, e)
		must(t, err)
	}
}

// manifestOf says of a file what anybody can.
func manifestOf(t *testing.T, content []byte) *codesign.Manifest {
	t.Helper()
	digest, err := codesign.Measure(bytes.NewReader(content), int64(len(content)))
	must(t, err)
	return &codesign.Manifest{
		Identifier: "com.example.library", Created: time.Now().Truncate(time.Second),
		Files: []codesign.File{{Digest: digest, Size: int64(len(content)), Arch: runtime.GOARCH}},
	}
}

// Whatever is executed must be the team's or the platform's, however it was loaded; a
// marked program ignores what the caller wants to load, but not what the system's
// own list says.
func TestLibraryValidation(t *testing.T) {
	s, libraries, signAll := validating(t)
	dir := filepath.Dir(s.trusted)
	w := s.scene(t)
	w.start(s.marked, "plain", "")
	if v := w.judge(w.accept(), 1); v.refused == nil || !strings.Contains(v.refused.Error(), "xpcsign trust-package") {
		t.Errorf("nobody has signed its libraries: %+v", v)
	}
	signAll()

	changed, others := filepath.Join(dir, "changed"), filepath.Join(dir, "others")
	must(t, os.Mkdir(changed, 0o755))
	must(t, os.Mkdir(others, 0o755))
	for _, path := range libraries {
		if name := filepath.Base(path); strings.HasPrefix(name, "libc.so") {
			b, err := os.ReadFile(path)
			must(t, err)
			must(t, os.WriteFile(filepath.Join(others, name), b, 0o755))
			must(t, os.Chown(filepath.Join(others, name), nobody, nobody))
			must(t, os.WriteFile(filepath.Join(changed, name), append(b, 0), 0o755))
		}
	}
	etc := filepath.Join(dir, "other-etc")
	must(t, os.Mkdir(etc, 0o755))
	must(t, os.WriteFile(filepath.Join(etc, "ld.so.preload"), []byte(s.preload+"\n"), 0o644))
	listed := []string{"unshare", "-m", "sh", "-c", `mount --bind "$0" /etc && exec setpriv --reuid 65534 --regid 65534 --clear-groups "$@"`, etc}
	preload := "LD_PRELOAD=" + s.preload
	for _, tt := range []struct {
		name, program string
		env           []string
		as            []string // before the program's name
		level         requirement.Assurance
		refused       []string
	}{
		{"honest", s.trusted, nil, nil, requirement.Image, nil},
		{"installed", s.marked, nil, nil, requirement.Granted, nil},
		{"preload that wipes its traces", s.trusted, []string{preload, "WIPE=1"}, nil, 0, []string{"library validation", s.preload, "no signature"}},
		{"preload, installed", s.marked, []string{preload}, nil, requirement.Granted, nil},
		{"library path", s.trusted, []string{"LD_LIBRARY_PATH=" + changed}, nil, 0, []string{"library validation", changed, "no signature"}},
		{"library path, installed", s.marked, []string{"LD_LIBRARY_PATH=" + changed}, nil, requirement.Granted, nil},
		{"a signed library that another user can change", s.trusted, []string{"LD_LIBRARY_PATH=" + others}, nil, 0, []string{"library validation", others, "others can write to"}},
		{"ld.so.preload", s.trusted, nil, listed, 0, []string{"library validation", s.preload, "no signature"}},
		{"ld.so.preload, installed", s.marked, nil, listed, 0, []string{"library validation", s.preload, "no signature"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := s.scene(t)
			if tt.as == nil {
				w.start(tt.program, "plain", "", tt.env...)
			} else {
				w.startAs(tt.as, tt.program)
			}
			v := w.judge(w.accept(), 1)
			if v.level != tt.level {
				t.Errorf("level %v, refused: %v; want level %v", v.level, v.refused, tt.level)
			}
			for _, words := range tt.refused {
				if v.refused == nil || !strings.Contains(v.refused.Error(), words) {
					t.Errorf("refused because of %v; want %q", v.refused, words)
				}
			}
		})
	}
}

// startAs runs a client behind other commands, which execute it.
func (s *scene) startAs(as []string, program string) {
	s.t.Helper()
	if _, err := exec.LookPath(as[0]); err != nil {
		s.t.Skip(err)
	}
	cmd := exec.Command(as[0], append(as[1:], "env", "SPEAK_TO="+s.path, program, "plain", s.path, "")...)
	cmd.Dir, cmd.Env = "/", []string{"PATH=" + os.Getenv("PATH")}
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	must(s.t, cmd.Start())
	s.t.Cleanup(func() {
		unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
		cmd.Wait()
	})
}

// Who may not open what another process has mapped opens its path, and takes no other
// file for it.
func TestAMappingByItsPath(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a library")
	must(t, os.WriteFile(path, []byte("code"), 0o644))
	f, err := os.Open(path)
	must(t, err)
	defer f.Close()
	memory, err := unix.Mmap(int(f.Fd()), 0, 4, unix.PROT_READ, unix.MAP_PRIVATE)
	must(t, err)
	defer unix.Munmap(memory)
	self, err := unix.Open("/proc/self", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(self)
	maps, err := os.ReadFile("/proc/self/maps")
	must(t, err)
	for line := range strings.Lines(string(maps)) {
		m, err := parseMapping(line)
		must(t, err)
		if m.path != path {
			continue
		}
		opened, err := m.openPath(self)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		opened.Close()
		m.inode++
		if opened, err := m.openPath(self); err == nil || !strings.Contains(err.Error(), "another file") {
			t.Errorf("another file's number: %v, %v", opened, err)
		}
		return
	}
	t.Errorf("%s is not mapped:\n%s", path, maps)
}

func TestMappings(t *testing.T) {
	for line, want := range map[string]mapping{
		"7f00-7f10 r-xp 00001000 fd:01 77                         /usr/lib/a b.so\n":       {0x7f00, 0x7f10, true, unix.Mkdev(0xfd, 1), 77, "/usr/lib/a b.so"},
		"00400000-00401000 rw-p 00000000 00:00 0 \n":                                       {0x400000, 0x401000, false, 0, 0, ""},
		"7ffd1000-7ffd3000 r-xp 00000000 00:00 0                          [vdso]\n":        {0x7ffd1000, 0x7ffd3000, true, 0, 0, ""},
		"1000-2000 r-xs 00000000 00:0f 1029                       /memfd:code (deleted)\n": {0x1000, 0x2000, true, unix.Mkdev(0, 0xf), 1029, "/memfd:code (deleted)"},
	} {
		if got, err := parseMapping(line); err != nil || got != want {
			t.Errorf("%q: got %+v, %v, want %+v", line, got, err, want)
		}
	}
	for _, line := range []string{"", "x-y r-xp 0 fd:01 7 /a", "1-2 r-xp 0 fd:01 z /a", "1-2 r 0 fd:01 7", "1-2 r-xp 0 fd 7x /a"} {
		if m, err := parseMapping(line); err == nil {
			t.Errorf("%q: got %+v", line, m)
		}
	}
}
