package xpc

import "github.com/openxpc/openxpc/credentials"

// What the kernel granted this program it must not hand on, whatever it executes first.
// If it cannot be put aside the process still is what its group says.
func init() { credentials.PutMarkerAside() }
