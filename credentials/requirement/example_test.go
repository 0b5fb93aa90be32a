package requirement_test

import (
	"errors"
	"fmt"

	"github.com/openxpc/openxpc/credentials"
	"github.com/openxpc/openxpc/credentials/requirement"
)

func ExampleSet() {
	set, err := requirement.ParseSet(`library => anchor apple designated => identifier "com.example.tool"`)
	fmt.Println(set, err)
	// Output:
	// designated => identifier "com.example.tool"
	// library => anchor apple <nil>
}

func ExampleFacts() {
	f := requirement.Facts{Credentials: credentials.Unknown(), Why: "no registry answers: start xpcd"}
	fmt.Println(f.Credentials, "and no code is known:", f.Why)
	// Output: pid unknown uid unknown gid unknown and no code is known: no registry answers: start xpcd
}

func ExampleAssurance() {
	fmt.Println(requirement.Granted, requirement.Image < requirement.Granted)
	// Output: granted true
}

func ExampleVerdict() {
	fmt.Println(requirement.False, requirement.Indeterminate, requirement.True)
	// Output: false indeterminate true
}

func ExampleCode() {
	c := requirement.Code{Identifier: "com.example.tool", Team: "EXAMPLE123", Category: 6}
	fmt.Println(c.Identifier, "of team", c.Team)
	// Output: com.example.tool of team EXAMPLE123
}

func ExampleCodeFlags() {
	f := requirement.Hardened | requirement.LibraryValidation
	fmt.Println(f&requirement.Hardened != 0, f&requirement.GetTaskAllow != 0)
	// Output: true false
}

func ExampleCertificate() {
	c := requirement.Certificate{Subject: map[string][]string{"CN": {"Example Signing"}, "OU": {"EXAMPLE123"}}}
	fmt.Println(c.Subject["OU"])
	// Output: [EXAMPLE123]
}

func ExampleParse() {
	r, err := requirement.Parse(`anchor apple generic and certificate leaf[subject.OU] = "EXAMPLE123" and entitlement["com.example.see"] exists`)
	if err != nil {
		panic(err)
	}
	verdict, why := r.Match(&requirement.Facts{
		Assurance: requirement.Granted,
		Code: &requirement.Code{Identifier: "com.example.tool", Trusted: true, Certificates: []requirement.Certificate{
			{Subject: map[string][]string{"OU": {"EXAMPLE123"}}},
		}},
	})
	fmt.Println(verdict, "-", why)
	// Output: false - entitlement["com.example.see"] exists: it has none
}

func ExampleRequirement() {
	root, _ := requirement.UID(0)
	unit, _ := requirement.Unit("backup.service")
	r := requirement.Or(root, requirement.And(unit, requirement.Host()))
	fmt.Println(r)
	fmt.Print(r.Explain(&requirement.Facts{Credentials: credentials.Credentials{UID: 1000, GID: 1000}, Unit: "sshd.service"}))
	// Output:
	// uid 0 or unit = "backup.service" and host
	// false         any of
	//   false         uid 0: it is pid unknown uid 1000 gid 1000
	//   false         all of
	//     false         unit = "backup.service": it is "sshd.service"
	//     indeterminate host: whether it is in a container is not known
}

func ExampleLightweightCode() {
	r, err := requirement.LightweightCode(map[string]any{
		"$or": map[string]any{"team-identifier": "EXAMPLE123", "validation-category": 1},
	})
	fmt.Println(r, err)
	_, err = requirement.LightweightCode(map[string]any{"team": "EXAMPLE123"})
	fmt.Println(err)
	// Output:
	// {"$or": {"team-identifier": "EXAMPLE123", "validation-category": 1}} <nil>
	// requirement: "team" is no fact that is known here
}

func ExampleNeeds() {
	r, _ := requirement.Parse(`uid 0 or anchor apple`)
	fmt.Println(r.Needs().Code, r.Needs().CredentialsOnly())
	// Output: true false
}

func ExampleMismatch() {
	r, _ := requirement.Parse(`uid 0 and gid 0`)
	_, why := r.Match(&requirement.Facts{Credentials: credentials.Credentials{UID: 0, GID: 5}})
	fmt.Println(why.Clause, "|", why)
	// Output: gid 0 | gid 0: it is pid unknown uid 0 gid 5
}

func ExampleSyntaxError() {
	_, err := requirement.Parse("anchor apple and\n  identifer \"x\"")
	var e *requirement.SyntaxError
	fmt.Println(errors.As(err, &e), e.Line, e.Column)
	// Output: true 2 3
}
