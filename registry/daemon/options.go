package daemon

import (
	"log/slog"
	"time"

	"github.com/openxpc/openxpc/registry"
)

// Limits of what clients can make the daemon hold.
const (
	MaxClients = 1024  // connections of one user to the registry's socket
	MaxJobs    = 10000 // loaded jobs
)

// Options says what Serve is to do. The zero Options serve the default path
// with no jobs. Serve does not change them.
type Options struct {
	// Path of the registry's socket; "" is registry.DefaultPath. Its folder is
	// made if it is not there, but the folder's folder is not.
	Path string

	// Jobs are loaded before Ready is called. If one cannot be, Serve ends with
	// its error. Those that are disabled are left out, here and of Optional.
	Jobs []*registry.Job

	// Optional jobs are loaded after Jobs; one that cannot be is logged and left out.
	Optional []*registry.Job

	// NoAdHoc keeps programs from registering names that no job declares (R101).
	NoAdHoc bool

	// AdHoc is who may register names that no job declares; nil is the user that
	// the registry runs as. Root is not allowed unless it is listed.
	AdHoc *registry.Access

	// StateDir is the folder, made when it is needed, where the registry keeps which
	// jobs are enabled and disabled; "" forgets that at the end.
	StateDir string

	// IdleExit is how long a process is idle before it is ended for that, if its job
	// has EnablePressuredExit or is a program's own service (R183): at least so long,
	// and at most twice. 0 is a minute, and what is negative is for ever.
	IdleExit time.Duration

	// Helper is the path of a program whose main function calls RunHelper, such as
	// this one's. It is executed for jobs with Umask, Nice, resource limits or
	// another user; "" keeps those from being started.
	Helper string

	// Ready, if not nil, is called once, when clients can connect and the jobs
	// are loaded.
	Ready func()

	// TrustRoot is the folder below which signatures, trust anchors and the files of
	// groups are looked for, instead of the machine's and the user's own; "" for those.
	TrustRoot string

	// CodeIsEnforced is the administrator's word that this host's kernel executes no
	// code that is not signed: requirement.Enforced.
	CodeIsEnforced bool

	// Logger gets what happens to jobs and what fails; nil is silent.
	Logger *slog.Logger

	// Version is what the daemon calls itself in its status.
	Version string

	// Outlives makes Serve take over from an earlier process what that had left: from a
	// service manager (LISTEN_FDS, systemd's descriptor store), or from this very
	// process before Restart. As long as it runs it leaves the same behind, so that
	// no name, client or job is lost by its end; and it tells the service manager
	// of NOTIFY_SOCKET what it is doing (READY, RELOADING, STOPPING, WATCHDOG).
	// One Serve of a process may do this.
	Outlives bool

	// Restart, if not nil, has the process execute its program anew, each time that
	// a value comes, with the same arguments: an upgrade. It needs Outlives.
	Restart <-chan struct{}

	maxClients  int              // for tests; 0 is MaxClients
	exitTimeout time.Duration    // for tests; 0 is launch.ExitTimeout
	lookEvery   time.Duration    // for tests; 0 is lookSeldom or lookOften
	pace        time.Duration    // for tests; 0 is launch.RetryTimeout
	wall        func() time.Time // for tests; nil is time.Now
	started     func(*daemon)    // for tests; called before the first client
	noPrograms  bool             // for tests that load what nobody has chosen: every start fails
}
