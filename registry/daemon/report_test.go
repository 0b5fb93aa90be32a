package daemon

import (
	"testing"
	"time"

	"github.com/openxpc/openxpc/registry"
	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// print says what starts a job beside a client of its names, in launchctl's words where it has them.
func TestPrintTellsOfTriggers(t *testing.T) {
	j, err := registry.ParseJob("", []byte(`{"Label": "echo", "Program": "/bin/true", "MachServices": {"a.hidden": {"HideUntilCheckIn": true}, "a.reset": {"ResetAtClose": true}},
		"KeepAlive": {"Crashed": true, "SuccessfulExit": false, "PathState": {"/p": true}, "OtherJobEnabled": {"b": false}},
		"StartInterval": 60, "StartCalendarInterval": {"Minute": 30}, "WatchPaths": ["/w"], "QueueDirectories": ["/q"],
		"Sockets": {"L": [{"SockServiceName": "0", "SockNodeName": "127.0.0.1", "SockFamily": "IPv4"}]}}`))
	must(t, err)
	d := &daemon{opts: Options{wall: func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }}}
	for want, got := range map[string]xpc.Object{
		`dictionary { "keep alive" = dictionary { "successful exit" = bool false, crashed = bool true, "path state" = dictionary { /p = bool true }, "other job enabled" = dictionary { b = bool false } }, ` +
			`"start interval" = int64 60, "next calendar start" = string "2026-01-02T03:30:00Z", "watch paths" = array { string "/w" }, "queue directories" = array { string "/q" } }`: d.triggersOf(&job{file: j}),
		`dictionary { L = array { string "tcp4 127.0.0.1:0" } }`: socketsOf(&job{file: j}),
	} {
		if text := xpc.Description(got); text != want {
			t.Errorf("got  %s\nwant %s", text, want)
		}
	}
	s := serve(t, Options{Jobs: []*registry.Job{service(t, "plain", "echo", nil)}, noPrograms: true})
	reply, _ := s.tool(bootstrap.OpPrint, map[string]string{bootstrap.KeyLabel: "plain"})
	if e := reply.GetDictionary(bootstrap.KeyJob); e.Get("sockets") != nil || e.Get("event triggers") != nil {
		t.Errorf("a job that nothing else starts: %v", e)
	}
}

// The kernel tells a process's status to its parent, which after a crash of the
// registry is another; 0 would be a success that nobody has seen.
func TestAnExitThatNobodyToldOf(t *testing.T) {
	for _, tt := range []struct {
		j      job
		exit   string
		status any
	}{
		{job{}, "(never exited)", "unknown"},
		{job{runs: 1, proc: &process{}}, "(never exited)", "unknown"},
		{job{runs: 1}, "(unknown)", "unknown"},
		{job{runs: 1, exited: true}, "0", 0},
		{job{runs: 1, exited: true, status: -9}, "signal 9", -9},
	} {
		if exit, status := tt.j.lastExit(), tt.j.lastStatus(); exit != tt.exit || status != tt.status {
			t.Errorf("got %s and %v, want %s and %v", exit, status, tt.exit, tt.status)
		}
	}
}
