import copy
import math
from statistics import fmean

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from fpplm_core.model.digest import weights_sha256
from fpplm_core.model.groups import Group
from fpplm_core.training import gradients, loop
from fpplm_core.training.batch import tag_loss
from fpplm_core.training.loop import train_steps
from fpplm_core.training.technique import StepContext, Technique
from fpplm_core.training.techniques.fuzzy_regions import technique as fuzzy_regions
from fpplm_core.training.techniques.fuzzy_regions.technique import (
    CLOSED,
    FIRST,
    MEASURE_EVERY,
    MEMORY,
    PROBES,
    SETTLING,
    FuzzyRegions,
    FuzzyRegionState,
    probe,
    sensitivities,
)
from tests import tiny
from tests.tiny import batch_of, run, saved, start, step_of, tagger, weights

STEPS = 20
SETTINGS = tiny.changed(steps=STEPS)
SLOW = {"open_by": 0.6, "warmup": 0.2}
OPENED = {"block1": 0, "block0": 6, "embeddings": 12}  # under SLOW
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


@given(
    st.floats(0, 0.9),
    st.integers(1, 30),
    st.lists(st.integers(0, 99), min_size=2),
    st.sampled_from(["top_down", "fuzziest"]),
    st.sampled_from(["schedule", "settled"]),
)
def test_groups_are_due_one_after_another(open_by, count, steps, order, moment):
    technique = tiny.technique(FuzzyRegions, open_by=open_by, order=order, moment=moment)
    contexts = [StepContext(step, 100) for step in sorted(steps)]
    due = [technique.due(context, count) for context in contexts]
    assert due == sorted(due)
    for context, number in zip(contexts, due, strict=True):
        late = context.progress >= open_by
        assert number == count if late else 0 <= number <= (count if moment == "schedule" else 1)
        assert (number == 0) == (not late and order == "fuzziest" and context.step < PROBES)


def test_the_groups_between_are_evenly_spread():
    technique = tiny.technique(FuzzyRegions, open_by=0.4)
    assert [technique.due(StepContext(step, 100), 5) for step in (0, 11, 21, 31, 40)] == [1, 2, 3, 4, 5]


def test_a_closed_group_keeps_its_bits_and_everything_is_open_when_covered(tiny_encoder):
    technique = tiny.technique(FuzzyRegions, **SLOW)
    state = start(tiny_encoder, {"fuzzy_regions": technique}, SETTINGS)
    modules = {group.name: group.modules for group in state.groups}
    first = {name: [weights_sha256(module) for module in modules[name]] for name in NAMES}
    open_before: list[str] = []
    for report in train_steps(state, batch_of, {"fuzzy_regions": technique}, SETTINGS):
        opened = [name for name in NAMES if name not in state.frozen]
        assert opened == NAMES[: len(opened)] and set(open_before) <= set(opened)
        assert opened == [name for name in NAMES if OPENED[name] <= report.step]
        for name in NAMES:
            same = [weights_sha256(module) for module in modules[name]] == first[name]
            assert same == (name not in opened)
            assert all(module.training == (name in opened) for top in modules[name] for module in top.modules())
        assert {"head", "extras"}.isdisjoint(state.frozen)
        open_before = opened


def test_each_group_has_a_rise_of_its_own(tiny_encoder):
    technique = tiny.technique(FuzzyRegions, **SLOW)
    active = {"fuzzy_regions": technique}
    plain, state = start(tiny_encoder, settings=SETTINGS), start(tiny_encoder, active, SETTINGS)
    steps = zip(train_steps(plain, batch_of, {}, SETTINGS), train_steps(state, batch_of, active, SETTINGS), strict=True)
    for number, _ in enumerate(steps):
        rates = [{r["group"].name: r["lr"] for r in s.optimizer.param_groups} for s in (plain, state)]
        assert rates[1]["head"] == rates[0]["head"]
        for name, at in OPENED.items():
            wanted = min(1.0, max(0, number - at + 1) / (0.2 * STEPS))
            assert rates[1][name] == pytest.approx(wanted * rates[0][name])


