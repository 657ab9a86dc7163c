import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from fpplm_core.training.loop import train_steps
from fpplm_core.training.technique import StepContext
from fpplm_core.training.techniques.resampling.technique import (
    CUT,
    LEAST,
    MOST,
    OscillationGuard,
    Resampling,
    RowSignals,
    inclusion,
)
from tests import tiny
from tests.tiny import SETTINGS, batch_of, run, start, weights

ALWAYS = {"dense_until": 0.0, "dense_from": 1.0}
signals = st.lists(st.one_of(st.just(0.0), st.floats(2.0**-100, 2.0**100, width=32)), min_size=1, max_size=20)


@given(signals, st.floats(0.01, 1), st.floats(0, 2), st.floats(0.01, 1))
def test_chances_lie_between_the_floor_and_one_and_follow_the_signal(values, share, proportion, floor):
    signal = torch.tensor(values)
    chances = inclusion(signal, share, proportion, floor)
    assert chances.dtype == signal.dtype
    assert ((chances >= torch.tensor(floor)) & (chances <= 1)).all()
    in_order = chances[torch.argsort(signal)]
    assert (in_order.diff() >= 0).all()


@given(st.integers(1, 20), st.floats(0.01, 1), st.floats(0, 2))
def test_a_matrix_without_any_signal_has_the_share_throughout(rows, share, proportion):
    assert inclusion(torch.zeros(rows), share, proportion, 0.001).tolist() == pytest.approx([share] * rows, rel=1e-5)


@given(st.lists(st.floats(0.5, 2.0), min_size=1, max_size=30), st.floats(0.1, 0.4), st.floats(0, 1))
def test_as_many_rows_as_the_share_says_are_drawn_where_nothing_is_clipped(values, share, proportion):
    chances = inclusion(torch.tensor(values), share, proportion, 0.001)
    assert chances.max() < 1 or max(values) / min(values) > 2
    if chances.max() < 1:
        assert float(chances.sum()) == pytest.approx(share * len(values), rel=1e-4)


def test_chances_are_those_of_the_formula():
    signal = torch.tensor([1.0, 4.0, 9.0, 400.0])
    mean = (1 + 2 + 3 + 20) / 4
    wanted = [0.2, max(0.2, 0.5 * 2 / mean), max(0.2, 0.5 * 3 / mean), 1.0]
    assert inclusion(signal, 0.5, 0.5, 0.2).tolist() == pytest.approx(wanted)


def test_what_is_not_resampled_is_dense_bit_for_bit(tiny_encoder):
    plain = weights(run(tiny_encoder))
    for block in ({"share": 1.0}, {"floor": 1.0}, {"dense_until": 1.0}, {"dense_until": 0.6, "dense_from": 0.5}):
        technique = tiny.technique(Resampling, **{**ALWAYS, **block})
        assert weights(run(tiny_encoder, {"resampling": technique})) == plain, block


def test_one_step_is_the_dense_one_scaled_row_by_row(tiny_encoder):
    """Rows of chance 1 equal it bit for bit, rows that are not drawn keep their bits, moments are the dense ones."""
    technique = tiny.technique(Resampling, share=0.4, proportion=1.0, floor=0.05, **ALWAYS)
    dense, sampled = start(tiny_encoder), start(tiny_encoder, {"resampling": technique})
    before = {name: p.detach().clone() for name, p in dense.parameters().items()}
    next(train_steps(dense, batch_of, {}, SETTINGS))
    next(train_steps(sampled, batch_of, {"resampling": technique}, SETTINGS))
    rows: RowSignals = sampled.modules("resampling")["rows"]
    blocks = {n for n, p in before.items() if ".layer." in n and p.ndim == 2}
    assert set(rows.names) == blocks and blocks
    kinds = {"whole": 0, "kept": 0, "scaled": 0, "capped": 0}
    for name, old in before.items():
        new, wanted = sampled.parameters()[name].detach(), dense.parameters()[name].detach()
        if name not in blocks:
            assert torch.equal(new, wanted), name
            continue
        chances = inclusion(rows.signals()[name], 0.4, 1.0, 0.05)
        for row, chance in enumerate(chances.tolist()):
            if chance == 1.0:
                kinds["whole"] += 1
                assert torch.equal(new[row], wanted[row])
            elif torch.equal(new[row], old[row]):
                kinds["kept"] += 1
            else:
                kinds["scaled" if chance > 1 / MOST else "capped"] += 1
                step = min(1 / chance, MOST) * (wanted[row] - old[row])
                assert torch.allclose(new[row], old[row] + step, rtol=1e-5, atol=1e-7)
    assert all(kinds.values()), kinds
    moments = dense.tensors()
    for name, value in sampled.tensors().items():
        if name.startswith("optimizer."):
            assert torch.equal(value, moments[name]), name


