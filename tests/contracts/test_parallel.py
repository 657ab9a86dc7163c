"""Processes that train together: the same weights as one process on the same batches, and named errors.

torchrun starts them once for the whole file: tests/contracts/in_two_processes.py."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from fpplm_core.params import load
from fpplm_core.training.loop import train_steps
from fpplm_core.training.self_training import SelfTraining
from fpplm_core.training.state import TrainingState, initial_state
from fpplm_core.training.technique import Technique
from tests import tiny
from tests.conftest import ROOT
from tests.tiny import batch_of

SETTINGS = tiny.changed(lr=1e-3, head_lr=2e-3)  # Adam blows rounding up to the size of its steps
# Everything at work from the first steps on, the rarely run parts too.
BLOCKS = {
    "multi_task": {"presence": 0.5, "neighbours": 0.5, "boundary": 0.5},
    "fuzzy_regions": {"order": "fuzziest", "open_by": 0.8},
    "filter_pooling": {"rate": 0.4, "cutoff": 0.2, "begin": 0.0, "full": 0.0},
    "label_lm": {"feedback": 5.0},
    "adversarial": {"label_correction": 0.5, "begin": 0.0, "full": 0.0, "input_every": 1},
    "resampling": {"period": 2, "begin": 0.0},
}

# Biases that a softmax takes out again: their gradient is rounding alone, which Adam brings up to full steps.
NO_GRADIENT = ("presence.query.bias", "self_attn.in_proj_bias")


TEXT = "self_training"  # in place of a technique's name: with text without labels in every step
CASES = {"plain": [], "all": list(BLOCKS), "text": [*BLOCKS, TEXT]}


def build(names: list[str]) -> dict[str, Technique]:
    techniques = tiny.build([name for name in names if name != TEXT], **BLOCKS)
    if TEXT in names:
        settings = load(tiny.FILE).train.self_training.model_dump()
        techniques[TEXT] = SelfTraining(**settings | {"begin": 0.0, "full": 0.1, "confidence": 0.5})
    return techniques


def trained(folder: Path, names: list[str], dropout: bool = False) -> TrainingState:
    """The end of a run; with `dropout` also the encoder's own noise, of which each process has another share."""
    model = tiny.tagger(folder)
    if not dropout:
        model.shape_dropout = 0.0
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
    active = build(names)
    state = initial_state(model, active, SETTINGS, unlabelled=TEXT in names)
    for _ in train_steps(state, batch_of, active, SETTINGS, 0, lambda n: batch_of(100 + n) if TEXT in names else None):
        pass
    return state


@pytest.fixture(scope="module")
def two(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The folders in which two processes left their tensors, and what they said."""
    out = tmp_path_factory.mktemp("two")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1"]
    program = [
        "--log-dir",
        str(out),
        "--nproc-per-node",
        "2",
        "-m",
        "tests.contracts.in_two_processes",
        str(tiny_encoder),
        str(out),
    ]
    subprocess.run([*torchrun, *program], check=True, cwd=ROOT, timeout=300)
    return [out / "0", out / "1"]


def tensors(two: list[Path], name: str) -> list[dict[str, Tensor]]:
    return [safetensors.torch.load_file(folder / name) for folder in two]


def said(two: list[Path]) -> list[dict[str, Any]]:
    return [json.loads((folder / "said.json").read_text()) for folder in two]


@pytest.mark.parametrize("case", CASES)
def test_two_processes_end_where_one_does(tiny_encoder, two, case):
    """Three windows a step, which two processes cannot share evenly."""
    alone = trained(tiny_encoder, CASES[case]).tensors()
    both, other = tensors(two, case)
    untrained = tiny.tagger(tiny_encoder).state_dict()
    assert both.keys() == alone.keys() == other.keys()
    for name, value in both.items():
        assert torch.equal(value, other[name]), name  # both processes hold the same, to the bit
        far = 1e-3 if name.endswith(NO_GRADIENT) else 1e-5
        assert (value.double() - alone[name].double()).abs().max() < far, name
    assert any(not torch.allclose(value, alone[f"model.{name}"], atol=1e-3) for name, value in untrained.items())


def test_with_dropout_they_repeat_themselves_to_the_bit(two):
    first, again = tensors(two, "dropout"), tensors(two, "again")
    plain = tensors(two, "plain")[0]
    for name, value in first[0].items():
        assert all(torch.equal(value, found[name]) for found in (first[1], *again)), name
    assert any(not torch.equal(value, plain[name]) for name, value in first[0].items())


def test_each_process_has_noise_of_its_own_and_the_common_noise_goes_on_alike(two):
    own, other = tensors(two, "noise")
    assert not torch.equal(own["within"], other["within"])
    assert torch.equal(own["after"], other["after"])
    assert own["rows"].tolist() == [0, 1, 2] and other["rows"].tolist() == [3, 4, 0]
    assert own["all"].tolist() == other["all"].tolist() == [0, 1, 2, 3, 4]


def test_sums_means_and_broadcasts_are_alike_everywhere(two):
    for found in tensors(two, "exchange"):
        assert found["sum"].tolist() == [1.0, 1.0] and found["sums"].tolist() == [[3.0]]
        assert found["mean"].tolist() == [0.5, 0.5]
        assert found["a"].tolist() == [0, 1, 2] and found["b"].item() == 0.5 and found["b"].dtype == torch.bfloat16
    for rank, seen in enumerate(said(two)):
        assert (seen["size"], seen["rank"], seen["any"]) == (2, rank, [True, False])


def test_one_different_bit_in_a_process_s_weights_is_an_error_with_its_number(two):
    for seen in said(two):
        assert seen["equal"] == ""
        assert "step 7: the processes no longer hold the same weights" in seen["perturbed"]
        assert "process 1 of 2 differs from process 0" in seen["perturbed"]


def test_other_inputs_are_refused_when_the_processes_meet(two):
    for seen in said(two):
        assert "process 1 of 2: not the same settings as process 0" in seen["inputs"]


def test_a_process_that_hangs_is_named_within_the_timeout(two):
    first, _ = said(two)
    assert "process 0 of 2: process 1 ended or does not answer" in first["hang"]
