import copy
from statistics import fmean

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from fpplm_core.model.digest import weights_sha256
from fpplm_core.model.groups import Group
from fpplm_core.training.batch import tag_loss
from fpplm_core.training.loop import train_steps
from fpplm_core.training.techniques.fuzzy_regions.technique import (
    CLOSED,
    MEMORY,
    FuzzyRegions,
    FuzzyRegionState,
    probe,
    sensitivities,
)
from tests import tiny
from tests.tiny import batch_of, run, saved, start, step_of, tagger, weights

STEPS = 20
SETTINGS = tiny.changed(steps=STEPS)
SLOW = {"frozen_until": 0.2, "open_by": 0.6, "warmup": 0.2}
NAMES = ["block1", "block0", "embeddings"]
positive = st.floats(1e-6, 1e6)


def regions_of(count: int) -> FuzzyRegionState:
    return FuzzyRegionState([Group(f"g{n}", n + 1, [], {f"w{n}": nn.Parameter(torch.zeros(1))}) for n in range(count)])


def opening(state, technique, settings=SETTINGS):
    """The open groups of each step."""
    found = []
    for _ in train_steps(state, batch_of, {"fuzzy_regions": technique}, settings):
        found.append([group.name for group in state.groups if group.depth and group.name not in state.frozen])
    return found


@given(st.floats(0, 0.9), st.floats(0, 0.9), st.integers(1, 30), st.lists(st.floats(0, 1), min_size=2))
def test_groups_are_due_one_after_another(one, other, count, moments):
    technique = tiny.technique(FuzzyRegions, frozen_until=min(one, other), open_by=max(one, other))
    due = [technique.due(moment, count) for moment in sorted(moments)]
    assert due == sorted(due)
    for moment, number in zip(sorted(moments), due, strict=True):
        assert 0 <= number <= count
        assert (number == 0) == (moment < technique.frozen_until)
        assert number == count or moment < technique.open_by


def test_the_groups_between_are_evenly_spread():
    technique = tiny.technique(FuzzyRegions, frozen_until=0.1, open_by=0.5)
    assert [technique.due(moment, 5) for moment in (0.0, 0.11, 0.21, 0.31, 0.41, 0.5)] == [0, 1, 2, 3, 4, 5]


def test_a_closed_group_keeps_its_bits_and_everything_is_open_when_covered(tiny_encoder):
    technique = tiny.technique(FuzzyRegions, **SLOW)
    state = start(tiny_encoder, {"fuzzy_regions": technique}, SETTINGS)
    modules = {group.name: group.modules for group in state.groups}
    first = {name: [weights_sha256(module) for module in modules[name]] for name in NAMES}
    open_before: list[str] = []
    for report in train_steps(state, batch_of, {"fuzzy_regions": technique}, SETTINGS):
        opened = [name for name in NAMES if name not in state.frozen]
        assert opened == NAMES[: len(opened)] and set(open_before) <= set(opened)
        assert len(opened) == technique.due(report.step / STEPS, 3)
        for name in NAMES:
            same = [weights_sha256(module) for module in modules[name]] == first[name]
            assert same == (name not in opened)
            assert all(module.training == (name in opened) for top in modules[name] for module in top.modules())
        assert {"head", "extras"}.isdisjoint(state.frozen)
        assert bool(opened) == (report.step >= 0.2 * STEPS) and (len(opened) == 3) == (report.step >= 0.6 * STEPS)
        open_before = opened


def test_each_group_has_a_rise_of_its_own(tiny_encoder):
    technique = tiny.technique(FuzzyRegions, **SLOW)
    active = {"fuzzy_regions": technique}
    plain, state = start(tiny_encoder, settings=SETTINGS), start(tiny_encoder, active, SETTINGS)
    steps = zip(train_steps(plain, batch_of, {}, SETTINGS), train_steps(state, batch_of, active, SETTINGS), strict=True)
    opened_at = {"block1": 4, "block0": 8, "embeddings": 12}
    for number, _ in enumerate(steps):
        rates = [{r["group"].name: r["lr"] for r in s.optimizer.param_groups} for s in (plain, state)]
        assert rates[1]["head"] == rates[0]["head"]
        for name, at in opened_at.items():
            wanted = min(1.0, max(0, number - at + 1) / (0.2 * STEPS))
            assert rates[1][name] == pytest.approx(wanted * rates[0][name])