@given(st.lists(st.lists(positive, min_size=2, max_size=2), min_size=1, max_size=40))
def test_fuzziness_is_that_of_the_formula(values):
    regions = regions_of(3)
    for pair in values:
        regions.measure(torch.tensor([*pair, math.nan]))
    for n in range(2):
        importance, variation, first = 0.0, 0.0, 0.0
        for number, value in enumerate(float(torch.tensor(pair[n])) for pair in values):
            if number:
                memory = min((number - 1) / number, MEMORY)  # a plain mean at first
                variation = memory * variation + (1 - memory) * abs(value - importance)
            memory = min(number / (number + 1), MEMORY)
            importance = memory * importance + (1 - memory) * value
            if number < FIRST:
                first = variation / importance
        assert regions.fuzziness()[n] == pytest.approx(variation / importance)
        assert float(regions.first[n]) == pytest.approx(first)
    assert regions.fuzziness()[2] == regions.measured[2] == regions.first[2] == 0.0
    if len(values) <= 10:
        assert float(regions.importance[0]) == pytest.approx(fmean(pair[0] for pair in values), rel=1e-5)


@given(st.lists(positive, min_size=1, max_size=30), st.sampled_from([2.0**-20, 0.5, 4.0, 2.0**30]))
def test_fuzziness_does_not_depend_on_the_scale_of_the_loss(values, scale):
    one, other = regions_of(1), regions_of(1)
    for value in values:
        one.measure(torch.tensor([value], dtype=torch.float64))
        other.measure(torch.tensor([value * scale], dtype=torch.float64))
    assert one.fuzziness() == other.fuzziness()


def test_a_steady_group_is_settled_and_a_restless_one_fuzzy():
    regions = regions_of(2)
    for number in range(200):
        regions.measure(torch.tensor([3.0, 0.1 if number % 2 else 6.0]))
    found = regions.fuzziness()
    assert found[0] == pytest.approx(0.0, abs=1e-12) and found[1] > 0.8


def test_sensitivities_are_mean_products_of_weight_and_gradient():
    parameters = {"a": torch.tensor([1.0, -2.0]), "b": torch.tensor([[3.0]]), "c": torch.ones(4)}
    gradients = {"a": torch.tensor([-4.0, 5.0]), "b": torch.tensor([[0.5]])}
    found = sensitivities(parameters, gradients, [["a", "b"], ["c"]])
    assert float(found[0]) == pytest.approx((4 + 10 + 1.5) / 3) and found[1].isnan()


@pytest.mark.parametrize("moment", ["schedule", "settled"])
def test_nothing_is_read_from_the_device_where_nothing_can_open(moment):
    """On the meta device nothing can be read."""
    technique = tiny.technique(FuzzyRegions, **SLOW, moment=moment)
    regions = regions_of(3).to("meta")
    parameters = {f"w{n}": nn.Parameter(torch.ones(4, device="meta")) for n in range(3)}
    for parameter in parameters.values():
        parameter.grad = torch.ones(4, device="meta")
    for step in range(STEPS if moment == "schedule" else SETTLING):
        context = StepContext(step, STEPS, modules={"regions": regions})
        for name in regions.names:
            technique.lr_scale(Group(name, 1, [], {}), context)
        technique.before_update(parameters, context)
    assert regions.measured.is_meta and regions.opened[0] == 0
    with pytest.raises(NotImplementedError):
        regions.fuzziness()


