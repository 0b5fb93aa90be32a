package main

import (
	"syscall"
	"time"
)

// scale is how OpenXPC behaves when there is much of something.
type scale struct {
	Idle   idleScale   `json:"idle"`
	Names  nameScale   `json:"names"`
	Active activeScale `json:"active"`
	Flood  floodScale  `json:"flood"`
}

// idleScale is of idle connections to one service; times are medians in ns, of a
// client that comes to few others and to all.
type idleScale struct {
	Few, Connections         int
	Service                  cost
	RoundTripFew, RoundTrip  float64
	ConnectFew, Connect      float64
	ServiceMemory, Resources float64 // bytes of the heap, and of resident memory, in all
}

// nameScale is of names that one registry knows, namesOfAJob of each job.
type nameScale struct {
	Few, Names        int
	LookUpFew, LookUp float64 // ns, of names that were looked up before
	FirstLookUp       float64 // ns
	Start             float64 // s, from fork to the first answer
	Idle, Used        float64 // resident bytes of the daemon for each name, before and after its first look-up
}

// activeScale is of connections that all call at once.
type activeScale struct {
	Connections                   int
	Rate, RateOfOne               float64 // calls per second; of one connection's 64 callers
	ClientThreads, ServiceThreads int
}

// floodScale is of ten clients, alone and beside one that floods the service.
type floodScale struct {
	Alone, Flooded         float64 // ns, the median of single calls
	RateAlone, RateFlooded float64 // calls per second of all ten, which tells of the long waits too
	FloodRate              float64
}

const (
	fewConnections = 10
	fewNames       = 100
	manyNames      = 100_000
	namesOfAJob    = 10
	manyActive     = 2000
	spareFiles     = 400 // descriptors that a process needs beside its connections
	scaleTime      = 500 // ms
	fairRounds     = 5
)

// measureScale uses the system that is running, with clients of its own.
func (c *contest) measureScale() {
	for _, r := range c.systems {
		if r.peer.key != ours {
			continue
		}
		s := &scale{}
		for _, part := range []struct {
			title string
			run   func(*running, *scale) error
		}{
			{"idle connections to one service", c.scaleIdle}, {"active connections", c.scaleActive},
			{"a flooding client", c.scaleFlood}, {"names in one registry", c.scaleNames},
		} {
			progress("many: %s", part.title)
			if err := part.run(r, s); err != nil {
				c.miss(ours, part.title, err)
			}
		}
		c.results.Scale = s
	}
}

// another starts one more client of r.
func (c *contest) another(r *running) (*running, error) {
	server, err := r.serverPID()
	if err != nil {
		return nil, err
	}
	x := &running{peer: r.peer, addr: r.addr, brokers: r.brokers, server: server}
	x.client, err = c.site.start(nil, c.site.self, "client", r.peer.key, r.addr)
	return x, err
}

func (c *contest) others(r *running, n int) (xs []*running, stop func(), err error) {
	stop = func() {
		for _, x := range xs {
			x.client.stop()
		}
	}
	for range n {
		x, err := c.another(r)
		if err != nil {
			return xs, stop, err
		}
		xs = append(xs, x)
	}
	return xs, stop, nil
}

// scaleIdle fills the service's descriptors from two clients.
func (c *contest) scaleIdle(r *running, s *scale) error {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return err
	}
	n := min(int(files.Cur), 50_000) - spareFiles
	if c.quick {
		n = min(n, 2000)
	}
	xs, stop, err := c.others(r, 2)
	defer stop()
	if err != nil {
		return err
	}
	o := &s.Idle
	o.Few, o.Connections = fewConnections, n/2*2
	if _, err := xs[0].ask(command{"open", 64, o.Few, 0}); err != nil {
		return err
	}
	if o.RoundTripFew, o.ConnectFew, err = newcomer(r); err != nil {
		return err
	}
	before, err := xs[0].hold()
	if err != nil {
		return err
	}
	for _, x := range xs {
		if _, err := x.ask(command{"open", 64, n / 2, 60_000}); err != nil {
			return err
		}
	}
	after, err := xs[0].hold()
	if err != nil {
		return err
	}
	o.Service = side(before.server, after.server, after.srvMem-before.srvMem, after.srvThr-before.srvThr, o.Connections)
	o.ServiceMemory, o.Resources = float64(after.server.Heap+after.server.Stacks), float64(after.srvMem)
	o.RoundTrip, o.Connect, err = newcomer(r)
	return err
}

// newcomer is how a client that has no part in the load is served.
func newcomer(r *running) (roundTrip, connect float64, err error) {
	one, err := r.ask(command{"rtt", 64, 1, scaleTime})
	if err != nil {
		return 0, 0, err
	}
	two, err := r.ask(command{"connect", 64, 1, scaleTime})
	return one.P50, two.P50, err
}

// scaleActive has many connections call at once.
func (c *contest) scaleActive(r *running, s *scale) error {
	xs, stop, err := c.others(r, 1)
	defer stop()
	if err != nil {
		return err
	}
	one, err := r.ask(command{"many", 64, 64, scaleTime})
	if err != nil {
		return err
	}
	all, err := xs[0].ask(command{"active", 64, manyActive, scaleTime})
	if err != nil {
		return err
	}
	h, err := xs[0].hold()
	s.Active = activeScale{manyActive, round{outcome: all}.perSecond(), round{outcome: one}.perSecond(), h.clientThr, h.srvThr}
	return err
}

// scaleFlood takes turns: ten clients alone, and beside one that floods.
func (c *contest) scaleFlood(r *running, s *scale) error {
	xs, stop, err := c.others(r, 2)
	defer stop()
	if err != nil {
		return err
	}
	fair, flooder := xs[0], xs[1]
	var alone, flooded, rateAlone, rateFlooded, rates []float64
	for range fairRounds {
		o, err := fair.ask(command{"active", 64, fewConnections, scaleTime})
		if err != nil {
			return err
		}
		alone, rateAlone = append(alone, o.P50), append(rateAlone, round{outcome: o}.perSecond())
		flood := make(chan outcome, 1)
		go func() { // ends with the flood
			o, _ := flooder.ask(command{"flood", 64, 256, 2 * scaleTime})
			flood <- o
		}()
		time.Sleep(scaleTime / 4 * time.Millisecond) // the flood has begun
		o, err = fair.ask(command{"active", 64, fewConnections, scaleTime})
		f := <-flood
		if err != nil {
			return err
		}
		flooded, rateFlooded = append(flooded, o.P50), append(rateFlooded, round{outcome: o}.perSecond())
		rates = append(rates, round{outcome: f}.perSecond())
	}
	s.Flood = floodScale{
		spreadOf(alone).Median, spreadOf(flooded).Median,
		spreadOf(rateAlone).Median, spreadOf(rateFlooded).Median, spreadOf(rates).Median,
	}
	return nil
}
