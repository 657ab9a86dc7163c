"""What a finished run writes down: measurements of the model that it keeps."""

from pathlib import Path

import torch

from fpplm_core.params import load
from fpplm_core.tagging.spans import spans_from_tags
from fpplm_core.tagging.windows import Window
from fpplm_core.training.data import TrainingData
from fpplm_core.training.history import TrainingHistory
from fpplm_core.training.result import finish_run
from fpplm_core.training.run import TrainingRun
from fpplm_core.training.selection import Dev
from tests import tiny


def test_the_findings_are_those_of_the_averaged_weights(tiny_encoder: Path, tmp_path: Path) -> None:
    techniques = tiny.build(["multi_task"])
    state = tiny.start(tiny_encoder, techniques)
    window = Window(0, [2, 10, 11, 3], [0, 1], [1, 2], [tiny.FIRST_SHAPE] * 4)
    dev = Dev([window], [2], [spans_from_tags(["B-X", "O"])])
    data = TrainingData(tiny.BLUEPRINT, [window], [[0, 0]], [[]], [], dev)
    run = TrainingRun(data, state, techniques, load(tiny.FILE).train, tiny.SETTINGS, "", None)
    pairs = state.modules("multi_task")["pair"]
    best = {name: value.clone() for name, value in state.average.items()}
    best["extras.multi_task.pair.scores"].fill_(0.25)
    with torch.no_grad():
        pairs.scores.fill_(9.0)
    found = finish_run(run, TrainingHistory(), best, tiny.tagger(tiny_encoder), tmp_path).findings
    sizes = found.techniques["multi_task"]["size of the label pairs' scores"]
    assert sizes == {"mean": 0.25, "largest": 0.25}
