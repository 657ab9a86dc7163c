"""A training on this machine: resumed, shown, stopped by signals."""
