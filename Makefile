# Go and make are all that is needed; make race wants a C compiler too.
export CGO_ENABLED ?= 0
FUZZTIME ?= 10s
BIN := bin
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

NFPM := github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.2
VERSION ?= $(shell git describe --tags --match 'v*' 2>/dev/null || echo 0.0.0)

.PHONY: package help build demo test race soak systemd lint check fuzz bench bench-compare bench-check cross clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' Makefile

build: ## Build the programs into bin/ and the examples into bin/examples/
	@mkdir -p $(BIN)/examples
	go build -o $(BIN)/ ./cmd/...
	go build -o $(BIN)/examples/echo-service ./examples/echo/service
	go build -o $(BIN)/examples/echo-client ./examples/echo/client
	go build -o $(BIN)/examples/tour ./examples/tour
	go build -o $(BIN)/examples/privileged-service ./examples/privileged/service
	go build -o $(BIN)/examples/privileged-client ./examples/privileged/client

demo: build ## Show what XPC is: launch, call, descriptor, crash, relaunch
	@$(BIN)/xpcctl run --job examples/echo/com.example.echo.plist -- $(BIN)/examples/tour

test: build ## Run the tests
	go test ./...

race: ## Run the tests with the race detector
	GORACE=atexit_sleep_ms=0 CGO_ENABLED=1 go test -race ./...

soak: ## Kill services and the registry under load for SOAK (60s), besiege them in full figures; do FIGURES (1) of what is demanded of identities
	SOAK=$(or $(SOAK),60s) go test ./integration -run '^Test(Soak|Row)' -count=1 -v -timeout 30m
	SOAK=1 go test ./xpc -run '^TestRow' -count=1 -timeout 30m
	XPC_SOAK_FIGURES=$(or $(FIGURES),1) go test ./credentials/... ./xpc ./registry/daemon ./integration -run '$(IDENTITIES)' -count=1 -timeout 24h

# What is demanded ten thousand and a million times, and a few times in every run of the tests.
IDENTITIES := ^Test(Forging.*|VanishedPeers|Hostile(Service)?Names|EachMessageHasItsSender|KeysSayNothingOfTheSender|InjectedFailures|RandomRoundTrips|InvalidNeverPasses)$$

systemd: ## Start the units under a systemd of their own; as root, where systemd is installed
	XPC_TEST_SYSTEMD=1 go test ./integration -run '^TestSystemd$$' -count=1 -v

# The Go tool fetches staticcheck once. Its checks for mistakes (SA) and needless
# code (S1) are held; tests are left out, since they call twice on purpose.
lint: ## Check the format, vet, and run staticcheck
	@test -z "$$(gofmt -l .)" || { echo "not formatted, run gofmt -w on:"; gofmt -l .; exit 1; }
	go vet ./...
	go run $(STATICCHECK) -tests=false -checks 'SA*,S1*' ./...

check: lint build ## Everything that must hold before a commit: lint, test, race, cross, bench-check
	go test ./...
	GORACE=atexit_sleep_ms=0 CGO_ENABLED=1 go test -race ./...
	$(MAKE) cross bench-check

# Two targets at a time with one worker each: on two processors a worker more only waits.
fuzz: ## Run each fuzz target for FUZZTIME (10s)
	@for dir in $$(grep -rl --include='*_test.go' --exclude-dir=bench '^func Fuzz' . | xargs -n 1 dirname | sort -u); do \
	  sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\).*/\1/p' $$dir/*_test.go | sed "s,^,$$dir ,"; \
	done | xargs -P 2 -n 2 sh -c '.ci/fuzz $$0 $$1 $(FUZZTIME)'

# BENCH=quick takes under a minute and leaves docs/performance.md alone.
bench: ## Measure side by side with other systems, into docs/performance.md
	cd integration/bench && go run . $(if $(filter quick,$(BENCH)),-quick,-docs ../../docs)

bench-check: ## Vet the measurements' own module and compile its tests, without running them
	cd integration/bench && go vet ./... && go build -o /dev/null ./... && go test -exec true ./...

bench-compare: ## Compare Go benchmarks with those of BASE=<commit>
	@integration/bench/compare.sh $(BASE)

# LINK names the targets whose tests are linked too; vet compiles those of all.
TARGETS := freebsd/amd64 openbsd/amd64 netbsd/amd64 dragonfly/amd64 darwin/amd64 linux/arm64 linux/386 linux/arm
LINK ?= $(TARGETS)

cross: ## Vet, build, and link the tests for the other systems and processors
	@for target in $(TARGETS); do \
	  echo "$$target"; \
	  GOOS=$${target%/*} GOARCH=$${target#*/} CGO_ENABLED=0 go vet ./... || exit 1; \
	  GOOS=$${target%/*} GOARCH=$${target#*/} CGO_ENABLED=0 go build -o /dev/null ./... || exit 1; \
	  case " $(LINK) " in *" $$target "*) \
	    GOOS=$${target%/*} GOARCH=$${target#*/} CGO_ENABLED=0 go test -c -o /dev/null ./... >/dev/null || exit 1;; \
	  esac; \
	done

# The programs are static. GOARCH chooses the processor.
package: ## Make deb and rpm packages of VERSION in bin/, for Linux
	@rm -rf $(BIN)/package && mkdir -p $(BIN)/package/man $(BIN)/package/completion
	GOOS=linux CGO_ENABLED=0 go build -trimpath -ldflags='-s -w -X main.release=$(VERSION)' -o $(BIN)/package/ ./cmd/xpcd ./cmd/xpcctl ./cmd/xpcsign
	@for page in docs/man/*.[1-8]; do gzip -9nc $$page >$(BIN)/package/man/$${page##*/}.gz || exit 1; done
	@for shell in bash zsh fish; do env -u GOOS -u GOARCH go run ./cmd/xpcctl completion $$shell >$(BIN)/package/completion/$$shell || exit 1; done
	@for kind in deb rpm; do \
	  ARCH=$$(go env GOARCH) VERSION=$(VERSION) env -u GOOS -u GOARCH go run $(NFPM) package -f cmd/xpcd/dist/nfpm.yaml -p $$kind -t $(BIN)/ || exit 1; \
	done

clean: ## Remove what was built
	rm -rf $(BIN)
