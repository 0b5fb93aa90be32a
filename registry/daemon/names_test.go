package daemon

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/openxpc/openxpc/integration/soak"
	"github.com/openxpc/openxpc/registry"
	"github.com/openxpc/openxpc/xpc"
	"github.com/openxpc/openxpc/xpc/bootstrap"
)

// A name is itself and nothing else: what it looks like gives nobody a name that is kept from
// him, and does not change who is said to own it. One that cannot be a name is no name.
func TestHostileServiceNames(t *testing.T) {
	const secret = "com.example.secret"
	job := service(t, "secret", "echo", nil)
	job.LookUp = map[string]registry.Access{secret: {Users: []int{4000000}}}
	serve(t, Options{Jobs: []*registry.Job{job}})
	c := dialRegistry()
	hangUp := func() { c.Cancel(); <-c.Done() }
	defer func() { hangUp() }()
	ask := func(op, name string) (*xpc.Dictionary, bootstrap.Code) {
		m := xpc.NewDictionary()
		m.SetString(bootstrap.KeyOp, op)
		m.SetString(bootstrap.KeyName, name)
		reply, err := c.SendMessageWithReplySync(t.Context(), m)
		must(t, err)
		return reply, bootstrap.Code(reply.GetInt64(bootstrap.KeyError))
	}
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 1))
	for n := range soak.Times(100, 100_000) {
		if n%100 == 99 { // a connection can have no more than 256 names
			hangUp()
			c = dialRegistry()
		}
		name := fmt.Sprint(hostileServiceName(rnd, secret), "#", n) // each is new
		can := bootstrap.CheckName(name) == nil
		want := bootstrap.BadRequest
		if can {
			want = bootstrap.UnknownService
		}
		if _, code := ask(bootstrap.OpLookUp, name); code != want {
			t.Fatalf("seed %d, round %d: look-up of %q: %v, want %v", seed, n, name, code, want)
		}
		reply, code := ask(bootstrap.OpCheckIn, name)
		if (code == 0) != can {
			t.Fatalf("seed %d, round %d: check-in of %q: %v, %s", seed, n, name, code, reply.GetString(bootstrap.KeyReason))
		}
		if !can {
			continue
		}
		list, _ := ask(bootstrap.OpList, "")
		if got := owners(list); got[name] != os.Getpid() || got[secret] != 0 {
			t.Fatalf("seed %d, round %d: %q is registered, and the registered names are %v", seed, n, name, got)
		}
		if _, code := ask(bootstrap.OpCheckOut, name); code != 0 {
			t.Fatalf("seed %d, round %d: check-out of %q: %v", seed, n, name, code)
		}
	}
}

// owners are the process ids of the names that programs registered.
func owners(list *xpc.Dictionary) map[string]int {
	got := map[string]int{}
	for _, o := range list.GetArray(bootstrap.KeyNames).All() {
		e := o.(*xpc.Dictionary)
		got[e.GetString(bootstrap.KeyName)] = int(e.GetInt64(bootstrap.KeyPID))
	}
	return got
}

func hostileServiceName(r *rand.Rand, secret string) string {
	words := []string{secret, "uid=0;", "pid=1;", "gid=0", "root", "\n", "\r", "SCM_CREDENTIALS", "%s%n", "/proc/1/exe", "..", ".", " ", "\xff\xfe", "\u200b", "\u202e",
		bootstrap.RegistryName, "audit-token", "@", "*", "$(id)", strings.Repeat("x", 300)}
	var b strings.Builder
	for b.Len() == 0 || r.IntN(3) > 0 {
		if r.IntN(8) == 0 {
			b.WriteByte(1 + byte(r.IntN(255))) // an XPC string has no NUL
			continue
		}
		b.WriteString(words[r.IntN(len(words))])
	}
	return b.String()
}
