"""What every technique keeps to, each by itself and all together, with the settings of params.yaml."""

import json
import random
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime
import pytest
import safetensors.torch
import torch

from fpplm_core.errors import ParamsError
from fpplm_core.export.onnx import export_fp32, export_second
from fpplm_core.model.digest import weights_sha256
from fpplm_core.training import techniques
from fpplm_core.training.loop import train_steps
from fpplm_core.training.state import LoopSettings
from fpplm_core.training.technique import Technique
from tests import tiny
from tests.tiny import SETTINGS, batch_of, run, saved, start, weights

NAMES = techniques.names()
CHOICES = {**{name: [name] for name in NAMES}, "all": NAMES}
NEUTRAL: dict[str, dict[str, Any]] = {
    "multi_task": {"pair": 0, "presence": 0, "neighbours": 0, "boundary": 0, "anchor": 0},
    "resampling": {"blocks": 1},
    "fuzzy_regions": {"open_by": 0, "warmup": 0},
    "filter_pooling": {"rate": 0, "cutoff": 0},
    "adversarial": {"epsilon": 0, "rival_budget": 0, "consistency": 0, "label_correction": 0},
}
OTHERS: dict[str, list[dict[str, Any]]] = {
    "multi_task": [{"pair_kind": "crf"}, {"weights": "uncertainty"}],
    "fuzzy_regions": [{"order": "fuzziest", "moment": "settled", "open_by": 0.9, "settled": 9.0}],
    "adversarial": [{"label_correction": 0.7, "begin": 0.0, "full": 0.0, "input_every": 1}],
    "label_lm": [{"feedback": 5.0, "bias": 0.0}],
    "filter_pooling": [{"begin": 0.0, "full": 0.0, "fade": 1.0}],
    "resampling": [{"period": 2, "begin": 0.0, "proportion": 2.0}],
}
CUTS = (1, 3, 7, 8)
VARIANTS = [(name, block) for name, blocks in OTHERS.items() for block in blocks]


class End(NamedTuple):
    """What a run came to; `losses` by step."""

    all: bytes
    tagger: bytes
    losses: list[dict[str, float]]
    findings: list[dict[str, Any]]


@cache
def end(folder: Path, name: str, bfloat16: bool = False) -> End:
    """The end of an uncut run with the settings of params.yaml."""
    active, settings = tiny.build(CHOICES.get(name, [])), tiny.changed(bfloat16=bfloat16)
    state = start(folder, active, settings)
    losses = [
        {key: float(value) for key, value in report.losses.items()}
        for report in train_steps(state, batch_of, active, settings)
    ]
    found = [technique.findings(state.modules(own)) for own, technique in active.items()]
    return End(saved(state), weights(state), losses, found)


def in_pieces(
    folder: Path, active: dict[str, Technique], settings: LoopSettings = SETTINGS, cuts: Iterable[int] = CUTS
) -> bytes:
    """The end of a run that is cut after these numbers of steps, and taken up from its file each time."""
    kept, done = b"", 0
    for cut in [*cuts, settings.steps]:
        state = start(folder, active, settings)
        if kept:
            state.restore(safetensors.torch.load(kept))
        steps = train_steps(state, batch_of, active, settings, done)
        while done < cut:
            assert next(steps).step == done
            done += 1
        steps.close()
        kept = saved(state)
    return kept


def test_params_yaml_has_a_block_for_every_technique_and_switches_all_on():
    assert set(tiny.SECTION) == {*NAMES, "active"}
    assert sorted(tiny.SECTION["active"]) == NAMES
    assert all(set(tiny.SECTION[name]) == set(kind.model_fields) for name, kind in techniques.settings().items())


@pytest.mark.parametrize("name", CHOICES)
def test_a_resumed_run_equals_the_uncut_one(tiny_encoder, name):
    assert in_pieces(tiny_encoder, tiny.build(CHOICES[name])) == end(tiny_encoder, name).all


def test_a_run_of_all_that_is_resumed_at_every_step_equals_the_uncut_one(tiny_encoder):
    assert in_pieces(tiny_encoder, tiny.build(NAMES), cuts=range(1, 12)) == end(tiny_encoder, "all").all


def test_a_resumed_run_of_all_in_bfloat16_equals_the_uncut_one(tiny_encoder):
    assert in_pieces(tiny_encoder, tiny.build(NAMES), tiny.changed(bfloat16=True)) == end(tiny_encoder, "all", True).all


@pytest.mark.parametrize(("name", "block"), VARIANTS)
def test_a_resumed_run_with_other_settings_equals_the_uncut_one(tiny_encoder, name, block):
    active = tiny.build([name], **{name: block})
    whole = run(tiny_encoder, active)
    assert all(value.isfinite().all() for value in whole.tensors().values())
    assert in_pieces(tiny_encoder, active) == saved(whole)


def test_the_listed_order_does_not_matter(tiny_encoder):
    assert saved(run(tiny_encoder, tiny.build(NAMES[::-1]))) == end(tiny_encoder, "all").all


