//go:build xpc_files

package memory

// Built with this tag a program behaves as on a system that cannot seal.
func init() { UseFiles(true) }
