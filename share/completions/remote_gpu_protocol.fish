# Completion of remote_gpu_protocol(1) for fish.
complete -c remote_gpu_protocol -f
complete -c remote_gpu_protocol -l driver -r -F -a 'nvidia software' -d 'Behind the server'
complete -c remote_gpu_protocol -l quick -d 'Fewer messages, small copies'
complete -c remote_gpu_protocol -l no-measure -d 'The test alone'
complete -c remote_gpu_protocol -l json -d 'Print JSON'
complete -c remote_gpu_protocol -l version -d 'Print the version'
complete -c remote_gpu_protocol -l help -d 'Print help'
