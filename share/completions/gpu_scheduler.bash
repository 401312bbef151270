# Completion of gpu_scheduler(1) for bash.
_gpu_scheduler() {
  local current=${COMP_WORDS[COMP_CWORD]} words=""
  COMPREPLY=()
  case ${COMP_WORDS[COMP_CWORD - 1]} in
    --seconds | --seed | --seeds | --first | --decisions | --gpus | --jobs | --load) return ;;
    --order) words="weighted-fair feedback earliest-deadline" ;;
    --slice) words="adaptive fixed" ;;
    --policy) words="spread pack" ;;
    *)
      case $((COMP_CWORD == 1)):${COMP_WORDS[1]} in
        1:*) words="run check cluster --help --version" ;;
        0:run)
          words="--seconds --seed --order --slice --json --help"
          if [[ $current != -* ]]; then
            mapfile -t COMPREPLY < <(compgen -f -- "$current")
            return
          fi
          ;;
        0:check) words="--seeds --first --decisions --json --help" ;;
        0:cluster) words="--gpus --jobs --seed --policy --load --json --help" ;;
      esac
      ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}
complete -F _gpu_scheduler gpu_scheduler
