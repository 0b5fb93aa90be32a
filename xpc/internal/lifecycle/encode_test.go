package lifecycle

import "slices"

// copyTo and encode are the only places outside machine.go that know its fields.

func (m *Machine) copyTo(dst *Machine) {
	sends, calls, unwound, arrived := dst.sends.items, dst.calls.entries, dst.unwound, dst.arrived.items
	effects := dst.effects
	*dst = *m
	dst.sends = fifo[send]{items: append(sends[:0], m.sends.all()...)}
	dst.arrived = fifo[delivery]{items: append(arrived[:0], m.arrived.all()...)}
	dst.calls.entries = append(calls[:0], m.calls.entries...)
	dst.unwound = append(unwound[:0], m.unwound...)
	dst.effects = effects[:0]
}

func (m *Machine) encode(b []byte) []byte {
	b = append(b, byte(m.state), byte(m.epoch), byte(m.suspends), byte(m.barrier),
		flags(m.activated, m.scheduled, m.running, m.finished, m.unloaded), byte(m.sends.len()))
	if m.barrier != noBarrier {
		b = append(b, byte(m.behind))
	}
	for _, s := range m.sends.all() {
		b = append(b, byte(s.id), flags(s.barrier))
	}
	b = append(b, byte(m.calls.len()))
	for _, e := range m.calls.entries[m.calls.head:] {
		if !e.removed {
			b = append(b, byte(e.id))
		}
	}
	b = append(b, byte(len(m.unwound)))
	for _, id := range m.unwound {
		b = append(b, byte(id))
	}
	for _, d := range m.arrived.all() {
		b = append(b, byte(d.what), byte(d.id))
	}
	return append(b, 255)
}

func (w *world) copyTo(dst *world) {
	m, out, in, sockets := dst.m, dst.out, dst.in, dst.sockets
	queue, outbox, step := dst.shell.queue, dst.shell.outbox, dst.step
	*dst = *w
	dst.m = m
	w.m.copyTo(&dst.m)
	dst.out = append(out[:0], w.out...)
	dst.in = append(in[:0], w.in...)
	dst.sockets = append(sockets[:0], w.sockets...)
	dst.shell.queue = append(queue[:0], w.shell.queue...)
	dst.shell.outbox = append(outbox[:0], w.shell.outbox...)
	dst.step = step[:0]
}

func (w *world) encode(b []byte) []byte {
	l := w.left
	b = w.m.encode(b)
	b = append(b, l.sends, l.calls, l.forgets, l.barriers, l.suspends, l.replies, l.received, l.arrivals, l.notices, l.forged,
		flags(l.cancel, l.gone, l.turnedAway, w.activated, w.cancelled, w.looking, w.probing, w.unlisted),
		flags(w.scheduled, w.running, w.invalidRuns, w.ended, w.finished, w.unloaded),
		w.suspends, byte(w.lost), w.losses, w.told, byte(len(w.out)), byte(len(w.in)))
	for _, o := range w.out {
		b = append(b, byte(o.state), flags(o.barrier, o.reply, o.call, o.forgotten, o.answered), byte(o.epoch), o.doomed)
	}
	for _, c := range w.in {
		b = append(b, byte(c.what), byte(c.state), byte(c.epoch), c.losses)
	}
	for _, s := range w.sockets {
		b = append(b, byte(s))
	}
	if w.shell.on {
		b = w.shell.encode(b)
	}
	return b
}

func (s *shellModel) encode(b []byte) []byte {
	b = append(b, byte(s.probe), byte(len(s.queue)))
	for _, e := range slices.Concat(s.queue, s.outbox) {
		b = append(b, byte(e.Do), byte(e.ID), byte(e.ID>>8), byte(e.Epoch), byte(e.Outcome), byte(e.What))
	}
	return b
}

func flags(bits ...bool) (b byte) {
	for i, set := range bits {
		if set {
			b |= 1 << i
		}
	}
	return b
}
