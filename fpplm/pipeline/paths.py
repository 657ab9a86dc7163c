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
EPOCHS = REPORTS / "training/epochs.csv"  # dev F1 of a training, written after each epoch
SCRATCH = Path(".fpplm")
TRAIN_LOCK = SCRATCH / "train.lock"  # held while a process trains in this project
LAST_ERROR = SCRATCH / "error.txt"