def test_moments_see_every_gradient(tiny_encoder):
    technique = tiny.technique(Resampling, share=0.1, floor=0.01, **ALWAYS)
    state = start(tiny_encoder, {"resampling": technique})
    for _ in train_steps(state, batch_of, {"resampling": technique}, SETTINGS):
        pass
    counts = {int(v) for n, v in state.tensors().items() if n.startswith("optimizer.step.") and ".layer." in n}
    assert counts == {SETTINGS.steps}
    for name, value in state.tensors().items():
        if name.startswith("optimizer.exp_avg_sq.") and ".layer." in name and value.ndim == 2 and "key" not in name:
            assert value.any(1).all(), name


def updates(technique: Resampling, gradient: torch.Tensor, steps: int) -> tuple[torch.Tensor, torch.Tensor]:
    """By what the rows of a matrix move in each of many steps whose dense update is 1, and their chances."""
    weight = nn.Parameter(torch.zeros_like(gradient))
    weight.grad = gradient
    modules = {"rows": RowSignals({"w": weight})}
    moved = []
    for step in range(steps):
        context = StepContext(step, steps, 5, "resampling", 1.0, modules)
        technique.before_update({"w": weight}, context)
        weight.data.fill_(1.0)
        technique.after_update({"w": weight}, context)
        moved.append(weight.detach()[:, 0].clone())
        weight.data.zero_()
    signal = modules["rows"].signals()["w"]
    assert technique.findings(modules)["mean share of rows updated"] == pytest.approx(
        float((torch.stack(moved) > 0).double().mean())
    )
    return torch.stack(moved), inclusion(signal, technique.share, technique.proportion, technique.floor)


def test_rows_are_drawn_by_their_chance_and_the_expected_update_is_the_dense_one():
    steps = 3000
    gradient = torch.linspace(0.2, 3.0, 16).unsqueeze(1).expand(-1, 3).contiguous()
    moved, chances = updates(
        tiny.technique(Resampling, share=0.6, proportion=0.5, floor=0.1, **ALWAYS), gradient, steps
    )
    assert (chances > 0.5).any() and (chances < 0.5).any() and (chances == 1).any()
    drawn = (moved > 0).double().mean(0)
    for row, chance in enumerate(chances.tolist()):
        error = 5 * math.sqrt(chance * (1 - chance) / steps) + 1e-6
        scale = min(1 / chance, MOST)
        assert abs(float(drawn[row]) - chance) <= error
        assert abs(float(moved[:, row].mean()) - min(1.0, MOST * chance)) <= scale * error
        assert all(value in (0.0, pytest.approx(scale, rel=1e-4)) for value in set(moved[:, row].tolist()))


