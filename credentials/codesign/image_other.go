//go:build !linux

package codesign

import "os"

// checkPlace: only Linux has a link to the image that a process runs, so that
// elsewhere nobody is identified by a file.
func checkPlace(*os.File) error { return nil }

func kernelDigest(*os.File) (Digest, bool) { return Digest{}, false }
