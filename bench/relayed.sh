# Sourced by the benchmarks that put remote_relay before a server: $build is the build folder.
# shellcheck shell=bash disable=SC2034,SC2154
folder=$(mktemp -d)
server='' relay='' echo=''
cleanup() {
  for process in $relay $server $echo; do kill "$process" 2>/dev/null || true; done
  rm -rf "$folder"
}
trap cleanup EXIT

address_in() { # file: its first line, once it is there
  for _ in $(seq 100); do
    [[ -s $1 ]] && break
    sleep 0.1
  done
  head -1 "$1"
}

start_server() { # sets address
  "$build/remote/plain_server" 127.0.0.1:0 lib/softgpu/libcuda.so.1 >"$folder/server" &
  server=$!
  address=$(address_in "$folder/server")
  address=${address#tcp://}
}

start_echo() { # what answers tcp_ping; sets echo_address
  mkfifo "$folder/echo_in"
  "$build/bench/tcp_ping" serve <"$folder/echo_in" >"$folder/echo" &
  echo=$!
  exec 4>"$folder/echo_in"
  echo_address=127.0.0.1:$(address_in "$folder/echo")
}

relayed() { # to, setting of remote_relay: sets port; ends with unrelay
  rm -f "$folder/in" "$folder/out"
  mkfifo "$folder/in"
  "$build/tests/remote_relay" --to "$1" "$2" <"$folder/in" >"$folder/out" &
  relay=$!
  exec 3>"$folder/in"
  port=$(address_in "$folder/out")
}

unrelay() {
  exec 3>&-
  wait "$relay" || true
  relay=''
}
