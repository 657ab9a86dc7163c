import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from fpplm_core.training.batch import IGNORED, Batch, tag_loss
from fpplm_core.training.loop import train_steps
from fpplm_core.training.technique import StepContext, StepOutputs
from fpplm_core.training.techniques.adversarial.technique import (
    SURE,
    Adversarial,
    Rival,
    agreement,
    correction,
    input_attack,
    margin,
    perturbation,
    rival_loss,
)
from tests import tiny
from tests.tiny import LABELS, SETTINGS, batch_of, context_of, normal, start, step_of, tagger

COUNT, WIDTH = len(LABELS), 8
seeds = st.integers(0, 2**32 - 1)


def rival_of(seed: int, labels: int) -> Rival:
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        return Rival(WIDTH, labels)


def made_step(logits: torch.Tensor, labels: torch.Tensor, teacher: torch.Tensor | None = None) -> StepOutputs:
    """A step with these logits, labels and guesses of the averaged weights."""
    places = torch.zeros_like(labels)
    batch = Batch(places, places, places, places, (labels != IGNORED).long(), labels)
    step = StepOutputs(None, batch, batch, normal(9, *labels.shape, WIDTH), logits, {})
    vars(step)["teacher"] = logits.detach() if teacher is None else teacher
    return step


@given(seeds, st.lists(st.integers(1, 6), min_size=1, max_size=4), st.floats(0.01, 5), st.sampled_from([1e-12, 1, 1e9]))
def test_the_attack_has_its_norm_in_every_window_and_none_on_padding(seed, sizes, epsilon, scale):
    mask = (torch.arange(max(sizes)) < torch.tensor(sizes).unsqueeze(1)).long()
    embeddings, gradient = normal(seed, *mask.shape, 8), normal(seed + 1, *mask.shape, 8, scale=scale)
    delta = perturbation(embeddings, gradient, mask, epsilon)
    for row, words in enumerate(sizes):
        norms = sorted(torch.linalg.vector_norm(embeddings[row, :words], dim=1).tolist())
        median = norms[(words - 1) // 2]
        assert float(torch.linalg.vector_norm(delta[row])) == pytest.approx(epsilon * median, rel=1e-4)
        assert not delta[row, words:].any()
        size = torch.linalg.vector_norm(gradient[row, :words])
        assert torch.allclose(delta[row, :words], epsilon * median * gradient[row, :words] / size, atol=1e-5)
    assert not perturbation(embeddings, torch.zeros_like(gradient), mask, epsilon).any()
    assert not perturbation(embeddings, gradient, mask, 0.0).any()


def test_the_attack_keeps_the_precision_of_the_embeddings():
    for kind in (torch.float32, torch.bfloat16):
        mask = torch.ones(2, 4, dtype=torch.long)
        delta = perturbation(normal(1, 2, 4, 8).to(kind), normal(2, 2, 4, 8).to(kind), mask, 1.0)
        assert delta.dtype == kind and delta.isfinite().all()


def test_the_loss_rises_along_the_attack_as_its_gradient_says(tiny_encoder):
    model, batch = tagger(tiny_encoder).double().eval(), batch_of(0)
    plain = model.embed(batch.ids).detach().requires_grad_()

    def loss(embeddings):
        logits = model.head(model.words(batch.ids, batch.mask, batch.types, batch.first_pieces, embeddings))
        return tag_loss(logits, batch.labels)

    (gradient,) = torch.autograd.grad(loss(plain), plain)
    first, wide = float(loss(plain).detach()), None
    for epsilon in (1e-2, 1e-3, 1e-4):
        delta = perturbation(plain.detach(), gradient, batch.mask, epsilon)
        rise, slope = float(loss(plain + delta).detach()) - first, float((gradient * delta).sum())
        assert rise > 0 and slope > 0
        error = abs(rise / slope - 1)
        assert wide is None or error < wide
        wide = error
    assert wide < 1e-2


def test_the_attacked_loss_is_above_the_plain_one_and_reaches_all_weights(tiny_encoder):
    model, batch = tagger(tiny_encoder).eval(), batch_of(0)
    plain = float(tag_loss(step_of(model, batch).logits.detach(), batch.labels))
    assert float(input_attack(model, batch, 0.0).detach()) == pytest.approx(plain, abs=1e-6)
    attacked = input_attack(model, batch, 0.1)
    assert float(attacked.detach()) > plain
    assert all(p.grad is None for p in model.parameters())
    attacked.backward()
    assert all(p.grad is not None for p in model.parameters())
    assert model.encoder.get_input_embeddings().weight.grad.any()


@given(seeds)
def test_the_rival_gives_the_gold_label_no_chance(seed):
    rival = rival_of(seed, 5)
    gold = torch.randint(0, 5, (20,), generator=torch.Generator().manual_seed(seed))
    wrong = rival(normal(seed, 20, 8, scale=10.0), gold).softmax(-1)
    assert not wrong.gather(1, gold.unsqueeze(1)).any()
    assert torch.allclose(wrong.sum(1), torch.ones(20))


@given(seeds)
def test_the_rival_learns_the_best_wrong_label_mostly_from_errors(seed):
    logits, wrong = normal(seed, 12, 4, scale=2.0), normal(seed + 1, 12, 4)
    gold = torch.randint(0, 4, (12,), generator=torch.Generator().manual_seed(seed))
    total = 0.0
    for row in range(12):
        order = sorted(range(4), key=lambda label, row=row: -float(logits[row, label]))
        fake = next(label for label in order if label != gold[row])
        total -= (0.1 if order[0] == gold[row] else 1.0) * float(wrong[row].log_softmax(0)[fake])
    assert float(rival_loss(wrong, logits, gold)) == pytest.approx(total / 12, rel=1e-4)


def test_batches_without_errors_do_not_change_the_share_of_errors_that_the_rival_predicts():
    """It predicts half of the errors; two of three batches have none."""
    rival, gold = rival_of(1, 3), torch.zeros(4, dtype=torch.long)
    right, wrong = torch.tensor([[9.0, 0, 0]] * 4), torch.tensor([[0, 9.0, 0], [0, 0, 9.0], [9, 0, 0], [9, 0, 0]])
    guesses = torch.tensor([[-1e4, 1, 0]] * 4)
    for step in range(300):
        logits = right if step % 3 else wrong
        rival.update(guesses, logits, logits, gold)
    found = rival.summary()
    assert found["words that A gets wrong (running mean)"] == pytest.approx(1 / 6, rel=0.05)
    assert found["of these, predicted by B"] == pytest.approx(0.5)


def test_no_gradient_of_the_rival_reaches_the_tagger(tiny_encoder):
    model, technique = tagger(tiny_encoder), tiny.technique(Adversarial)
    step = step_of(model, batch_of(0))
    context = context_of(technique, model, 6)
    losses = technique.losses(step, context)
    rival = list(context.modules["rival"].parameters())
    tagger_weights = [step.hidden, step.logits, *model.parameters()]
    found = torch.autograd.grad(losses["rival"], [*rival, *tagger_weights], allow_unused=True, retain_graph=True)
    assert all(gradient.any() for gradient in found[: len(rival)])
    assert all(gradient is None for gradient in found[len(rival) :])
    found = torch.autograd.grad(losses["push"], [*rival, step.hidden], allow_unused=True)
    assert all(gradient is None for gradient in found[:-1]) and found[-1].any()


def test_in_a_frozen_step_the_rival_alone_learns(tiny_encoder):
    """No pass of the encoder, no teacher, nothing that the tagger would follow."""
    technique = tiny.technique(Adversarial, begin=0, full=0, input_every=1, label_correction=0.5)
    step = made_step(normal(1, 3, 7, COUNT).requires_grad_(), batch_of(0).labels)
    del vars(step)["teacher"]  # no model, no average: asking for it is an error
    context = StepContext(0, 12, modules={"rival": rival_of(1, COUNT)}, in_frozen_phase=True)
    losses = technique.losses(step, context)
    assert set(losses) == {"rival"}
    own = list(context.modules["rival"].parameters())
    found = torch.autograd.grad(losses["rival"], [step.logits, *own], allow_unused=True)
    assert found[0] is None and all(gradient.any() for gradient in found[1:])


@given(seeds, st.floats(0.1, 10))
def test_label_loss_and_push_together_are_the_loss_against_the_attack(seed, budget):
    technique = tiny.technique(Adversarial, rival_budget=budget, begin=0, full=0, consistency=0, epsilon=0)
    labels = torch.randint(0, COUNT, (2, 5), generator=torch.Generator().manual_seed(seed))
    labels[1, 3:] = IGNORED
    step = made_step(normal(seed, 2, 5, COUNT), labels, normal(seed + 1, 2, 5, COUNT))
    context = StepContext(0, 12, modules={"rival": rival_of(seed, COUNT)})
    push = float(technique.losses(step, context)["push"])
    total = words = 0.0
    for row, t in step.counted.nonzero().tolist():
        gold = labels[row, t]
        wrong = context.modules["rival"](step.hidden[row, t][None], gold[None])[0].softmax(0).detach()
        attacked = step.logits[row, t] + budget * step.teacher[row, t].softmax(0)[gold] * wrong
        total -= float(attacked.log_softmax(0)[gold])
        words += 1
    assert float(tag_loss(step.logits, labels)) + push == pytest.approx(total / words, rel=1e-4)
    assert -1e-6 <= push <= budget


def test_words_whose_label_the_teacher_doubts_are_pushed_less():
    """A third of the labels is flipped; the teacher mostly knows the true ones. The push tells them apart."""
    generator = torch.Generator().manual_seed(1)
    true = torch.randint(0, COUNT, (1, 300), generator=generator)
    flipped = torch.rand(true.shape, generator=generator) < 0.3
    labels = torch.where(flipped, (true + torch.randint(1, COUNT, true.shape, generator=generator)) % COUNT, true)
    teacher = 3.0 * F.one_hot(true, COUNT) + normal(2, 1, 300, COUNT)
    logits = torch.zeros(1, 300, COUNT, requires_grad=True)
    technique = tiny.technique(Adversarial, begin=0, full=0, consistency=0, epsilon=0)
    context = StepContext(0, 12, modules={"rival": rival_of(1, COUNT)})
    losses = technique.losses(made_step(logits, labels, teacher), context)
    (gradient,) = torch.autograd.grad(losses["push"], logits)
    pushed = torch.linalg.vector_norm(gradient[0], dim=1)
    clean, doubtful = pushed[~flipped[0]], pushed[flipped[0]]
    above = (clean.unsqueeze(1) > doubtful.unsqueeze(0)).double().mean()
    assert float(above) > 0.8
    assert float(clean.mean()) > 2 * float(doubtful.mean())


@given(seeds)
def test_agreement_is_the_mean_divergence_from_the_teacher(seed):
    teacher, logits = normal(seed, 2, 4, 3), normal(seed + 1, 2, 4, 3)
    counted = torch.tensor([[True, True, True, True], [True, False, False, False]])
    taught = teacher.softmax(-1)
    divergence = (taught * (taught.log() - logits.log_softmax(-1))).sum(-1)[counted]
    assert float(agreement(teacher, logits, counted)) == pytest.approx(float(divergence.mean()), rel=1e-4, abs=1e-6)
    assert float(agreement(teacher, teacher, counted)) == pytest.approx(0.0, abs=1e-6)


def test_the_teacher_is_taught_nothing(tiny_encoder):
    model, technique = tagger(tiny_encoder), tiny.technique(Adversarial, label_correction=0.7)
    step = step_of(model, batch_of(0))
    assert not step.teacher.requires_grad
    losses = technique.losses(step, context_of(technique, model, 7))
    assert {"consistency", "label_correction", "rival", "push"} == set(losses)
    sum(losses.values()).backward()
    assert all(value.grad is None for value in step.average.values())


@given(seeds, st.sampled_from([0.0, 0.3, 0.7, 1.0]))
def test_only_a_label_that_a_sure_teacher_contradicts_is_corrected(seed, most):
    logits, labels = normal(seed, 1, 30, 4), torch.randint(0, 4, (1, 30), generator=torch.Generator().manual_seed(seed))
    labels[0, 25:] = IGNORED
    teacher = normal(seed + 1, 1, 30, 4, scale=6.0)
    step = made_step(logits.requires_grad_(), labels, teacher)
    loss = correction(step, most)
    total, touched = 0.0, []
    for t in range(25):
        gold, taught = int(labels[0, t]), teacher[0, t].softmax(0)
        best = int(taught.argmax())
        sure = float(taught[best]) > SURE and best != gold
        touched.append(sure and most > 0)
        target = F.one_hot(torch.tensor(gold), 4).float()
        if sure:
            target = (1 - most) * target + most * taught
        total -= float((target * logits[0, t].log_softmax(0)).sum().detach())
    together = tag_loss(logits, labels) + loss
    assert float(together.detach()) == pytest.approx(total / 25, rel=1e-4)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert gradient[0, :25].any(1).tolist() == touched and not gradient[0, 25:].any()


def test_each_part_has_its_time(tiny_encoder):
    technique = tiny.technique(Adversarial, label_correction=0.5, begin=0.25, full=0.5, input_until=0.75, input_every=2)
    state = start(tiny_encoder, {"adversarial": technique})
    steps = train_steps(state, batch_of, {"adversarial": technique}, SETTINGS)
    for number, found in enumerate(set(report.losses) for report in steps):
        wanted = {"tag", "adversarial.rival"}
        if number > 3:
            wanted |= {f"adversarial.{name}" for name in ("push", "consistency", "label_correction")}
        if number in (4, 6, 8):
            wanted |= {"adversarial.input"}
        assert found == wanted, number


def test_zero_switches_each_part_off(tiny_encoder):
    model, parts = (
        tagger(tiny_encoder),
        {"epsilon": 0.5, "rival_budget": 1.0, "consistency": 1.0, "label_correction": 0.5},
    )
    step = step_of(model, batch_of(0))
    given_off = {
        "epsilon": {"input"},
        "rival_budget": {"rival", "push"},
        "consistency": {"consistency"},
        "label_correction": {"label_correction"},
    }
    for name, lost in given_off.items():
        technique = tiny.technique(Adversarial, **{**parts, name: 0}, begin=0, full=0)
        found = set(technique.losses(step, context_of(technique, model)))
        assert found == {"input", "rival", "push", "consistency", "label_correction"} - lost
        assert bool(technique.modules(model, tiny.PAIRS)) == (name != "rival_budget")


def test_what_the_rival_foresaw_is_noted():
    rival = Rival(8, 4)
    gold = torch.tensor([0, 0, 0, 0])
    logits = F.one_hot(torch.tensor([0, 1, 2, 2]), 4).float()
    wrong = F.one_hot(torch.tensor([1, 1, 2, 3]), 4).float()
    for _ in range(600):
        rival.update(wrong, logits, logits, gold)
    errors, foreseen, lost, halved = rival.summary().values()
    assert errors == pytest.approx(0.75, abs=1e-4) and foreseen == pytest.approx(2 / 3, abs=1e-4)
    assert lost == halved == 0
    assert all(math.isfinite(value) for value in rival.summary().values())
    rival.update(wrong, F.one_hot(gold, 4).float(), logits, gold)
    assert all(math.isfinite(value) for value in rival.summary().values())


def test_what_the_attack_changes_is_noted():
    """Leads of 1 over the best wrong label: one is lost, one halved and more, one hardly touched, one was an error."""
    rival, gold = Rival(8, 3), torch.tensor([0, 0, 0, 1])
    logits = torch.tensor([[1.0, 0.0, -9.0]] * 4)
    attacked = logits + torch.tensor([[0, 1.5, 0], [0, 0.6, 0], [0, 0.1, 0], [0.9, 0, 0]])
    assert margin(logits, gold).tolist() == [1, 1, 1, -1]
    for _ in range(600):
        rival.update(logits, logits, attacked, gold)
    *_, lost, halved = rival.summary().values()
    assert lost == pytest.approx(0.25, abs=1e-4) and halved == pytest.approx(0.5, abs=1e-4)
