package registry

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"howett.net/plist"

	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// MaxFile is the largest job file in bytes.
const MaxFile = 1 << 20

// DefaultThrottle is the ThrottleInterval of a job that has none (R220).
const DefaultThrottle = 10 * time.Second

// Job is what a job file says, checked. It is read-only by convention: any
// number of goroutines may read one. The zero Job is of no use; ParseJob and
// LoadJob make them.
type Job struct {
	Label string // unique in a registry
	Path  string // of the file, absolute; "" for a document without one

	Program   string   // absolute path, or a bare word to be looked for in PATH at each start
	Arguments []string // argv, at least one

	MachServices []string                   // names that the job declares, sorted (R216)
	LookUp       map[string]Access          // of names that not everybody may look up; nil for none
	Requirements map[string]NameRequirement // of names that not every program may look up or own; nil for none
	Environment  map[string]string          // EnvironmentVariables; nil for none
	Sockets      []Socket                   // where the registry listens for the job, in the file's order
	Inetd        *Inetd                     // inetdCompatibility; nil for none

	HideUntilCheckIn []string // of MachServices: unknown while the job does not serve them
	ResetAtClose     []string // of MachServices: gone, and there anew, when the job ends

	WorkingDirectory  string // absolute, or "" for the root folder
	StandardInPath    string // absolute, or "" for /dev/null
	StandardOutPath   string // absolute, or "" for where the registry's own output goes
	StandardErrorPath string // likewise

	RunAtLoad           bool          // started when it is loaded (R218)
	KeepAlive           *KeepAlive    // when to run without a client; nil for never
	StartInterval       time.Duration // started again and again after so long; 0 for not
	StartCalendar       []Calendar    // StartCalendarInterval; nil for not
	WatchPaths          []string      // absolute; started when one of them changes
	QueueDirectories    []string      // absolute; kept running while one of them has something in it
	ThrottleInterval    time.Duration // least time from one start to the next (R220)
	ExitTimeout         time.Duration // from SIGTERM to SIGKILL; 0 for the registry's own, NoExitTimeout for ever (R221)
	AbandonProcessGroup bool          // what the process leaves behind in its group is left alone (R222)
	Disabled            bool          // not to be loaded, unless somebody has enabled it
	LaunchOnlyOnce      bool          // unloaded when its process ends (R223)
	EnableTransactions  bool          // stopped when its transactions allow (R184)
	EnablePressuredExit bool          // ended while it is idle for long, or memory is scarce; started again if it ended busy (R183, R185); implies EnableTransactions

	RootDirectory   string // absolute, what the job has for "/"; "" for the real one
	ProcessType     string // Background, or what changes nothing
	LowPriorityIO   bool   // others read and write first
	WaitForDebugger bool   // stopped before its first instruction
	Debug           bool   // everything about the job is logged

	Umask      *int              // nil for the registry's own
	Nice       int               // -20 to 20
	SoftLimits map[string]uint64 // SoftResourceLimits by launchd's names, in setrlimit's units; nil for none
	HardLimits map[string]uint64 // HardResourceLimits

	UserName     string // name or number of whom to run as, "" for the registry's own user
	GroupName    string // likewise, "" for the user's group
	NoInitGroups bool   // InitGroups is false: no supplementary groups but GroupName's

	Warnings Findings // keys that have no effect here
	RootOnly Findings // keys that have one only where the registry is root's
}

// WarningsFor is what to tell the user uid, whose registry loads the job:
// Warnings, and RootOnly unless uid is root's.
func (j *Job) WarningsFor(uid int) Findings {
	all := slices.Clone(j.Warnings)
	if uid != 0 {
		all = append(all, j.RootOnly...)
	}
	all.sort()
	return all
}

// document is a job file as its decoder gives it.
type document struct {
	Label                string
	Program              string
	ProgramArguments     []string
	MachServices         map[string]any
	EnvironmentVariables map[string]any
	WorkingDirectory     string
	StandardInPath       string
	StandardOutPath      string
	StandardErrorPath    string
	RunAtLoad            bool
	ThrottleInterval     *int64
}

// DefaultPath is the socket of the registry that this process would serve, and
// the first that it would ask: the first of bootstrap.Paths.
func DefaultPath() string { return bootstrap.Paths()[0] }

// LoadJob reads and parses the file. Errors: those of the file system, which
// name the path, and *JobError.
func LoadJob(path string) (*Job, error) {
	data, err := readFile(path, func(fs.FileInfo) error { return nil })
	if err != nil {
		return nil, err
	}
	return ParseJob(path, data)
}

// readFile reads a regular file of bounded size that good accepts; a FIFO or a
// device cannot hold it up.
func readFile(path string, good func(fs.FileInfo) error) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("registry: job file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("registry: job file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("registry: job file %s is not a regular file", path)
	}
	if err := good(info); err != nil {
		return nil, fmt.Errorf("registry: job file: %w", err)
	}
	data, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err != nil {
		return nil, fmt.Errorf("registry: job file: %w", err)
	}
	return data, nil
}

