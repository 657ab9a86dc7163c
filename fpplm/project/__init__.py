"""A project's folder: creates, updates, locks and repairs it; sets parameters for one run."""
