package registry

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestParseService(t *testing.T) {
	const name = "com.example.own"
	document := func(more string) []byte {
		return []byte(fmt.Sprintf(`{"CFBundleIdentifier": %q, "CFBundleExecutable": "run"%s}`, name, more))
	}
	j, err := ParseService("/app/XPCServices/own.xpc/Contents/Info.plist", document(`, "NSPrincipalClass": "X", "Umask": "077",
		"XPCService": {"ServiceType": "Application", "RunLoopType": "NSRunLoop", "JoinExistingSession": true, "EnvironmentVariables": {"A": "b"}, "_Own": 1}`), name, "MacOS")
	if err != nil {
		t.Fatal(err)
	}
	if j.Label != name || len(j.MachServices) != 1 || j.MachServices[0] != name || j.Program != "/app/XPCServices/own.xpc/Contents/MacOS/run" {
		t.Errorf("the name is label and service, the program is in the bundle: %+v", j)
	}
	if !j.EnableTransactions || !j.EnablePressuredExit || j.Environment["A"] != "b" || *j.Umask != 0o077 || j.ThrottleInterval != time.Second {
		t.Errorf("it ends by its transactions, and is what its file says: %+v", j)
	}
	if len(j.Warnings) != 2 || j.Warnings[0].Key != "XPCService.JoinExistingSession" || j.Warnings[1].Key != "XPCService._Own" {
		t.Errorf("what has no effect is said: %v", j.Warnings)
	}
	for more, want := range map[string]string{
		`, "CFBundleIdentifier": "a"`:                              "duplicate key",
		`, "CFBundlePackageType": "APPL"`:                          `"CFBundlePackageType" is "APPL": a service has XPC!`,
		`, "XPCService": {"ServiceType": "User"}`:                  `for one that many share write a job file`,
		`, "XPCService": {"RunLoopType": "mine"}`:                  `"RunLoopType" is dispatch_main or NSRunLoop`,
		`, "XPCService": {"EnvironmentVariables": []}`:             `must be a dictionary`,
		`, "XPCService": {"Service": 1}`:                           `unknown key "Service" of "XPCService"`,
		`, "XPCService": {"EnvironmentVariables": {"A=": "b"}}`:    `is no name of an environment variable`,
		`, "XPCServices": {}`:                                      `unknown key "XPCServices"`,
		`, "MachServices": {}`:                                     `"MachServices" is for job files`,
		`, "SoftResourceLimits": {"Core": 2}, "Umask": "notoctal"`: `"Umask" goes from 0`,
	} {
		if _, err := ParseService("/x", document(more), name, "."); err == nil || !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%s: got %v, want %q", more, err, want)
		}
	}
	if _, err := ParseService("/x", []byte(`{}`), name, "."); err == nil || !strings.Contains(err.Error(), `"CFBundleIdentifier" is missing`) {
		t.Errorf("got %v", err)
	}
}

func TestLoadService(t *testing.T) {
	dir := t.TempDir()
	uid := os.Geteuid()
	for i, file := range []string{"a.json", "a.plist", "a.xpc/Info.plist", "a.xpc/Contents/Info.plist"} {
		path := filepath.Join(dir, file)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		write(t, path, `{"CFBundleIdentifier": "a", "CFBundleExecutable": "run"}`)
		if j, err := LoadService(dir, "a", uid); err != nil || j.Path != path {
			t.Errorf("place %d, %s: got %v, %v", i, file, j, err)
		}
	}
	for _, name := range []string{"b", "", "../a", "a/b"} {
		if _, err := LoadService(filepath.Join(dir, "a.xpc"), name, uid); !errors.Is(err, ErrNoService) {
			t.Errorf("%q: got %v, want ErrNoService", name, err)
		}
	}
}
