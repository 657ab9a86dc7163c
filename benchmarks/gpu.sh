#!/usr/bin/env bash
# Checks training and ONNX Runtime on a GPU machine that has torch, transformers and onnxruntime, and no network.
#
#   benchmarks/gpu.sh prepare    here, after `make retrain`: writes benchmarks/.cache (under 60 MB), to be carried along
#   benchmarks/gpu.sh            there: under 8 minutes; writes benchmarks/results/gpu-MACHINE.json
#
# PYTHON: the interpreter (here .venv/bin/python, there python3). TARGET: the Python over there, 3.12.
# DEVICE=cpu checks without a GPU. RESULTS: the folder of the JSON.
set -euo pipefail
cd "$(dirname "$0")/.."
cache=benchmarks/.cache
if [ "${1:-}" = prepare ]; then
  python=${PYTHON:-.venv/bin/python}
  rm -rf "$cache/wheels"
  # What fpplm_core needs and such a machine may lack.
  "$python" -m pip download --quiet --no-deps --only-binary=:all: --implementation cp --python-version "${TARGET:-3.12}" \
    --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 -c requirements.lock -d "$cache/wheels" \
    pydantic pydantic-core annotated-types typing-extensions typing-inspection ruamel.yaml
  exec "$python" -m benchmarks.gpu.prepare "$cache"
fi
[ -d "$cache/inputs" ] || { echo "$cache is missing; make it with: benchmarks/gpu.sh prepare" >&2; exit 2; }
python=${PYTHON:-python3}
if ! "$python" -c 'import pydantic, ruamel.yaml' 2>/dev/null; then
  site=$(mktemp -d)
  trap 'rm -rf "$site"' EXIT
  shopt -s nullglob # without wheels, the parts say what they lack
  for wheel in "$cache"/wheels/*.whl; do
    "$python" -m zipfile -e "$wheel" "$site"
  done
  export PYTHONPATH=$site
fi
export HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=error CUBLAS_WORKSPACE_CONFIG=:4096:8 # torch's deterministic algorithms want the latter on a GPU
timeout 470 "$python" -m benchmarks.gpu.check --device "${DEVICE:-cuda}" --results "${RESULTS:-benchmarks/results}"
