# make alone lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
GO_BUILD := CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)'
TEST_TIMEOUT ?= 15m
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)

# Debian packages that the targets need beside Go.
PACKAGES := gcc libc6-dev libseccomp-dev pkg-config git gnupg openssh-client iproute2 nftables curl procps

.PHONY: help root deps build embedded demo test lint bench e2e clean
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

deps: ## install the Debian packages that are missing
	@command -v go >/dev/null || { echo "deps: Go 1.26 or later is needed: https://go.dev/dl" >&2; exit 1; }
	@command -v dpkg-query >/dev/null || { echo "deps: not a Debian system; it needs: $(PACKAGES)" >&2; exit 0; }; \
	missing=(); for p in $(PACKAGES); do dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing+=($$p); done; \
	[ $${#missing[@]} -gt 0 ] || exit 0; \
	echo "deps: installing $${missing[*]}"; \
	$(SUDO) apt-get update -qq && DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends $${missing[@]} >/dev/null

build: ## build the holdfast binary into build/
	@mkdir -p build && $(GO_BUILD) -o build/holdfast ./cmd/holdfast

embedded: ## build upstream Kubernetes for demo and tests (minutes the first time)
	@bootstrap/embedded/kube/build.sh build/embedded

demo: root deps build embedded ## show a fleet live, on a real cluster (root; KEEP=1 leaves it running)
	@CGO_ENABLED=0 go build -o build/demo ./demo
	@CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o build/web ./fleet-example/app
	@build/demo $(if $(KEEP),--keep)

root:
	@[ "$$(id -u)" = 0 ] || { echo "pods need root: run this as root, or with sudo" >&2; exit 1; }

test: root deps build embedded ## run all tests
	go test -timeout $(TEST_TIMEOUT) ./...
	cd bootstrap/embedded/kube && go test ./node ./pause

lint: ## check the source
	@cd tools && go build -o ../build/golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	@build/golangci-lint run ./...
	@cd bootstrap/embedded/kube && go vet ./node ./pause

bench: deps build embedded ## measure, beside a floor in the same run
	go test -run '^$$' -bench . -benchtime 1x -timeout 60m ./...

e2e: demo ## the main job, end to end, checked

clean: ## remove what was built
	rm -rf build
