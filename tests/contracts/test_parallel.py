"""Processes that train together: the same weights as one process on the same batches, and a clean end."""

from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

from fpplm_core.model import parallel
from fpplm_core.params import load
from fpplm_core.training.loop import train_steps
from fpplm_core.training.self_training import SelfTraining
from fpplm_core.training.state import TrainingState, initial_state
from fpplm_core.training.technique import Technique
from tests import tiny
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


def build(names: list[str]) -> dict[str, Technique]:
    techniques = tiny.build([name for name in names if name != TEXT], **BLOCKS)
    if TEXT in names:
        settings = load(tiny.FILE).train.self_training.model_dump()
        techniques[TEXT] = SelfTraining(**settings | {"begin": 0.0, "full": 0.1, "confidence": 0.5})
    return techniques


def trained(folder: Path, names: list[str]) -> TrainingState:
    """The end of a run without the encoder's own noise, of which each process has another share."""
    model = tiny.tagger(folder)
    model.shape_dropout = 0.0
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    active = build(names)
    state = initial_state(model, active, SETTINGS, unlabelled=TEXT in names)
    for _ in train_steps(state, batch_of, active, SETTINGS, 0, lambda n: batch_of(100 + n) if TEXT in names else None):
        pass
    return state


def save(folder: Path, names: list[str], out: Path) -> None:
    tensors = {name: tensor.contiguous() for name, tensor in trained(folder, names).tensors().items()}
    safetensors.torch.save_file(tensors, out)


def die(*_: object) -> None:
    raise RuntimeError("as it was told to")


@pytest.mark.parametrize("names", [[], list(BLOCKS), [*BLOCKS, TEXT]], ids=["plain", "all", "text"])
def test_two_processes_end_where_one_does(tiny_encoder, tmp_path, names):
    """Three windows a step, which two processes cannot share evenly."""
    alone = trained(tiny_encoder, names).tensors()
    with parallel.process_group(2, torch.device("cpu"), save, tiny_encoder, names, tmp_path / "other"):
        assert (parallel.size(), parallel.rank()) == (2, 0)
        both = trained(tiny_encoder, names).tensors()
    assert (parallel.size(), parallel.rank()) == (1, 0)
    other = safetensors.torch.load_file(tmp_path / "other")
    moved = tiny.tagger(tiny_encoder).state_dict()
    assert both.keys() == alone.keys() == other.keys()
    for name, value in both.items():
        assert torch.equal(value, other[name]), name  # both processes hold the same, to the bit
        far = 1e-3 if name.endswith(NO_GRADIENT) else 1e-5
        assert (value.double() - alone[name].double()).abs().max() < far, name
    assert any(not torch.allclose(value, alone[f"model.{name}"], atol=1e-3) for name, value in moved.items())


def test_each_process_has_noise_of_its_own_and_the_common_noise_goes_on_alike(tmp_path):
    with parallel.process_group(2, torch.device("cpu"), noise, tmp_path / "other"):
        noise(tmp_path / "own")
    own, other = (safetensors.torch.load_file(tmp_path / name) for name in ("own", "other"))
    assert not torch.equal(own["within"], other["within"])
    assert torch.equal(own["after"], other["after"])
    assert own["rows"].tolist() == [0, 1, 2] and other["rows"].tolist() == [3, 4, 0]
    assert own["all"].tolist() == other["all"].tolist() == [0, 1, 2, 3, 4]


def noise(out: Path) -> None:
    torch.manual_seed(1)
    with parallel.local_rows({"rows": torch.arange(5)}) as inputs:
        within = torch.rand(3)
    everything = parallel.all_gather_rows(inputs["rows"].double(), torch.arange(5))
    found = {"rows": inputs["rows"], "within": within, "after": torch.rand(3), "all": everything}
    safetensors.torch.save_file(found, out)


def test_a_gradient_is_the_sum_of_all_shares(tmp_path):
    with parallel.process_group(2, torch.device("cpu"), summed, tmp_path / "other"):
        summed(tmp_path / "own")
    for name in ("own", "other"):
        found = safetensors.torch.load_file(tmp_path / name)
        assert found["a"].tolist() == [1.0, 1.0] and found["b"].tolist() == [[3.0]]


def summed(out: Path) -> None:
    a, b = torch.full((2,), float(parallel.rank())), torch.full((1, 1), 1.0 + parallel.rank())
    parallel.all_reduce_sum([a, b])
    safetensors.torch.save_file({"a": a, "b": b}, out)


def test_a_helper_that_dies_ends_the_training_with_an_error(tiny_encoder):
    with (
        pytest.raises(RuntimeError),
        parallel.process_group(2, torch.device("cpu"), die),
    ):
        trained(tiny_encoder, [])
    assert parallel.size() == 1
