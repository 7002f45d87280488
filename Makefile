# make alone lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
# One way to compile: what programs, tests and the linter import alike is compiled once.
export CGO_ENABLED ?= 0
export GOFLAGS := $(GOFLAGS) -trimpath
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
GO_BUILD := go build -ldflags '-s -w -X main.version=$(VERSION)'
PREVIOUS := v1.35.4
KUBE_VERSION := $(foreach package,k8s.io/component-base/version k8s.io/client-go/pkg/version,\
	-X $(package).gitVersion=$(PREVIOUS) -X $(package).gitMajor=1 -X $(package).gitMinor=35 -X $(package).gitTreeState=clean)
TEST_TIMEOUT ?= 15m
FUZZTIME ?= 30s

.PHONY: help root deps build embedded kustomize helm demo test conformance fuzz kill soak mutate lint bench bench-hosts fleet install e2e e2e-all kill-hosts hosts previous clean
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

deps: ## install the Debian packages that are missing
	@tools/deps.sh

build: ## build the holdfast binary into build/
	@echo "building holdfast"
	@mkdir -p build && $(GO_BUILD) -o build/holdfast ./cmd/holdfast

install: build ## put the program and its systemd unit onto this machine (root; DESTDIR=dir for an image of one)
	install -D -m 755 build/holdfast $(DESTDIR)/usr/local/bin/holdfast
	install -D -m 644 packaging/holdfast.service $(DESTDIR)/etc/systemd/system/holdfast.service
	install -d -m 700 $(DESTDIR)/etc/holdfast $(DESTDIR)/var/lib/holdfast

embedded: ## build upstream Kubernetes for demo and tests (minutes the first time)
	@bootstrap/embedded/kube/build.sh build/embedded

kustomize: ## build the stock kustomize that tests compare with
	@cd tools && go build -o ../build/kustomize sigs.k8s.io/kustomize/kustomize/v5

helm: ## build the stock helm that tests compare with
	@cd tools && go build -o ../build/helm helm.sh/helm/v4/cmd/helm

demo: root deps build embedded ## show a fleet live, on a real cluster (root; KEEP=1 leaves it running)
	@go build -o build/demo ./demo
	@go build -ldflags '-s -w' -o build/web ./fleet-example/app
	@build/demo $(if $(KEEP),--keep)

root:
	@[ "$$(id -u)" = 0 ] || { echo "pods need root: run this as root, or with sudo" >&2; exit 1; }

test: root deps build embedded kustomize helm ## run all tests
	go test -timeout $(TEST_TIMEOUT) ./...
	cd bootstrap/embedded/kube && go test ./node ./pause

conformance: build ## compare with the real sops, the real kubeconform and the schema of SARIF (builds them: minutes the first time)
	@cd secrets/conformance && go vet . && go test .
	@cd kinds/conformance && go vet . && go test .
	@cd tools && go vet ./sarif && go test -count=1 ./sarif

fuzz: ## fuzz every parser of outside bytes, one after the other (FUZZTIME=30s each)
	@grep -rn --include='*_test.go' --exclude-dir=build -oE '^func Fuzz[A-Za-z0-9_]+' . | \
	sed -E 's|/[^/]*:[0-9]+:func (.*)| \1|' | sort | while read -r package target; do \
		echo "fuzz: $$package $$target"; \
		(cd $$package && go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) . </dev/null) || exit 1; \
	done

kill: embedded ## kill the agent at every point of a story, and see it recover (minutes)
	HOLDFAST_KILL=all go test -count=1 -v -timeout 1h -parallel 4 -run '^TestKillPoints$$' ./reconciler/kube

soak: embedded ## let anything happen to a site of three hosts, under the race detector (FOR=1h)
	HOLDFAST_SOAK=$(or $(FOR),1h) CGO_ENABLED=1 go test -race -count=1 -v -timeout 0 -run '^TestSoak$$' ./reconciler/kube

mutate: ## take each check of trust out of the source, and see its test fail (minutes; WRITE=1 writes docs/reference/attacks.md)
	@cd tools && go build -o ../build/mutate ./mutate
	@build/mutate $(if $(WRITE),-write)