def test_global_randomness_stays_where_it_was_and_does_not_matter(tiny_encoder):
    def states():
        numpy = np.random.get_state()
        return torch.get_rng_state().tolist(), random.getstate(), (numpy[1].tolist(), *numpy[2:])

    wanted, active = end(tiny_encoder, "all").all, tiny.build(NAMES)
    torch.rand(1)
    before = states()
    state = start(tiny_encoder, active)
    assert states() == before
    for _ in train_steps(state, batch_of, active, SETTINGS):
        assert states() == before
    assert saved(state) == wanted


@pytest.mark.parametrize(("name", "bfloat16"), [*((name, False) for name in CHOICES), ("all", True)])
def test_everything_stays_finite_and_the_run_is_not_the_plain_one(tiny_encoder, name, bfloat16):
    ended = end(tiny_encoder, name, bfloat16)
    assert all(np.isfinite(list(losses.values())).all() for losses in ended.losses)
    assert all(value.isfinite().all() for value in safetensors.torch.load(ended.all).values())
    assert {key.split(".")[0] for losses in ended.losses for key in losses} <= {"tag", *CHOICES[name]}
    assert ended.tagger != end(tiny_encoder, "none", bfloat16).tagger


@pytest.mark.parametrize("name", NEUTRAL)
def test_neutral_settings_are_the_plain_run_bit_for_bit(tiny_encoder, name):
    assert weights(run(tiny_encoder, tiny.build([name], **{name: NEUTRAL[name]}))) == end(tiny_encoder, "none").tagger


def test_all_neutral_settings_together_are_the_plain_run_bit_for_bit(tiny_encoder):
    assert weights(run(tiny_encoder, tiny.build(list(NEUTRAL), **NEUTRAL))) == end(tiny_encoder, "none").tagger


@pytest.mark.parametrize(
    ("name", "block"),
    [
        ("adversarial", {"begin": 0.5, "full": 0.5}),
        ("filter_pooling", {"begin": 0.5, "full": 0.5, "fade": 0.5}),
    ],
)
def test_what_rises_at_once_rises_at_its_moment(tiny_encoder, name, block):
    """Equal to a rise that is shorter than a step."""
    close = tiny.build([name], **{name: {**block, "begin": 0.4999}})
    assert weights(run(tiny_encoder, tiny.build([name], **{name: block}))) == weights(run(tiny_encoder, close))


class Still(Technique):
    """Freezes the lower half of the encoder all the time."""

    def lr_scale(self, group, context):
        return 0.0 if group.name in ("block0", "embeddings") else 1.0


@pytest.mark.parametrize("name", CHOICES)
def test_frozen_weights_keep_their_bits(tiny_encoder, name):
    active, settings = {**tiny.build(CHOICES[name]), "still": Still()}, tiny.changed(steps=7)
    state = start(tiny_encoder, active, settings)
    frozen = [module for group in state.groups if group.name in ("block0", "embeddings") for module in group.modules]
    before = [weights_sha256(module) for module in frozen]
    top = weights_sha256(state.groups[1].modules[0])
    for _ in train_steps(state, batch_of, active, settings):
        assert [weights_sha256(module) for module in frozen] == before
        assert not any(p.requires_grad for module in frozen for p in module.parameters())
        assert all(p.grad is None for p in state.parameters().values())
    assert weights_sha256(state.groups[1].modules[0]) != top


def test_the_exported_graph_has_nothing_of_any_technique(tiny_encoder, tmp_path):
    """After enough steps that every weight has moved: the exporter merges weights that are equal."""
    graphs = []
    for names in ([], NAMES):
        path = tmp_path / f"{len(names)}.onnx"
        export_fp32(run(tiny_encoder, tiny.build(names), tiny.changed(steps=6)).model, path, with_states=False)
        graph = onnx.load(str(path)).graph
        shapes = [(tensor.name, list(tensor.dims), tensor.data_type) for tensor in graph.initializer]
        nodes = [(node.op_type, list(node.input), list(node.output)) for node in graph.node]
        graphs.append((nodes, shapes, path.stat().st_size))
    assert graphs[0] == graphs[1]


def test_the_states_are_an_output_more_and_no_node_more(tiny_encoder, tmp_path):
    model, graphs = tiny.tagger(tiny_encoder), []
    for number, with_states in enumerate((False, True)):
        export_fp32(model, tmp_path / f"{number}.onnx", with_states)
        graphs.append(onnx.load(str(tmp_path / f"{number}.onnx")).graph)
    assert [node.op_type for node in graphs[0].node] == [node.op_type for node in graphs[1].node]
    assert [place.name for place in graphs[1].output] == ["logits", "states"]


