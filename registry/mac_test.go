package registry

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFilesOfMacPrograms: files of the shapes that programs for macOS come with
// load as they are; what has no effect here is said, and nothing else.
func TestFilesOfMacPrograms(t *testing.T) {
	const sockets = "Sockets" // are another test's
	warned := map[string]string{
		"agent":    "LimitLoadToSessionType KeepAlive.AfterInitialDemand AssociatedBundleIdentifiers",
		"broker":   "LaunchEvents ProcessType LimitLoadToHardware",
		"follower": "KeepAlive.NetworkState LimitLoadFromHosts",
		"helper":   "SpawnConstraint",
		"once":     "BundleProgram MaterializeDatalessFiles",
		"server":   "OnDemand ServiceIPC TimeOut",
		"spooler":  "HopefullyExitsLast",
		"sshd":     "SessionCreate POSIXSpawnType",
		"updater":  "LowPriorityBackgroundIO LegacyTimers",
		"watcher":  "StartOnMount",
	}
	files, err := filepath.Glob("testdata/mac/*.plist")
	if err != nil || len(files) != len(warned) {
		t.Fatalf("%d files, %v, want %d", len(files), err, len(warned))
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		must(t, err)
		job, err := ParseJob(path, text)
		if err != nil {
			t.Error(err)
			continue
		}
		if want := strings.TrimSuffix(filepath.Base(path), ".plist"); job.Label != want {
			t.Errorf("%s: the label is %q", path, job.Label)
		}
		var got []string
		for _, w := range job.WarningsFor(0) {
			if w.Key != sockets {
				got = append(got, w.Key)
			}
			if !strings.Contains(w.Text, ":") && w.Key != sockets {
				t.Errorf("%s: a warning says what it means here, or what to do: %v", path, w)
			}
		}
		if want := warned[strings.TrimPrefix(job.Label, "com.example.")]; strings.Join(got, " ") != want {
			t.Errorf("%s warns about %q, want %q", path, got, want)
		}
	}
	job, err := LoadJob("testdata/mac/com.example.follower.plist")
	must(t, err)
	if k := job.KeepAlive; k.Crashed == nil || !k.PathState["/etc/example.enabled"] || !k.OtherJobEnabled["com.example.server"] || k.Always {
		t.Errorf("the conditions of KeepAlive: %+v", k)
	}
	job, err = LoadJob("testdata/mac/com.example.spooler.plist")
	must(t, err)
	if *job.Umask != 0o077 || !job.NoInitGroups {
		t.Errorf("63 is decimal: %+v", job)
	}
}
