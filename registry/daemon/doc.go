// Package daemon is the registry at work: it owns the names, holds their
// listening sockets, launches jobs when a client wants them and hands out endpoints.
//
// [Serve] is the whole of it. The registry is an XPC service like any other: its
// door is a listener of package xpc, requests are dictionaries in the vocabulary
// of package xpc/bootstrap. All handlers, timers and notices run on one serial
// queue, so the tables need no lock and no operation sees half of another.
//
// What is decided is decided in two pure packages: registry/internal/namespace
// (who has which name) and registry/internal/launch (when a job starts and
// stops). This package carries it out.
//
// # Sockets
//
// A name's socket is made when it is first looked up or checked in. Nobody but
// the name's owner accepts from it: while no process serves the name the daemon
// watches the socket for clients without accepting, so nothing is lost while a
// job starts, crashes or waits to be started again. On Linux the socket's file is
// unlinked at once and clients get a descriptor that stands for it.
//
// # Processes
//
// A job's process is started by this one, unless its file wants something that
// Go can do only between fork and exec (umask, priority, limits, another user):
// then [Options.Helper] is executed, which becomes the job by [RunHelper].
// Paths and the time of day that jobs depend on are looked at every few seconds;
// what they come to is an event of the job's machine like any other.
//
// # Who may do what
//
//   - Looking up, listing and printing: who can connect.
//   - Loading and unloading jobs: the daemon's own user, and root (R210).
//   - Checking in a declared name: who holds the bootstrap socket that the job
//     was started with.
//   - Registering a name that no job declares: the daemon's own user, unless
//     [Options.NoAdHoc].
//
// # Limits
//
// [MaxClients] connections per user, [MaxJobs] jobs, and those of the name table:
// 256 registered names and 4,096 looked-up names a connection. A message to the
// registry holds at most 2 MiB.
package daemon
