# Completion of tessera(1) for bash.
_tessera_profiles() {
  sed -nE '/^profiles:/,/^[^ #]/s/^  ([A-Za-z0-9._-]+):.*/@\1/p' "${XDG_CONFIG_HOME:-$HOME/.config}/tessera/config.yaml" \
    /etc/tessera/config.yaml 2>/dev/null
}
_tessera() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]}
  local commands="run ps top set slice gpus metrics history alerts report topo doctor serve limit trace version help"
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    mapfile -t COMPREPLY < <(compgen -W "$commands --help --version" -- "$current")
    return
  fi
  case $previous in
    --socket | --json-summary | --file | --output | --tls-ca | --tls-cert | --tls-key | --client-ca | --identities | --token-file | --control) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
    --forgive) [[ $command == ps ]] && mapfile -t COMPREPLY < <(compgen -W "$(tessera ps 2>&1 >/dev/null | sed -n "s/^'\([^']*\)' has failed on the GPU.*/\1/p")" -- "$current"); return ;;
    --since | --points | --interval) return ;;
    --metric) mapfile -t COMPREPLY < <(compgen -W "$(tessera history --list 2>/dev/null | awk '{ print $1 }')" -- "$current"); return ;;
    --journal | --gpu | --mem | --mem-min | --mem-weight | --copy-min | --copy-max | --name | --sm | --weight | --identity | --max-sessions | --keep | --sessions | --rate | --link-weight | --download | --upload | --download-guaranteed | --upload-guaranteed) return ;;
    --listen | --server) mapfile -t COMPREPLY < <(compgen -W "127.0.0.1:7070 tls:// shm:" -- "$current"); return ;;
    --slice) mapfile -t COMPREPLY < <(compgen -W "$(tessera slice list 2>/dev/null | awk 'NR > 1 { print $1 }')" -- "$current"); return ;;
    --sm-mode) mapfile -t COMPREPLY < <(compgen -W "auto time space" -- "$current"); return ;;
    --packing) mapfile -t COMPREPLY < <(compgen -W "spread binpack" -- "$current"); return ;;
    --priority) mapfile -t COMPREPLY < <(compgen -W "realtime high normal low idle" -- "$current"); return ;;
    --qos) mapfile -t COMPREPLY < <(compgen -W "guaranteed burstable best-effort auto" -- "$current"); return ;;
    --slo) mapfile -t COMPREPLY < <(compgen -W "p99= none" -- "$current"); return ;;
  esac
  case $command in
    run)
      # The first word that is neither an option nor an option's value is the program; what follows is the program's.
      local i=2 word
      [[ ${COMP_WORDS[2]} == @* ]] && ((COMP_CWORD > 2)) && i=3
      while ((i < COMP_CWORD)); do
        word=${COMP_WORDS[i]}
        case $word in
          --journal | --gpu | --mem | --mem-min | --mem-weight | --copy-min | --copy-max | --name | --slice | --sm | --sm-mode | --priority | --weight | --slo | --qos | --socket | --json-summary | --server | --token-file | --identity | --tls-ca | --tls-cert | --tls-key | --journal) ((i += 2)) ;;
          --) ((i += 1)); break ;;
          -*) ((i += 1)) ;;
          *) break ;;
        esac
      done
      if ((COMP_CWORD == 2)) && [[ $current == @* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(_tessera_profiles)" -- "$current")
        return
      fi
      if ((i < COMP_CWORD)); then
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
      elif [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "--gpu --mem --mem-min --mem-weight --copy-min --copy-max --sm --sm-cap --sm-mode --priority --weight --slo --qos --gate-copies --name --slice --server --token-file --identity --tls-ca --tls-cert --tls-key --checksums --durable --journal --summary --json-summary --socket --help" -- "$current")
      else
        mapfile -t COMPREPLY < <(compgen -c -- "$current")
      fi
      ;;
    gpus) mapfile -t COMPREPLY < <(compgen -W "--json --forgive --socket --help" -- "$current") ;;
    ps) mapfile -t COMPREPLY < <(compgen -W "--json --forgive --socket --help" -- "$current") ;;
    metrics) mapfile -t COMPREPLY < <(compgen -W "--output --socket --help" -- "$current") ;;
    history) mapfile -t COMPREPLY < <(compgen -W "--file --since --metric --gpu --slice --points --csv --list --json --socket --help" -- "$current") ;;
    top) mapfile -t COMPREPLY < <(compgen -W "--once --no-color --interval --json --socket --help" -- "$current") ;;
    report) mapfile -t COMPREPLY < <(compgen -W "--file --since --output --json --socket --help" -- "$current") ;;
    alerts)
      if ((COMP_CWORD == 2)); then
        mapfile -t COMPREPLY < <(compgen -W "list test --help" -- "$current")
      elif [[ ${COMP_WORDS[2]} == list ]]; then
        mapfile -t COMPREPLY < <(compgen -W "--json --socket --help" -- "$current")
      elif [[ $current != -* ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
      else
        mapfile -t COMPREPLY < <(compgen -W "--file --since --json --socket --help" -- "$current")
      fi
      ;;
    topo) mapfile -t COMPREPLY < <(compgen -W "--tree --matrix --json --socket --help" -- "$current") ;;
    doctor) mapfile -t COMPREPLY < <(compgen -W "--json --socket --help" -- "$current") ;;
    serve) mapfile -t COMPREPLY < <(compgen -W "--listen --tls-cert --tls-key --client-ca --identities --token-file --max-sessions --keep --download --upload --control --cache-dir --cache-size --cache-per-identity --json --socket --help" -- "$current") ;;
    limit) mapfile -t COMPREPLY < <(compgen -W "--download --upload --download-guaranteed --upload-guaranteed --link-weight --sessions --rate --mem --sm --priority --weight --max-sessions --control --json --socket --help" -- "$current") ;;
    slice)
      if ((COMP_CWORD == 2)); then
        mapfile -t COMPREPLY < <(compgen -W "plan create list resize balance delete --help" -- "$current")
        return
      fi
      case ${COMP_WORDS[2]} in
        plan) mapfile -t COMPREPLY < <(compgen -W "--file --explain --gpu --mem --mem-min --mem-weight --copy-min --copy-max --sm --sm-cap --sm-mode --priority --weight --slo --qos --gate-copies --json --socket --help" -- "$current") ;;
        create) mapfile -t COMPREPLY < <(compgen -W "--file --packing --gpu --mem --mem-min --mem-weight --copy-min --copy-max --sm --sm-cap --sm-mode --priority --weight --slo --qos --gate-copies --json --socket --help" -- "$current") ;;
        list) mapfile -t COMPREPLY < <(compgen -W "--json --socket --help" -- "$current") ;;
        resize) mapfile -t COMPREPLY < <(compgen -W "--mem --mem-min --mem-weight --copy-min --copy-max --sm --sm-cap --no-gate-copies --no-sm-cap --sm-mode --priority --weight --slo --qos --gate-copies --gpu --json --socket --help" -- "$current") ;;
        balance) mapfile -t COMPREPLY < <(compgen -W "--apply --json --socket --help" -- "$current") ;;
        delete) mapfile -t COMPREPLY < <(compgen -W "--when-unused --json --socket --help" -- "$current") ;;
      esac
      ;;
    trace)
      if ((COMP_CWORD == 2)); then
        mapfile -t COMPREPLY < <(compgen -W "record replay --help" -- "$current")
      elif [[ $current != -* ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
      elif [[ ${COMP_WORDS[2]} == record ]]; then
        mapfile -t COMPREPLY < <(compgen -W "--output --socket --help" -- "$current")
      else
        mapfile -t COMPREPLY < <(compgen -W "--mem --json --help" -- "$current")
      fi
      ;;
    set) mapfile -t COMPREPLY < <(compgen -W "--mem --mem-min --mem-weight --copy-min --copy-max --sm --sm-cap --no-gate-copies --no-sm-cap --sm-mode --priority --weight --slo --qos --gate-copies --gpu --json --socket --help" -- "$current") ;;
    version) mapfile -t COMPREPLY < <(compgen -W "--help" -- "$current") ;;
    help)
      if ((COMP_CWORD > 2)) && [[ ${COMP_WORDS[2]} == slice ]]; then commands="plan create list resize balance delete"; fi
      mapfile -t COMPREPLY < <(compgen -W "${commands/ help/}" -- "$current")
      ;;
  esac
}
complete -F _tessera tessera
