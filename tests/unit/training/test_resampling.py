import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fpplm_core.training.loop import train_steps
from fpplm_core.training.state import TrainingState
from fpplm_core.training.technique import StepContext, Technique
from fpplm_core.training.techniques.resampling.technique import MEMORY, MOST, Resampling, draw, inclusion
from tests import tiny
from tests.tiny import SETTINGS, batch_of, changed, run, start, weights

ALWAYS = {"period": 1, "begin": 0.0}
signals = st.lists(st.one_of(st.just(0.0), st.floats(2.0**-100, 2.0**100)), min_size=1, max_size=20)


def groups_of(state: TrainingState) -> dict[str, dict[str, torch.Tensor]]:
    """Copies of the weights of the encoder's groups, from the top."""
    return {g.name: {n: p.detach().clone() for n, p in g.parameters.items()} for g in state.groups if g.depth}


@given(signals, st.floats(0.01, 1), st.floats(0, 2))
def test_chances_sum_to_the_share_and_follow_the_signal(values, share, proportion):
    signal = torch.tensor(values, dtype=torch.float64)
    chances = inclusion(signal, share, proportion)
    assert ((chances >= 0) & (chances <= 1)).all()
    assert float(chances.sum()) == pytest.approx(max(1.0, share * len(values)), rel=1e-9)
    assert (chances[torch.argsort(signal)].diff() >= 0).all()


@given(st.integers(1, 20), st.floats(0.05, 1), st.floats(0, 2))
def test_without_any_signal_all_chances_are_equal(count, share, proportion):
    assert inclusion(torch.zeros(count), share, proportion).tolist() == pytest.approx([max(1 / count, share)] * count)


def test_chances_are_those_of_the_formula():
    signal = torch.tensor([1.0, 4.0, 9.0, 400.0])
    assert inclusion(signal, 0.5, 0.5).tolist() == pytest.approx([1 / 6, 2 / 6, 3 / 6, 1.0])
    assert inclusion(signal, 0.5, 0.0).tolist() == [0.5] * 4


@given(signals, st.floats(0.05, 1), st.floats(0, 2))
def test_exactly_as_many_groups_are_drawn_as_the_chances_say(values, share, proportion):
    """For every start, and each group for a share of the starts that is its chance."""
    chances = inclusion(torch.tensor(values, dtype=torch.float64), share, proportion)
    starts = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    drawn = torch.stack([draw(chances, one) for one in starts]).double()
    counts, size = drawn.sum(1), float(chances.sum())
    assert counts.min() >= math.floor(size + 1e-9) and counts.max() <= math.ceil(size - 1e-9)
    assert torch.allclose(drawn.mean(0), chances, atol=3e-3)


def test_a_begin_at_the_end_is_the_plain_run_bit_for_bit(tiny_encoder):
    technique = tiny.technique(Resampling, **{**ALWAYS, "begin": 1.0})
    assert weights(run(tiny_encoder, {"resampling": technique})) == weights(run(tiny_encoder))


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_closed_groups_keep_their_bits_and_open_ones_move(tiny_encoder, share):
    active = {"resampling": tiny.technique(Resampling, blocks=share, proportion=0.0, **ALWAYS)}
    state = start(tiny_encoder, active)
    before, moments, opened = groups_of(state), state.tensors(), set()
    for _ in train_steps(state, batch_of, active, SETTINGS):
        now, own = groups_of(state), state.tensors()
        for group, members in now.items():
            moved = any(not torch.equal(value, before[group][name]) for name, value in members.items())
            assert moved == (group not in state.closed), group
            if group in state.closed:
                kept = [key for key in own if key.startswith("optimizer.") and key.split(".", 2)[2] in members]
                assert all(torch.equal(own[key], moments[key]) for key in kept)
        assert len(now) > len(state.closed)
        opened |= now.keys() - state.closed
        before, moments = now, {key: value.clone() for key, value in own.items()}
    assert opened == before.keys() and "head" not in state.closed