def test_rows_and_matrices_are_drawn_one_by_one():
    technique = tiny.technique(Resampling, share=0.5, proportion=0.0, **ALWAYS)
    weights = {name: nn.Parameter(torch.zeros(64, 2)) for name in "ab"}
    modules = {"rows": RowSignals(weights)}
    drawn = []
    for step in range(2):
        context = StepContext(step, 4, 5, "resampling", 1.0, modules)
        for weight in weights.values():
            weight.grad = torch.ones_like(weight)
        technique.before_update(weights, context)
        for weight in weights.values():
            weight.data += 1.0
        technique.after_update(weights, context)
        for weight in weights.values():
            assert torch.equal(weight[:, 0], weight[:, 1])
            drawn.append((weight.detach()[:, 0] > 0).tolist())
            weight.data.zero_()
    assert len({tuple(rows) for rows in drawn}) == 4
    assert all(10 < sum(rows) < 54 for rows in drawn)


def test_the_signal_is_a_running_mean_and_a_frozen_matrix_stays_as_it_is():
    weights = {name: nn.Parameter(torch.ones(3, 2)) for name in ("open", "frozen")}
    technique, modules = tiny.technique(Resampling, **ALWAYS), {"rows": RowSignals(weights)}
    wanted = torch.zeros(3)
    for step in range(5):
        weights["open"].grad = torch.full((3, 2), float(step)) * torch.tensor([[1.0], [2.0], [3.0]])
        context = StepContext(step, 5, 5, "resampling", 1.0, modules)
        technique.before_update(weights, context)
        technique.after_update(weights, context)
        wanted = 0.99 * wanted + 0.01 * weights["open"].grad.square().sum(1)
    signals = modules["rows"].signals()
    assert torch.allclose(signals["open"], wanted) and not signals["frozen"].any()
    assert torch.equal(weights["frozen"], torch.ones(3, 2))


def test_sampling_begins_and_ends_at_its_moments(tiny_encoder):
    technique = tiny.technique(Resampling, share=0.3, floor=0.05, dense_until=0.25, dense_from=0.75)
    active = {"resampling": technique}
    plain, sampled = start(tiny_encoder), start(tiny_encoder, active)
    rows = sampled.modules("resampling")["rows"]
    before: dict[str, torch.Tensor] = {}
    steps = zip(
        train_steps(plain, batch_of, {}, SETTINGS), train_steps(sampled, batch_of, active, SETTINGS), strict=True
    )
    for number, _ in enumerate(steps):
        now = {name: sampled.parameters()[name].detach().clone() for name in rows.names}
        kept = any((now[name] == before[name]).all(1).any() for name in before)
        assert kept == (0.25 <= number / SETTINGS.steps < 0.75), number
        before = now
        if number < 3:
            assert all(torch.equal(p, plain.parameters()[name]) for name, p in sampled.parameters().items())


def test_the_guard_cuts_the_rate_where_updates_point_against_each_other():
    weight = nn.Parameter(torch.ones(4))
    guard = OscillationGuard({"w": weight})
    for number in range(60):
        guard.remember({"w": weight})
        weight.data += 1.0 if number % 2 else -1.0
        guard.cut_rate_if_oscillating({"w": weight}, 10)
    cuts = round(math.log(float(guard.factor)) / math.log(CUT))
    assert 3 <= cuts <= 6 and float(guard.factor) == pytest.approx(CUT**cuts)
    for _ in range(2000):
        guard.remember({"w": weight})
        weight.data *= -1.0
        guard.cut_rate_if_oscillating({"w": weight}, 10)
    assert float(guard.factor) == pytest.approx(LEAST)


def test_the_guard_leaves_a_steady_run_alone():
    weight = nn.Parameter(torch.zeros(400))
    guard = OscillationGuard({"w": weight})
    random = torch.Generator().manual_seed(1)
    for _ in range(300):
        guard.remember({"w": weight})
        weight.data += 0.1 + torch.randn(400, generator=random)
        guard.cut_rate_if_oscillating({"w": weight}, 10)
    assert float(guard.factor) == 1.0


def test_a_guard_that_never_fires_changes_nothing(tiny_encoder):
    plain, guarded = (
        tiny.weights(tiny.run(tiny_encoder, {"r": tiny.technique(Resampling, guard=n)})) for n in (0, 10_000)
    )
    assert plain == guarded
