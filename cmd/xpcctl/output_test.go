package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/openxpc/openxpc/xpc"
)

// The layout is launchctl's: people grep it.
func TestPrintBlock(t *testing.T) {
	inner := xpc.NewDictionary()
	inner.SetBool("active", true)
	endpoints := xpc.NewDictionary()
	endpoints.SetDictionary("com.example.echo", inner)
	arguments := xpc.NewArray()
	arguments.AppendString("/bin/echo")
	arguments.AppendString("a\nb")
	d := xpc.NewDictionary()
	d.SetString("state", "running")
	d.SetInt64("last exit code", -9)
	d.SetDate("started", 5e9)
	d.SetArray("arguments", arguments)
	d.SetDictionary("endpoints", endpoints)
	var out bytes.Buffer
	if err := (&tool{out: &out}).printBlock("com.example.echo", d); err != nil {
		t.Fatal(err)
	}
	want := `com.example.echo = {
	state = running
	last exit code = -9
	started = ` + time.Unix(5, 0).Format(time.RFC3339) + `
	arguments = {
		/bin/echo
		"a\nb"
	}
	endpoints = {
		"com.example.echo" = {
			active = true
		}
	}
}
`
	if got := out.String(); got != want {
		t.Errorf("printed:\n%s\nwant:\n%s", got, want)
	}
}
