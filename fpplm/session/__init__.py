"""A training session on this machine: checkpoints, progress, signals, number format."""
