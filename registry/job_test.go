package registry

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const head = `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
`

const wholeXML = head + `<dict>
	<key>Label</key>             <string>com.example.echo</string>
	<key>ProgramArguments</key>  <array><string>../bin/echo</string><string>-v</string></array>
	<key>MachServices</key>
	<dict>
		<key>com.example.echo</key>   <true/>
		<key>com.example.admin</key>  <dict><key>ResetAtClose</key><true/><key>HideUntilCheckIn</key><false/></dict>
		<key>com.example.off</key>    <false/>
	</dict>
	<key>EnvironmentVariables</key>
	<dict><key>MODE</key><string>a &amp; b</string><key>N</key><integer>5</integer></dict>
	<key>WorkingDirectory</key>  <string>/srv</string>
	<key>StandardOutPath</key>   <string>out.log</string>
	<key>StandardErrorPath</key> <string>/var/log/err</string>
	<key>RunAtLoad</key>         <true/>
	<key>ThrottleInterval</key>  <integer>0</integer>
	<key>KeepAlive</key>
	<dict>
		<key>SuccessfulExit</key>   <false/>
		<key>PathState</key>        <dict><key>flag</key><true/></dict>
		<key>OtherJobEnabled</key>  <dict><key>com.example.db</key><false/></dict>
	</dict>
	<key>StandardInPath</key>    <string>in</string>
	<key>StartInterval</key>     <integer>60</integer>
	<key>StartCalendarInterval</key> <array><dict><key>Hour</key><integer>3</integer><key>Weekday</key><integer>7</integer></dict></array>
	<key>WatchPaths</key>        <array><string>/etc/hosts</string><string>conf</string></array>
	<key>QueueDirectories</key>  <array><string>queue</string></array>
	<key>ExitTimeOut</key>       <integer>0</integer>
	<key>AbandonProcessGroup</key> <true/>
	<key>LaunchOnlyOnce</key>    <true/>
	<key>Umask</key>             <string>027</string>
	<key>Nice</key>              <integer>-5</integer>
	<key>SoftResourceLimits</key> <dict><key>NumberOfFiles</key><integer>100</integer></dict>
	<key>HardResourceLimits</key> <dict><key>NumberOfFiles</key><integer>200</integer><key>Core</key><integer>0</integer></dict>
	<key>UserName</key>          <string>root</string>
	<key>GroupName</key>         <string>0</string>
	<key>InitGroups</key>        <false/>
	<key>Debug</key>             <true/>
	<key>WaitForDebugger</key>   <true/>
	<key>RootDirectory</key>     <string>root</string>
	<key>ProcessType</key>       <string>Background</string>
	<key>LowPriorityIO</key>     <true/>
	<key>SessionCreate</key>     <true/>
</dict>
</plist>
`

const wholeJSON = `{
  "Label": "com.example.echo",
  "ProgramArguments": ["../bin/echo", "-v"],
  "MachServices": {"com.example.echo": true, "com.example.admin": {"ResetAtClose": true, "HideUntilCheckIn": false}, "com.example.off": false},
  "EnvironmentVariables": {"MODE": "a & b", "N": 5},
  "WorkingDirectory": "/srv",
  "StandardOutPath": "out.log",
  "StandardErrorPath": "/var/log/err",
  "RunAtLoad": true,
  "ThrottleInterval": 0,
  "KeepAlive": {"SuccessfulExit": false, "PathState": {"flag": true}, "OtherJobEnabled": {"com.example.db": false}},
  "StandardInPath": "in",
  "StartInterval": 60,
  "StartCalendarInterval": {"Hour": 3, "Weekday": 0},
  "WatchPaths": ["/etc/hosts", "conf"],
  "QueueDirectories": ["queue"],
  "ExitTimeOut": 0,
  "AbandonProcessGroup": true,
  "LaunchOnlyOnce": true,
  "Umask": "027",
  "Nice": -5,
  "SoftResourceLimits": {"NumberOfFiles": 100},
  "HardResourceLimits": {"NumberOfFiles": 200, "Core": 0},
  "UserName": "root",
  "GroupName": "0",
  "InitGroups": false,
  "Debug": true,
  "WaitForDebugger": true,
  "RootDirectory": "root",
  "ProcessType": "Background",
  "LowPriorityIO": true,
  "SessionCreate": true
}`

