package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/openxpc/openxpc/registry"
	"github.com/openxpc/openxpc/xpc"
)

func (t *tool) validateCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "validate FILE...",
		Short: "Check job files without loading them",
		Long: `validate prints everything there is to say about each job file, a line each:
file:line:column: error or warning: text. It needs no registry. An error is
what keeps the job from being loaded or from running: a program that is missing
or not executable is one too. A warning is what has no effect, a program that
others can write to, or that your registry refuses the file because somebody
else could change it; the line says what to do. The exit code is 65 if a file
has errors; warnings leave it 0.`,
		Example:           `  xpcctl validate *.plist`,
		Args:              noEmpty(atLeast(1)),
		ValidArgsFunction: jobFiles,
		RunE: func(_ *cobra.Command, args []string) error {
			bad := 0
			for _, file := range args {
				found, err := inspect(file)
				if err != nil {
					return err
				}
				if len(found.Errors()) > 0 {
					bad++
				}
				if err := t.printFindings(file, found); err != nil {
					return err
				}
			}
			if bad > 0 {
				return &statusError{code: exitBadJob, err: fmt.Errorf("%d of %d job files with errors", bad, len(args))}
			}
			return nil
		},
	}
}

// inspect gives the findings of a file, and of the files that it names; the
// error is one of reading it.
func inspect(file string) (registry.Findings, error) {
	job, err := registry.LoadJob(file)
	var wrong *registry.JobError
	if errors.As(err, &wrong) {
		return merged(wrong.Findings, remarks(file)), nil
	}
	if err != nil {
		return nil, err
	}
	return merged(job.Warnings, remarks(file)), nil
}

func (t *tool) printFindings(file string, found registry.Findings) error {
	if t.json {
		return t.printJSON(findingsJSON(file, found))
	}
	for _, f := range found {
		fmt.Fprintf(t.out, "%s:%d:%d: %s: %s\n", file, f.Line, f.Column, f.Severity, plain(f.Text))
	}
	if len(found.Errors()) == 0 {
		_, err := fmt.Fprintf(t.out, "%s: ok\n", file)
		return err
	}
	return nil
}

func findingsJSON(file string, found registry.Findings) *xpc.Dictionary {
	list := xpc.NewArray()
	for _, f := range found {
		one := xpc.NewDictionary()
		one.SetInt64("line", int64(f.Line))
		one.SetInt64("column", int64(f.Column))
		one.SetString("severity", f.Severity.String())
		one.SetString("key", f.Key)
		one.SetString("text", f.Text)
		list.Append(one)
	}
	d := versioned()
	d.SetString("file", file)
	d.SetBool("ok", len(found.Errors()) == 0)
	d.Set("findings", list)
	return d
}
