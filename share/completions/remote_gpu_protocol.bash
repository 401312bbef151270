# Completion of remote_gpu_protocol(1) for bash.
_remote_gpu_protocol() {
  local current=${COMP_WORDS[COMP_CWORD]}
  COMPREPLY=()
  if [[ ${COMP_WORDS[COMP_CWORD - 1]} == --driver ]]; then
    mapfile -t COMPREPLY < <(compgen -f -W "nvidia software" -- "$current")
    return
  fi
  mapfile -t COMPREPLY < <(compgen -W "--driver --quick --no-measure --json --version --help" -- "$current")
}
complete -F _remote_gpu_protocol remote_gpu_protocol
