package credentials

import "golang.org/x/sys/unix"

func processPidfd(pid int) (int, error) { return unix.PidfdOpen(pid, 0) }
