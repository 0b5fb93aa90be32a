// Package registry reads job files: what a job is called, which names it
// serves, how it is started. The daemon that acts on them is package
// registry/daemon; tools use this package to check a file without loading it.
//
// A job file is a launchd property list in XML, or JSON of the same keys, of at
// most [MaxFile] bytes. [ParseJob] is strict: a duplicate or unknown key, a
// wrong type or a missing value is an error that names line and column, all of
// them at once in a [*JobError], and nothing is loaded. A key of launchd's that
// this version does not act on is accepted with a warning ([Job.Warnings]).
//
// docs/jobs.md describes every key.
package registry
