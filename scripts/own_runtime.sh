# Sourced: what runs from here on has a runtime folder of its own, so that its daemons are not those of this machine
# (nor hindered by what /run/tessera looks like), and leaves neither behind.
XDG_RUNTIME_DIR=$(mktemp -d /tmp/tessera-run.XXXXXX)
export XDG_RUNTIME_DIR
leave_nothing() {
  kill $(cat "$XDG_RUNTIME_DIR"/tessera/*.pid 2>/dev/null) 2>/dev/null || true
  rm -rf "$XDG_RUNTIME_DIR"
}
trap leave_nothing EXIT
