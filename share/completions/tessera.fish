# Completion of tessera(1) for fish.
function __tessera_profiles
    set -l config $HOME/.config
    set -q XDG_CONFIG_HOME; and set config $XDG_CONFIG_HOME
    sed -nE '/^profiles:/,/^[^ #]/s/^  ([A-Za-z0-9._-]+):.*/@\1/p' $config/tessera/config.yaml /etc/tessera/config.yaml 2>/dev/null
end
complete -c tessera -n __fish_use_subcommand -f -a run -d 'Run a program in a slice of a GPU'
complete -c tessera -n __fish_use_subcommand -f -a ps -d 'List slices and their processes'
complete -c tessera -n __fish_use_subcommand -f -a set -d 'Change the limits of a slice while its programs run'
complete -c tessera -n __fish_use_subcommand -f -a gpus -d 'List the GPUs'
complete -c tessera -n __fish_use_subcommand -f -a doctor -d 'Check what tessera run needs'
complete -c tessera -n __fish_use_subcommand -f -a version -d 'Print the version'
complete -c tessera -n __fish_use_subcommand -f -a help -d 'Print the options of a command'
complete -c tessera -n __fish_use_subcommand -l version -d 'Print the version'
complete -c tessera -l help -d 'Print help'
complete -c tessera -n '__fish_seen_subcommand_from help' -f -a 'run ps set gpus doctor version'
complete -c tessera -n '__fish_seen_subcommand_from run ps set gpus doctor' -l socket -r -d 'The socket of tesserad'
complete -c tessera -n '__fish_seen_subcommand_from ps set gpus doctor' -l json -d 'Print JSON'
complete -c tessera -n '__fish_seen_subcommand_from gpus' -l forgive -x -d 'Let new programs have a quarantined GPU again'
complete -c tessera -n '__fish_seen_subcommand_from run set' -l gpu -x -d 'Index of the GPU, or several'
complete -c tessera -n '__fish_seen_subcommand_from run set' -l mem -x -d 'Memory limit per GPU'
complete -c tessera -n '__fish_seen_subcommand_from run set' -l sm -x -d 'Share of the time of the GPU, in percent'
complete -c tessera -n '__fish_seen_subcommand_from run set' -l sm-cap -d 'Never more than --sm'
complete -c tessera -n '__fish_seen_subcommand_from set' -l no-sm-cap -d 'More than --sm again'
complete -c tessera -n '__fish_seen_subcommand_from run set' -l priority -x -a 'realtime high normal low idle' -d 'Class'
complete -c tessera -n '__fish_seen_subcommand_from run set' -l weight -x -d 'Against others without --sm'
complete -c tessera -n '__fish_seen_subcommand_from run set' -l slo -x -a 'p99=1ms p99=5ms p99=20ms none' -d 'Target of 99 in 100 waits for the GPU'
complete -c tessera -n '__fish_seen_subcommand_from run set' -l qos -x -a 'guaranteed burstable best-effort auto' -d 'Who yields first'
complete -c tessera -n '__fish_seen_subcommand_from run' -l name -x -d 'Name of the slice'
complete -c tessera -n '__fish_seen_subcommand_from run' -l summary -d 'Print a line of figures at the end'
complete -c tessera -n '__fish_seen_subcommand_from run' -l json-summary -r -d 'Write the figures to a file'
complete -c tessera -n '__fish_seen_subcommand_from run; and test (count (commandline -opc)) -eq 2' -f -a '(__tessera_profiles)' -d 'Profile'
complete -c tessera -n '__fish_seen_subcommand_from run' -a '(__fish_complete_subcommand)'
