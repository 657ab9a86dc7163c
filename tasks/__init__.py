"""Which files each stage reads and writes: one module for each stage of dvc.yaml, run as `python -m tasks.NAME`."""

# First: it sets environment variables before the stages' libraries read them, and ends a stage with what started it.
from fpplm.pipeline import parent as parent
