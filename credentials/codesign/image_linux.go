package codesign

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// foreign are the file systems whose content somebody else decides, at each read anew.
var foreign = map[int64]string{
	unix.FUSE_SUPER_MAGIC: "FUSE", unix.NFS_SUPER_MAGIC: "NFS", unix.V9FS_MAGIC: "9p",
	unix.CIFS_SUPER_MAGIC: "CIFS", unix.SMB2_SUPER_MAGIC: "SMB", unix.SMB_SUPER_MAGIC: "SMB",
	unix.CEPH_SUPER_MAGIC: "Ceph", unix.AFS_SUPER_MAGIC: "AFS", unix.AFS_FS_MAGIC: "AFS", unix.CODA_SUPER_MAGIC: "Coda",
}

// checkPlace refuses files whose content can change while they are executed.
func checkPlace(f *os.File) (err error) {
	var fs unix.Statfs_t
	var st unix.Stat_t
	e := control(f, func(fd int) { err = firstError(unix.Fstatfs(fd, &fs), unix.Fstat(fd, &st)) })
	if e != nil || err != nil {
		return fail(ErrImage, "%s: %w", f.Name(), firstError(e, err))
	}
	magic := int64(uint32(fs.Type))
	if name := foreign[magic]; name != "" {
		return fail(ErrImage, "%s is on a %s file system, which answers as it likes: install it on a local one", f.Name(), name)
	}
	if magic == unix.TMPFS_MAGIC && st.Nlink == 0 {
		return fail(ErrImage, "%s has no name (a memfd can be written to while it runs): install it as a file", f.Name())
	}
	return nil
}

// kernelDigest gives the digest that the kernel holds the file to, if it does.
func kernelDigest(f *os.File) (d Digest, ok bool) {
	var arg struct {
		algorithm, size uint16
		digest          [64]byte
	}
	arg.size = uint16(len(arg.digest))
	var errno unix.Errno
	err := control(f, func(fd int) {
		_, _, errno = unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.FS_IOC_MEASURE_VERITY, uintptr(unsafe.Pointer(&arg)))
	})
	if err != nil || errno != 0 || arg.algorithm != unix.FS_VERITY_HASH_ALG_SHA256 || int(arg.size) != len(d) {
		return d, false
	}
	return Digest(arg.digest[:len(d)]), true
}
