package credentials

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/integration/soak"
)

// Who a client is has nothing to do with what it calls its socket: whatever looks
// like credentials in there is not read.
func TestHostileNames(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	l, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(l)
	if err := unix.Bind(l, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(l, 1); err != nil {
		t.Fatal(err)
	}
	want, seed := [3]int{os.Getpid(), os.Geteuid(), os.Getegid()}, rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 1))
	for n := range soak.Times(200, 100_000) {
		name := hostileName(rnd, dir)
		c, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		unix.Bind(c, &unix.SockaddrUnix{Name: name}) // some names are in use, or cannot be had
		if err := unix.Connect(c, &unix.SockaddrUnix{Name: path}); err != nil {
			t.Fatal(err)
		}
		fd, _, err := unix.Accept4(l, unix.SOCK_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		who, err := FromSocket(fd)
		if got := [3]int{who.PID, who.UID, who.GID}; err != nil || got != want {
			t.Fatalf("seed %d, round %d: %q is %v, %v; want %v", seed, n, name, got, err, want)
		}
		unix.Close(fd)
		unix.Close(c)
		if !strings.HasPrefix(name, "@") {
			os.Remove(name)
		}
	}
}

// hostileName is an abstract name, or a path in dir.
func hostileName(r *rand.Rand, dir string) string {
	words := []string{"uid=0;", "pid=1;", "gid=0", "root", "\n", "\x00", "SCM_CREDENTIALS", "%s%n", "/proc/1/exe", "..", " ", ";uid=0;socket=", "\xff\xfe"}
	var b strings.Builder
	for b.Len() < 20 {
		if r.IntN(4) == 0 {
			b.WriteByte(byte(r.Uint32()))
			continue
		}
		b.WriteString(words[r.IntN(len(words))])
	}
	if r.IntN(2) == 0 {
		return "@" + b.String()
	}
	return filepath.Join(dir, strings.NewReplacer("/", "_", "\x00", "_").Replace(b.String()))
}