def test_the_exported_label_lm_writes_what_the_trained_one_writes(tiny_encoder, tmp_path):
    active = tiny.build(NAMES)
    state = run(tiny_encoder, active)
    graphs = [graph for n, t in active.items() if (graph := t.second_graph(state.modules(n))) is not None]
    assert len(graphs) == 1
    decoder = graphs[0].module
    export_second(graphs[0], tmp_path / "lm.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "lm.onnx"))
    for seed, (rows, words) in enumerate([(1, 1), (3, 7), (2, 700)]):
        numbers = np.random.default_rng(seed)
        read = numbers.dirichlet(np.ones(len(tiny.LABELS)), (rows, words)).astype(np.float32)
        hidden, counted = numbers.random((2, rows, words)) < 0.5
        states = numbers.normal(size=(rows, words, 32)).astype(np.float32)
        with torch.no_grad():
            wanted = decoder(*map(torch.from_numpy, (read, hidden, states, counted))).numpy()
        (written,) = session.run(None, {"read": read, "hidden": hidden, "states": states, "counted": counted})
        assert np.abs(written - wanted).max() < 1e-4


@pytest.mark.parametrize("name", NAMES)
def test_phases_lie_in_the_run_and_a_neutral_technique_has_at_most_what_costs_nothing(name):
    for block in ({}, *OTHERS.get(name, [])):
        phases = tiny.build([name], **{name: block})[name].phases(100)
        assert phases
        assert all(0 <= begin <= end <= 1 for begin, end in phases.values())
    if name in ("multi_task", "resampling", "filter_pooling", "adversarial"):
        assert tiny.build([name], **{name: NEUTRAL[name]})[name].phases(100) == {}


def test_findings_are_plain_values(tiny_encoder):
    active = tiny.build(NAMES, multi_task={"weights": "uncertainty"})
    state = start(tiny_encoder, active)
    first = [technique.findings(state.modules(own)) for own, technique in active.items()]
    next(train_steps(state, batch_of, active, SETTINGS))
    second = [technique.findings(state.modules(own)) for own, technique in active.items()]
    for found in [*first, *second, *end(tiny_encoder, "all").findings]:
        assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert all(first)


def test_transitions_and_bias_fit_the_labels(tiny_encoder):
    count = len(tiny.LABELS)
    active = tiny.build(NAMES)
    state = start(tiny_encoder, active)
    for name, technique in active.items():
        learned = technique.transitions(state.modules(name))
        assert learned is None or (learned.shape == (count, count) and not learned.requires_grad)
        bias = technique.label_bias(torch.full((5, count), 1 / count), torch.arange(5))
        assert bias is None or (bias.shape == (count,) and bias.isfinite().all())


FIELDS = [(name, key) for name, kind in techniques.settings().items() for key in kind.model_fields]


@pytest.mark.parametrize("value", [-1, 1e6, "much", None, float("nan")])
@pytest.mark.parametrize(("name", "key"), FIELDS)
def test_a_wrong_setting_is_an_error_that_names_its_key(name, key, value):
    unbounded = {"width", "frozen_steps", "input_every", "settled", "period"}
    if value == 1e6 and key in unbounded:
        return
    for active in ([], [name]):
        with pytest.raises(ParamsError, match=rf"technique\.{name}\.{key}\b"):
            tiny.build(active, **{name: {key: value}})


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_setting_is_an_error_that_names_it_and_the_known_ones(name):
    with pytest.raises(ParamsError, match=rf"technique\.{name}\.no_such: unknown key") as caught:
        tiny.build([name], **{name: {"no_such": 1}})
    assert all(key in str(caught.value) for key in tiny.SECTION[name])


@pytest.mark.parametrize(
    ("name", "block"),
    [
        ("filter_pooling", {"begin": 0.3, "full": 0.2}),
        ("filter_pooling", {"full": 0.5, "fade": 0.4}),
        ("adversarial", {"begin": 0.5, "full": 0.4}),
    ],
)
def test_a_schedule_that_runs_backwards_is_an_error_that_names_its_ends(name, block):
    with pytest.raises(ParamsError, match=rf"technique\.{name}\b") as caught:
        tiny.build([name], **{name: block})
    assert all(key in str(caught.value) for key in block)


@pytest.mark.parametrize("name", NAMES)
def test_every_tensor_with_a_row_for_each_label_names_its_rows(name, tiny_encoder):
    """Otherwise a warm start with other labels would lose what it learned, or with a new order mix it up."""
    shapes = {}
    for types in (["X", "Y"], ["X", "Y", "Z"]):
        labels = tiny.label_list(types)
        model = tiny.tagger(tiny_encoder)
        model.blueprint = tiny.Blueprint(labels, tiny.FIRST_SHAPE, 4, ["a", *types])
        technique = tiny.build([name], multi_task={"second": 0.5})[name]
        pairs = torch.zeros(len(labels), len(labels))
        modules = technique.modules(model, pairs) | technique.unlabelled_modules(model)
        tensors = torch.nn.ModuleDict(modules).state_dict(keep_vars=True)
        axes = technique.label_axes(model.blueprint)
        for key, names in axes.items():
            if key in tensors:
                assert tuple(map(len, names)) == tuple(tensors[key].shape[: len(names)]), key
                assert all(len(set(own)) == len(own) for own in names), key
        shapes[len(types)] = {
            key: tensor.shape for key, tensor in tensors.items() if isinstance(tensor, torch.nn.Parameter)
        }
    assert shapes[2].keys() == shapes[3].keys()
    assert {key for key in shapes[2] if shapes[2][key] != shapes[3][key]} == {key for key in axes if key in shapes[3]}
