package daemon

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/registry"
)

// helperArgument is the first argument of a process that RunHelper takes over, and
// behind it is the descriptor where it says what went wrong. A program that is
// executed closes that.
const helperArgument = "-become-a-job="

// exitHelper is the exit code of a helper that could not execute the program.
const exitHelper = 127

// order is what a helper does to itself before it executes a job's program.
type order struct {
	Program                string
	Folder                 string
	In, Out, Err           string // files; "" for the stream that it has
	Umask                  *int
	Nice                   int
	SoftLimits, HardLimits map[string]uint64
	UserName, GroupName    string // "" if they stay
	NoInitGroups           bool
	Root                   string // of the file system, "" if it stays
	LowIO                  bool   // others read and write first
	Stop                   bool   // wait for a debugger
	Sockets                bool   // tell whose they are
}

// backgroundNice is the priority of a job whose ProcessType is Background.
const backgroundNice = 10

// needsHelper says whether something is to be done between fork and exec, where
// Go has no hook.
func needsHelper(job *registry.Job) bool {
	return job.Umask != nil || job.Nice != 0 || len(job.SoftLimits)+len(job.HardLimits) > 0 || changesUser(job) ||
		job.RootDirectory != "" || job.ProcessType == registry.Background || job.LowPriorityIO || job.WaitForDebugger ||
		len(job.Sockets) > 0
}

// changesUser says whether the job runs as somebody else, which only root's registry can do.
func changesUser(job *registry.Job) bool {
	return os.Geteuid() == 0 && job.UserName+job.GroupName != ""
}

func orderFor(job *registry.Job, program, folder string) order {
	o := order{
		Program: program, Folder: folder,
		In: job.StandardInPath, Out: job.StandardOutPath, Err: job.StandardErrorPath,
		Umask: job.Umask, Nice: job.Nice, SoftLimits: job.SoftLimits, HardLimits: job.HardLimits,
		Root: job.RootDirectory, LowIO: job.LowPriorityIO, Stop: job.WaitForDebugger, Sockets: len(job.Sockets) > 0,
	}
	if job.ProcessType == registry.Background {
		o.Nice, o.LowIO = cmp.Or(job.Nice, backgroundNice), true
	}
	if changesUser(job) {
		o.UserName, o.GroupName, o.NoInitGroups = job.UserName, job.GroupName, job.NoInitGroups
	}
	return o
}

// RunHelper is to be called first of all by the main function of a program that
// is the Helper of Options. It returns at once, unless the process was started by
// a registry to become a job: then it sets umask, priority, limits, root folder and
// user as the job file says and executes the job's program, and never returns.
func RunHelper() {
	if len(os.Args) < 4 || !strings.HasPrefix(os.Args[1], helperArgument) {
		return
	}
	reportFD, _ := strconv.Atoi(os.Args[1][len(helperArgument):])
	// The priority is the thread's on Linux, and exec keeps that of its caller.
	runtime.LockOSThread()
	unix.CloseOnExec(reportFD)
	var o order
	err := json.Unmarshal([]byte(os.Args[2]), &o)
	if err == nil {
		err = o.carryOut(os.Args[3:])
	}
	unix.Write(reportFD, []byte(err.Error()))
	os.Exit(exitHelper)
}

// carryOut returns only if something fails.
func (o *order) carryOut(arguments []string) error {
	if o.Umask != nil {
		syscall.Umask(*o.Umask)
	}
	if o.Nice != 0 {
		if err := unix.Setpriority(unix.PRIO_PROCESS, 0, o.Nice); err != nil {
			return fmt.Errorf("Nice %d: %w", o.Nice, err)
		}
	}
	if o.LowIO {
		if err := lowerIO(); err != nil {
			return fmt.Errorf("low priority of I/O: %w", err)
		}
	}
	env := os.Environ()
	if o.Sockets {
		env = append(env, "LISTEN_PID="+strconv.Itoa(os.Getpid()))
	}
	// Limits come last, as they may leave the helper itself too little; but to
	// raise them needs root.
	limited := o.UserName+o.GroupName != ""
	var who *account
	if limited {
		var err error
		if who, err = findAccount(o); err != nil {
			return err
		}
		if err := o.limit(); err != nil {
			return err
		}
		env = who.addTo(env)
	}
	if o.Root != "" {
		if err := unix.Chroot(o.Root); err != nil {
			return fmt.Errorf("RootDirectory %q: %w", o.Root, err)
		}
	}
	if limited {
		if err := who.become(); err != nil {
			return err
		}
	}
	if err := o.enter(); err != nil {
		return err
	}
	if !limited {
		if err := o.limit(); err != nil {
			return err
		}
	}
	if o.Stop {
		unix.Kill(unix.Getpid(), unix.SIGSTOP)
	}
	return fmt.Errorf("cannot execute %q: %w", o.Program, syscall.Exec(o.Program, arguments, env))
}

