//go:build !linux

package main

import "github.com/openxpc/openxpc/xpc"

// processFacts knows of nothing that every system tells in the same way.
func processFacts(int, *xpc.Dictionary) {}

func hasSystemd() bool { return false }

func systemChecks() []diagnosis { return nil }
