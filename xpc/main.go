package xpc

import (
	"fmt"
	"os"

	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// Main serves the one name of the job that launched this process (xpc_main,
// R112): h is called for each new peer and must set its event handler and
// activate it, or cancel it. Main never returns. The process ends with status 1,
// and the reason on standard error, when it may not serve the name. In a process
// that was not launched for exactly one name it is misuse: use
// NewMachServiceConnection with MachServiceListener there. A job with
// EnableTransactions ends with status 0 when it is told to (TransactionBegin).
func Main(h ConnectionHandler) {
	name := os.Getenv(bootstrap.EnvServiceName)
	if name == "" {
		misuse("xpc_main in a process that the registry did not launch for one name.")
	}
	l := NewMachServiceConnection(name, nil, MachServiceListener)
	l.SetEventHandler(func(event Object) {
		if peer, ok := event.(*Connection); ok {
			h(peer)
		}
	})
	l.Activate()
	<-l.Done()
	fmt.Fprintf(os.Stderr, "xpc: cannot serve %s: %s\n", name, l.InvalidationReason())
	os.Exit(1)
}
