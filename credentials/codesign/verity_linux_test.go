package codesign

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// verityFolder is on a file system whose kernel keeps files to their fs-verity digest:
// an ext4 image of the test's own.
func verityFolder(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to mount a file system with fs-verity")
	}
	dir := t.TempDir()
	image, at := filepath.Join(dir, "image"), filepath.Join(dir, "mounted")
	for _, err := range []error{os.WriteFile(image, nil, 0o600), os.Truncate(image, 32<<20), os.Mkdir(at, 0o755)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"mkfs.ext4", "-q", "-F", "-b", "4096", "-O", "verity", image}, {"mount", "-o", "loop", image, at}} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Skipf("no file system with fs-verity can be had here: %s: %v: %s", strings.Join(args, " "), err, out)
		}
	}
	t.Cleanup(func() {
		if err := unix.Unmount(at, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return at
}

// enableVerity has the kernel keep a file as it is for good.
func enableVerity(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	arg := unix.FsverityEnableArg{Version: 1, Hash_algorithm: unix.FS_VERITY_HASH_ALG_SHA256, Block_size: 4096}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), unix.FS_IOC_ENABLE_VERITY, uintptr(unsafe.Pointer(&arg)))
	if errno != 0 {
		return errno
	}
	return nil
}

// What the kernel says of a file is what is computed of it, and the verifier takes the
// kernel's word; the file can be changed no more.
func TestTheKernelsDigest(t *testing.T) {
	dir := verityFolder(t)
	for _, size := range []int{0, 1, 4095, 4096, 4097, 4096 * 128, 4096*128 + 1, 1 << 20} {
		content := bytes.Repeat([]byte{0, 1, 2, 3, 4, 5, 6}, size/7+1)[:size]
		path := filepath.Join(dir, fmt.Sprint(size))
		if err := os.WriteFile(path, content, 0o755); err != nil {
			t.Fatal(err)
		}
		err := enableVerity(path)
		if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOTTY) {
			t.Skipf("this kernel was built without CONFIG_FS_VERITY: %v", err)
		}
		if err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		want, err := Measure(bytes.NewReader(content), int64(size))
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := kernelDigest(f); !ok || got != want {
			t.Errorf("%d bytes: the kernel says %v (%v), computed is %v", size, got, ok, want)
		}
		f.Close()
		if w, err := os.OpenFile(path, os.O_RDWR, 0); !errors.Is(err, unix.EPERM) {
			t.Errorf("%d bytes: opened for writing: %v", size, err)
			w.Close()
		}
	}
}