lint: ## check the source
	@cd tools && go build -o ../build/golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	@build/golangci-lint run ./...
	@cd bootstrap/embedded/kube && go vet ./node ./pause

bench: deps build embedded kustomize ## measure, beside a floor in the same run (minutes)
	@set -o pipefail; go test -run '^$$' -bench . -benchtime 1x -timeout 30m ./cmd/holdfast ./gitsource ./reconciler/kube | tee build/bench.txt
	@awk "$$BENCH_TABLE" build/bench.txt

bench-hosts: hosts ## measure from a registration to Ready on whole hosts, beside kubeadm alone (minutes)
	@set -o pipefail; go test -tags e2e -count=1 -v -timeout 40m -parallel 1 -run '^TestFigures$$' ./e2e | tee build/bench-hosts.txt
	@awk "$$BENCH_TABLE" build/bench-hosts.txt

# The figures of docs/performance.md: medians of a run, by the units of its benchmarks.
define BENCH_TABLE
function n(x) { return x == "" ? "-" : sprintf((x < 10 ? "%.2f" : "%.0f"), x) }
function ratio(ours, floor) { return floor <= 0 ? "-" : ours < floor / 10 ? "1/" n(floor / ours) : n(ours / floor) }
function row(what, unit, ours, floor, target) {
	if (ours + 0 == 0) return # of another run
	printf "%-50s %5s %9s %9s %7s  %s\n", what, unit, n(ours), n(floor), ratio(ours, floor), target
}
/^Benchmark/ { for (i = 3; i < NF; i += 2) v[$$(i + 1)] = $$i }
END {
	printf "\n%-50s %5s %9s %9s %7s  %s\n", "", "", "holdfast", "floor", "ratio", "target"
	row("registration of the first host to Ready", "ms", v["init-ready-ms"], v["bare-init-ready-ms"], "ratio 1.3")
	row("  beside kubeadm that imports the images, too", "ms", v["init-ready-ms"], v["bare-init-all-ms"])
	row("  of that, until it asks", "ms", v["init-poll-ms"])
	row("  fetch and verify", "ms", v["init-fetch-ms"])
	row("  load and render", "ms", v["init-render-ms"])
	row("  check content, start containerd", "ms", v["init-content-ms"])
	row("  kubeadm init, beside the import of images", "ms", v["init-kubeadm-ms"], v["bare-init-kubeadm-ms"])
	row("  until the node is Ready", "ms", v["init-node-ms"])
	row("from there until all layers are healthy", "ms", v["init-confirmed-ms"])
	row("  until the app answers, then", "ms", v["app-ms"])
	row("registration of a worker to Ready", "ms", v["join-ready-ms"], v["bare-join-ready-ms"], "ratio 1.3")
	row("  beside kubeadm that imports the images, too", "ms", v["join-ready-ms"], v["bare-join-all-ms"])
	row("  of that, until it asks", "ms", v["join-poll-ms"])
	row("  fetch and verify", "ms", v["join-fetch-ms"])
	row("  load and render", "ms", v["join-render-ms"])
	row("  check content, start containerd", "ms", v["join-content-ms"])
	row("  kubeadm join, beside the import of images", "ms", v["join-kubeadm-ms"], v["bare-join-kubeadm-ms"])
	row("  until the node is Ready", "ms", v["join-node-ms"])
	row("agent that runs a cluster: resident memory", "MB", v["agent-rss-MB"], "", "90")
	row("  highest, since its host was installed", "MB", v["agent-peak-MB"])
	row("commit to applied, 1 layer of 5 objects", "ms", v["1-layer-ms"], v["1-layer-bare-ms"])
	row("  of that, fetch and verify", "ms", v["1-layer-fetch-ms"])
	row("  of which the Git server takes", "ms", v["1-layer-git-ms"])
	row("  of that, load and render", "ms", v["1-layer-render-ms"])
	row("  of that, bootstrap, apply, confirm", "ms", v["1-layer-apply-ms"])
	row("commit to applied, 100 layers of 5 objects", "ms", v["100-layers-ms"], v["100-layers-bare-ms"], "ratio 1.5")
	row("  of that, from fetched to applied", "ms", v["100-layers-after-fetch-ms"], v["100-layers-bare-ms"], "ratio 1.5")
	row("  of that, fetch and verify", "ms", v["100-layers-fetch-ms"])
	row("  of which the Git server takes", "ms", v["100-layers-git-ms"])
	row("  of that, load and render", "ms", v["100-layers-render-ms"])
	row("  of that, bootstrap, apply, confirm", "ms", v["100-layers-apply-ms"], v["100-layers-bare-ms"])
	row("  processor time of the agent", "ms", v["100-layers-cpu-ms"])
	row("a field changed in each of the 100 layers", "ms", v["100-edits-ms"], v["100-edits-bare-ms"], "ratio 1.5")
	row("  of that, from fetched to applied", "ms", v["100-edits-after-fetch-ms"], v["100-edits-bare-ms"], "ratio 1.5")
	row("  of that, fetch and verify", "ms", v["100-edits-fetch-ms"])
	row("  of which the Git server takes", "ms", v["100-edits-git-ms"])
	row("  of that, load and render", "ms", v["100-edits-render-ms"])
	row("  of that, bootstrap, apply, confirm", "ms", v["100-edits-apply-ms"], v["100-edits-bare-ms"])
	row("  processor time of the agent", "ms", v["100-edits-cpu-ms"])
	row("1 of 100 layers edited, fetched to applied", "ms", v["edit-after-fetch-ms"], "", "300")
	row("  of that, load and render", "ms", v["edit-render-ms"])
	row("  of that, bootstrap, apply, confirm", "ms", v["edit-apply-ms"])
	row("  processor time of the agent", "ms", v["edit-cpu-ms"], "", "100")
	row("drift of 200 objects repaired, median", "ms", v["drift-median-ms"], v["drift-bare-ms"])
	row("  99 of 100 within", "ms", v["drift-p99-ms"], v["drift-bare-ms"], "1000")
	row("idle for 60 s, 500 objects: processor time", "ms", 1000 * v["idle-cpu-s"], "", "100")
	row("idle, 500 objects: resident memory", "MB", v["idle-rss-MB"], "", "80")
	row("  of that, not backed by the program's file", "MB", v["idle-anon-MB"])
	row("  highest, of their first apply", "MB", v["peak-rss-MB"])
	row("idle, 5,000 objects: resident memory", "MB", v["5000-rss-MB"], "", "120")
	row("  of that, not backed by the program's file", "MB", v["5000-anon-MB"])
	row("  highest, of their first apply", "MB", v["5000-peak-rss-MB"])
	row("clone of 10,000 files, first contact", "ms", 1000 * v["s/first-contact"], 1000 * v["s/git-first"])
	row("fetch and verify 1,000 commits", "ms", 1000 * (v["s/fetch"] + v["s/verify"]), 1000 * v["s/git-fetch"])
	row("  of that, fetch", "ms", 1000 * v["s/fetch"], 1000 * v["s/git-fetch"])
	row("poll without news", "ms", v["ms/quiet-poll"])
	row("  over smart HTTP, processor time of the host", "ms", v["ms-cpu/http-poll"], "", "10")
	row("  of a static mirror, the same", "ms", v["ms-cpu/poll"], "", "10")
	row("verify 10,000 commits, each key may do all", "ms", v["10k-keys-verify-ms"], v["10k-keys-bare-ms"], "ratio 4")
	row("  processor time", "ms", v["10k-keys-verify-cpu-ms"], v["10k-keys-bare-cpu-ms"])
	row("  fetched before", "ms", v["10k-keys-fetch-ms"])
	row("  highest resident memory", "MB", v["10k-keys-peak-MB"], "", "150")
	row("verify 10,000 commits, rules by path", "ms", v["10k-rules-verify-ms"], v["10k-rules-bare-ms"], "ratio 4")
	row("  processor time", "ms", v["10k-rules-verify-cpu-ms"], v["10k-rules-bare-cpu-ms"])
	row("  highest resident memory", "MB", v["10k-rules-peak-MB"], "", "150")
	row("pack of 200 MB over smart HTTP: highest memory", "MB", v["200MB-http-peak-MB"])
	row("  as a bundle", "MB", v["200MB-bundle-peak-MB"])
	row("  of a static mirror", "MB", v["200MB-mirror-peak-MB"])
	row("lint 10,000 sites, nothing kept; stock, scaled", "s", v["s/sites-cold"], v["s/sites-stock"], "30")
	row("  processor time", "s", v["s-cpu/sites-cold"], v["s-cpu/sites-stock"])
	row("  again, with what was kept", "s", v["s/sites-warm"], v["s/sites-stock"], "3, 1/300")
	row("  processor time", "s", v["s-cpu/sites-warm"], v["s-cpu/sites-stock"])
	row("  highest resident memory", "MB", v["sites-rss-MB"], "", "1000")
	row("diff of a layer that a third of them have", "s", v["s/diff-layer"], "", "3")
	row("  with nothing kept", "s", v["s/diff-layer-cold"], "")
	row("  tried on an API server, one rendering", "s", v["s/diff-server-1"])
	row("  ten renderings, one after the other", "s", v["s/diff-server-10"])
	row("  highest resident memory of its servers", "MB", v["diff-server-rss-MB"])
	row("diff of a variable of one of them", "s", v["s/diff-site"], "", "0.5")
	row("one host rendered again", "ms", v["host-render-ms"], "", "150")
	row("apply alone, 100 layers, no agent around it", "ms", v["ours-ms"], v["bare-ms"])
	row("  the same layers again, unchanged", "ms", v["unchanged-ms"])
	row("one layer of 5,000 objects applied", "ms", v["5000-ours-ms"], v["5000-bare-ms"], "ratio 1.5")
	row("  looked at as a whole", "ms", v["5000-verify-ms"])
	row("  applied again, unchanged", "ms", v["5000-unchanged-ms"], v["5000-bare-ms"])
	row("  pruned", "ms", v["5000-prune-ms"])
}
endef
export BENCH_TABLE

