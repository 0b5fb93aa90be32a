package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/openxpc/openxpc/cmd/xpcctl/internal/value"
)

func (t *tool) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version of xpcctl",
		Example: `  xpcctl version`,
		Args:    exactly(0),
		RunE: func(*cobra.Command, []string) error {
			version, commit := build()
			if !t.json {
				if commit != "" {
					version += " " + commit
				}
				_, err := fmt.Fprintf(t.out, "xpcctl %s (%s %s/%s, JSON form %d)\n",
					version, runtime.Version(), runtime.GOOS, runtime.GOARCH, value.Version)
				return err
			}
			d := versioned()
			d.SetString("xpcctl", version)
			d.SetString("commit", cmp.Or(commit, "unknown"))
			d.SetString("go", runtime.Version())
			d.SetString("system", runtime.GOOS+"/"+runtime.GOARCH)
			return t.printJSON(d)
		},
	}
}

// release is what a package calls itself; the linker sets it.
var release string

// build is what the Go tool noted about this program; commit may be "".
func build() (version, commit string) {
	version = "(devel)"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return cmp.Or(release, version), commit
	}
	version = cmp.Or(release, info.Main.Version, version)
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			commit = s.Value
		}
	}
	return version, commit
}
