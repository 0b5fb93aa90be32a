package daemon

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/openxpc/openxpc/registry"
)

func ExampleServe() {
	dir, _ := os.MkdirTemp("", "xpc")
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithCancel(context.Background())
	job, _ := registry.ParseJob("/etc/xpc/echo.json", []byte(`{"Label": "echo", "Program": "/bin/false", "MachServices": {"com.example.echo": true}}`))
	err := Serve(ctx, Options{
		Path:  filepath.Join(dir, "registry.sock"),
		Jobs:  []*registry.Job{job},
		Ready: cancel, // a real one ends on a signal
	})
	fmt.Println(err)
	// Output: <nil>
}

func ExampleOptions() {
	err := Serve(context.Background(), Options{Path: "/dev/null/registry.sock"})
	fmt.Println(err)
	// Output: registry: the path is not safe: /dev/null is not a folder but a device; choose another path
}