fleet: ## write the benchmark's fleet (SITES=10000 OUT=dir)
	@[ -n "$(OUT)" ] || { echo "name the folder to write to: make fleet OUT=dir" >&2; exit 1; }
	@go run ./fleet/fleettest/makefleet --sites $(or $(SITES),10000) "$(OUT)"

e2e: demo hosts ## the main job, end to end, checked: the demo, and stories on whole hosts
	go test -tags e2e -count=1 -timeout 60m -parallel 2 -skip '^Test(Sagas|Figures|Kills)$$' ./e2e/...

e2e-all: demo hosts previous ## e2e, the longer stories of each driver, and the sagas: several hosts, minutes each
	ALL=1 go test -tags e2e -count=1 -timeout 10h -parallel 1 -skip '^Test(Figures|Kills)$$' ./e2e/...

kill-hosts: hosts previous ## pull the power of whole hosts at random moments (KILLS=50 SEED=n; 1 to 2 minutes a kill)
	KILLS=$(or $(KILLS),50) SEED=$(SEED) go test -tags e2e -count=1 -v -timeout 0 -parallel 1 -run '^TestKills$$' ./e2e

hosts: root deps build embedded # what the stories of e2e put on the disks of their hosts
	@cd e2e/images && go build -ldflags '-s -w' -o ../../build/e2e/coredns github.com/coredns/coredns
	@cd e2e/images && go build -ldflags '-s -w' -o ../../build/e2e/etcdutl go.etcd.io/etcd/etcdutl/v3
	@go build -ldflags '-s -w' -o build/web ./fleet-example/app
	@go build -ldflags '-s -w' -o build/e2e/standin ./e2e/standin
	@go build -ldflags '-s -w' -o build/e2e/pause ./e2e/pause

previous: # the Kubernetes that sagas of upgrades begin at
	@echo "building Kubernetes $(PREVIOUS), which upgrades begin at; the first time takes minutes"
	@cd e2e/images && go build -buildvcs=false -modfile v1.13.mod -ldflags '-s -w' -o ../../build/e2e/previous/coredns github.com/coredns/coredns
	@cd bootstrap/embedded/kube && go build -buildvcs=false -modfile v1.35.mod -ldflags '-s -w $(KUBE_VERSION)' -o ../../../build/e2e/previous/kube .

clean: ## remove what was built
	rm -rf build
