"""The virtual attack, which needs no labels, and the second opinion on labels of text."""

import pytest
import torch
from torch import nn

from fpplm_core.training.batch import IGNORED, Batch
from fpplm_core.training.technique import StepContext, StepOutputs
from fpplm_core.training.techniques.adversarial import unlabelled
from fpplm_core.training.techniques.adversarial.technique import Adversarial
from fpplm_core.training.techniques.adversarial.unlabelled import (
    SecondOpinion,
    divergence,
    perturbation,
    virtual_attack,
    virtual_direction,
)
from tests import tiny
from tests.tiny import LABELS, batch_of, normal


def generator(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def learned(tiny_encoder):
    """A tagger that has learned a little: at its start, nothing changes its even guesses."""
    return tiny.run(tiny_encoder).model


def clean_of(model, batch: Batch) -> torch.Tensor:
    with torch.no_grad():
        return tiny.step_of(model.eval(), batch).logits.softmax(-1)


@pytest.mark.parametrize("labelled", [True, False])
def test_the_prediction_changes_more_along_the_direction_than_along_others(learned, labelled):
    batch = batch_of(50)
    batch = batch if labelled else batch._replace(labels=torch.full_like(batch.labels, IGNORED))
    clean, plain = clean_of(learned, batch), learned.embed(batch.ids).detach()
    epsilon = 0.05
    found = virtual_direction(learned, batch, plain, clean, epsilon, generator())
    with torch.no_grad():
        along = float(divergence(learned, batch, plain + found, clean))
        others = [perturbation(plain, normal(seed, *plain.shape), batch.mask, epsilon) for seed in range(20)]
        around = [float(divergence(learned, batch, plain + other, clean)) for other in others]
        none = float(divergence(learned, batch, plain, clean))
        half = float(divergence(learned, batch, plain + found / 2, clean))
    assert abs(none) < 1e-6
    assert along > 2 * max(around)
    assert half == pytest.approx(along / 4, rel=0.3), "the divergence is quadratic around the prediction"


@pytest.mark.parametrize("number", [50, 51])
@pytest.mark.parametrize("bfloat16", [False, True])
def test_the_direction_is_that_of_a_tiny_step_in_float32(learned, monkeypatch, number, bfloat16):
    batch = batch_of(number)
    plain = learned.embed(batch.ids).detach()

    def direction(bfloat16: bool) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            clean = clean_of(learned, batch)
            return virtual_direction(learned, batch, plain, clean, 0.5, generator()).flatten(1)

    found = direction(bfloat16)
    monkeypatch.setattr(unlabelled, "XI", 0.01)
    assert nn.functional.cosine_similarity(found, direction(False)).min() > 0.98


def test_it_has_the_gradient_of_the_moved_prediction_alone(learned, monkeypatch):
    """The target is a constant: with it as a number, the gradient of all weights is the same."""
    batch, seen = batch_of(51), []
    real = divergence
    monkeypatch.setattr(unlabelled, "divergence", lambda *a: seen.append(a) or real(*a))
    loss = virtual_attack(learned, batch, 0.5, generator())
    _, _, embeddings, clean = seen[-1]
    assert len(seen) == 2 and not clean.requires_grad
    own = torch.autograd.grad(loss, list(learned.parameters()), allow_unused=True, retain_graph=True)
    learned.eval()
    delta = (embeddings - learned.embed(batch.ids)).detach()
    fixed = real(learned, batch, learned.embed(batch.ids) + delta, torch.tensor(clean.tolist()))
    other = torch.autograd.grad(fixed, list(learned.parameters()), allow_unused=True)
    for first, second in zip(own, other, strict=True):
        assert (first is None) == (second is None)
        assert first is None or torch.allclose(first, second, atol=1e-6)
    assert any(gradient is not None and gradient.abs().max() > 0 for gradient in own)


def test_it_draws_from_its_generator_alone_and_leaves_the_model_as_it_was(learned):
    batch = batch_of(52)
    learned.train()
    learned.encoder.encoder.layer[0].eval()  # a frozen block stays one
    modes = {name: module.training for name, module in learned.named_modules()}
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, second, third = (float(virtual_attack(learned, batch, 0.5, generator(n))) for n in (1, 1, 2))
    assert first == second != third and first > 0
    assert torch.equal(torch.get_rng_state(), before)
    assert {name: module.training for name, module in learned.named_modules()} == modes
    assert all(p.grad is None for p in learned.parameters())


def test_labels_count_only_where_b_gives_them_too():
    with torch.random.fork_rng([]):
        torch.manual_seed(1)
        opinion = SecondOpinion(8, len(LABELS)).eval()
    states = normal(1, 2, 6, 8)
    own = opinion(states).argmax(-1)
    others = (own + torch.tensor([[0, 1, 0, 2, 0, 0], [3, 0, 0, 0, 1, 0]])) % len(LABELS)
    assert torch.equal(opinion.agrees(states, others), own == others)
    assert 0 < opinion.agreed.share() < 1


def test_b_learns_and_sends_no_gradient_to_a():
    adversarial = tiny.technique(Adversarial)
    with torch.random.fork_rng([]):
        torch.manual_seed(1)
        opinion = SecondOpinion(8, len(LABELS))
    hidden = normal(2, 2, 5, 8).requires_grad_()
    labels = torch.tensor([[0, 1, 3, 4, IGNORED], [IGNORED] * 5])
    batch = Batch(labels, labels, labels, labels, (labels != IGNORED).long(), labels)
    step = StepOutputs(None, batch, batch, hidden, normal(3, 2, 5, len(LABELS)), {})
    context = StepContext(1, 12, modules={"opinion": opinion})
    loss = adversarial.unlabelled_losses(step, context)
    assert list(loss) == ["opinion_of_text"]
    loss["opinion_of_text"].backward()
    assert hidden.grad is None and all(p.grad.abs().max() > 0 for p in opinion.parameters())
    nothing = batch._replace(labels=torch.full_like(labels, IGNORED))
    found = adversarial.unlabelled_losses(StepOutputs(None, nothing, nothing, hidden, step.logits, {}), context)
    assert found == {"opinion_of_text": 0.0}


def test_only_the_virtual_attack_asks_for_text_without_self_training():
    def asking(**values: float) -> list[int]:
        adversarial = tiny.technique(Adversarial, **values)
        return [step for step in range(20) if adversarial.learns_text(StepContext(step, 20))]

    assert asking() == [8, 12]
    assert asking(input_every=1) == list(range(7, 16))
    for off in ({"virtual": 0}, {"epsilon": 0}, {"begin": 0.8, "full": 0.9}, {"input_every": 20}):
        assert not asking(**off)


def test_b_and_the_virtual_attack_exist_only_where_there_is_text(tiny_encoder):
    adversarial, model = tiny.technique(Adversarial), tiny.tagger(tiny_encoder)
    assert list(adversarial.modules(model, tiny.PAIRS)) == ["rival"] and list(
        adversarial.unlabelled_modules(model)
    ) == ["opinion"]
    off = tiny.technique(Adversarial, rival_budget=0)
    assert off.modules(model, tiny.PAIRS) == off.unlabelled_modules(model) == {}
    assert off.trust(None, None, StepContext(1, 2)) is None