def test_a_drawn_step_equals_the_plain_one_with_the_other_groups_frozen_by_hand(tiny_encoder):
    """Bit for bit, at the rate 1/π; so dropout goes on in the blocks that are left out."""
    technique = tiny.technique(Resampling, blocks=0.4, proportion=0.0, **ALWAYS)

    class Scaled(Technique):
        def lr_scale(self, group, context):
            return min(MOST, 1 / 0.4) if group.depth else 1.0

    sampled, plain = start(tiny_encoder, {"resampling": technique}), start(tiny_encoder, {"scaled": Scaled()})
    next(train_steps(sampled, batch_of, {"resampling": technique}, changed(weight_decay=0.0)))
    assert sampled.closed and not sampled.frozen
    for group in plain.groups:
        for parameter in group.parameters.values():
            parameter.requires_grad_(group.name not in sampled.closed)
    next(train_steps(plain, batch_of, {"scaled": Scaled()}, changed(weight_decay=0.0)))
    for name, parameter in plain.parameters().items():
        assert torch.equal(parameter, sampled.parameters()[name]), name


def watch_gradients(state: TrainingState) -> set[str]:
    """Will hold the encoder's groups that a backward pass visits."""
    visited: set[str] = set()

    def watch(group: str, module: torch.nn.Module) -> None:
        def hook(_module, _inputs, output):
            if output.requires_grad:
                output.register_hook(lambda _gradient: visited.add(group))

        module.register_forward_hook(hook)

    for group in state.groups:
        if group.depth:  # the first module without children gets the gradient of its output
            watch(group.name, next(m for m in group.modules[0].modules() if not [*m.children()]))
    return visited


def test_the_backward_pass_ends_at_the_lowest_open_group(tiny_encoder):
    technique = tiny.technique(Resampling, blocks=0.2, proportion=0.0, **ALWAYS)
    state = start(tiny_encoder, {"resampling": technique})
    visited, ends = watch_gradients(state), []
    for _ in train_steps(state, batch_of, {"resampling": technique}, SETTINGS):
        lowest = max(group.depth for group in state.groups if group.name not in state.closed)
        assert visited == {group.name for group in state.groups if 0 < group.depth <= lowest}
        ends.append(lowest)
        visited.clear()
    reached = technique.findings(state.modules("resampling"))[
        "while only some blocks train: mean share of the blocks in the backward pass"
    ]
    assert len(set(ends)) > 1 and reached == pytest.approx(sum(ends) / len(ends) / (len(state.groups) - 1))


def test_an_attack_on_the_inputs_still_reaches_them(tiny_encoder):
    attack = {"adversarial": {"begin": 0.0, "full": 0.0, "input_every": 3, "input_until": 1.0}}
    active = tiny.build(["adversarial", "resampling"], **attack, resampling={"blocks": 0.2, **ALWAYS})
    state = start(tiny_encoder, active)
    visited, blocks = watch_gradients(state), {g.name for g in state.groups if g.name.startswith("block")}
    cut = 0
    for report in train_steps(state, batch_of, active, SETTINGS):
        cut += not blocks <= visited
        if report.step % 3 == 0:
            assert blocks <= visited and float(report.losses["adversarial.input"]) > 0
        visited.clear()
    assert cut


class Ladder(Technique):
    """Opens one more group in every third step, from the top."""

    def lr_scale(self, group, context):
        return 1.0 if group.depth <= 1 + context.step // 3 else 0.0