def test_a_probe_measures_the_closed_groups_and_leaves_nothing_behind(tiny_encoder):
    model = tagger(tiny_encoder).eval()
    members = [list(group.parameters) for group in model.groups() if group.depth]
    parameters = dict(model.named_parameters())
    twin = copy.deepcopy(model)
    step = step_of(twin, batch_of(0))
    loss = tag_loss(step.logits, step.batch.labels)
    names = [name for own in members for name in own]
    values = torch.autograd.grad(loss, [twin.get_parameter(name) for name in names], allow_unused=True)
    gradients = {name: value for name, value in zip(names, values, strict=True) if value is not None}
    wanted = sensitivities({n: p.detach() for n, p in parameters.items()}, gradients, members)
    for name in [*members[1], *members[2]]:
        parameters[name].requires_grad_(False)
    flags = {name: p.requires_grad for name, p in parameters.items()}
    with torch.no_grad():
        before = weights_sha256(model)
        found = probe(step_of(model, batch_of(0)), members)
    assert found.isnan().tolist() == [True, False, False] and not found.requires_grad
    assert torch.allclose(found[1:], wanted[1:], rtol=1e-4) and (found[1:] > 0).all()
    assert all(p.grad is None for p in parameters.values())
    assert {name: p.requires_grad for name, p in parameters.items()} == flags
    assert weights_sha256(model) == before


class Locked(Technique):
    """Freezes the encoder for the first steps."""

    def lr_scale(self, group, context):
        return 0.0 if group.depth and context.step < PROBES else 1.0


@pytest.mark.parametrize("bfloat16", [False, True])
def test_probing_changes_nothing_until_a_group_opens(tiny_encoder, bfloat16):
    ends, settings = [], tiny.changed(steps=STEPS, bfloat16=bfloat16)
    for active in (
        {"fuzzy_regions": tiny.technique(FuzzyRegions, **SLOW, order="fuzziest")},
        {"fuzzy_regions": tiny.technique(FuzzyRegions, **SLOW), "locked": Locked()},
    ):
        state = start(tiny_encoder, active, settings)
        steps = train_steps(state, batch_of, active, settings)
        for _ in range(PROBES):
            next(steps)
            assert all(p.grad is None for p in state.parameters().values())
            assert not any(p.requires_grad for group in state.groups[1:4] for p in group.parameters.values())
        ends.append(weights(state))
        measured = state.modules("fuzzy_regions")["regions"].measured.tolist()
        assert measured == [0.0 if "locked" in active else PROBES] * 3
    assert ends[0] == ends[1]


@pytest.mark.parametrize("clip_norm", [1e9, 1e-3])
def test_clipping_does_not_change_what_is_measured(tiny_encoder, monkeypatch, clip_norm):
    monkeypatch.setattr(gradients, "CLIP_NORM", clip_norm)
    monkeypatch.setattr(fuzzy_regions, "MEASURE_EVERY", 1)
    active = {"fuzzy_regions": tiny.technique(FuzzyRegions, open_by=0)}
    state = start(tiny_encoder, active, SETTINGS)
    parameters = {name: p.detach().clone() for name, p in state.parameters().items()}
    members = state.modules("fuzzy_regions")["regions"].members
    raw = []
    monkeypatch.setattr(
        loop, "exchange_gradients", lambda _: raw.append({n: p.grad.clone() for n, p in state.parameters().items()})
    )
    next(train_steps(state, batch_of, active, SETTINGS))
    wanted = sensitivities(parameters, raw[0], members).double()
    assert torch.allclose(state.modules("fuzzy_regions")["regions"].importance, wanted, rtol=1e-4)


@pytest.mark.parametrize("open_by", [0, 0.2, 0.6], ids=["no probes", "four", "eight"])
def test_the_statistics_of_the_probes_end_with_them(tiny_encoder, open_by):
    active = {"fuzzy_regions": tiny.technique(FuzzyRegions, open_by=open_by, order="fuzziest")}
    state = run(tiny_encoder, active, SETTINGS)
    regions = state.modules("fuzzy_regions")["regions"]
    measured = [sum(at <= step for step in (4, 9, 14, 19)) for at in regions.opened]
    assert regions.measured.tolist() == measured


