package bootstrap

// Routines of tools that change what a loaded job does, or whether a job may be
// loaded. They are for the registry's own user and root; OpPrintDisabled is for
// everybody. Each names its job by KeyLabel.
const (
	// OpKickstart starts the job now, whatever ThrottleInterval says, and answers
	// KeyPID when it runs. With KeyRestart a process that runs is ended first.
	// Errors: UnknownService, NotPrivileged, NotRunning with the reason why it
	// could not be started.
	OpKickstart = "kickstart"

	// OpKill sends KeySignal to the job's process. Errors: UnknownService,
	// NotRunning, NotPrivileged, BadRequest.
	OpKill = "kill"

	// OpDebug changes the job's next run, and only that one: KeyProgram,
	// KeyArguments, KeyEnvironment (added to the job's), KeyStandardIn,
	// KeyStandardOut and KeyStandardError; what is left out stays as the file says.
	// With none of them, what an earlier request asked for is forgotten.
	OpDebug = "debug"

	// OpEnable and OpDisable say whether a job of that label may be loaded,
	// whatever the key Disabled of its file says. What is loaded stays. The answer
	// has KeyWarnings if the registry has nowhere to keep this.
	OpEnable  = "enable"
	OpDisable = "disable"

	// OpPrintDisabled answers KeyDisabled: a dictionary of what OpEnable and
	// OpDisable have said, true for disabled, by label, sorted.
	OpPrintDisabled = "print-disabled"
)

// Keys of those routines.
const (
	KeyRestart       = "restart"     // bool
	KeySignal        = "signal"      // int64
	KeyProgram       = "program"     // string: absolute path, or a word to be looked for in PATH
	KeyArguments     = "arguments"   // array of strings
	KeyEnvironment   = "environment" // dictionary of strings
	KeyStandardIn    = "stdin"       // string: absolute path, or a word to be looked for in PATH
	KeyStandardOut   = "stdout"      // likewise
	KeyStandardError = "stderr"      // likewise
	KeyDisabled      = "disabled"    // dictionary of bool
)
