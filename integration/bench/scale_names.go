package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// mostLookUps is a little less than what the registry lets one client look up.
const mostLookUps = 4000

// scaleNames compares a registry that knows few names with one that knows many.
func (c *contest) scaleNames(r *running, s *scale) error {
	o := &s.Names
	o.Few, o.Names = fewNames, manyNames
	few, err := c.registryOf(o.Few)
	if err != nil {
		return err
	}
	defer few.stop()
	many, err := c.registryOf(o.Names)
	if err != nil {
		return err
	}
	defer many.stop()
	o.Start = many.start.Seconds()
	more := float64(o.Names - o.Few)
	o.Idle = (many.memory() - few.memory()) / more
	if _, o.LookUpFew, err = few.lookUp(o.Few); err != nil {
		return err
	}
	before, looked := many.memory(), min(o.Names, mostLookUps)
	if o.FirstLookUp, o.LookUp, err = many.lookUp(looked); err != nil {
		return err
	}
	o.Used = o.Idle + (many.memory()-before)/float64(looked)
	return nil
}

// crowd is a registry of its own and a client of it.
type crowd struct {
	daemon, client *child
	r              *running
	start          time.Duration // until it served
}

func (c *contest) registryOf(names int) (*crowd, error) {
	dir := filepath.Join(c.site.dir, fmt.Sprintf("crowd%d", names))
	jobs := filepath.Join(dir, "jobs")
	if err := os.MkdirAll(jobs, 0o700); err != nil {
		return nil, err
	}
	for i := 0; i < names; i += namesOfAJob {
		services := map[string]bool{}
		for n := range namesOfAJob {
			services[crowdName(i+n)] = true
		}
		text, err := json.Marshal(map[string]any{"Label": crowdName(i), "Program": "/bin/true", "MachServices": services})
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(jobs, crowdName(i)+".json"), text, 0o600); err != nil {
			return nil, err
		}
	}
	socket := filepath.Join(dir, bootstrap.SocketName)
	begun := time.Now()
	d, err := c.site.startGently(c.site.built["xpcd"], "--socket", socket, "--jobs-dir", jobs, "--end-with-parent", "--log-level", "error")
	if err != nil {
		return nil, err
	}
	// Clients can connect before the jobs are loaded; they are answered afterwards.
	if err := c.site.await(socket); err != nil {
		return nil, err
	}
	x := &crowd{daemon: d, r: &running{peer: xpcPeer, addr: socket, brokers: []*child{d}}}
	if x.client, err = c.site.start(nil, c.site.self, "client", ours, socket); err != nil {
		return nil, err
	}
	x.r.client = x.client
	if _, _, err := x.lookUp(1); err != nil {
		return nil, err
	}
	x.start = time.Since(begun)
	return x, nil
}

func crowdName(i int) string { return fmt.Sprintf("org.openxpc.crowd.%06d", i) }

func (x *crowd) stop() {
	x.client.stop()
	x.daemon.stop()
}

func (x *crowd) memory() float64 {
	n, _, _ := footprint(x.daemon.pid())
	return float64(n)
}

// lookUp looks n names up, twice: the medians of the first time and of the second, in ns.
func (x *crowd) lookUp(n int) (first, again float64, err error) {
	o, err := x.r.ask(command{"lookup", 1, n, 60_000})
	return o.BaseP50, o.P50, err
}

// lookUps is lookUp's other end: it asks the registry as the library does.
func lookUps(addr string, n int) (outcome, error) {
	if err := os.Setenv(bootstrap.EnvRegistry, addr); err != nil {
		return outcome{}, err
	}
	c := xpc.NewMachServiceConnection(bootstrap.RegistryName, nil, 0)
	c.SetEventHandler(func(xpc.Object) {})
	c.Activate()
	defer func() {
		c.Cancel()
		<-c.Done()
	}()
	took := [2][]float64{}
	for turn := range took {
		for i := range n {
			m := xpc.NewDictionary()
			m.SetString(bootstrap.KeyOp, bootstrap.OpLookUp)
			m.SetString(bootstrap.KeyName, crowdName(i))
			before := time.Now()
			reply, err := c.SendMessageWithReplySync(context.Background(), m)
			if err != nil {
				return outcome{}, err
			}
			took[turn] = append(took[turn], float64(time.Since(before)))
			if reply.GetInt64(bootstrap.KeyError) != 0 {
				return outcome{}, errors.New(reply.GetString(bootstrap.KeyReason))
			}
			reply.Get(bootstrap.KeyEndpoint).(*xpc.Endpoint).Close()
		}
		slices.Sort(took[turn])
	}
	return outcome{Calls: n, BaseP50: quantile(took[0], 0.5), P50: quantile(took[1], 0.5)}, nil
}