def test_the_fuzziest_group_opens_first(tiny_encoder):
    technique = tiny.technique(FuzzyRegions, **SLOW, order="fuzziest")
    state = start(tiny_encoder, {"fuzzy_regions": technique}, SETTINGS)
    regions = state.modules("fuzzy_regions")["regions"]
    steps = train_steps(state, batch_of, {"fuzzy_regions": technique}, SETTINGS)
    for _ in range(PROBES):
        next(steps)
    scores = regions.fuzziness()
    assert len(set(scores)) == 3
    for _ in steps:
        pass
    wanted = sorted(range(3), key=lambda place: -scores[place])
    assert sorted(range(3), key=lambda place: regions.opened[place]) == wanted
    assert sorted(regions.opened) == [PROBES, PROBES, 12]  # by then the schedule has two open


def test_groups_open_in_the_order_of_fuzziness_whatever_it_is():
    regions = regions_of(3)
    for values in ((1.0, 1.0, 1.0), (1.0, 9.0, 2.0), (1.0, 1.0, 2.0)):
        regions.measure(torch.tensor(values))
    regions.sort()
    regions.open(1, 5)
    assert regions.opened == [CLOSED, 5, CLOSED]
    regions.open(2, 6)
    regions.open(2, 7)
    assert regions.opened == [CLOSED, 5, 6]


@pytest.mark.parametrize(("settled", "wanted"), [(1e-9, [0, 36, 36]), (1e9, [0, 15, 30])])
def test_the_open_groups_settle_before_the_next_opens(tiny_encoder, settled, wanted):
    settings = tiny.changed(steps=40)
    technique = tiny.technique(FuzzyRegions, open_by=0.9, warmup=0.1, moment="settled", settled=settled)
    state = start(tiny_encoder, {"fuzzy_regions": technique}, settings)
    opened = opening(state, technique, settings)
    at = state.modules("fuzzy_regions")["regions"].opened
    assert at == wanted
    assert opened == [[name for name, own in zip(NAMES, at, strict=True) if own <= step] for step in range(40)]


def test_the_next_group_opens_at_the_first_measurement_that_finds_the_open_ones_settled():
    technique = tiny.technique(FuzzyRegions, open_by=0.9, moment="settled", settled=0.2)
    regions = regions_of(3)
    weights = {f"w{n}": nn.Parameter(torch.ones(1)) for n in range(3)}
    for step in range(400):
        context = StepContext(step, 1000, modules={"regions": regions})
        technique.lr_scale(Group("g0", 1, [], {}), context)
        # Restless for 50 steps, then as steady as can be; one at a time, because a closed group has no gradient.
        size = 10.0 if step < 50 and step // MEASURE_EVERY % 2 else 1.0
        for n, weight in enumerate(weights.values()):
            weight.grad = torch.full((1,), size) if regions.opened[n] != CLOSED else None
        before = list(regions.opened)
        technique.before_update(weights, context)
        if regions.opened != before:
            scores = [f for f, at in zip(regions.fuzziness(), before, strict=True) if at != CLOSED]
            assert sorted(scores)[len(scores) // 2] < 0.2 and step > 50
            assert step - max(before) >= SETTLING and regions.opened.count(CLOSED) == before.count(CLOSED) - 1
    assert CLOSED not in regions.opened and regions.opened == sorted(set(regions.opened))


@pytest.mark.parametrize(("order", "moment"), [("fuzziest", "schedule"), ("top_down", "settled")])
def test_a_run_resumed_in_the_midst_of_a_stage_equals_the_uncut_one(tiny_encoder, order, moment):
    technique = tiny.technique(FuzzyRegions, open_by=0.9, warmup=0.3, order=order, moment=moment, settled=1e9)
    active = {"fuzzy_regions": technique}
    whole = saved(run(tiny_encoder, active, SETTINGS))
    kept, done = b"", 0
    for cut in (1, 4, 8, 14, 15, STEPS):
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
    assert [(row["group"], row["opened_at_step"]) for row in table] == list(OPENED.items())
    assert all(row["fuzziness"] > 0 and row["fuzziness_first"] > 0 for row in table)
