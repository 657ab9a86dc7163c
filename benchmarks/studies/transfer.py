"""Pretrains the multilingual encoder on five of six corpora, once for each corpus that is left out.

    python -m benchmarks.studies.transfer FOLDER [NAME ...]    # FOLDER/NAME/{train,dev,test}.conll

writes encoders/transfer/NAME, which `transfer.yaml` and `transfer_50.yaml` start from. Needs encoders/me5-small and
the corpora of `benchmarks.studies.fresh`, whose dev and test are held out. With names, only these
corpora are left out in turn. An encoder that is there already is not made again.
"""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.studies.fresh import OUTPUT, SENTENCES
from fpplm.pipeline.paths import PARAMS
from fpplm.session.pretraining import pretrain
from fpplm.studies.plan import changed
from fpplm.terminal.progress import show_progress
from fpplm_core.params import Params
from fpplm_core.settings import read_yaml

ENCODERS = Path("encoders/transfer")
STEPS = 3000  # the default of `fpplm pretrain`
CHANGES = {
    "model.encoder": "encoders/me5-small",
    "model.revision": None,
    "data.test": "test/test.conll",
    "train.lr": 1e-4,  # what params.yaml recommends for 12 layers of width 384
    "train.batch_pieces": 512,
    "train.precision": "bfloat16",
    "train.checkpoint_steps": 200,
}


def main() -> None:
    source, names = Path(sys.argv[1]), sys.argv[2:] or list(SENTENCES)
    for name in names:
        out = ENCODERS / name
        if out.exists():
            continue
        settings = changed(read_yaml(PARAMS), {**CHANGES, "data.path": str(OUTPUT / name)}, name)
        others = [source / other for other in SENTENCES if other != name]
        with show_progress(name):
            record = pretrain(Params.parse(settings, name), others, [], STEPS, out, [], None)
        for row in record.corpora:
            print(name, row.name, row.sentences, row.left_out, row.steps, f"{row.dev_f1:.4f}", flush=True)


if __name__ == "__main__":
    main()
