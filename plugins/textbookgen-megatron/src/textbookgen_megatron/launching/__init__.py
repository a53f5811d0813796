"""Start the processes of a training job: on this machine, or through the launch files of a cluster."""
