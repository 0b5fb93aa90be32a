//go:build unix && !linux

package main

// There is no systemd to be told.
func notifyReady() {}

func notifyStopping() {}