@given(st.lists(st.lists(positive, min_size=2, max_size=2), min_size=1, max_size=40))
def test_fuzziness_is_that_of_the_formula(values):
    regions = regions_of(3)
    for pair in values:
        regions.measure({f"g{n}": torch.tensor(value) for n, value in enumerate(pair)})
    for n in range(2):
        importance, variation, first = 0.0, 0.0, 0.0
        for number, value in enumerate(float(torch.tensor(pair[n])) for pair in values):
            memory = min(number / (number + 1), MEMORY)  # a plain mean at first
            importance = memory * importance + (1 - memory) * value
            variation = memory * variation + (1 - memory) * abs(value - importance)
            if number < 10:
                first = variation / importance
        assert regions.fuzziness()[f"g{n}"] == pytest.approx(variation / importance)
        assert float(regions.first[n]) == pytest.approx(first)
    assert regions.fuzziness()["g2"] == 0.0
    early = [fmean(pair[0] for pair in values[: n + 1]) for n in range(len(values))]
    if len(values) <= 20:
        assert float(regions.importance[0]) == pytest.approx(early[-1], rel=1e-5)


@given(st.lists(positive, min_size=1, max_size=30), st.sampled_from([2.0**-20, 0.5, 4.0, 2.0**30]))
def test_fuzziness_does_not_depend_on_the_scale_of_the_loss(values, scale):
    one, other = regions_of(1), regions_of(1)
    for value in values:
        one.measure({"g0": torch.tensor(value, dtype=torch.float64)})
        other.measure({"g0": torch.tensor(value * scale, dtype=torch.float64)})
    assert one.fuzziness() == other.fuzziness()


def test_a_steady_group_is_settled_and_a_restless_one_fuzzy():
    regions = regions_of(2)
    for number in range(200):
        regions.measure({"g0": torch.tensor(3.0), "g1": torch.tensor(0.1 if number % 2 else 6.0)})
    found = regions.fuzziness()
    assert found["g0"] == pytest.approx(0.0, abs=1e-12) and found["g1"] > 0.8


def test_sensitivities_are_mean_products_of_weight_and_gradient():
    parameters = {"a": torch.tensor([1.0, -2.0]), "b": torch.tensor([[3.0]]), "c": torch.ones(4)}
    gradients = {"a": torch.tensor([-4.0, 5.0]), "b": torch.tensor([[0.5]])}
    found = sensitivities(parameters, gradients, {"one": ["a", "b"], "two": ["c"]})
    assert set(found) == {"one"} and float(found["one"]) == pytest.approx((4 + 10 + 1.5) / 3)


def test_a_probe_measures_the_closed_groups_and_leaves_nothing_behind(tiny_encoder):
    model = tagger(tiny_encoder).eval()
    members = {group.name: list(group.parameters) for group in model.groups() if group.depth}
    parameters = dict(model.named_parameters())
    twin = copy.deepcopy(model)
    step = step_of(twin, batch_of(0))
    loss = tag_loss(step.logits, step.batch.labels)
    names = [name for own in members.values() for name in own]
    values = torch.autograd.grad(loss, [twin.get_parameter(name) for name in names], allow_unused=True)
    gradients = {name: value for name, value in zip(names, values, strict=True) if value is not None}
    wanted = sensitivities({n: p.detach() for n, p in parameters.items()}, gradients, members)
    for name in [*members["block0"], *members["embeddings"]]:
        parameters[name].requires_grad_(False)
    flags = {name: p.requires_grad for name, p in parameters.items()}
    with torch.no_grad():
        before = weights_sha256(model)
        found = probe(step_of(model, batch_of(0)), members)
    assert {name: float(value) for name, value in found.items()} == pytest.approx(
        {name: float(wanted[name]) for name in ("block0", "embeddings")}, rel=1e-4
    )
    assert all(float(value) > 0 and not value.requires_grad for value in found.values())
    assert all(p.grad is None for p in parameters.values())
    assert {name: p.requires_grad for name, p in parameters.items()} == flags
    assert weights_sha256(model) == before


@pytest.mark.parametrize("bfloat16", [False, True])
def test_probing_changes_nothing_until_a_group_opens(tiny_encoder, bfloat16):
    ends = []
    for order in ("top_down", "fuzziest"):
        technique = tiny.technique(FuzzyRegions, **SLOW, order=order)
        settings = tiny.changed(steps=STEPS, bfloat16=bfloat16)
        state = start(tiny_encoder, {"fuzzy_regions": technique}, settings)
        steps = train_steps(state, batch_of, {"fuzzy_regions": technique}, settings)
        for _ in range(4):
            next(steps)
            assert all(p.grad is None for p in state.parameters().values())
            assert not any(p.requires_grad for group in state.groups[1:4] for p in group.parameters.values())
        ends.append(weights(state))
        measured = state.modules("fuzzy_regions")["regions"].measured.tolist()
        assert measured == ([4.0] * 3 if order == "fuzziest" else [0.0] * 3)
    assert ends[0] == ends[1]