// enter goes to the working directory and opens the streams, with the rights of the job.
func (o *order) enter() error {
	if err := os.Chdir(o.Folder); err != nil {
		return fmt.Errorf("working directory %q: %w", o.Folder, reason(err))
	}
	mode := os.FileMode(outputMode)
	if o.Umask != nil {
		mode = 0o666
	}
	for fd, path := range []string{o.In, o.Out, o.Err} {
		if path == "" {
			continue
		}
		f, err := openStream(fd, path, mode)
		if err != nil {
			return err
		}
		if err := redirectTo(fd, f); err != nil {
			return fmt.Errorf("file %q: %w", path, err)
		}
	}
	return nil
}

// redirectTo makes fd, one of the first three, another name of f.
func redirectTo(fd int, f *os.File) error {
	defer f.Close()
	unix.Close(fd)
	got, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD, fd)
	if err == nil && got != fd {
		err = errors.New("descriptor in use")
	}
	return err
}

// limit sets the hard limits, then the soft ones.
func (o *order) limit() error {
	for _, r := range resources {
		soft, isSoft := o.SoftLimits[r.name]
		hard, isHard := o.HardLimits[r.name]
		if !isSoft && !isHard {
			continue
		}
		var l unix.Rlimit
		if err := unix.Getrlimit(r.id, &l); err != nil {
			return fmt.Errorf("limit %s: %w", r.name, err)
		}
		if isHard {
			set(&l.Max, hard)
			l.Cur = min(l.Cur, l.Max)
		}
		if isSoft {
			set(&l.Cur, soft)
		}
		if err := unix.Setrlimit(r.id, &l); err != nil {
			return fmt.Errorf("limit %s (soft %d, hard %d): %w", r.name, l.Cur, l.Max, err)
		}
	}
	return nil
}

// set fills a limit, which some systems count in signed numbers.
func set[T int64 | uint64](to *T, n uint64) { *to = T(n) }

// resources are those of registry's job files.
var resources = []struct {
	name string
	id   int
}{
	{"CPU", unix.RLIMIT_CPU}, {"Core", unix.RLIMIT_CORE}, {"Data", unix.RLIMIT_DATA},
	{"FileSize", unix.RLIMIT_FSIZE}, {"MemoryLock", unix.RLIMIT_MEMLOCK},
	{"NumberOfFiles", unix.RLIMIT_NOFILE}, {"NumberOfProcesses", unix.RLIMIT_NPROC},
	{"ResidentSetSize", unix.RLIMIT_RSS}, {"Stack", unix.RLIMIT_STACK},
}

// report is the parent's end of what a helper says.
type report struct{ file *os.File }

// read takes what the helper said before it ended, or nil if it executed the
// program. It waits for nothing.
func (r report) read() error {
	if r.file == nil {
		return nil
	}
	defer r.file.Close()
	text := make([]byte, 4096)
	n := 0
	conn, err := r.file.SyscallConn()
	if err != nil {
		return err
	}
	err = conn.Read(func(fd uintptr) bool {
		n, _ = unix.Read(int(fd), text)
		return true
	})
	if err != nil || n <= 0 {
		return err
	}
	return errors.New(string(text[:n]))
}

func (r report) close() {
	if r.file != nil {
		r.file.Close()
	}
}
