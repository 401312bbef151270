# Completion of hybrid_slicing(1) for bash.
_hybrid_slicing() {
  local current=${COMP_WORDS[COMP_CWORD]}
  COMPREPLY=()
  case ${COMP_WORDS[COMP_CWORD - 1]} in
    --gpus | --sms | --mem | --arrivals | --load | --seed) return ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "--gpus --sms --mem --arrivals --load --seed --no-space --json --version --help" -- "$current")
}
complete -F _hybrid_slicing hybrid_slicing
