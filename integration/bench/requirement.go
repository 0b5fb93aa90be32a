package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/openxpc/openxpc/credentials/codesign"
	"github.com/openxpc/openxpc/credentials/identity"
)

// demands is what a code signing requirement of the service costs.
type demands struct {
	Services map[string]demand `json:"services"` // by key
	// Image is the client's program in bytes, whose first connections are FirstTogether.
	Image int64 `json:"image"`
	// FirstTogether is how long many connections of a program that the registry does not know
	// take that come at once, and AgainTogether the same when it knows it; s of processor time
	// of the registry, and Hashing how long the program takes to hash.
	FirstTogether, AgainTogether, Hashing float64
	// Known is the time in ns to find out who a process is whose program is known, Cold to
	// verify a program of 1 MB that is not.
	Known outcome `json:"known"`
	Cold  outcome `json:"cold"`
}

// demand is of one service: medians of rounds.
type demand struct {
	Connect, Connect99, Message, CPU float64 // ns
	// What it has more than the service without a requirement, round by round.
	AddsConnect, AddsConnect99, AddsMessage, AddsCPU spread
}

const (
	requirementText  = `anchor apple generic and assurance image` // root would ask for more
	envRequirement   = "BENCH_REQUIREMENT"
	requirementTime  = 300 // ms
	firstConnections = 1000
	coldSize         = 1 << 20
	coldPrograms     = 31
	otherUser        = "65534"
	// fresh is how long after they were written a program and its signature are not remembered.
	fresh = 2500 * time.Millisecond
)

// The services that a requirement is measured with. A thousand connections at once leave more threads and
// memory behind than the others have, so they are made to one of their own.
var demanding = []*peer{
	{key: "crowd", name: "a requirement, and a thousand connections at once", dial: dialName("org.openxpc.bench.crowd")},
	{key: "open", name: "no requirement", dial: dialName("org.openxpc.bench.open")},
	{key: "looks", name: "a requirement, and the right to look at the client", dial: dialName("org.openxpc.bench.looks")},
	{key: "asks", name: "a requirement, and the registry has to be asked", dial: dialName("org.openxpc.bench.asks")},
}

// measureRequirement has a registry, services and clients of its own.
func (c *contest) measureRequirement() {
	progress("requirements")
	d := &demands{Services: map[string]demand{}}
	for title, part := range map[string]func(*demands) error{
		"services with a requirement": c.demandAll, "a process that is known": c.demandKnown, "a program that is not known": c.demandCold,
	} {
		if err := part(d); err != nil {
			c.miss(ours, title, err)
		}
	}
	c.results.Demands = d
}

// trust is a place for signatures in which this program is signed.
func (c *contest) trust() (root string, signer *codesign.Signer, err error) {
	root = filepath.Join(c.site.dir, "trust")
	place := codesign.System(root)[1]
	for _, dir := range []string{place.Trust, place.Store, filepath.Join(root, "etc")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return "", nil, err
		}
	}
	now := time.Now().Truncate(time.Second)
	signer, certificate, err := codesign.NewTeam("BENCH12345", codesign.ECDSA, now.AddDate(0, 0, -1), now.AddDate(1, 0, 0))
	if err != nil {
		return "", nil, err
	}
	anchor := &codesign.Anchor{Name: "bench", Certificate: certificate, Category: codesign.Developer, Teams: []string{"BENCH12345"}}
	if err := os.WriteFile(filepath.Join(place.Trust, "bench.pem"), anchor.Format(), 0o644); err != nil {
		return "", nil, err
	}
	return root, signer, nil
}

// sign puts a signature of the program into the store below root.
func sign(root string, signer *codesign.Signer, program string) (size int64, took time.Duration, err error) {
	f, err := os.Open(program)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	if size, err = f.Seek(0, io.SeekEnd); err != nil {
		return 0, 0, err
	}
	start := time.Now()
	digest, err := codesign.Measure(f, size)
	took = time.Since(start)
	if err != nil {
		return 0, 0, err
	}
	e, err := signer.Sign(&codesign.Manifest{
		Identifier: "org.openxpc.bench", Team: "BENCH12345", Created: time.Now().Truncate(time.Second),
		Files: []codesign.File{{Digest: digest, Size: size, Arch: runtime.GOARCH}},
	})
	if err == nil {
		_, err = codesign.StoreSignature(codesign.System(root)[1].Store, e)
	}
	return size, took, err
}

