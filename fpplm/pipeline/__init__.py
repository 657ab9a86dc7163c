"""What all stages share: paths, errors, exit codes, fingerprints of code and inputs."""
