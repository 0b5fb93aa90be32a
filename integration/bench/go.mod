module github.com/openxpc/openxpc/integration/bench

go 1.26.0

require (
	github.com/openxpc/openxpc v0.0.0
	golang.org/x/sys v0.49.0
)

replace github.com/openxpc/openxpc => ../..
