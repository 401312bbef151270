#!/usr/bin/env bash
# Installs what the build and the tests need from Debian's or Ubuntu's own packages.
#   install_dependencies.sh           installs what is missing (as root, or with sudo)
#   install_dependencies.sh --check   only tells what is missing; exit code 1 if anything is
#   install_dependencies.sh report    what `make bench-report` needs, too
#   install_dependencies.sh browser   what the test of the daemon's page needs, too
set -euo pipefail

packages=(
  g++ cmake ninja-build python3       # build
  clang                               # kernels to PTX for the test programs and the demo
  libcli11-dev nlohmann-json3-dev     # command line, JSON
  libhwloc-dev                        # where GPUs are in the machine
  libmicrohttpd-dev                   # the daemon's HTTP
  libsqlite3-dev libcurl4-openssl-dev # its history, and where alerts are sent
  libyaml-cpp-dev                     # profiles of run options
  libzstd-dev liblz4-dev              # compressed fat binaries
  libsnappy-dev libxxhash-dev libssl-dev  # pages on their way: compressed, checked, encrypted
  libgtest-dev libbenchmark-dev tmux prometheus  # tests and benchmarks
  libmimalloc-dev                     # what bench_pool compares with
  valgrind                            # of one demonstration
)
[[ ${1:-} == report ]] && packages+=(python3-matplotlib)
[[ ${1:-} == browser ]] && packages+=(chromium fonts-noto-cjk)
# For the daemon's page, from wherever they come; without them everything else is built.
if [[ ${1:-} != --check ]]; then
  command -v node >/dev/null || packages+=(nodejs)
  command -v npm >/dev/null || packages+=(npm)
fi

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null || true)
  [[ $status == "install ok installed" ]] || missing+=("$package")
done
[[ ${#missing[@]} -eq 0 ]] && exit 0

if [[ ${1:-} == --check ]]; then
  echo "missing packages: ${missing[*]}" >&2
  echo "run 'make deps' (as root or with sudo), or install them by hand" >&2
  exit 1
fi
if ! command -v apt-get >/dev/null; then
  echo "this system has no apt-get; install the counterparts of: ${missing[*]}" >&2
  exit 1
fi
as_root=()
if [[ $(id -u) -ne 0 ]]; then
  command -v sudo >/dev/null || { echo "not root and no sudo: ask an administrator for: ${missing[*]}" >&2; exit 1; }
  as_root=(sudo)
fi
echo "installing: ${missing[*]}"
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
