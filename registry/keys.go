package registry

import "strings"

// key is what is known of one key at the root of a job file.
type key struct {
	kinds []kind // accepted types of a key that is acted on; none for the others
	note  string // of a key that is not acted on: what to do instead, or ""
}

const obsolete = "remove it"

// keys are launchd's, all of them: a file written for macOS is understood, and
// what has no effect here is said.
var keys = map[string]key{
	"Label":                 {kinds: []kind{stringKind}},
	"Program":               {kinds: []kind{stringKind}},
	"ProgramArguments":      {kinds: []kind{arrayKind}},
	"MachServices":          {kinds: []kind{dictKind}},
	"EnvironmentVariables":  {kinds: []kind{dictKind}},
	"WorkingDirectory":      {kinds: []kind{stringKind}},
	"StandardOutPath":       {kinds: []kind{stringKind}},
	"StandardErrorPath":     {kinds: []kind{stringKind}},
	"Disabled":              {kinds: []kind{boolKind}},
	"RunAtLoad":             {kinds: []kind{boolKind}},
	"ThrottleInterval":      {kinds: []kind{integerKind}},
	"KeepAlive":             {kinds: []kind{boolKind, dictKind}},
	"OnDemand":              {kinds: []kind{boolKind}},
	"StartInterval":         {kinds: []kind{integerKind}},
	"StartCalendarInterval": {kinds: []kind{dictKind, arrayKind}},
	"WatchPaths":            {kinds: []kind{arrayKind}},
	"QueueDirectories":      {kinds: []kind{arrayKind}},
	"ExitTimeOut":           {kinds: []kind{integerKind}},
	"AbandonProcessGroup":   {kinds: []kind{boolKind}},
	"LaunchOnlyOnce":        {kinds: []kind{boolKind}},
	"EnableTransactions":    {kinds: []kind{boolKind}},
	"EnablePressuredExit":   {kinds: []kind{boolKind}},
	"StandardInPath":        {kinds: []kind{stringKind}},
	"Umask":                 {kinds: []kind{integerKind, stringKind}},
	"Nice":                  {kinds: []kind{integerKind}},
	"SoftResourceLimits":    {kinds: []kind{dictKind}},
	"HardResourceLimits":    {kinds: []kind{dictKind}},
	"UserName":              {kinds: []kind{stringKind}},
	"GroupName":             {kinds: []kind{stringKind}},
	"InitGroups":            {kinds: []kind{boolKind}},
	"RootDirectory":         {kinds: []kind{stringKind}},
	"Debug":                 {kinds: []kind{boolKind}},
	"WaitForDebugger":       {kinds: []kind{boolKind}},
	"ProcessType":           {kinds: []kind{stringKind}},
	"LowPriorityIO":         {kinds: []kind{boolKind}},
	"EnableGlobbing":        {kinds: []kind{boolKind}},
	"Sockets":               {kinds: []kind{dictKind}},
	"inetdCompatibility":    {kinds: []kind{dictKind}},

	"AssociatedBundleIdentifiers": {note: "it is for macOS's settings; remove it"},
	"BundleProgram":               {note: "use Program; services of a program's own are in the folder beside it"},
	"HopefullyExitsFirst":         {note: obsolete},
	"HopefullyExitsLast":          {note: obsolete},
	"LaunchEvents":                {note: "no such events are told here; use WatchPaths, Sockets or a timer"},
	"LegacyTimers":                {note: "timers are exact here anyway; remove it"},
	"LimitLoadFromHardware":       {note: "a job that is loaded is loaded; choose the file by machine"},
	"LimitLoadFromHosts":          {note: "launchd has given it up, and a job that is loaded is loaded"},
	"LimitLoadToHardware":         {note: "a job that is loaded is loaded; choose the file by machine"},
	"LimitLoadToHosts":            {note: "launchd has given it up, and a job that is loaded is loaded"},
	"LimitLoadToSessionType":      {note: "there is the system's registry and each user's; choose by which one loads the file"},
	"LowPriorityBackgroundIO":     {note: "no process is moved to the background while it runs; use LowPriorityIO"},
	"MaterializeDatalessFiles":    {note: "every file is wholly there; remove it"},
	"POSIXSpawnType":              {note: "use ProcessType"},
	"ServiceIPC":                  {note: obsolete},
	"SessionCreate":               {note: "every job has a session of its own, in the sense of setsid(2)"},
	"SpawnConstraint":             {note: "what a program may be is not checked at its start; clients can require it of their peers"},
	"StartOnMount":                {note: "nothing here tells of mounts; use WatchPaths with a path inside what is mounted"},
	"TimeOut":                     {note: obsolete},
}

// similar finds the known key that an unknown one was meant to be, or "".
func similar(unknown string) string {
	const longest = 64 // longer than every key; the effort is the attacker's choice otherwise
	if len(unknown) > longest {
		return ""
	}
	best, distance := "", len(unknown)/3+2
	for name := range keys {
		d := editDistance(strings.ToLower(unknown), strings.ToLower(name))
		if d < distance || d == distance && best != "" && name < best {
			best, distance = name, d
		}
	}
	return best
}

// editDistance counts the characters to add, drop or replace (Levenshtein).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
