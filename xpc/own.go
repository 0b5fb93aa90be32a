package xpc

import (
	"os"
	"path/filepath"
	"sync"

	"github.com/openxpc/openxpc/xpc/bootstrap"
	"github.com/openxpc/openxpc/xpc/internal/lifecycle"
)

// ownServices is this process's conversation about the services of its own
// program. They end with it, so once there is one it lasts as long as the process.
var ownServices = func() *registryClient {
	r := newRegistryClient(registryOrigin{paths: nearestPath}, false)
	r.services = servicesFolder()
	return r
}()

// servicesFolder finds, once, the folder of the program's own services: XPCServices
// beside the executable, or beside its folder in an application of macOS's shape.
// It is "" if there is none.
func servicesFolder() func() string {
	return sync.OnceValue(func() string {
		executable, err := os.Executable()
		if err != nil {
			return ""
		}
		dir := filepath.Dir(executable)
		places := []string{dir}
		if filepath.Base(dir) == "MacOS" {
			places = append(places, filepath.Dir(dir))
		}
		for _, place := range places {
			folder := filepath.Join(place, "XPCServices")
			if info, err := os.Stat(folder); err == nil && info.IsDir() {
				return folder
			}
		}
		return ""
	})
}

// newOwn makes a connection to one of the program's own services, or, if it has
// none of the name, to what the registries know (R51).
func newOwn(name string, q *Queue) *Connection {
	if name == bootstrap.RegistryName || ownServices.services() == "" {
		return newNamed(name, q, 0)
	}
	rest := originFor(0, bootstrap.Paths())
	return newConnection(lifecycle.Named, name, &nameOrigin{append([]*registryClient{ownServices}, rest.registries...)}, q)
}
