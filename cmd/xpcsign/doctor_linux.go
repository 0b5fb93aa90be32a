package main

import (
	"os"
	"strings"
)

// kernel tells what weakens the identity of an image that has no marker.
func (d *doctor) kernel() {
	read := func(path string) string {
		b, _ := os.ReadFile(path)
		return strings.TrimSpace(string(b))
	}
	if n := read("/proc/sys/user/max_user_namespaces"); n != "" && n != "0" {
		d.say("warning", "users may make namespaces (user.max_user_namespaces is %s): the exe link of a process can be forged, so rely on marked programs (assurance granted)", n)
	}
	switch read("/proc/sys/kernel/yama/ptrace_scope") {
	case "":
		d.say("warning", "this kernel has no Yama: a user's processes can trace each other, except marked ones")
	case "0":
		d.say("warning", "kernel.yama.ptrace_scope is 0: a user's processes can trace each other, except marked ones")
	}
	if _, err := os.Stat("/sys/fs/ext4/features/verity"); err != nil {
		d.say("ok", "this kernel has no fs-verity for ext4: digests are computed, once for each file")
	} else {
		d.say("ok", "fs-verity: digests of files that have it are read from the kernel")
	}
}