// demandAll lets clients of the services take turns.
func (c *contest) demandAll(d *demands) error {
	root, signer, err := c.trust()
	if err != nil {
		return err
	}
	size, took, err := sign(root, signer, c.site.self)
	if err != nil {
		return err
	}
	d.Image, d.Hashing = size, took.Seconds()
	time.Sleep(fresh)
	clients, err := c.demandingClients(root)
	if err != nil {
		return err
	}
	crowd, clients := clients[0], clients[1:]
	if d.FirstTogether, err = together(crowd); err == nil {
		d.AgainTogether, err = together(crowd)
	}
	if err != nil {
		return err
	}
	n := 9
	if c.quick {
		n = 3
	}
	rounds := map[string][][4]float64{}
	for range n {
		for _, r := range clients {
			connect, err := r.once(command{"connect", 64, 1, requirementTime})
			if err != nil {
				return fmt.Errorf("%s: %w", r.peer.name, err)
			}
			message, err := r.once(command{"rtt", 64, 1, requirementTime})
			if err != nil {
				return fmt.Errorf("%s: %w", r.peer.name, err)
			}
			rounds[r.peer.key] = append(rounds[r.peer.key], [4]float64{connect.P50, connect.P99, message.P50, message.CPU})
		}
	}
	for key, of := range rounds {
		var own, more [4]spread
		for k := range own {
			var v, w []float64
			for i := range of {
				v = append(v, of[i][k])
				w = append(w, of[i][k]-rounds["open"][i][k])
			}
			own[k], more[k] = spreadOf(v), spreadOf(w)
		}
		d.Services[key] = demand{own[0].Median, own[1].Median, own[2].Median, own[3].Median, more[0], more[1], more[2], more[3]}
	}
	return nil
}

// demandingClients starts a registry that has the services, and a client of each. Only
// root can start one of another user, which may not look at the clients.
func (c *contest) demandingClients(root string) ([]*running, error) {
	service, err := c.site.service()
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(c.site.dir, 0o711); err != nil {
		return nil, err
	}
	peers := demanding
	if os.Geteuid() != 0 {
		peers = peers[:3]
		c.miss(ours, demanding[3].name, skip("only root can start a service as another user"))
	}
	args := []string{"--trust-root", root}
	for _, p := range peers {
		name := "org.openxpc.bench." + p.key
		job := map[string]any{"Label": name, "Program": service, "MachServices": map[string]bool{name: true}}
		if p.key != "open" {
			job["EnvironmentVariables"] = map[string]string{envRequirement: requirementText}
		}
		if p.key == "asks" {
			job["UserName"] = otherUser
		}
		text, err := json.Marshal(job)
		if err != nil {
			return nil, err
		}
		path := filepath.Join(c.site.dir, p.key+".json")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			return nil, err
		}
		args = append(args, "--job", path)
	}
	r := &running{}
	socket, err := startRegistry(c.site, r, "demanding", args...)
	if err != nil {
		return nil, err
	}
	var clients []*running
	for _, p := range peers {
		x := &running{peer: p, addr: socket, brokers: r.brokers}
		if x.client, err = c.site.start(nil, c.site.self, "client", p.key, socket); err != nil {
			return nil, err
		}
		clients = append(clients, x)
	}
	return clients, nil
}

// together is what the registry's processor time for many connections at once is, in s.
func together(r *running) (float64, error) {
	before, err := processTime(r.brokers[0].pid())
	if err != nil {
		return 0, err
	}
	if _, err := r.ask(command{"open-together", 64, firstConnections, 0}); err != nil {
		return 0, err
	}
	after, err := processTime(r.brokers[0].pid())
	if err != nil {
		return 0, err
	}
	_, err = r.ask(command{"open", 64, 0, 0})
	return float64(after-before) / 1e9, err
}

// openTogether makes n connections at once, each used once.
func (t *tester) openTogether(n int, payload []byte) error {
	var all sync.WaitGroup
	var mu sync.Mutex
	var failed error
	for range n {
		all.Go(func() {
			c, err := t.dial()
			if err == nil {
				err = call(c, payload)
			}
			mu.Lock()
			defer mu.Unlock()
			if c != nil {
				t.idle = append(t.idle, c)
			}
			if err != nil {
				failed = err
			}
		})
	}
	all.Wait()
	return failed
}

// demandKnown times what the registry does for a connection, without its way there.
func (c *contest) demandKnown(d *demands) error {
	root, signer, err := c.trust()
	if err != nil {
		return err
	}
	if _, _, err := sign(root, signer, c.site.self); err != nil {
		return err
	}
	time.Sleep(fresh)
	who := &identity.Identifier{Verifier: identity.Signatures(codesign.NewVerifier(codesign.System(root), nil)), Etc: filepath.Join(root, "etc")}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	d.Known, err = roundTrips(time.Second, func() error {
		p, err := who.Socket(context.Background(), fds[0])
		if err != nil {
			return err
		}
		defer p.Close()
		if p.Facts.Code == nil {
			return fmt.Errorf("bench: this program is signed, and is not known: %s", p.Facts.Why)
		}
		return nil
	})
	return err
}

// demandCold verifies programs that nobody has seen before.
func (c *contest) demandCold(d *demands) error {
	root, signer, err := c.trust()
	if err != nil {
		return err
	}
	v := codesign.NewVerifier(codesign.System(root), nil)
	var samples []float64
	path := filepath.Join(c.site.dir, "cold")
	for range coldPrograms {
		content := make([]byte, coldSize)
		rand.Read(content)
		if err := os.WriteFile(path, content, 0o755); err != nil {
			return err
		}
		if _, _, err := sign(root, signer, path); err != nil {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		start := time.Now()
		_, err = v.Verify(context.Background(), f)
		samples = append(samples, float64(time.Since(start)))
		f.Close()
		if err != nil {
			return err
		}
	}
	slices.Sort(samples)
	d.Cold = outcome{Calls: len(samples), P50: quantile(samples, 0.5), P99: quantile(samples, 0.99)}
	return os.Remove(path)
}
