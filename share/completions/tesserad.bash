# Completion of tesserad(8) for bash.
_tesserad() {
  local current=${COMP_WORDS[COMP_CWORD]} words="--socket --foreground --idle-exit --order --time-slice --co-execution \
    --overcommit --overcommit-by --working-set-window --residence-round --swap-codec --swap-encrypt --swap-host --swap-dir --swap-neighbour --mps --packing --refuse-faulty --round-the-gate --http --http-token --http-compat --history --alerts --alert-webhook --alert-secret --log-level --version --help"
  COMPREPLY=()
  case ${COMP_WORDS[COMP_CWORD - 1]} in
    --socket | --http-token | --history | --alerts | --alert-secret) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
    --idle-exit | --overcommit | --working-set-window | --residence-round | --swap-host | --http | --alert-webhook) return ;;
    --http-compat) words="dcgm hami dcgm,hami" ;;
    --swap-codec) words="none adaptive lz4 zstd snappy" ;;
    --swap-neighbour) words="auto always never" ;;
    --swap-dir) mapfile -t COMPREPLY < <(compgen -d -- "$current"); return ;;
    --order) words="weighted-fair feedback earliest-deadline" ;;
    --time-slice) words="adaptive fixed" ;;
    --co-execution) words="auto off" ;;
    --overcommit-by) words="limits working-sets" ;;
    --packing) words="spread binpack" ;;
    --round-the-gate) words="warn hard stop" ;;
    --log-level) words="error warn info debug" ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}
complete -F _tesserad tesserad
