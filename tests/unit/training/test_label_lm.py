import dataclasses
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from fpplm_core.tagging.viterbi import LABEL_LM_TEMPERATURE
from fpplm_core.training.batch import IGNORED, Batch
from fpplm_core.training.loop import train_steps
from fpplm_core.training.technique import StepContext, StepOutputs
from fpplm_core.training.techniques.label_lm.technique import (
    INIT_STEPS,
    LONGEST,
    LabelDecoder,
    LabelLm,
    agreement,
    feedback,
)
from tests import tiny
from tests.tiny import LABELS, SETTINGS, batch_of, context_of, normal, run, start, step_of, tagger

COUNT = len(LABELS)
seeds = st.integers(0, 2**32 - 1)


def decoder_of(seed: int, states: int = 12, labels: int = 5, width: int = 16) -> LabelDecoder:
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        decoder = LabelDecoder(states, labels, width)
        torch.nn.init.normal_(decoder.labels)
    return decoder


def case(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What is read, states, and which words count."""
    counted = torch.arange(6) < torch.tensor([[6], [3]])
    return normal(seed, 2, 6, 5).softmax(-1), normal(seed + 1, 2, 6, 12), counted


@pytest.mark.parametrize("training", [True, False])
def test_a_word_whose_slot_is_hidden_does_not_see_its_own_label(training):
    decoder = decoder_of(1).train(training)
    read, states, counted = case(1)
    read.requires_grad_()
    for word in range(6):
        hidden = torch.zeros(2, 6, dtype=torch.bool)
        hidden[:, word] = True
        written = decoder(read, hidden, states, counted)
        (gradient,) = torch.autograd.grad(written[0, word].square().sum(), read, allow_unused=True)
        assert not gradient[0, word].any() and not gradient[1].any()
        assert gradient[0, [other for other in range(6) if other != word]].any(1).all()
        (gradient,) = torch.autograd.grad(
            decoder(read, ~hidden, states, counted)[0, word].square().sum(), read, allow_unused=True
        )
        assert gradient[0, word].any()
        assert not gradient[0, [other for other in range(6) if other != word]].any()


def test_padding_is_not_read():
    decoder = decoder_of(2).eval()
    read, states, counted = case(2)
    hidden = torch.zeros(2, 6, dtype=torch.bool)
    noisy = states.where(counted.unsqueeze(2), torch.tensor(50.0))
    written = decoder(read, hidden, states, counted)
    assert torch.allclose(decoder(read, hidden, noisy, counted)[counted], written[counted], atol=1e-5)
    alone = decoder(read[1:, :3], hidden[1:, :3], states[1:, :3], counted[1:, :3])
    assert torch.allclose(alone[0], written[1, :3], atol=1e-5)
    assert decoder(read, hidden, states, torch.zeros_like(counted)).isfinite().all()


def test_more_words_than_positions_are_written_too():
    decoder, words = decoder_of(3).eval(), LONGEST + 3
    counted = torch.ones(1, words, dtype=torch.bool)
    written = decoder(normal(1, 1, words, 5), ~counted, normal(2, 1, words, 12), counted)
    assert written.shape == (1, words, 5) and written.isfinite().all() and written.dtype == torch.float32


@given(seeds)
def test_labels_begin_as_the_centroids_of_their_states(seed):
    decoder = decoder_of(seed, labels=6)
    first = decoder.labels.detach().clone()
    batches = [
        (normal(seed + n, 2, 4, 12), torch.randint(0, 5, (2, 4), generator=torch.Generator().manual_seed(seed + n)))
        for n in range(3)
    ]
    for states, labels in batches:
        labels[1, 2:] = IGNORED
        decoder.gather(states, labels)
    for label in range(6):
        found = [F.normalize(s[labels == label], dim=-1) for s, labels in batches]
        states = torch.cat(found)
        wanted = F.normalize(states.mean(0), dim=0) if len(states) else first[label]
        assert torch.allclose(decoder.labels[label].detach(), wanted, atol=1e-5)


def test_the_nearest_centroid_names_the_label():
    centres = normal(1, 5, 12)
    labels = torch.arange(5).repeat(20).view(2, 50)
    states = centres[labels] * (1 + normal(2, 2, 50, 1).abs()) + 0.2 * normal(3, 2, 50, 12)
    decoder = decoder_of(4)
    decoder.gather(states, labels)
    assert torch.equal((F.normalize(states, dim=-1) @ decoder.labels.detach().T).argmax(-1), labels)


def test_without_a_frozen_phase_the_first_steps_only_gather(tiny_encoder):
    active = {"label_lm": tiny.technique(LabelLm)}
    state, plain = start(tiny_encoder, active), start(tiny_encoder)
    decoder = state.modules("label_lm")["decoder"]
    fixed = decoder.write.weight.detach().clone()
    reports = zip(
        train_steps(state, batch_of, active, SETTINGS), train_steps(plain, batch_of, {}, SETTINGS), strict=True
    )
    for number, (report, _) in enumerate(reports):
        assert (set(report.losses) == {"tag"}) == (number < INIT_STEPS)
        if number < INIT_STEPS:
            assert torch.equal(decoder.write.weight, fixed)
            assert torch.equal(state.model.head.weight, plain.model.head.weight)
            seen = decoder.numbers > 0
            norms = torch.linalg.vector_norm(decoder.labels, dim=1)[seen]
            assert torch.allclose(norms, torch.ones_like(norms), atol=1e-5)
            total = float(decoder.numbers.sum())
    assert float(decoder.numbers.sum()) == total == INIT_STEPS * 17


def cached(folder, technique) -> tuple[StepOutputs, StepContext]:
    """A step of the frozen phase, and its context with modules that know all cached states."""
    model, batch = tagger(folder), batch_of(1)
    context = dataclasses.replace(context_of(technique, model), in_frozen_phase=True)
    step = step_of(model, batch)
    cache = step.hidden.detach()[step.counted], batch.labels[step.counted]
    technique.initialise(*cache, context.modules)
    return step, context


def test_a_frozen_phase_gives_it_all_states_and_no_step_gathers_again(tiny_encoder):
    technique = tiny.technique(LabelLm)
    step, context = cached(tiny_encoder, technique)
    decoder = context.modules["decoder"]
    before = decoder.labels.detach().clone()
    assert float(decoder.numbers.sum()) == int(step.counted.sum())
    assert set(technique.losses(step, context)) == {"write"}  # it learns, and does not teach yet
    for number in range(INIT_STEPS):
        joint = dataclasses.replace(context, in_frozen_phase=False, step=number)
        assert set(technique.losses(step, joint)) == {"write", "feedback"}
    assert torch.equal(decoder.labels, before)


def test_it_teaches_only_while_it_is_ahead_and_zero_switches_it_off(tiny_encoder):
    technique = tiny.technique(LabelLm)
    step, context = cached(tiny_encoder, technique)
    joint = dataclasses.replace(context, in_frozen_phase=False, step=9)
    wrong = -10.0 * F.one_hot(step.batch.labels.clamp(min=0), COUNT)  # so that the decoder knows better on every word
    step = dataclasses.replace(step, logits=wrong)
    decoder = context.modules["decoder"]
    for written, own, teaches in ((-0.5, -0.4, False), (-0.3, -0.4, True)):
        decoder.recent.averages[:2] = torch.tensor([written, own])
        assert bool(technique.losses(step, joint)["feedback"]) == teaches
    assert set(tiny.technique(LabelLm, feedback=0.0).losses(step, joint)) == {"write"}


@given(seeds)
def test_feedback_is_the_divergence_where_the_decoder_knows_better(seed):
    written, logits = normal(seed, 9, 4, scale=2.0), normal(seed + 1, 9, 4, scale=2.0)
    labels = torch.randint(0, 4, (9,), generator=torch.Generator().manual_seed(seed))
    total = 0.0
    for word, gold in enumerate(labels.tolist()):
        taught, own = written[word].softmax(0), logits[word].softmax(0)
        if taught[gold] > own[gold]:
            total += float((taught * (taught.log() - own.log())).sum())
    assert float(feedback(written, logits, labels)) == pytest.approx(total / 9, rel=1e-4, abs=1e-6)
    assert float(feedback(written[:0], logits[:0], labels[:0])) == 0.0


@given(seeds)
def test_feedback_pulls_the_tagger_to_the_label_and_does_not_soften_it(seed):
    """One temperature: where both know the label equally well there is nothing to learn."""
    written, gold = normal(seed, 6, 4, scale=2.0), torch.arange(6) % 4
    logits = (written - 0.5 * F.one_hot(gold, 4)).requires_grad_()  # the tagger knows a little less
    (gradient,) = torch.autograd.grad(feedback(written, logits, gold), logits)
    assert (gradient.gather(1, gold.unsqueeze(1)) < 0).all()
    (label,) = torch.autograd.grad(F.cross_entropy(logits, gold), logits)
    assert float(F.cosine_similarity(gradient.flatten(), label.flatten(), dim=0)) > 0
    assert not float(feedback(written, written.clone(), gold))


def test_feedback_teaches_the_tagger_and_not_the_teacher():
    written, logits = torch.zeros(3, 3), torch.zeros(3, 3)
    written[0, 0], logits[1, 1] = 3.0, 3.0
    written.requires_grad_()
    logits.requires_grad_()
    loss = feedback(written, logits, torch.tensor([0, 1, 2]))
    gradients = torch.autograd.grad(loss, [written, logits], allow_unused=True)
    assert gradients[0] is None
    assert gradients[1][0, 0] < 0 < gradients[1][0, 1]  # the gold label gains
    assert not gradients[1][1:].any()


def test_feedback_reaches_hidden_slots_alone_and_no_weight_of_the_decoder(tiny_encoder):
    technique = tiny.technique(LabelLm)
    step, context = cached(tiny_encoder, technique)
    context = dataclasses.replace(context, in_frozen_phase=False, step=9)
    decoder = context.modules["decoder"]
    with torch.no_grad():  # a decoder that knows every label better than the tagger
        decoder.write.weight.mul_(0.01), decoder.write.bias.copy_(F.one_hot(torch.tensor(0), COUNT) * 5.0)
    vars(step)["batch"] = step.batch._replace(labels=step.batch.labels.clamp(max=0))
    decoder.recent.averages[:2] = torch.tensor([1.0, 0.0])
    _, hidden = technique.reading(step, context.generator("read", torch.device("cpu")))
    losses = technique.losses(step, context)
    own = list(decoder.parameters())
    found = torch.autograd.grad(losses["feedback"], [step.logits, *own], allow_unused=True, retain_graph=True)
    assert torch.equal(found[0].any(2), hidden & step.counted) and all(gradient is None for gradient in found[1:])
    found = torch.autograd.grad(losses["write"], [step.hidden, *own], allow_unused=True)
    assert found[0].any() and sum(gradient is not None for gradient in found[1:]) >= len(own) - 2


def reading(model, technique, step: int = 5, **logits):
    made = step_of(model, batch_of(step))
    context = context_of(technique, model, step)
    return made, *technique.reading(made, context.generator("read", torch.device("cpu")))


def test_it_reads_damaged_labels_or_the_taggers_own_guesses(tiny_encoder):
    model = tagger(tiny_encoder).eval()
    damaged = rivals = words = windows = own = hidden = 0
    technique = tiny.technique(LabelLm, noise=0.4, hide=0.3)
    for step in range(150):
        made, read, hides = reading(model, technique, step)
        assert not read.requires_grad and torch.allclose(read.sum(2), torch.ones(3, 7))
        hidden += int(hides.sum())
        guesses = (made.logits.detach() / LABEL_LM_TEMPERATURE).softmax(-1)
        for row in range(3):
            windows += 1
            if torch.equal(read[row], guesses[row]):
                own += 1
                continue
            counted = made.counted[row]
            assert set(read[row].unique().tolist()) == {0.0, 1.0}
            gold, found = made.batch.labels[row, counted], read[row].argmax(-1)[counted]
            words += len(gold)
            damaged += int((gold != found).sum())
            best = guesses[row, counted].scatter(1, gold.unsqueeze(1), -1.0).argmax(1)
            rivals += int(((found == best) & (found != gold)).sum())
    assert own / windows == pytest.approx(0.5, abs=5 * math.sqrt(0.25 / windows))
    assert damaged / words == pytest.approx(0.4, abs=5 * math.sqrt(0.24 / words))
    assert rivals / damaged == pytest.approx(0.5 + 0.5 / (COUNT - 1), abs=5 * math.sqrt(0.25 / damaged))
    assert hidden / (windows * 7) == pytest.approx(0.3, abs=5 * math.sqrt(0.21 / (windows * 7)))


@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_damage_is_never_the_gold_label(tiny_encoder, scale):
    """Not even where the tagger is so sure of it that every other chance is 0."""
    model, technique = tagger(tiny_encoder).eval(), tiny.technique(LabelLm, noise=1.0, hide=0.0)
    damaged = 0
    for step in range(20):
        made = step_of(model, batch_of(step))
        sure = F.one_hot(made.batch.labels.clamp(min=0), COUNT).float() * scale
        vars(made)["logits"] = made.logits.detach() + sure
        read, hides = technique.reading(made, context_of(technique, model, step).generator("r", torch.device("cpu")))
        assert not hides.any()
        guesses = (made.logits / LABEL_LM_TEMPERATURE).softmax(-1)
        for row in range(3):
            if not torch.equal(read[row], guesses[row]):
                damaged += 1
                assert (read[row].argmax(-1) != made.batch.labels[row])[made.counted[row]].all()
    assert damaged > 10, "of 60 windows, each with a chance of 1/2"


def test_without_noise_it_reads_the_gold_labels(tiny_encoder):
    model, technique = tagger(tiny_encoder).eval(), tiny.technique(LabelLm, noise=0.0, hide=1.0)
    own = 0
    for step in range(5):
        made = step_of(model, batch_of(step))
        read, hides = technique.reading(made, context_of(technique, model, step).generator("r", torch.device("cpu")))
        guesses = (made.logits / LABEL_LM_TEMPERATURE).softmax(-1)
        assert hides.all()
        for row in range(3):
            if torch.equal(read[row], guesses[row]):
                continue
            own += 1
            assert torch.equal(read[row].argmax(-1)[made.counted[row]], made.batch.labels[row][made.counted[row]])
    assert own, "or the test would show nothing"


@given(seeds, st.floats(0.1, 1))
def test_the_bias_corrects_what_is_expected_too_often(seed, strength):
    probabilities = normal(seed, 200, 5).softmax(-1)
    labels = torch.randint(0, 4, (200,), generator=torch.Generator().manual_seed(seed))
    bias = tiny.technique(LabelLm, bias=strength).label_bias(probabilities, labels)
    for label in range(5):
        expected, seen = float(probabilities[:, label].double().sum()), int((labels == label).sum())
        assert float(bias[label]) == pytest.approx(-strength * math.log((expected + 1) / (seen + 1)), abs=1e-5)
        assert (float(bias[label]) < 0) == (expected > seen)
    assert tiny.technique(LabelLm, bias=0.0).label_bias(probabilities, labels) is None


def test_the_bias_brings_a_shifted_head_back():
    """Labels drawn from p, logits shifted by b: expected shares move towards the seen ones."""
    logits = normal(1, 4000, 4)
    labels = torch.multinomial(logits.softmax(-1), 1, generator=torch.Generator().manual_seed(2)).squeeze(1)
    seen = torch.bincount(labels, minlength=4) / len(labels)
    shifted = logits + torch.tensor([1.0, -0.5, 0.0, 0.3])
    technique = tiny.technique(LabelLm, bias=1.0)

    def gap(values: torch.Tensor) -> float:
        return float((values.softmax(-1).mean(0) - seen).abs().max())

    assert gap(shifted + technique.label_bias(shifted.softmax(-1), labels)) < 0.3 * gap(shifted)
    assert technique.label_bias(logits.softmax(-1), labels).abs().max() < 0.1


def constant(generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """All words of a window have one label and the states say nothing: only the labels around can tell."""
    gold = torch.randint(0, 4, (16, 1), generator=generator).expand(-1, 12)
    return gold, torch.ones(16, 12, dtype=torch.bool), torch.randn(16, 12, 32, generator=generator)


@pytest.fixture(scope="module")
def tuned(tiny_encoder):
    """The technique with its modules after a frozen phase on `constant`, by its own losses alone."""
    technique, generator = tiny.technique(LabelLm, noise=0.25), torch.Generator().manual_seed(7)
    model = tagger(tiny_encoder)
    context = dataclasses.replace(context_of(technique, model), in_frozen_phase=True)
    decoder = context.modules["decoder"]
    optimizer = torch.optim.AdamW(decoder.parameters(), lr=3e-3)
    with torch.random.fork_rng([]):
        torch.manual_seed(3)
        for number in range(250):
            gold, counted, states = constant(generator)
            places = torch.zeros_like(gold)
            batch = Batch(places, places, places, places, counted.long(), gold)
            step = StepOutputs(model, batch, batch, states, torch.zeros(16, 12, COUNT), {})
            losses = technique.losses(step, dataclasses.replace(context, step=number))
            assert set(losses) == {"write"}
            optimizer.zero_grad()
            losses["write"].backward()
            optimizer.step()
    decoder.eval()
    return technique, context.modules


def test_after_a_frozen_phase_it_repairs_damaged_labels_and_is_ahead_of_the_tagger(tuned):
    technique, modules = tuned
    decoder, generator = modules["decoder"], torch.Generator().manual_seed(1)
    right = copied = 0.0
    for _ in range(10):
        gold, counted, states = constant(generator)
        other = (gold + torch.randint(1, COUNT, gold.shape, generator=generator)) % COUNT
        read = torch.where(torch.rand(gold.shape, generator=generator) < 0.25, other, gold)
        written = decoder(F.one_hot(read, COUNT).float(), torch.zeros_like(counted), states, counted).argmax(-1)
        right += float((written == gold).double().mean()) / 10
        copied += float((read == gold).double().mean()) / 10
    assert copied == pytest.approx(0.75, abs=0.05) and right > copied + 0.08
    assert bool(decoder.ahead())
    lm, own, frequent, *lessons = technique.findings(modules).values()
    assert lessons == [0, 0]  # it taught nothing yet
    assert lm > max(own, frequent) + 0.1  # although half of the windows read the guesses of a tagger that knows nothing


def test_agreement_tells_labels_that_fit_from_those_that_do_not(tuned):
    _, modules = tuned
    gold, counted, states = constant(torch.Generator().manual_seed(2))
    counted = counted & (torch.arange(12) < 10)
    labels = gold.clone()
    labels[:, 4] = (gold[:, 4] + 1) % 4
    found = agreement(states, labels, counted, modules)
    assert found.shape == labels.shape and not found.requires_grad
    assert not found[~counted].any() and ((found >= 0) & (found <= 1)).all()
    odd = (labels != gold) & counted
    assert found[counted & ~odd].mean() > 0.8 and found[odd].max() < 0.1


@pytest.mark.parametrize("word", range(6))
def test_agreement_with_a_label_does_not_depend_on_having_seen_it(word):
    """Over all labels that a word may be given, it is one distribution: the one with every other word hidden."""
    decoder, (_, states, counted) = decoder_of(1).eval(), case(1)
    labels = torch.tensor([[1, 2, 0, 3, 4, 1], [0, 2, 1, 0, 0, 0]])
    hidden = (torch.arange(6) % 2 == word % 2).expand(2, -1)
    wanted = decoder(F.one_hot(labels, 5).float(), hidden, states, counted).softmax(-1)[0, word]
    found = []
    for label in range(5):
        labels[0, word] = label
        found.append(agreement(states, labels, counted, {"decoder": decoder})[0, word])
    assert torch.allclose(torch.stack(found), wanted.detach(), atol=1e-5)


def test_what_it_writes_is_noted(tiny_encoder):
    technique = tiny.technique(LabelLm)
    found = technique.findings(run(tiny_encoder, {"label_lm": technique}).modules("label_lm"))
    assert len(found) == 5 and all(0 <= value < 1 for value in found.values())


def test_lessons_are_counted_where_it_is_ahead_and_knows_better():
    decoder = decoder_of(1, labels=3)
    gold = torch.tensor([0, 1, 2, 0])
    written = 3.0 * F.one_hot(torch.tensor([0, 1, 0, 0]), 3).float()
    own = 4.0 * F.one_hot(torch.tensor([1, 1, 2, 2]), 3).float()
    for means in ([0.0, 0.0], [-1.0, -2.0]):  # not ahead, ahead
        decoder.recent.averages[:2] = torch.tensor(means)
        decoder.note_lesson(written, own, gold)
    assert decoder.lessons.tolist() == [8, 2, 2]  # the second word's label the tagger knows better
    assert list(decoder.summary().values())[3:] == [0.25, 0.25]
