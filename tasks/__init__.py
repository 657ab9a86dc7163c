"""WHICH FILES become which: one module a stage of dvc.yaml, run as `python -m tasks.NAME`."""
