package credentials

// MarkerPrefix begins the name of every group that marks a program as the one that was
// installed (xpcsign install).
const MarkerPrefix = "_xpc_"

// PutMarkerAside keeps what this process executes, and the files that it makes, from the
// group that the kernel granted it as a marked program: the group stays granted, saved,
// and the process goes on in the group of who started it. In a process that is
// not marked, and on systems where a marker proves nothing, it does nothing. Package
// xpc calls it before main.
func PutMarkerAside() error { return putMarkerAside("/etc/group") }
