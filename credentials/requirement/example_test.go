package requirement_test

import (
	"fmt"

	"github.com/openxpc/openxpc/credentials"
	"github.com/openxpc/openxpc/credentials/requirement"
)

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
