package main

import (
	"time"

	"github.com/openxpc/openxpc/integration/bench/internal/echo"
)

// usage is what a system's processes have used so far.
type usage struct{ cpu, switches float64 }

// pids are a system's processes.
func (r *running) pids() ([]int, error) {
	server, err := r.serverPID()
	if err != nil {
		return nil, err
	}
	pids := []int{server, r.client.pid()}
	for _, b := range r.brokers {
		pids = append(pids, b.pid())
	}
	return pids, nil
}

func (r *running) usage() (u usage, err error) {
	pids, err := r.pids()
	if err != nil {
		return u, err
	}
	for _, pid := range pids {
		t, err := processTime(pid)
		if err != nil {
			return u, err
		}
		n, err := sleeps(pid)
		if err != nil {
			return u, err
		}
		u.cpu += float64(t)
		u.switches += float64(n)
	}
	return u, nil
}

// holding is what a system's processes hold at one time.
type holding struct {
	client, server     echo.Stats
	clientMem, srvMem  int
	clientThr, srvThr  int
	brokerMem, brokThr int
}

func (r *running) hold() (h holding, err error) {
	o, err := r.ask(command{work: "stats"})
	if err != nil {
		return h, err
	}
	h.client, h.server = *o.Client, *o.Server
	if h.clientMem, h.clientThr, err = footprint(h.client.PID); err != nil {
		return h, err
	}
	if h.srvMem, h.srvThr, err = footprint(h.server.PID); err != nil {
		return h, err
	}
	for _, b := range r.brokers {
		mem, threads, err := footprint(b.pid())
		if err != nil {
			return h, err
		}
		h.brokerMem += mem
		h.brokThr += threads
	}
	return h, nil
}

// untilIdle is how long connections are left alone: what was used just now still has
// the buffers of a busy one.
const untilIdle = 100 * time.Millisecond

// idle opens n connections and compares what is held then with what was before.
// A handful is opened and closed first: the first connections pay for tables and
// threads that the later ones share.
func (r *running) idle(n int) (idle, error) {
	for _, k := range []int{8, 0} {
		if _, err := r.ask(command{"open", 64, k, 0}); err != nil {
			return idle{}, err
		}
	}
	before, err := r.hold()
	if err != nil {
		return idle{}, err
	}
	if _, err := r.ask(command{"open", 64, n, 0}); err != nil {
		return idle{}, err
	}
	time.Sleep(untilIdle)
	after, err := r.hold()
	if err != nil {
		return idle{}, err
	}
	_, err = r.ask(command{"open", 64, 0, 0})
	return idle{
		Connections: n,
		Client:      side(before.client, after.client, after.clientMem-before.clientMem, after.clientThr-before.clientThr, n),
		Server:      side(before.server, after.server, after.srvMem-before.srvMem, after.srvThr-before.srvThr, n),
		Brokers: cost{
			Resident: float64(after.brokerMem-before.brokerMem) / float64(n),
			Threads:  float64(after.brokThr-before.brokThr) / float64(n),
		},
	}, err
}

func side(before, after echo.Stats, resident, threads, n int) cost {
	memory := float64(after.Heap+after.Stacks) - float64(before.Heap+before.Stacks)
	return cost{
		Memory:     memory / float64(n),
		Resident:   float64(resident) / float64(n),
		Goroutines: float64(after.Goroutines-before.Goroutines) / float64(n),
		Threads:    float64(threads) / float64(n),
	}
}
