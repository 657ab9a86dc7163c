"""evaluate and verify on test splits of more and more sentences, with a tiny tagger: peak memory.

Prints one line per size. The sentences are those of `scale`.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from ruamel.yaml import YAML

from benchmarks.studies.scale import ROOT, measure, sentences
from fpplm_core.data.formats import get
from tests.conftest import save_tiny_encoder

SIZES = [1_000, 10_000, 30_000, 100_000]
STAGES = ("environment", "read", "check", "encode", "train", "evaluate", "gate", "export", "verify")


def main() -> None:
    for size in map(int, sys.argv[1:] or SIZES):
        with tempfile.TemporaryDirectory() as scratch:
            project(Path(scratch), size)
            found = {stage: measure(f"tasks.{stage}", Path(scratch)) for stage in STAGES}
        print(size, *(f"{stage} {found[stage]}" for stage in ("evaluate", "verify")), sep="; ", flush=True)


def project(folder: Path, size: int) -> None:
    """WikiGold's train and dev, and a test split of this many sentences; one epoch of a tiny encoder."""
    data = folder / "data"
    data.mkdir()
    for split in ("train", "dev"):
        (data / f"{split}.conll").write_bytes((ROOT / f"data/wikigold/{split}.conll").read_bytes())
    get("conll").write(sentences(size), data / "test.conll")
    save_tiny_encoder(folder / "encoder")
    yaml = YAML()
    values = yaml.load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    values["data"]["path"] = "data"
    values["model"] |= {"encoder": "encoder", "revision": None}
    values["encode"] |= {"window": 128, "stride": 32}
    values["train"]["epochs"] = 1
    values["technique"]["active"] = []
    values["gate"] |= {"min_f1": 0, "min_type_f1": 0, "type_f1": {}, "max_check_warnings": 10**9}
    with (folder / "params.yaml").open("w", encoding="utf-8") as stream:
        yaml.dump(values, stream)
    (folder / "expectations.yaml").write_bytes((ROOT / "expectations.yaml").read_bytes())


if __name__ == "__main__":
    main()
