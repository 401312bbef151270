#!/usr/bin/env bash
# Installs, then builds and runs the example as a user would: with the installed header and library alone.
#   installed_test.sh BUILD_DIR CC CXX
set -euo pipefail
build=$1 cc=$2 cxx=$3
prefix=$(mktemp -d)
trap 'rm -rf "$prefix"' EXIT
cmake --install "$build" --prefix "$prefix" >/dev/null
header=$prefix/include/tessera/memory_virtualization.h
"$cc" -std=c99 -pedantic -Wall -Wextra -Werror -x c -fsyntax-only "$header"
"$cxx" -std=c++11 -pedantic -Wall -Wextra -Werror -x c++ -fsyntax-only "$header"
"$cc" -std=c99 "$prefix/share/doc/tessera/examples/memory_space.c" -I"$prefix/include" -L"$prefix/lib" -ltessera_memory \
  -o "$prefix/memory_space"
# Nothing but the header's functions is to be found in it.
exported=$(nm -D --defined-only "$prefix/lib/libtessera_memory.so.1" | awk '$2 != "A" { print $3 }' | sed 's/@.*//' | sort)
declared=$(grep -oE 'tessera_memory_[a-z_]+\(' "$header" | tr -d '(' | sort -u)
if [[ $exported != "$declared" ]]; then
  diff <(echo "$declared") <(echo "$exported") >&2 || true
  echo "the library's symbols are not the header's functions" >&2
  exit 1
fi
LD_LIBRARY_PATH=$prefix/lib "$prefix/memory_space"
