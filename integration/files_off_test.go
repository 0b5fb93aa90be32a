//go:build !xpc_files

package integration_test

// sealed says that data crosses as sealed memory, where the system has such a thing.
const sealed = true
