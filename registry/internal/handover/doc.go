// Package handover carries what a process holds over to the process that comes
// after it: records, and descriptors under names.
//
// There is one form and two ways. The form: a [Store] writes its records into a
// file in memory as they change, so that the file is complete whenever the process
// ends, and how. The ways: a service manager that keeps descriptors (systemd's
// descriptor store) has been given that file and the descriptors, each as it came,
// and gives them to the process that it starts anew; or the process executes
// itself again ([Store.Exec]) and leaves them open. [Open] takes both.
//
// What goes where is the user's: a record is JSON under a key, a descriptor has the
// id under which a record speaks of it. A record whose descriptors are not there,
// and descriptors that no record speaks of, are for the user to tidy up: the manager
// may have no room, and a process can be killed between one and the other.
package handover
