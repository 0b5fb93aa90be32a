package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// A person waits at the Tab key: what takes longer, or is more, is left out.
const (
	completionTime = 2 * time.Second
	completionJobs = 200
)

var shells = map[string]func(root *cobra.Command, t *tool) error{
	"bash":       func(root *cobra.Command, t *tool) error { return root.GenBashCompletionV2(t.out, true) },
	"fish":       func(root *cobra.Command, t *tool) error { return root.GenFishCompletion(t.out, true) },
	"powershell": func(root *cobra.Command, t *tool) error { return root.GenPowerShellCompletionWithDesc(t.out) },
	"zsh":        func(root *cobra.Command, t *tool) error { return root.GenZshCompletion(t.out) },
}

func (t *tool) completionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "Print a completion script for bash, zsh, fish or powershell",
		Long: `completion prints a script which makes the shell complete commands, flags and,
from the running registry, labels and the names of services.`,
		Example: `  source <(xpcctl completion bash)
  xpcctl completion zsh > "${fpath[1]}/_xpcctl"
  xpcctl completion fish > ~/.config/fish/completions/xpcctl.fish`,
		Args:      exactly(1),
		ValidArgs: []string{"bash", "fish", "powershell", "zsh"},
		RunE: func(c *cobra.Command, args []string) error {
			generate := shells[args[0]]
			if generate == nil {
				return usageOf(c, "unknown shell "+quoted(args[0])+"; there are bash, fish, powershell and zsh")
			}
			return generate(c.Root(), t)
		},
	}
}

func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND]",
		Short:   "Explain a command",
		Example: "  xpcctl help call",
		Args:    atMost(1),
		ValidArgsFunction: func(c *cobra.Command, args []string, _ string) (list []string, _ cobra.ShellCompDirective) {
			for _, about := range c.Root().Commands() {
				if len(args) == 0 && about.IsAvailableCommand() {
					list = append(list, cobra.CompletionWithDesc(about.Name(), about.Short))
				}
			}
			return list, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(c *cobra.Command, args []string) error {
			about, rest, err := c.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return noCommand(c.Root(), args)
			}
			return about.Help()
		},
	}
}

// jobFiles completes names of files that can be job files.
func jobFiles(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return []string{"plist", "json"}, cobra.ShellCompDirectiveFilterFileExt
}

// complete completes the first argument with what source finds in the registry.
// Without a registry there is nothing to offer, and nobody to tell.
func (t *tool) complete(sources ...func(context.Context, *xpc.Connection) []string) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 || t.prepare(c, nil) != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(context.Background(), completionTime)
		defer cancel()
		conn := dial(bootstrap.RegistryName)
		defer hangUp(conn)
		var list []string
		for _, source := range sources {
			list = append(list, source(ctx, conn)...)
		}
		return list, cobra.ShellCompDirectiveNoFileComp
	}
}

// labels are those of the loaded jobs, with what each job is doing.
func labels(ctx context.Context, conn *xpc.Connection) []string {
	var list []string
	for job := range jobsOf(ctx, conn) {
		list = append(list, cobra.CompletionWithDesc(job.GetString(bootstrap.KeyLabel), job.GetString(bootstrap.KeyState)))
	}
	return list
}

// serviceNames are those that jobs declare and those that programs registered.
func serviceNames(ctx context.Context, conn *xpc.Connection) []string {
	var list []string
	for job := range jobsOf(ctx, conn) {
		label := job.GetString(bootstrap.KeyLabel)
		reply, err := askOn(ctx, conn, request(bootstrap.OpPrint, bootstrap.KeyLabel, label))
		if err != nil {
			continue // unloaded meanwhile
		}
		for name := range reply.GetDictionary(bootstrap.KeyJob).GetDictionary("endpoints").All() {
			list = append(list, cobra.CompletionWithDesc(name, "job "+label))
		}
	}
	reply, err := askOn(ctx, conn, request(bootstrap.OpList))
	if err != nil {
		return list
	}
	for name := range dictionaries(reply.GetArray(bootstrap.KeyNames)) {
		list = append(list, cobra.CompletionWithDesc(name.GetString(bootstrap.KeyName), "registered"))
	}
	return list
}

func jobsOf(ctx context.Context, conn *xpc.Connection) func(yield func(*xpc.Dictionary) bool) {
	return func(yield func(*xpc.Dictionary) bool) {
		reply, err := askOn(ctx, conn, request(bootstrap.OpList))
		if err != nil {
			return
		}
		n := 0
		for job := range dictionaries(reply.GetArray(bootstrap.KeyJobs)) {
			if n++; n > completionJobs || !yield(job) {
				return
			}
		}
	}
}
