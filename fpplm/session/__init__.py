"""A training session: checkpoints, progress, signals, number format."""
