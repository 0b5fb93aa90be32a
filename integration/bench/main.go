package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
)

func main() {
	// Children end with the thread that started them; the main goroutine starts
	// them all, from the thread that ends last.
	if len(os.Args) < 2 || os.Args[1] != "serve" && os.Args[1] != "client" {
		runtime.LockOSThread()
	}
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 3 && (args[0] == "serve" || args[0] == "client") {
		p, err := findPeer(args[1])
		if err != nil {
			return err
		}
		if args[0] == "serve" {
			return serve(p, args[2])
		}
		return client(p, args[2], os.Stdin, os.Stdout)
	}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	quick := f.Bool("quick", false, "less than a minute, on standard output only")
	only := f.String("only", "", "keys of the systems to compare, with commas; default all")
	works := f.String("works", "", "names of the works, with commas; default all")
	docs := f.String("docs", "", "rewrite performance.md and performance/ in this folder")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("bench: unexpected argument %q; see -help", f.Arg(0))
	}
	return orchestrate(options{*quick, list(*only), list(*works), *docs})
}