// ParseJob parses data, the content of the file path, which is not opened; path
// is what errors are said about and what relative paths are relative to, and may
// be "". data is not kept. The error is a *JobError.
func ParseJob(path string, data []byte) (*Job, error) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	name := cmp.Or(path, "job document")
	root, decode, err := read(data)
	if err != nil {
		return nil, &JobError{name, Findings{asFinding(err)}}
	}
	found, checked := check(root)
	if len(found.Errors()) > 0 {
		return nil, &JobError{name, found}
	}
	var doc document
	if err := decode(data, &doc); err != nil {
		return nil, &JobError{name, Findings{asFinding(err)}}
	}
	job := &checked
	err = job.complete(path, &doc)
	if err != nil {
		return nil, &JobError{name, append(found, asFinding(err))}
	}
	job.Warnings = found.Warnings()
	return job, nil
}

func asFinding(err error) Finding {
	pos := position{1, 1}
	var syntax *syntaxError
	if errors.As(err, &syntax) {
		pos = syntax.pos
	}
	return Finding{Line: pos.line, Column: pos.column, Text: err.Error()}
}

// read finds out the format; decode fills a document from the same bytes.
func read(data []byte) (root *node, decode func([]byte, any) error, err error) {
	start := bytes.TrimLeft(data, " \t\r\n")
	switch {
	case len(data) > MaxFile:
		err = syntaxAt(position{1, 1}, "the file has more than %d bytes, the limit of a job file", MaxFile)
	case bytes.HasPrefix(start, []byte("bplist")):
		err = syntaxAt(position{1, 1}, "this is a binary property list: convert it with `plutil -convert xml1`")
	case bytes.HasPrefix(start, []byte("<")):
		root, err = readXML(data)
		decode = func(data []byte, v any) error { _, err := plist.Unmarshal(data, v); return err }
	case bytes.HasPrefix(start, []byte("{")):
		root, err = readJSON(data)
		decode = json.Unmarshal
	default:
		err = syntaxAt(position{1, 1}, "neither an XML property list (<plist>) nor a JSON object")
	}
	return root, decode, err
}

// complete adds what the decoder has read.
func (j *Job) complete(path string, doc *document) error {
	j.Label = doc.Label
	j.Arguments = doc.ProgramArguments
	j.RunAtLoad = doc.RunAtLoad
	j.MachServices = advertised(doc.MachServices)
	j.Environment = texts(doc.EnvironmentVariables)
	j.ThrottleInterval = DefaultThrottle
	if doc.ThrottleInterval != nil {
		j.ThrottleInterval = time.Duration(*doc.ThrottleInterval) * time.Second
	}
	if path != "" {
		abs, err := filepath.Abs(path)
		if err != nil {
			return err
		}
		j.Path = abs
	}
	return j.resolve(doc)
}

// resolve makes paths absolute. A bare word as first argument stays one: it is
// looked for in PATH, as launchd does when there is no Program.
func (j *Job) resolve(doc *document) error {
	program := doc.Program
	if program == "" {
		program = doc.ProgramArguments[0]
	}
	if len(j.Arguments) == 0 {
		j.Arguments = []string{program}
	}
	var err error
	if doc.Program == "" && !strings.Contains(program, "/") {
		j.Program = program
	} else if j.Program, err = j.absolute(program); err != nil {
		return err
	}
	for _, p := range []struct {
		to   *string
		from string
	}{
		{&j.WorkingDirectory, doc.WorkingDirectory}, {&j.StandardInPath, doc.StandardInPath},
		{&j.StandardOutPath, doc.StandardOutPath}, {&j.StandardErrorPath, doc.StandardErrorPath},
		{&j.RootDirectory, j.RootDirectory},
	} {
		if p.from == "" {
			continue
		}
		if *p.to, err = j.absolute(p.from); err != nil {
			return err
		}
	}
	return j.resolveConditions()
}

func (j *Job) resolveConditions() error {
	for i := range j.Sockets {
		s := &j.Sockets[i]
		if !strings.HasPrefix(s.Network, "unix") || s.Variable != "" {
			continue
		}
		abs, err := j.absolute(s.Address)
		if err != nil {
			return err
		}
		s.Address = abs
	}
	for _, paths := range [][]string{j.WatchPaths, j.QueueDirectories} {
		for i, path := range paths {
			abs, err := j.absolute(path)
			if err != nil {
				return err
			}
			paths[i] = abs
		}
	}
	if j.KeepAlive == nil || j.KeepAlive.PathState == nil {
		return nil
	}
	states := map[string]bool{}
	for path, yes := range j.KeepAlive.PathState {
		abs, err := j.absolute(path)
		if err != nil {
			return err
		}
		states[abs] = yes
	}
	j.KeepAlive.PathState = states
	return nil
}

// absolute reads a path relative to the job file's folder.
func (j *Job) absolute(path string) (string, error) {
	if filepath.IsAbs(path) {
		return filepath.Clean(path), nil
	}
	if j.Path == "" {
		return "", fmt.Errorf("%q is relative to the job file's folder, and this job has no file: make it absolute", path)
	}
	return filepath.Join(filepath.Dir(j.Path), path), nil
}

// advertised leaves out the services whose value is false.
func advertised(services map[string]any) []string {
	var out []string
	for name, value := range services {
		if value != false {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// texts keeps the variables that are strings; the checks have warned about the others.
func texts(variables map[string]any) map[string]string {
	var out map[string]string
	for name, value := range variables {
		if s, ok := value.(string); ok {
			if out == nil {
				out = map[string]string{}
			}
			out[name] = s
		}
	}
	return out
}
