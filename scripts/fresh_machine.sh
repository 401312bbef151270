#!/usr/bin/env bash
# Makes a bare Debian root with debootstrap, copies this repository in and runs the README's two commands there, as a
# stranger on a fresh machine would. Needs root, the package debootstrap, about 4 GiB of disk and the package mirror this
# machine itself uses.
#   fresh_machine.sh [FOLDER]     FOLDER (default: a new one under /var/tmp) is removed afterwards unless KEEP=1
set -euo pipefail
cd "$(dirname "$0")/.."
suite=${SUITE:-bookworm}
root=${1:-$(mktemp -d /var/tmp/fresh-machine.XXXXXX)}
[[ $(id -u) -eq 0 ]] || { echo "fresh_machine.sh needs root (debootstrap, chroot)" >&2; exit 1; }
command -v debootstrap >/dev/null || { echo "install debootstrap first" >&2; exit 1; }
# Newer roots have deb822 files only, older ones sources.list only: read what is there.
mirror=${MIRROR:-$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.{list,sources} 2>/dev/null |
  sed -nE '0,/^(URIs:|deb) +([^ ]+debian)( .*)?$/s//\2/p' || true)}
[[ -n $mirror ]] || { echo "no Debian mirror found in /etc/apt; set MIRROR" >&2; exit 1; }

cleanup() {
  for mount in dev/shm proc; do mountpoint -q "$root/$mount" && umount "$root/$mount"; done
  [[ ${KEEP:-0} == 1 ]] || rm -rf "$root"
}
trap cleanup EXIT

echo "== a bare $suite in $root"
debootstrap --variant=minbase "$suite" "$root" "$mirror" >"$root.log" 2>&1 || { tail "$root.log" >&2; exit 1; }
rm -f "$root.log"
cp -r /etc/apt/apt.conf.d/. "$root/etc/apt/apt.conf.d/"
rm -f "$root"/etc/apt/apt.conf.d/*{packagekit,appstream,postgresql}*
cp /etc/resolv.conf "$root/etc/resolv.conf"
mount -t proc proc "$root/proc"
mkdir -p "$root/dev/shm"
mount -t tmpfs -o size=4g shm "$root/dev/shm"
mkdir -p "$root/opt/tessera"
git archive HEAD | tar -x -C "$root/opt/tessera"

in_root() {
  chroot "$root" env -i HOME=/tmp PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb \
    ${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} bash -c "cd /opt/tessera && $1"
}
in_root "apt-get update -qq && apt-get install -y -qq --no-install-recommends make ca-certificates >/dev/null"
for command in "make demo" "make test"; do
  echo "== $command"
  in_root "$command"
done
echo "== both commands passed on a bare $suite"