func TestBothFormatsSayTheSame(t *testing.T) {
	no, mask := false, 0o027
	want := &Job{
		Label:             "com.example.echo",
		Path:              "/etc/jobs/echo",
		Program:           "/etc/bin/echo",
		Arguments:         []string{"../bin/echo", "-v"},
		MachServices:      []string{"com.example.admin", "com.example.echo"},
		Environment:       map[string]string{"MODE": "a & b"},
		WorkingDirectory:  "/srv",
		StandardOutPath:   "/etc/jobs/out.log",
		StandardErrorPath: "/var/log/err",
		RunAtLoad:         true,
		ThrottleInterval:  0,
		StandardInPath:    "/etc/jobs/in",
		KeepAlive: &KeepAlive{SuccessfulExit: &no, PathState: map[string]bool{"/etc/jobs/flag": true},
			OtherJobEnabled: map[string]bool{"com.example.db": false}},
		StartInterval:       time.Minute,
		StartCalendar:       []Calendar{{Any, 3, Any, 0, Any}},
		WatchPaths:          []string{"/etc/hosts", "/etc/jobs/conf"},
		QueueDirectories:    []string{"/etc/jobs/queue"},
		ExitTimeout:         NoExitTimeout,
		AbandonProcessGroup: true,
		LaunchOnlyOnce:      true,
		Umask:               &mask,
		Nice:                -5,
		SoftLimits:          map[string]uint64{"NumberOfFiles": 100},
		HardLimits:          map[string]uint64{"NumberOfFiles": 200, "Core": 0},
		UserName:            "root",
		GroupName:           "0",
		NoInitGroups:        true,
		ResetAtClose:        []string{"com.example.admin"},
		Debug:               true,
		WaitForDebugger:     true,
		RootDirectory:       "/etc/jobs/root",
		ProcessType:         Background,
		LowPriorityIO:       true,
	}
	for format, data := range map[string]string{"XML": wholeXML, "JSON": wholeJSON, "with a byte order mark": "\ufeff" + wholeXML} {
		got, err := ParseJob("/etc/jobs/echo", []byte(data))
		if err != nil {
			t.Errorf("%s: %v", format, err)
			continue
		}
		warned := ""
		for _, w := range got.Warnings {
			warned += w.Key + " "
		}
		if want := "EnvironmentVariables.N SessionCreate "; warned != want {
			t.Errorf("%s warns about %q, want %q", format, warned, want)
		}
		if n := len(got.WarningsFor(0)); n != len(got.Warnings) {
			t.Errorf("%s: root's registry can do it all, and warns %d times", format, n)
		}
		if got := got.WarningsFor(1000); len(got) != 5 || got[1].Key != "UserName" {
			t.Errorf("%s: nobody else can start programs as somebody else: %v", format, got)
		}
		got.Warnings, got.RootOnly = nil, nil
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", format, diff)
		}
	}
}

func TestProgram(t *testing.T) {
	tests := []struct{ why, json, program, argv string }{
		{"Program is a path, also when it looks like a word", `"Program": "echo"`, "/etc/jobs/echo", "echo"},
		{"Program is executed, the arguments are argv (launchd.plist)", `"Program": "/bin/sh", "ProgramArguments": ["mysh", "-c"]`, "/bin/sh", "mysh -c"},
		{"a bare word is looked for in PATH, as launchd does", `"ProgramArguments": ["sleep", "9"]`, "sleep", "sleep 9"},
		{"a slash makes it a path", `"ProgramArguments": ["./run"]`, "/etc/jobs/run", "./run"},
	}
	for _, tt := range tests {
		j, err := ParseJob("/etc/jobs/x.json", []byte(`{"Label":"x",`+tt.json+`}`))
		if err != nil {
			t.Fatalf("%s: %v", tt.why, err)
		}
		if got := strings.Join(j.Arguments, " "); j.Program != tt.program || got != tt.argv {
			t.Errorf("%s: got %s (%s), want %s (%s)", tt.why, j.Program, got, tt.program, tt.argv)
		}
		if j.ThrottleInterval != 10*time.Second {
			t.Errorf("without ThrottleInterval: %v, want R220's ten seconds", j.ThrottleInterval)
		}
	}
}

func TestLoadJob(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "good.plist")
	big := filepath.Join(dir, "big.json")
	fifo := filepath.Join(dir, "fifo")
	write(t, good, wholeXML)
	write(t, big, `{"Label":"`+strings.Repeat("x", MaxFile)+`"}`)
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if j, err := LoadJob(good); err != nil || j.Program != filepath.Join(filepath.Dir(dir), "bin/echo") {
		t.Errorf("a program is relative to the file's folder: %v, %v", j, err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "none"): "no such file",
		fifo:                       "not a regular file",
		dir:                        "not a regular file",
		big:                        "more than 1048576 bytes",
	} {
		_, err := LoadJob(path)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("got %v, want an error that names %s and says %q", err, path, want)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func FuzzParseJob(f *testing.F) {
	f.Add([]byte(wholeXML))
	f.Add([]byte(wholeJSON))
	f.Add([]byte(`{"Label":"a","Program":"b","MachServices":{"CF$UID":1}}`))
	f.Add([]byte(head + `<dict><key>Label</key><string><![CDATA[x]]></string><key>Program</key><string>a<!-- -->b</string></dict></plist>`))
	f.Fuzz(func(t *testing.T, data []byte) {
		j, err := ParseJob("/j", data)
		var bad *JobError
		switch {
		case err == nil:
			if j.Label == "" || j.Program == "" || len(j.Arguments) == 0 {
				t.Errorf("a job without label or program was accepted: %+v", j)
			}
		case !errors.As(err, &bad) || len(bad.Findings.Errors()) == 0:
			t.Errorf("got %v, want a JobError with an error in it", err)
		case bad.Findings[0].Line < 1 || bad.Findings[0].Column < 1:
			t.Errorf("there is no such place: %v", err)
		}
		if err == nil {
			agree(t, data, j)
		}
	})
}

// agree holds the decoder's reading against the checks' reading of the same
// bytes: what was checked must be what is used.
func agree(t *testing.T, data []byte, j *Job) {
	root, _, err := read([]byte(strings.TrimPrefix(string(data), "\ufeff")))
	if err != nil {
		t.Fatal(err)
	}
	services := 0
	for _, m := range root.members {
		switch m.key {
		case "Label":
			if m.value.text != j.Label {
				t.Errorf("checked label %q, used %q", m.value.text, j.Label)
			}
		case "MachServices":
			for _, s := range m.value.members {
				if s.value.text != "false" {
					services++
				}
			}
		}
	}
	if services != len(j.MachServices) {
		t.Errorf("checked %d services, used %q", services, j.MachServices)
	}
}
