package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// followPause lies between two looks at files that are followed. To look is the
// same on every system.
const followPause = 200 * time.Millisecond

// maxLogLine is about where a line is cut that does not end.
const maxLogLine = 64 << 10

func (t *tool) logsCommand() *cobra.Command {
	var follow bool
	var lines uint
	c := &cobra.Command{
		Use:   "logs TARGET",
		Short: "Print the end of a job's output files",
		Long: `logs prints the last lines of the files that the job's StandardOutPath and
StandardErrorPath name, and with -f what is added to them, until SIGINT or
SIGTERM. The registry keeps no output: a job without these keys writes to where
the registry's own output goes. --timeout counts with -f only if it is given.` + targetHelp,
		Example:           "  xpcctl logs com.example.echo\n  xpcctl logs -f -n 0 com.example.echo",
		Args:              noEmpty(exactly(1)),
		ValidArgsFunction: t.complete(labels),
		RunE: func(c *cobra.Command, args []string) error {
			paths, err := t.outputFiles(c, args[0])
			if err != nil {
				return err
			}
			l := &logs{tool: t, many: len(paths) > 1}
			for _, path := range paths {
				l.files = append(l.files, &logFile{path: path})
			}
			defer l.close()
			if !follow {
				return l.last(int(min(lines, 1<<30)), false)
			}
			ctx, cancel := c.Context(), context.CancelFunc(func() {})
			if c.Flags().Changed("timeout") {
				ctx, cancel = t.deadline(ctx)
			}
			defer cancel()
			return l.follow(ctx, int(min(lines, 1<<30)))
		},
	}
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what is added")
	c.Flags().UintVarP(&lines, "lines", "n", 10, "how many of the last `lines` to print of each file")
	return c
}

// outputFiles are the files that a job's output goes to.
func (t *tool) outputFiles(c *cobra.Command, text string) ([]string, error) {
	ctx, cancel := t.deadline(c.Context())
	defer cancel()
	conn, job, err := locate(ctx, c, text)
	if err != nil {
		return nil, err
	}
	hangUp(conn)
	var paths []string
	for _, key := range []string{"stdout path", "stderr path"} {
		if path := job.GetString(key); path != "" && !slices.Contains(paths, path) {
			paths = append(paths, path)
		}
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("job %q writes to where the registry's output goes (journalctl --user -u xpcd, or -u xpcd for the system's): StandardOutPath and StandardErrorPath in its file give it files of its own", job.GetString("label"))
	}
	return paths, nil
}

// logs prints files line by line, with a header where one follows another.
type logs struct {
	tool  *tool
	many  bool
	files []*logFile
	shown *logFile // whose lines were printed last
}

// logFile is one file, and what of it has been read.
type logFile struct {
	path string
	file *os.File
	at   int64
	rest []byte // a line that has not ended yet
}

func (l *logs) close() {
	for _, f := range l.files {
		f.close()
	}
}

func (f *logFile) close() {
	if f.file != nil {
		f.file.Close()
		f.file = nil
	}
}

// last prints the last lines of each file. One that is missing is an error, unless
// it may still come.
func (l *logs) last(lines int, mayCome bool) error {
	for _, f := range l.files {
		if err := f.open(); err != nil {
			if mayCome && errors.Is(err, fs.ErrNotExist) {
				continue
			}
			return err
		}
		var err error
		if f.at, err = startOfLast(f.file, lines); err != nil {
			return err
		}
		if err := l.more(f); err != nil {
			return err
		}
		if !mayCome && len(f.rest) > 0 {
			if err := l.print(f, f.rest); err != nil {
				return err
			}
		}
	}
	return nil
}

// follow goes on until ctx is done; a signal is how it is meant to end.
func (l *logs) follow(ctx context.Context, lines int) error {
	if err := l.last(lines, true); err != nil {
		return err
	}
	tick := time.NewTicker(followPause)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return nil
			}
			return ctx.Err()
		}
		for _, f := range l.files {
			if err := f.reopen(); err != nil {
				return err
			}
			if err := l.more(f); err != nil {
				return err
			}
		}
	}
}

func (f *logFile) open() error {
	file, err := os.OpenFile(f.path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file: what went there cannot be read again", f.path)
	}
	if err != nil {
		file.Close()
		return err
	}
	f.file, f.at, f.rest = file, 0, nil
	return nil
}

// reopen follows a file that was made, replaced or cut.
func (f *logFile) reopen() error {
	now, err := os.Stat(f.path)
	if err != nil {
		return nil // between two files; what was open goes on
	}
	if f.file == nil {
		return f.open()
	}
	before, err := f.file.Stat()
	if err != nil {
		return err
	}
	if !os.SameFile(before, now) {
		f.close()
		return f.open()
	}
	if now.Size() < f.at {
		f.at, f.rest = 0, nil
	}
	return nil
}

// more prints the lines that have been completed since the last look.
func (l *logs) more(f *logFile) error {
	if f.file == nil {
		return nil
	}
	block := make([]byte, maxLogLine)
	for {
		n, err := f.file.ReadAt(block, f.at)
		f.at += int64(n)
		f.rest = append(f.rest, block[:n]...)
		for {
			line, rest, ended := bytes.Cut(f.rest, []byte{'\n'})
			if !ended && len(line) < maxLogLine {
				break
			}
			if err := l.print(f, line); err != nil {
				return err
			}
			f.rest = rest
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (l *logs) print(f *logFile, line []byte) error {
	if l.tool.json {
		d := versioned()
		d.SetString("path", f.path)
		d.SetString("line", string(line))
		return l.tool.printJSON(d)
	}
	var text []byte
	if l.many && l.shown != f {
		text = fmt.Appendf(text, "==> %s <==\n", plain(f.path))
	}
	l.shown = f
	_, err := l.tool.out.Write(append(append(text, line...), '\n'))
	return err
}

// startOfLast is where the last lines of a file begin. It reads backwards: the
// file may be large.
func startOfLast(file *os.File, lines int) (int64, error) {
	info, err := file.Stat()
	if err != nil || lines == 0 {
		return info.Size(), err
	}
	block := make([]byte, 16<<10)
	for at := info.Size(); at > 0; {
		n := min(at, int64(len(block)))
		at -= n
		got, err := file.ReadAt(block[:n], at)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		for i := got - 1; i >= 0; i-- {
			if block[i] != '\n' || at+int64(i) == info.Size()-1 { // the last line's own end
				continue
			}
			if lines--; lines == 0 {
				return at + int64(i) + 1, nil
			}
		}
	}
	return 0, nil
}
