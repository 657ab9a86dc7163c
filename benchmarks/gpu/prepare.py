"""Writes what the GPU check takes along into benchmarks/.cache: `benchmarks/gpu.sh prepare` calls it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from benchmarks.gpu.core import write_inputs

LIMIT = 60e6  # bytes that a machine without network is sent


def main() -> None:
    cache = Path(sys.argv[1])
    if not Path("build/encoded/encoding.json").exists():
        sys.exit("build/encoded is missing; run fpplm retrain first")
    shutil.rmtree(cache / "inputs", ignore_errors=True)
    write_inputs(cache / "inputs")
    size = sum(path.stat().st_size for path in cache.rglob("*") if path.is_file())
    print(f"{cache}: {size / 1e6:.1f} MB")
    if size > LIMIT:
        sys.exit(f"more than {LIMIT / 1e6:.0f} MB; use a smaller encoder")


if __name__ == "__main__":
    main()
