package daemon

// watchPressure has the daemon relieve the machine whenever memory is scarce. Where
// nothing tells of that, jobs with EnablePressuredExit are ended by unloading only.
func (d *daemon) watchPressure() {
	cancel, err := onPressure(func() {
		d.queue.Async(func() {
			if d.closing {
				return
			}
			d.relieve()
			d.stopPressure()
			d.watchPressure()
		})
	})
	if err != nil {
		d.log.Debug("nothing tells when memory is scarce", "error", err)
		return
	}
	d.pressure = cancel
}

func (d *daemon) stopPressure() {
	if d.pressure != nil {
		d.pressure()
		d.pressure = nil
	}
}

// relieve ends the processes that are idle and may be ended for that (R185).
func (d *daemon) relieve() {
	for _, j := range d.jobs {
		if j.file.EnablePressuredExit {
			d.retire(j, "memory is scarce")
		}
	}
}
