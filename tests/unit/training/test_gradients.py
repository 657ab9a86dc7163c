"""What a step does with its gradients: two norms that act apart, and each loss's share of the gradient."""

import math

import pytest
import torch
from torch import nn

from fpplm_core.model.groups import Group
from fpplm_core.training import gradients, loop
from fpplm_core.training.gradients import CLIP_NORM, clip_gradients, gradient_norms
from fpplm_core.training.loop import read_gradient_shares, train_steps
from fpplm_core.training.technique import Technique
from tests import tiny
from tests.tiny import SETTINGS, batch_of, start


def groups_of(**gradients_of: list[float]) -> list[Group]:
    """Groups of one parameter each with this gradient; none for []."""
    found = []
    for name, values in gradients_of.items():
        parameter = nn.Parameter(torch.zeros(max(1, len(values))))
        parameter.grad = torch.tensor(values) if values else None
        found.append(Group(name, 0, [], {name: parameter}))
    return found


def gradient(group: Group) -> list[float]:
    (parameter,) = group.parameters.values()
    return parameter.grad.tolist()


def test_a_technique_with_a_large_gradient_does_not_shrink_the_step_of_the_model():
    head, block, extras = groups = groups_of(head=[0.3], block=[0.0, 0.4], extras=[3000.0, 4000.0])
    norms = clip_gradients(groups)
    assert {name: float(norm) for name, norm in norms.items()} == pytest.approx({"model": 0.5, "extras": 5000.0})
    assert gradient(head) == pytest.approx([0.3]) and gradient(block) == pytest.approx([0.0, 0.4])
    assert gradient(extras) == pytest.approx([0.6 * CLIP_NORM, 0.8 * CLIP_NORM], rel=1e-4)


def test_a_large_gradient_of_the_model_does_not_shrink_that_of_the_techniques():
    head, block, extras = groups = groups_of(head=[30.0], block=[40.0], extras=[0.5])
    clip_gradients(groups)
    assert gradient(head) + gradient(block) == pytest.approx([0.6, 0.8], rel=1e-4) and gradient(extras) == [0.5]


def test_what_has_no_gradient_has_no_norm():
    assert set(clip_gradients(groups_of(head=[1.0], extras=[]))) == {"model"}
    assert set(clip_gradients(groups_of(head=[], extras=[1.0]))) == {"extras"}


@pytest.mark.parametrize("bad", ["head", "extras"])
def test_either_norm_shows_a_gradient_that_is_not_finite(bad):
    values = {"head": [1.0], "extras": [1.0]}
    values[bad] = [math.nan]
    norms = clip_gradients(groups_of(**values))
    assert [name for name, norm in norms.items() if not norm.isfinite()] == ["model" if bad == "head" else bad]


def test_norms_of_gradients_loss_by_loss():
    weight, other = nn.Parameter(torch.tensor([1.0, 2.0])), nn.Parameter(torch.tensor([3.0]))
    losses = {
        "both": (weight * torch.tensor([3.0, 4.0])).sum() + 12.0 * other.sum(),
        "none": (weight * 0.0).sum(),
        "apart": torch.tensor(1.0),
        "elsewhere": nn.Parameter(torch.ones(())) * 2,
    }
    norms = gradient_norms(losses, [weight, other])
    assert {name: float(norm) for name, norm in norms.items()} == {
        "both": 13.0,
        "none": 0.0,
        "apart": 0.0,
        "elsewhere": 0.0,
    }
    assert weight.grad is None and other.grad is None
    losses["both"].backward()  # its graph is still there


class Weighted(Technique):
    def __init__(self, weight: float) -> None:
        self.weight = weight

    def losses(self, step, context):
        return {"x": self.weight * step.logits.square().mean()}


def shares_of(folder, active, monkeypatch, every=2, settings=SETTINGS):
    monkeypatch.setattr(loop, "MEASURE_EVERY", every)
    state = start(folder, active, settings)
    reports = list(train_steps(state, batch_of, active, settings))
    return tiny.saved(state), reports, read_gradient_shares(reports)


def test_shares_add_up_and_a_loss_without_weight_has_none(tiny_encoder, monkeypatch):
    active = {"a": Weighted(0.5), "b": Weighted(0.0), "c": Weighted(1.0)}
    _, reports, shares = shares_of(tiny_encoder, active, monkeypatch)
    assert [report.step for report in reports if report.gradients] == [1, 3, 5, 7, 9, 11] and len(shares) == 6
    for own in shares:
        assert set(own) == {"tag", "a.x", "b.x", "c.x"} and sum(own.values()) == pytest.approx(1)
        assert own["b.x"] == 0.0 < own["tag"] and own["c.x"] == pytest.approx(2 * own["a.x"], rel=1e-4)


def test_a_loss_of_every_nth_step_is_measured_in_its_share_of_the_measurements():
    assert all(math.gcd(loop.MEASURE_EVERY, every) == 1 for every in range(2, 26))


def test_what_a_technique_adds_to_the_label_loss_is_no_loss_of_its_own(tiny_encoder, monkeypatch):
    """The learned weight of the label loss: at first it changes nothing."""
    active = tiny.build(["multi_task"], multi_task={"weights": "uncertainty"})
    _, reports, shares = shares_of(tiny_encoder, active, monkeypatch, every=1)
    _, plain, _ = shares_of(tiny_encoder, {}, monkeypatch, every=1)
    assert set(shares[0]) == {"tag", *(f"multi_task.{name}" for name in active["multi_task"].active())}
    assert float(reports[0].losses["tag"]) == float(plain[0].losses["tag"])
    assert float(reports[0].gradients["tag"]) == pytest.approx(float(plain[0].gradients["tag"]), rel=1e-5)


@pytest.mark.parametrize("names", [[], sorted(tiny.SECTION["active"])], ids=["plain", "all"])
@pytest.mark.parametrize("bfloat16", [False, True])
def test_measuring_changes_no_bit(tiny_encoder, monkeypatch, names, bfloat16):
    settings = tiny.changed(bfloat16=bfloat16)
    ends = [shares_of(tiny_encoder, tiny.build(names), monkeypatch, every, settings) for every in (1, 1000)]
    assert ends[0][0] == ends[1][0]
    assert ends[0][2] and not ends[1][2]  # fewer where resampling closes the top block
    assert all(sum(own.values()) == pytest.approx(1) for own in ends[0][2])


def test_nothing_is_measured_while_the_top_block_is_frozen(tiny_encoder, monkeypatch):
    class Frozen(Technique):
        def lr_scale(self, group, context):
            return 0.0 if group.name == "block1" and context.step < 6 else 1.0

    _, reports, _ = shares_of(tiny_encoder, {"frozen": Frozen()}, monkeypatch, every=1)
    assert [report.step for report in reports if report.gradients] == list(range(6, SETTINGS.steps))


def test_the_norm_of_all_losses_together_is_that_of_the_step(tiny_encoder, monkeypatch):
    """With one loss, its gradient in the top block is a part of the whole gradient."""
    monkeypatch.setattr(gradients, "CLIP_NORM", 1e9)
    _, reports, shares = shares_of(tiny_encoder, {}, monkeypatch, every=1)
    assert shares == [{"tag": 1.0}] * SETTINGS.steps
    assert all(0 < float(report.gradients["tag"]) < float(report.norms["model"]) for report in reports)
