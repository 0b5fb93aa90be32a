//go:build !linux

package main

func (d *doctor) kernel() {
	d.say("ok", "this system has no handle of the image that a process runs: programs are known by their marker group alone")
}
