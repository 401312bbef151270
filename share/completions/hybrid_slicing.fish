# Completion of hybrid_slicing(1) for fish.
complete -c hybrid_slicing -f
complete -c hybrid_slicing -l gpus -x -d 'GPUs'
complete -c hybrid_slicing -l sms -x -d 'SMs of each'
complete -c hybrid_slicing -l mem -x -d 'Memory of each'
complete -c hybrid_slicing -l arrivals -x -d 'Slices that ask'
complete -c hybrid_slicing -l load -x -d 'Of the compute, offered'
complete -c hybrid_slicing -l seed -x -d 'Of sizes and times'
complete -c hybrid_slicing -l no-space -d 'Devices that cannot keep kernels to some SMs'
complete -c hybrid_slicing -l json -d 'Print JSON'
complete -c hybrid_slicing -l version -d 'Print the version'
complete -c hybrid_slicing -l help -d 'Print help'
