package lifecycle

import "testing"

// openMachine, caller and server: the two hot paths of a connection.
func openMachine(k Kind) *Machine {
	m := New(k)
	m.Step(Event{Op: Activate})
	if k == Named {
		m.Step(Event{Op: LookedUp})
		m.Step(Event{Op: Send, ID: 1})
		m.Step(Event{Op: Dialed, Epoch: 1})
	}
	return &m
}

func caller(m *Machine, id ID) {
	m.Step(Event{Op: Send, ID: id, Call: true})
	m.Step(Event{Op: Answered, Epoch: 1, ID: id})
}

func server(m *Machine, id ID) {
	m.Step(Event{Op: Received, Epoch: 1, ID: id})
	m.Step(Event{Op: Begin})
	m.Step(Event{Op: Reply, Epoch: 1, ID: id + 1})
	m.Step(Event{Op: HandlerDone})
}

// TestStepAllocatesNothing: a step of the hot paths costs no memory after warm-up.
func TestStepAllocatesNothing(t *testing.T) {
	for name, path := range map[string]struct {
		kind Kind
		step func(*Machine, ID)
	}{"caller": {Named, caller}, "server": {Accepted, server}} {
		m, id := openMachine(path.kind), ID(2)
		if n := testing.AllocsPerRun(1000, func() { path.step(m, id); id += 2 }); n != 0 {
			t.Errorf("%s: %v allocations for a round, want none", name, n)
		}
	}
}

// TestPipelineAllocatesNothing: nor with many calls under way.
func TestPipelineAllocatesNothing(t *testing.T) {
	m, id := openMachine(Named), ID(2)
	round := func() {
		m.Step(Event{Op: Send, ID: id, Call: true})
		if id > 66 {
			m.Step(Event{Op: Answered, Epoch: 1, ID: id - 64})
		}
		id++
	}
	for range 1000 {
		round()
	}
	if n := testing.AllocsPerRun(1000, round); n != 0 {
		t.Errorf("%v allocations for a round with 64 calls under way, want none", n)
	}
}

func BenchmarkStep(b *testing.B) {
	b.Run("caller", func(b *testing.B) {
		b.ReportAllocs()
		m, id := openMachine(Named), ID(2)
		for b.Loop() {
			caller(m, id)
			id++
		}
	})
	b.Run("caller-1000-pending", func(b *testing.B) {
		b.ReportAllocs()
		m, id := openMachine(Named), ID(2)
		for ; id < 1002; id++ {
			m.Step(Event{Op: Send, ID: id, Call: true})
		}
		for b.Loop() {
			m.Step(Event{Op: Send, ID: id, Call: true})
			m.Step(Event{Op: Answered, Epoch: 1, ID: id - 500})
			m.Step(Event{Op: Answered, Epoch: 1, ID: id - 1000})
			id++
		}
	})
	b.Run("server", func(b *testing.B) {
		b.ReportAllocs()
		m, id := openMachine(Accepted), ID(2)
		for b.Loop() {
			server(m, id)
			id += 2
		}
	})
}