def test_only_groups_that_another_technique_has_opened_are_drawn(tiny_encoder):
    technique = tiny.technique(Resampling, blocks=0.01, **ALWAYS)
    active = {"ladder": Ladder(), "resampling": technique}
    state = start(tiny_encoder, active)
    for report in train_steps(state, batch_of, active, SETTINGS):
        trained = [group for group in state.groups if group.depth and group.name not in state.closed]
        assert len(trained) == 1 and trained[0].depth <= 1 + report.step // 3
        frozen = {group.name for group in state.groups if group.depth > 1 + report.step // 3}
        assert state.frozen == frozen
        for group in state.groups:
            assert all(module.training == (group.name not in frozen) for m in group.modules for module in m.modules())


def test_a_draw_lasts_for_its_period_from_the_begin_on(tiny_encoder):
    technique = tiny.technique(Resampling, blocks=0.3, proportion=0.0, period=3, begin=0.25)
    state, settings = start(tiny_encoder, {"resampling": technique}, changed(steps=20)), changed(steps=20)
    closed = [frozenset(state.closed) for _ in train_steps(state, batch_of, {"resampling": technique}, settings)]
    assert not any(closed[:5]) and all(closed[5:])
    assert all(len(set(closed[first : first + 3])) == 1 for first in range(5, 20, 3))
    assert len(set(closed[5:])) > 1


def test_findings_are_what_has_trained(tiny_encoder):
    """Recounted from the weights that changed."""
    technique = tiny.technique(Resampling, blocks=0.4, **{**ALWAYS, "period": 2, "begin": 0.25})
    state = start(tiny_encoder, {"resampling": technique})
    sizes = {group: sum(p.numel() for p in members.values()) for group, members in groups_of(state).items()}
    shares, before, trained = [], groups_of(state), dict.fromkeys(sizes, 0)
    for report in train_steps(state, batch_of, {"resampling": technique}, SETTINGS):
        now = groups_of(state)
        moved = {group: [n for n in now[group] if not torch.equal(now[group][n], before[group][n])] for group in now}
        if report.step >= 3:
            shares.append(sum(now[group][n].numel() for group in now for n in moved[group]) / sum(sizes.values()))
            trained = {group: number + bool(moved[group]) for group, number in trained.items()}
        before = now
    found = technique.findings(state.modules("resampling"))
    assert found["while only some blocks train: mean share of the encoder's weights updated"] == pytest.approx(
        sum(shares) / 9, abs=0.01
    )
    assert found["while only some blocks train: share of steps that trained"] == {
        group: number / 9 for group, number in trained.items()
    }
    assert 0 < found["while only some blocks train: mean share of the encoder's weights updated"] < 0.7


def test_the_signal_is_a_running_mean_of_unclipped_gradients_over_the_steps_in_which_the_group_was_open(tiny_encoder):
    technique, model = tiny.technique(Resampling), tiny.tagger(tiny_encoder)
    modules = technique.modules(model, torch.zeros(0))
    groups = [group for group in model.groups() if group.depth]
    parameters = dict(model.named_parameters())
    wanted, steps = [0.0] * len(groups), [0] * len(groups)
    for step in range(2 * MEMORY):
        clip = 1 / (1 + step % 3)
        for place, group in enumerate(groups):
            value = clip * step * (place + 1.0)
            for parameter in group.parameters.values():
                parameter.grad = torch.full_like(parameter, value) if step % (place + 1) == 0 else None
            if step % (place + 1) == 0:
                square = sum(p.numel() for p in group.parameters.values()) * (step * (place + 1.0)) ** 2
                steps[place] += 1
                wanted[place] += (square - wanted[place]) / min(steps[place], MEMORY)
        technique.before_update(parameters, StepContext(step, 2 * MEMORY, 5, "resampling", 1.0, modules, clip=clip))
    found = modules["signals"].of([group.name for group in groups])
    assert found.tolist() == pytest.approx(wanted, rel=1e-4)


def test_a_group_that_was_never_measured_counts_as_an_average_one(tiny_encoder):
    technique, model = tiny.technique(Resampling), tiny.tagger(tiny_encoder)
    own = technique.modules(model, torch.zeros(0))["signals"]
    names = list(own.members)
    assert own.of(names).tolist() == [1.0] * len(names)
    own.signal[:2], own.measured[:2] = torch.tensor([2.0, 6.0]), 1.0
    assert own.of(names).tolist() == [2.0, 6.0, *[4.0] * (len(names) - 2)]
    assert own.of(names[1:2]).tolist() == [6.0]


def test_rates_rise_by_the_inverse_chance_up_to_the_most(tiny_encoder):
    for share, wanted in ((0.8, 1 / 0.8), (0.4, MOST)):
        technique = tiny.technique(Resampling, blocks=share, proportion=0.0, **ALWAYS)
        state = start(tiny_encoder, {"resampling": technique})
        context = StepContext(0, 12, 3, "resampling", 1.0, state.modules("resampling"))
        scales = technique.sampled_scales(state.groups, context)
        assert {"head", "extras"}.isdisjoint(scales)
        assert all(scale in (0.0, pytest.approx(wanted)) for scale in scales.values())
        assert any(scales.values())


def test_the_average_follows_closed_weights_too(tiny_encoder):
    active = {"resampling": tiny.technique(Resampling, blocks=0.2, **ALWAYS)}
    state = start(tiny_encoder, active)
    before = {name: value.clone() for name, value in state.average.items()}
    for _ in train_steps(state, batch_of, active, SETTINGS):
        now = state.parameters()
        for name, value in state.average.items():
            low, high = torch.minimum(before[name], now[name]), torch.maximum(before[name], now[name])
            assert ((value >= low - 1e-6) & (value <= high + 1e-6)).all()
            before[name] = value.clone()
