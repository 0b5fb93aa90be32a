package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"

	"github.com/openxpc/openxpc/integration/bench/internal/echo"
)

// envProgram names the service's executable to the client, which starts it
// itself to learn what a start costs.
const envProgram = "BENCH_SERVICE"

// coldLaunches kills the service and times the next call, which launches it,
// taking turns with fork and exec of the same program up to its first line.
func coldLaunches(c caller, payload []byte, limit time.Duration) (outcome, error) {
	x, ok := c.(*xpcCaller)
	if !ok {
		return outcome{}, errNotOffered
	}
	var cold, base []float64
	for start := time.Now(); len(cold) == 0 || time.Since(start) < limit; {
		if err := x.killService(); err != nil {
			return outcome{}, err
		}
		before := time.Now()
		if err := call(x, payload); err != nil {
			return outcome{}, err
		}
		cold = append(cold, float64(time.Since(before)))
		took, err := firstLine(os.Getenv(envProgram))
		if err != nil {
			return outcome{}, err
		}
		base = append(base, float64(took))
	}
	slices.Sort(cold)
	slices.Sort(base)
	return outcome{
		Calls: len(cold), P50: quantile(cold, 0.5), P99: quantile(cold, 0.99), BaseP50: quantile(base, 0.5),
	}, nil
}

// killService returns when the service is gone and the connection knows.
func (c *xpcCaller) killService() error {
	b, err := c.Call([]byte(echo.Stat))
	if err != nil {
		return err
	}
	var s echo.Stats
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	select {
	case <-c.interrupted: // left over from a launch before
	default:
	}
	if err := syscall.Kill(s.PID, syscall.SIGKILL); err != nil {
		return err
	}
	if err := c.awaitCrash(); err != nil {
		return err
	}
	return awaitReaped(s.PID)
}

// awaitReaped returns when the registry has noticed that its child has ended.
func awaitReaped(pid int) error {
	for start := time.Now(); time.Since(start) < patience; time.Sleep(time.Millisecond) {
		if syscall.Kill(pid, 0) == syscall.ESRCH {
			return nil
		}
	}
	return fmt.Errorf("bench: nobody waits for process %d, which was killed", pid)
}

// firstLine is how long program takes from fork to its first line of output.
func firstLine(program string) (time.Duration, error) {
	cmd := exec.Command(program, "hello")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		return 0, err
	}
	took := time.Since(start)
	return took, cmd.Wait()
}
