# Completion of tesserad(8) for fish.
complete -c tesserad -f
complete -c tesserad -l socket -r -F -d 'Listen here'
complete -c tesserad -l foreground -d 'Stay in the foreground'
complete -c tesserad -l idle-exit -x -d 'End when nothing has been connected for so many seconds'
complete -c tesserad -l order -x -a 'weighted-fair feedback earliest-deadline' -d 'Who is next within a class'
complete -c tesserad -l time-slice -x -a 'adaptive fixed' -d 'How long a turn lasts'
complete -c tesserad -l co-execution -x -a 'auto off' -d 'Whether slices that fit together run side by side'
complete -c tesserad -l packing -x -a 'spread binpack' -d 'Where slices go that name no GPU'
complete -c tesserad -l refuse-faulty -d 'Programs that keep failing have to wait'
complete -c tesserad -l round-the-gate -x -a 'warn hard stop' -d 'What becomes of who goes round it'
complete -c tesserad -l log-level -x -a 'error warn info debug' -d 'What is logged'
complete -c tesserad -l version -d 'Print the version'
complete -c tesserad -l help -d 'Print help'
