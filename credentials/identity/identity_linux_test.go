package identity

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/credentials"
	"github.com/openxpc/openxpc/credentials/requirement"
)

// trusting verifies every image, or those with a certain file number.
type trusting struct {
	only   uint64
	flags  requirement.CodeFlags
	marker string
}

func (v trusting) Verify(_ context.Context, image *os.File) (Program, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(image.Fd()), &st); err != nil {
		return Program{}, err
	}
	if v.only != 0 && st.Ino != v.only {
		return Program{}, errors.New("it has no signature")
	}
	return Program{Code: &requirement.Code{Identifier: "com.example.trusted", Flags: v.flags, Platform: true}, Marker: v.marker}, nil
}

func pair(t testing.TB) (int, int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fds[0]); unix.Close(fds[1]) })
	return fds[0], fds[1]
}

func identify(t *testing.T, i *Identifier, fd int) *Peer {
	t.Helper()
	p, err := i.Socket(t.Context(), fd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func needPins(t testing.TB, fd int) {
	t.Helper()
	p, err := credentials.PinPeer(fd)
	if errors.Is(err, credentials.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	p.Close()
}

func TestIdentifyThisProcess(t *testing.T) {
	a, _ := pair(t)
	needPins(t, a)
	p := identify(t, &Identifier{Verifier: trusting{}}, a)
	f := p.Facts
	if f.Assurance != requirement.Image || f.Code == nil || f.Code.Identifier != "com.example.trusted" || !strings.Contains(f.Why, "xpcsign install") {
		t.Errorf("%+v; want the image's signature at level image, and how to be granted more", f)
	}
	if f.Credentials.PID != os.Getpid() || f.Host == nil || !*f.Host || f.IsInitProc == nil || !*f.IsInitProc {
		t.Errorf("%+v; want this process, which is the host's and the one that verifies", f)
	}
	if err := p.Check(); err != nil || !p.Pinned() {
		t.Errorf("Check: %v", err)
	}
	pidfd, err := credentials.PeerPidfd(a)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pidfd)
	i := &Identifier{Verifier: trusting{}, Enforced: true}
	q := i.Process(t.Context(), pidfd, f.Credentials)
	defer q.Close()
	if q.Facts.Assurance != requirement.Enforced || q.Facts.Code == nil {
		t.Errorf("%+v; want the administrator's word to count", q.Facts)
	}
	wrong := f.Credentials
	wrong.PID = 1
	r := i.Process(t.Context(), pidfd, wrong)
	defer r.Close()
	if r.Facts.Code != nil || r.Facts.Assurance != requirement.CredentialsOnly || r.Check() == nil {
		t.Errorf("%+v; the credentials are not those of the process", r.Facts)
	}
}

func TestWithoutSignatures(t *testing.T) {
	a, _ := pair(t)
	needPins(t, a)
	for why, i := range map[string]*Identifier{
		"no verifier":   {},
		"unsigned":      {Verifier: trusting{only: 1}},
		"hardened":      {Verifier: trusting{flags: requirement.Hardened}},
		"no such group": {Verifier: trusting{flags: requirement.Hardened, marker: "_xpc_none"}},
	} {
		f := identify(t, i, a).Facts
		if f.Code != nil || f.Assurance != requirement.CredentialsOnly || f.Why == "" || f.Credentials.UID != os.Geteuid() {
			t.Errorf("%s: %+v; want the credentials, no code, and why", why, f)
		}
	}
}

// Whatever fails, and however, no more is known than without the failure, and
// nothing else. What the code's identity rests on takes it away.
func TestFailuresOnlyLower(t *testing.T) {
	a, _ := pair(t)
	needPins(t, a)
	validated := trusting{flags: requirement.LibraryValidation} // which takes one step more
	var steps []string
	note := func(s string) error { steps = append(steps, s); return nil }
	whole := identify(t, &Identifier{Verifier: validated, before: note}, a).Facts
	if whole.Code == nil {
		t.Fatalf("%+v", whole)
	}
	beside := map[string]bool{"cgroup": true, "host": true, "label": true, "place": true}
	for _, at := range steps {
		for _, errno := range []unix.Errno{unix.EINTR, unix.EMFILE, unix.ENOENT, unix.ESRCH, unix.EACCES, unix.ENOMEM, unix.EIO} {
			i := &Identifier{Verifier: validated, before: func(s string) error {
				if s == at {
					return errno
				}
				return nil
			}}
			p, err := i.Socket(t.Context(), a)
			if err != nil {
				t.Fatal(err)
			}
			p.Close()
			f := p.Facts
			if known := f.Code != nil || f.Assurance > requirement.CredentialsOnly; known != beside[at] {
				t.Errorf("%s fails with %v, and the code is %v at level %v", at, errno, f.Code, f.Assurance)
			}
			if !beside[at] && f.Why == "" {
				t.Errorf("%s fails with %v, and nothing says why", at, errno)
			}
			for name, got := range map[string][2]any{
				"cgroup": {f.Cgroup, whole.Cgroup}, "unit": {f.Unit, whole.Unit}, "label": {f.Label, whole.Label}, "container": {f.Container, whole.Container},
			} {
				if got[0] != got[1] && got[0] != "" {
					t.Errorf("%s fails with %v: %s %q instead of %q", at, errno, name, got[0], got[1])
				}
			}
			for name, got := range map[string][2]*bool{
				"host": {f.Host, whole.Host}, "init": {f.IsInitProc, whole.IsInitProc}, "system volume": {f.OnSystemVolume, whole.OnSystemVolume}, "protected": {f.IsSIPProtected, whole.IsSIPProtected},
			} {
				if got[0] != nil && *got[0] != *got[1] {
					t.Errorf("%s fails with %v: %s is %v instead of %v", at, errno, name, *got[0], *got[1])
				}
			}
		}
	}
}

func TestParseStatus(t *testing.T) {
	s, err := parseStatus("Name:\tx\nTracerPid:\t7\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\n")
	if err != nil || *s != (status{tracer: 7, rgid: 5, egid: 6, sgid: 7}) {
		t.Errorf("%+v, %v", s, err)
	}
	for _, text := range []string{"", "TracerPid:\t0\n", "Gid:\t1\t2\t3\t4\n", "TracerPid:\tx\nGid:\t1\t2\t3\t4\n", "TracerPid:\t0\nGid:\t1\t2\tx\t4\n", "TracerPid:\t0\nGid:\t1\t2\t3\n"} {
		if s, err := parseStatus("Name:\tx\n" + text); err == nil {
			t.Errorf("%q: %+v; what is not understood is not known", text, s)
		}
	}
}

// Warm means that the signature is remembered: what is left is the kernel's part.
func BenchmarkIdentifyWarm(b *testing.B) {
	a, _ := pair(b)
	needPins(b, a)
	i := &Identifier{Verifier: trusting{}}
	for b.Loop() {
		p, err := i.Socket(b.Context(), a)
		if err != nil {
			b.Fatal(err)
		}
		p.Close()
	}
}
