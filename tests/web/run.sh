#!/bin/sh
# run.sh TEST.mjs PAGE_WORK SCREENSHOTS: one of the tests of the daemon's page, in a browser. 77 where something of it is
# not here.
test=$1 work=$2 screenshots=$3
skip() {
  echo "skipped: $1"
  exit 77
}
command -v node >/dev/null || skip "node is not here (scripts/install_dependencies.sh)"
[ -f "$work/page/index.html" ] || skip "the page was not built; the build says why"
for name in "$TESSERA_CHROMIUM" chromium chromium-browser google-chrome; do
  [ -n "$name" ] && TESSERA_CHROMIUM=$(command -v "$name") && break
done
[ -n "$TESSERA_CHROMIUM" ] || skip "there is no chromium (scripts/install_dependencies.sh browser)"
export TESSERA_CHROMIUM TESSERA_PAGE_WORK="$work" TESSERA_WEB_SCREENSHOTS="$screenshots"
exec node --test "$test"