def test_the_fuzziest_group_opens_first(tiny_encoder):
    technique = tiny.technique(FuzzyRegions, **SLOW, order="fuzziest", probes=3)
    state = start(tiny_encoder, {"fuzzy_regions": technique}, SETTINGS)
    regions = state.modules("fuzzy_regions")["regions"]
    steps = train_steps(state, batch_of, {"fuzzy_regions": technique}, SETTINGS)
    for _ in range(4):
        next(steps)
    assert regions.measured.tolist() == [3.0] * 3
    scores = regions.fuzziness()
    assert len(set(scores.values())) == 3
    for _ in steps:
        pass
    opened = regions.opened_at()
    assert sorted(opened, key=opened.get) == sorted(scores, key=scores.get, reverse=True)
    assert sorted(opened.values()) == [4, 8, 12]


def test_groups_open_in_the_order_of_fuzziness_whatever_it_is():
    regions = regions_of(3)
    for values in ((1.0, 1.0, 1.0), (1.0, 9.0, 2.0), (1.0, 1.0, 2.0)):
        regions.measure({f"g{n}": torch.tensor(value) for n, value in enumerate(values)})
    regions.sort()
    regions.open(1, 5)
    assert regions.opened_at() == {"g0": CLOSED, "g1": 5, "g2": CLOSED}
    regions.open(2, 6)
    regions.open(2, 7)
    assert regions.opened_at() == {"g0": CLOSED, "g1": 5, "g2": 6}


def test_settled_groups_let_the_next_one_in_early(tiny_encoder):
    settings = tiny.changed(steps=24)
    openings = {}
    for moment, settled in (("schedule", 0.5), ("settled", 1e-9), ("settled", 1e9)):
        technique = tiny.technique(
            FuzzyRegions, frozen_until=0.1, open_by=0.9, warmup=0.1, moment=moment, settled=settled
        )
        state = start(tiny_encoder, {"fuzzy_regions": technique}, settings)
        opened = opening(state, technique, settings)
        at = state.modules("fuzzy_regions")["regions"].opened_at()
        assert opened == [[name for name in NAMES if at[name] <= step] for step in range(24)]
        openings[moment, settled] = list(at.values())
    assert openings["schedule", 0.5] == openings["settled", 1e-9] == [3, 12, 22]
    # More than ten steps after it opened the first one counts; from then on one a step.
    assert openings["settled", 1e9] == [3, 12, 15]


@pytest.mark.parametrize("order", ["top_down", "fuzziest"])
@pytest.mark.parametrize("moment", ["schedule", "settled"])
def test_a_run_resumed_in_the_midst_of_a_stage_equals_the_uncut_one(tiny_encoder, order, moment):
    technique = tiny.technique(
        FuzzyRegions, frozen_until=0.1, open_by=0.9, warmup=0.3, order=order, moment=moment, settled=1e9
    )
    active = {"fuzzy_regions": technique}
    whole = saved(run(tiny_encoder, active, SETTINGS))
    kept, done = b"", 0
    for cut in (1, 4, 14, 15, STEPS):
        state = start(tiny_encoder, active, SETTINGS)
        if kept:
            state.restore(safetensors.torch.load(kept))
        steps = train_steps(state, batch_of, active, SETTINGS, done)
        while done < cut:
            next(steps)
            done += 1
        steps.close()
        kept = saved(state)
    assert kept == whole


def test_the_coverage_table_has_a_row_for_each_group(tiny_encoder):
    technique = tiny.technique(FuzzyRegions, **SLOW)
    state = start(tiny_encoder, {"fuzzy_regions": technique}, SETTINGS)
    table = technique.findings(state.modules("fuzzy_regions"))["coverage"]
    assert [(row["group"], row["opened_at_step"]) for row in table] == [(name, CLOSED) for name in NAMES]
    opening(state, technique)
    table = technique.findings(state.modules("fuzzy_regions"))["coverage"]
    assert [(row["group"], row["opened_at_step"]) for row in table] == list(zip(NAMES, (4, 8, 12), strict=True))
    assert all(row["fuzziness"] > 0 and row["fuzziness_first"] > 0 for row in table)
