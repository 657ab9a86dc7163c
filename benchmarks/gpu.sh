#!/usr/bin/env bash
# Everything that wants a CUDA machine, after `make retrain`: training, prediction, soak and parity; results/*-cuda.*
# DEVICE=cpu runs the same commands without a GPU. ROUNDS: 5.
set -euo pipefail
cd "$(dirname "$0")/.."
device=${DEVICE:-cuda} rounds=${ROUNDS:-5} python=${PYTHON:-.venv/bin/python}
"$python" -m benchmarks train --device "$device" --rounds "$rounds"
"$python" -m benchmarks techniques --device "$device" --rounds "$rounds"
"$python" -m benchmarks predict --device "$device" --rounds "$rounds"
"$python" benchmarks/soak.py --device "$device"
