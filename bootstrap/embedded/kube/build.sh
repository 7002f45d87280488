#!/bin/sh
# Builds the programs of a node, static, into OUTDIR: build.sh OUTDIR
# The first time takes minutes: it is all of Kubernetes, etcd and containerd.
set -eu

[ $# -eq 1 ] || { echo "usage: $0 OUTDIR" >&2; exit 2; }
mkdir -p "$1"
out=$(cd "$1" && pwd)
cd "$(dirname "$0")"

version=v1.36.3
runtime=../runtime
stamp=$({ go version; find . -name "*.go" ! -name "*_test.go" | sort | xargs cat build.sh go.mod go.sum $runtime/go.mod $runtime/go.sum; } | sha256sum)
programs="kube containerd containerd-shim-runc-v2 ctr runc bridge host-local loopback portmap pause node"

up_to_date() {
	[ "$(cat "$out/.stamp" 2>/dev/null)" = "$stamp" ] || return 1
	for program in $programs; do
		[ -x "$out/$program" ] || return 1
	done
}

# build MODULE NAME PACKAGE [FLAG...] makes the program whole or not at all.
build() {
	module=$1 name=$2 package=$3
	shift 3
	began=$(date +%s)
	printf '  %-24s' "$name"
	if ! go build -C "$module" -trimpath -buildvcs=false -o "$out/.$name.new" "$@" "$package" 2>"$out/.log"; then
		cat "$out/.log" >&2
		exit 1
	fi
	mv "$out/.$name.new" "$out/$name"
	echo "$(($(du -k "$out/$name" | cut -f1) / 1024)) MB  $(($(date +%s) - began)) s"
}

if up_to_date; then
	exit 0
fi
pkg-config --exists libseccomp || {
	echo "$0: libseccomp is missing: install the packages libseccomp-dev, pkg-config and gcc" >&2
	exit 1
}
echo "building Kubernetes $version and what a node needs beside it; the first time takes about ten minutes on two cores"

kubernetes="-s -w"
for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
	kubernetes="$kubernetes -X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=36"
	kubernetes="$kubernetes -X $package.gitTreeState=clean"
done

export CGO_ENABLED=0
plugins=github.com/containernetworking/plugins/plugins
containerd=github.com/containerd/containerd/v2
tags=-tags=no_btrfs,no_devmapper,no_zfs
containerd_version=$(go list -C $runtime -m -f '{{.Version}}' $containerd)
contained="-s -w -X $containerd/version.Version=$containerd_version"

build . pause ./pause -ldflags="-s -w"
build . node ./node -ldflags="-s -w"
build $runtime bridge $plugins/main/bridge -ldflags="-s -w"
build $runtime host-local $plugins/ipam/host-local -ldflags="-s -w"
build $runtime loopback $plugins/main/loopback -ldflags="-s -w"
build $runtime portmap $plugins/meta/portmap -ldflags="-s -w"
build $runtime containerd-shim-runc-v2 $containerd/cmd/containerd-shim-runc-v2 $tags -ldflags="$contained"
build $runtime ctr $containerd/cmd/ctr $tags -ldflags="$contained"
build $runtime containerd $containerd/cmd/containerd $tags -ldflags="$contained"
# runc enters namespaces before Go runs, in C. Every pod gets a seccomp filter, so it needs libseccomp, linked in.
export CGO_ENABLED=1
build $runtime runc github.com/opencontainers/runc -tags=netgo,osusergo,seccomp \
	-ldflags="-s -w -linkmode external -extldflags -static -X main.version=$(go list -C $runtime -m -f '{{.Version}}' github.com/opencontainers/runc | tr -d v)"
export CGO_ENABLED=0
build . kube . -ldflags="$kubernetes"

rm -f "$out/.log"
echo "$stamp" >"$out/.stamp"
