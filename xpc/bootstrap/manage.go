package bootstrap

// Routines for tools. OpLoad and OpUnload are for the registry's own user and
// root; the others are for everybody who can reach the registry (R210).
const (
	// OpLoad loads a job: KeyPath is the absolute path of its file, or
	// KeyDocument its content and KeyPath (optional) what to call it; a relative
	// Program is then relative to KeyPath's folder.
	// The answer: KeyLabel, and KeyWarnings when there are any.
	// Errors: BadJob, NameInUse (the label, or one of the names), NotPrivileged.
	OpLoad = "load"

	// OpUnload stops the job KeyLabel and forgets it. The answer, empty, comes
	// when its process has ended. Errors: UnknownService, NotPrivileged.
	OpUnload = "unload"

	// OpList answers KeyJobs: an array, sorted by label, of dictionaries with
	// KeyLabel, KeyState, KeyPID (absent when nothing runs) and KeyStatus (absent
	// before the first exit); and KeyNames: an array, sorted by name, of
	// dictionaries with KeyName and KeyPID for names that no job declares.
	OpList = "list"

	// OpPrint describes one job, found by KeyLabel or by KeyName, under KeyJob: a
	// dictionary in launchctl's words, in the order in which they are to be
	// printed; its values are strings, int64, bool, arrays of strings and
	// dictionaries of the same. Error: UnknownService.
	OpPrint = "print"

	// OpStatus describes the registry: KeyPID, KeyUID, KeyPath (of its socket),
	// KeyVersion (empty for a development build), KeyStarted (date), and as int64
	// the counts KeyJobCount, KeyRunningCount, KeyNameCount and KeyClientCount.
	OpStatus = "status"

	// OpPing answers KeyPID.
	OpPing = "ping"
)

// Keys of the tools' requests and replies.
const (
	KeyDocument = "document" // data: a job file's content
	KeyWarnings = "warnings" // array of strings: file:line:column: text
	KeyJobs     = "jobs"     // array of dictionaries
	KeyNames    = "names"    // array of dictionaries
	KeyJob      = "job"      // dictionary
	KeyPID      = "pid"      // int64
	KeyUID      = "uid"      // int64
	KeyStatus   = "status"   // int64: exit code of the last run, or the negative signal that ended it
	KeyState    = "state"    // string: one of the State constants
	KeyVersion  = "version"  // string
	KeyStarted  = "started"  // date

	KeyJobCount     = "job-count"     // int64
	KeyRunningCount = "running-count" // int64
	KeyNameCount    = "name-count"    // int64
	KeyClientCount  = "client-count"  // int64
)

// What a job can be doing, as OpList and OpPrint say it.
const (
	StateNotRunning = "not running"
	StateWaiting    = "waiting" // a client waits, but ThrottleInterval has not passed since the last start
	StateRunning    = "running"
	StateStopping   = "stopping" // told to end, and has not yet
)
