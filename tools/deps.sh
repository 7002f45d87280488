#!/usr/bin/env bash
# Installs the Debian packages that are missing, and says so. Tests start servers
# themselves: what is installed for them here is not started, now or at boot.
set -euo pipefail

packages=(gcc libc6-dev libseccomp-dev pkg-config git gnupg openssh-client openssh-server nginx-light iproute2 nftables curl jq procps systemd
	systemd-container mmdebstrap e2fsprogs chromium-headless-shell fonts-dejavu-core)
declare -A services=([openssh-server]=ssh [nginx-light]=nginx)

if ! command -v go >/dev/null; then
	echo "deps: Go 1.26 or later is needed: https://go.dev/dl" >&2
	exit 1
fi
if ! command -v dpkg-query >/dev/null; then
	echo "deps: not a Debian system; it needs: ${packages[*]}" >&2
	exit 0
fi
missing=()
quiet=()
for package in "${packages[@]}"; do
	dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' && continue
	missing+=("$package")
	[ -z "${services[$package]:-}" ] || quiet+=("${services[$package]}")
done
[ ${#missing[@]} -gt 0 ] || exit 0

root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

echo "deps: installing ${missing[*]}"
policy=/usr/sbin/policy-rc.d # 101: nothing is started, see invoke-rc.d(8)
if [ ! -e "$policy" ]; then
	trap 'root rm -f "$policy"' EXIT
	printf '#!/bin/sh\nexit 101\n' | root tee "$policy" >/dev/null
	root chmod 755 "$policy"
fi
root apt-get update -qq
root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
if [ ${#quiet[@]} -gt 0 ] && command -v systemctl >/dev/null; then
	root systemctl disable "${quiet[@]}" >/dev/null 2>&1 || true
	echo "deps: not started: ${quiet[*]}"
fi
