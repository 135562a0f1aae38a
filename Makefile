# make build   the binary, at bin/cairn
# make test    everything that CI runs: vet, format, lint, all tests with -race
# make check   the quick part of it: vet, format, lint

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
GO      ?= go

# Linters are pinned here and come through Go's module proxy: a machine with Go
# and Git is enough.
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.7.0
# Bugs, simplifications, unused code, and the style rules that gofmt leaves.
CHECKS := SA*,S1*,-S1016,U1000,ST1005,ST1006,ST1008,ST1012,ST1017,ST1019,ST1020,ST1021,ST1022

# The race detector, but not in SQLite's own code: that is C as Go, whose memory
# the detector does not watch, and with its checks it takes three times as long.
RACE := -race $(foreach package,modernc.org/sqlite/lib modernc.org/libc modernc.org/memory,\
  -gcflags=$(package)='-race=false -d=checkptr=0')

.PHONY: build test test-deps check vet fmt fmt-check lint demo bench bench-peers microbench fuzz clean

build:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o bin/cairn ./cmd/cairn

test: test-deps check
	$(GO) test $(RACE) -timeout 10m ./...

# A C compiler, Node.js and the official SDK, where they are missing.
test-deps:
	scripts/test-deps

check: vet fmt-check lint

vet:
	$(GO) vet ./...

fmt:
	gofmt -w $(shell git ls-files '*.go')

fmt-check:
	@unformatted=$$(git ls-files -co --exclude-standard '*.go' | xargs gofmt -l); \
	if [ -n "$$unformatted" ]; then echo "not formatted (make fmt):"; echo "$$unformatted"; exit 1; fi

lint:
	$(GO) run $(STATICCHECK) -checks "$(CHECKS)" ./...

demo: build
	bin/cairn demo

# The built server beside its limits and stock git: make bench BENCH='-run commit'
bench: build
	$(GO) run ./internal/bench $(BENCH)

# The same beside other Git servers: stock git behind a CGI server, and Gitea
# where it can be built.
bench-peers: build
	scripts/build-gitea .cache/gitea || echo "without Gitea: it does not build here" >&2
	$(GO) run ./internal/bench -peers $(BENCH)

# Go benchmarks of the packages.
microbench:
	$(GO) test -run '^$$' -bench . -benchmem ./internal/...

# Every fuzz target for a short while each: make fuzz FUZZTIME=1m
FUZZTIME ?= 20s
fuzz:
	@set -e; for package in $$($(GO) list ./...); do \
	  for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
	    echo "$$package $$target"; $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package; \
	  done; \
	done

clean:
	rm -rf bin
