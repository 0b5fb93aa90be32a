package requirement

import (
	"fmt"
	"time"

	"github.com/openxpc/openxpc/credentials"
)

// Assurance says how well the identity of a process is known. A higher one is
// stronger; compare with <.
type Assurance uint8

const (
	// CredentialsOnly (A0): what the kernel says of user, group and process id.
	CredentialsOnly Assurance = iota
	// Image (A1): the signature of the image that the process runs, which was
	// pinned before the process answered a challenge. A process that is traced or
	// had a library preloaded looks the same.
	Image
	// Granted (A2): Image, and the kernel granted the process at exec a group that
	// it withholds from traced and preloaded ones, or the registry launched it so.
	Granted
	// Enforced (A3): Image, on a host whose kernel refuses code that is not signed.
	Enforced
)

// String is "credentials", "image", "granted" or "enforced".
func (a Assurance) String() string {
	switch a {
	case CredentialsOnly:
		return "credentials"
	case Image:
		return "image"
	case Granted:
		return "granted"
	case Enforced:
		return "enforced"
	}
	return fmt.Sprintf("Assurance(%d)", uint8(a))
}

// Verdict is a truth value of three. Only True lets a peer pass.
type Verdict int8

const (
	// False: the facts contradict.
	False Verdict = iota - 1
	// Indeterminate: what would have to be known is not.
	Indeterminate
	// True: the facts agree.
	True
)

// String is "false", "indeterminate" or "true".
func (v Verdict) String() string {
	switch v {
	case False:
		return "false"
	case Indeterminate:
		return "indeterminate"
	case True:
		return "true"
	}
	return fmt.Sprintf("Verdict(%d)", int8(v))
}

// Facts is what is known of a process at the other end of a connection. The zero
// value is not "nothing is known", it would be root: start with
// credentials.Unknown. Whoever is given Facts must not change them.
type Facts struct {
	// Credentials are those of the connect, or of one message.
	Credentials credentials.Credentials
	// Assurance says how well all the rest is known.
	Assurance Assurance
	// Code is what a verified signature says; nil if none is known to be valid.
	Code *Code
	// Why is one clause that says why Code is nil, or known with no more Assurance, with a
	// remedy where there is one.
	Why string

	// LaunchType is 1 for what the registry started at boot, else 0; nil: not known.
	LaunchType *int64
	// IsInitProc: it is process 1 or the registry; nil: not known.
	IsInitProc *bool
	// IsSIPProtected: nobody can write to its image (fs-verity, a read-only
	// verified file system); nil: not known.
	IsSIPProtected *bool
	// OnSystemVolume: its image lies where /usr does; nil: not known.
	OnSystemVolume *bool

	// Unit is the systemd unit that it belongs to ("sshd.service"); "": not known, or none.
	Unit string
	// Cgroup is its control group's path below the hierarchy's root ("/system.slice/sshd.service"); "": not known.
	Cgroup string
	// Label is what the security module calls it (SELinux, AppArmor); "": not known, or no such module.
	Label string
	// Container names the container that it runs in; "": not known, or none.
	Container string
	// Host: it runs in the host's own namespaces, not in a container; nil: not known.
	Host *bool
}

// Code is what a verified signature says of a program.
type Code struct {
	// CDHash is the first 20 bytes of the SHA-256 of the signed manifest.
	CDHash [20]byte
	// Identifier is the program's name in its signature ("com.example.tool").
	Identifier string
	// Team is who signed it; "" if nobody did (ad-hoc).
	Team string
	// Category is LWCR's validation-category: 1 platform, 2 to 6 signed by a team
	// that an anchor vouches for, 7 signed locally, 10 none of these (ad-hoc).
	Category int64
	// Flags are what the signature asks of the system.
	Flags CodeFlags
	// Info and Entitlements are property lists: string, int64, float64, bool,
	// []byte, time.Time, []any and map[string]any.
	Info, Entitlements map[string]any
	// Certificates has the leaf first and the root last; nil: ad-hoc.
	Certificates []Certificate
	// Trusted: the chain ends in an anchor of the trust store.
	Trusted bool
	// Platform: that anchor is the platform's, or the trust cache has the program.
	Platform bool
}

// CodeFlags are what a signature asks of the system, as bits.
type CodeFlags uint32

const (
	// Hardened: without the assurance Granted the signature counts for nothing.
	Hardened CodeFlags = 1 << iota
	// LibraryValidation: the signature counts for nothing in a process that executes code
	// of others than the program's team and the platform.
	LibraryValidation
	// GetTaskAllow: others may trace it.
	GetTaskAllow
)

// Certificate is what a requirement can ask of one certificate of a chain.
type Certificate struct {
	// SHA1 is of the certificate's DER form: it is what H"..." names, and nothing else is decided by it.
	SHA1 [20]byte
	// Subject has the fields of the subject's name by their short names: "CN",
	// "OU", "O", "C", "L", "ST", "STREET", "D", "UID".
	Subject map[string][]string
	// Extensions has the values by dotted object identifier.
	Extensions map[string][]byte
	// Policies are the dotted object identifiers of its certificate policies.
	Policies []string
	// NotBefore and NotAfter bound its validity.
	NotBefore, NotAfter time.Time
	// Trusted: the trust store has this very certificate.
	Trusted bool
}
