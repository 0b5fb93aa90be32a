package registry_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/openxpc/openxpc/registry"
)

func ExampleParseJob() {
	job, err := registry.ParseJob("/etc/xpc/echo.json", []byte(`{
		"Label": "com.example.echo",
		"Program": "../bin/echo",
		"MachServices": {"com.example.echo": true},
		"StartOnMount": true
	}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(job.Label, job.Program, job.MachServices)
	for _, w := range job.Warnings {
		fmt.Println("warning:", w)
	}
	// Output:
	// com.example.echo /etc/bin/echo [com.example.echo]
	// warning: 5:3: key "StartOnMount" is not acted on: nothing here tells of mounts; use WatchPaths with a path inside what is mounted
}

func ExampleJob() {
	job, _ := registry.ParseJob("/j", []byte(`{"Label": "a", "ProgramArguments": ["sleep", "9"]}`))
	fmt.Println(job.Program, job.Arguments, job.ThrottleInterval)
	// Output: sleep [sleep 9] 10s
}

func ExampleJobError() {
	_, err := registry.ParseJob("bad.json", []byte("{\n  \"Lable\": \"a\"\n}"))
	fmt.Println(err)
	var bad *registry.JobError
	if errors.As(err, &bad) {
		fmt.Println(len(bad.Findings), "findings")
	}
	// Output:
	// bad.json:1:1: "Label" is missing: every job needs a name of its own (and 2 more). Nothing was loaded.
	// 3 findings
}

func ExampleFinding() {
	f := registry.Finding{Line: 7, Column: 8, Key: "Label", Text: `duplicate key "Label" (first at line 4)`}
	fmt.Println(f.Severity, f)
	// Output: error 7:8: duplicate key "Label" (first at line 4)
}

func ExampleFindings() {
	all := registry.Findings{{Severity: registry.Error}, {Severity: registry.Warning}}
	fmt.Println(len(all.Errors()), len(all.Warnings()))
	// Output: 1 1
}

func ExampleSeverity() {
	fmt.Println(registry.Error, registry.Warning)
	// Output: error warning
}

func ExampleKeepAlive() {
	no := false
	k := registry.KeepAlive{SuccessfulExit: &no}
	fmt.Println(k.Holds(false, 0, nil, nil), k.Holds(true, 1, nil, nil), k.Holds(true, 0, nil, nil))
	// Output: true true false
}

func ExampleJob_WarningsFor() {
	j, _ := registry.ParseJob("", []byte(`{"Label": "a", "Program": "/bin/sh", "UserName": "root"}`))
	fmt.Println(len(j.WarningsFor(0)), j.WarningsFor(1000))
	// Output: 0 [1:38: key "UserName" is not acted on: only root's registry starts programs as somebody else]
}

func ExampleCalendar() {
	everySunday := registry.Calendar{Minute: 30, Hour: 3, Day: registry.Any, Weekday: 0, Month: registry.Any}
	fmt.Println(everySunday.Next(time.Date(2024, 2, 28, 12, 0, 0, 0, time.UTC)))
	// Output: 2024-03-03 03:30:00 +0000 UTC
}

func ExampleSocket() {
	job, err := registry.ParseJob("/jobs/web.json", []byte(`{"Label": "web", "Program": "web", "Sockets": {"Listeners": {"SockServiceName": "8080"}}}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	s := job.Sockets[0]
	fmt.Println(s.Name, s.Network, s.Address, s.Stream())
	// Output: Listeners tcp :8080 true
}

func ExampleInetd() {
	job, err := registry.ParseJob("/jobs/echo.json", []byte(`{"Label": "echo", "Program": "/bin/cat",
		"Sockets": {"s": {"SockServiceName": "7"}}, "inetdCompatibility": {"Wait": false}}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("one process serves all:", job.Inetd.Wait)
	// Output: one process serves all: false
}

func ExampleNameRequirement() {
	job, err := registry.ParseJob("", []byte(`{"Label": "a", "Program": "/bin/true",
		"MachServices": {"com.example.a": {"Requirement": "anchor trusted and entitlement[\"com.example.use\"]"}}}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(job.Requirements["com.example.a"].LookUp)
	// Output: anchor trusted and entitlement["com.example.use"] exists
}
