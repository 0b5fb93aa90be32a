//go:build !linux

package main

import (
	"errors"
	"runtime"
	"syscall"
)

var errLinuxOnly = errors.New("measured on Linux only")

func dieWithParent() *syscall.SysProcAttr { return nil }

func processTime(int) (int64, error) { return 0, errLinuxOnly }

func sleeps(int) (int, error) { return 0, errLinuxOnly }

func footprint(int) (resident, threads int, err error) { return 0, 0, errLinuxOnly }

func machine() string { return runtime.GOOS }
