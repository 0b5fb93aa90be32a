package bootstrap

import (
	"cmp"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
)

// SocketName is the file name of a registry's socket in its folder.
const SocketName = "registry.sock"

// Paths lists the registry sockets of this process, the nearest first. A client
// asks them in turn until one knows the name; a daemon serves the first.
//
// XPC_REGISTRY stands first and alone if it is set, unless it names the user's own.
// Otherwise root has the system registry only, and everybody else their own (in
// $XDG_RUNTIME_DIR/xpc, or in /tmp/xpc-<uid> without that) and then the system's.
// The list is never empty.
func Paths() []string {
	return paths(os.Getenv, os.Geteuid(), runtime.GOOS)
}

// SystemPath is where the registry of the whole machine is: /run/xpc on Linux,
// /var/run/xpc elsewhere. R212's PRIVILEGED asks only there.
func SystemPath() string { return systemPath(runtime.GOOS) }

func systemPath(goos string) string {
	if goos == "linux" {
		return "/run/xpc/" + SocketName
	}
	return "/var/run/xpc/" + SocketName
}

func paths(getenv func(string) string, uid int, goos string) []string {
	given := getenv(EnvRegistry)
	if uid == 0 {
		return []string{cmp.Or(given, systemPath(goos))}
	}
	dir := filepath.Join("/tmp", "xpc-"+strconv.Itoa(uid))
	// A relative XDG_RUNTIME_DIR is to be ignored, says its specification.
	if x := getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(x) {
		dir = filepath.Join(x, "xpc")
	}
	own := filepath.Join(dir, SocketName)
	if given != "" && given != own {
		return []string{given}
	}
	return []string{own, systemPath(goos)}
}
