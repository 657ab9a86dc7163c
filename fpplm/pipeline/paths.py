"""Where parameters and the stages' files stand in a project."""

from __future__ import annotations

from pathlib import Path

PARAMS = Path("params.yaml")
CORPUS = Path("build/corpus")
ENCODED = Path("build/encoded")
MODEL = Path("build/model")
PREDICTIONS = Path("build/predictions")
GRAPHS = Path("build/onnx")
BUNDLE = Path("bundle")
METRICS = Path("metrics")
REPORTS = Path("reports")
STEPS = REPORTS / "training/steps.csv"  # losses and learning rates of a training
EPOCHS = REPORTS / "training/epochs.csv"  # its dev F1, written after each epoch
TIMINGS = REPORTS / "timings/verify.json"  # of the graphs
COMPARISON = REPORTS / "comparison.json"  # of the scores of the version in production and of the new bundle
DATA_DIFF = REPORTS / "data_diff.json"  # of their data
RUN = REPORTS / "run.json"  # what the last run did
SCRATCH = Path(".fpplm")
TRAIN_LOCK = SCRATCH / "train.lock"  # held while a process trains in this project
LAST_ERROR = SCRATCH / "error.txt"
