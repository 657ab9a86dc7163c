import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from fpplm_core.training.batch import IGNORED
from fpplm_core.training.loop import train_steps
from fpplm_core.training.techniques.label_lm.technique import LONGEST, TEMPERATURE, LabelDecoder, LabelLm, feedback
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


def test_the_first_steps_only_gather(tiny_encoder):
    technique = tiny.technique(LabelLm, init_steps=3)
    active = {"label_lm": technique}
    state, plain = start(tiny_encoder, active), start(tiny_encoder)
    decoder = state.modules("label_lm")["decoder"]
    fixed = decoder.write.weight.detach().clone()
    reports = zip(
        train_steps(state, batch_of, active, SETTINGS), train_steps(plain, batch_of, {}, SETTINGS), strict=True
    )
    for number, (report, _) in enumerate(reports):
        assert (set(report.losses) == {"tag"}) == (number < 3)
        if number < 3:
            assert torch.equal(decoder.write.weight, fixed)
            assert torch.equal(state.model.head.weight, plain.model.head.weight)
            seen = decoder.numbers > 0
            norms = torch.linalg.vector_norm(decoder.labels, dim=1)[seen]
            assert torch.allclose(norms, torch.ones_like(norms), atol=1e-5)
            total = float(decoder.numbers.sum())
    assert float(decoder.numbers.sum()) == total == 3 * 17


def test_feedback_comes_at_its_time_and_zero_switches_it_off(tiny_encoder):
    for value, wanted in ((0.3, [step > 6 for step in range(12)]), (0.0, [False] * 12)):
        active = {"label_lm": tiny.technique(LabelLm, feedback=value, begin=0.5, full=0.75)}
        state = start(tiny_encoder, active)
        keys = [set(report.losses) for report in train_steps(state, batch_of, active, SETTINGS)]
        assert ["label_lm.feedback" in found for found in keys] == wanted


@given(seeds)
def test_feedback_is_the_divergence_where_the_decoder_knows_better(seed):
    written, logits = normal(seed, 2, 5, 4, scale=2.0), normal(seed + 1, 2, 5, 4, scale=2.0)
    labels = torch.randint(0, 4, (2, 5), generator=torch.Generator().manual_seed(seed))
    labels[1, 3:] = IGNORED
    total = words = 0.0
    for row in range(2):
        for t in range(5):
            if (gold := int(labels[row, t])) == IGNORED:
                continue
            words += 1
            if written[row, t].softmax(0)[gold] > logits[row, t].softmax(0)[gold]:
                taught = (written[row, t] / TEMPERATURE).softmax(0)
                total += float((taught * (taught.log() - logits[row, t].log_softmax(0))).sum())
    assert float(feedback(written, logits, labels)) == pytest.approx(total / words, rel=1e-4, abs=1e-6)


def test_feedback_teaches_the_tagger_and_not_the_teacher():
    labels = torch.tensor([[0, 1, 2, IGNORED]])
    written, logits = torch.zeros(1, 4, 3), torch.zeros(1, 4, 3)
    written[0, 0, 0], logits[0, 1, 1] = 3.0, 3.0
    written.requires_grad_()
    logits.requires_grad_()
    gradients = torch.autograd.grad(feedback(written, logits, labels), [written, logits], allow_unused=True)
    assert gradients[0] is None
    assert gradients[1][0, 0, 0] < 0 < gradients[1][0, 0, 1]  # the gold label gains
    assert not gradients[1][0, 1:].any()


def test_feedback_reaches_the_encoder_and_no_weight_of_the_decoder(tiny_encoder):
    model, technique = tagger(tiny_encoder), tiny.technique(LabelLm, init_steps=1, begin=0.0, full=0.5)
    step = step_of(model, batch_of(0))
    context = context_of(technique, model, 11)
    losses = technique.losses(step, context)
    own = list(context.modules["decoder"].parameters())
    found = torch.autograd.grad(losses["feedback"], [step.hidden, *own], allow_unused=True, retain_graph=True)
    assert found[0].any() and all(gradient is None for gradient in found[1:])
    found = torch.autograd.grad(losses["write"], [step.hidden, *own], allow_unused=True)
    assert found[0].any() and all(gradient is not None for gradient in found[1:])


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
        guesses = (made.logits.detach() / TEMPERATURE).softmax(-1)
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
    for step in range(20):
        made = step_of(model, batch_of(step))
        sure = F.one_hot(made.batch.labels.clamp(min=0), COUNT).float() * scale
        vars(made)["logits"] = made.logits.detach() + sure
        read, hides = technique.reading(made, context_of(technique, model, step).generator("r", torch.device("cpu")))
        assert not hides.any()
        guesses = (made.logits / TEMPERATURE).softmax(-1)
        for row in range(3):
            if not torch.equal(read[row], guesses[row]):
                assert (read[row].argmax(-1) != made.batch.labels[row])[made.counted[row]].all()


def test_without_noise_it_reads_the_gold_labels(tiny_encoder):
    made, read, hides = reading(tagger(tiny_encoder).eval(), tiny.technique(LabelLm, noise=0.0, hide=1.0))
    guesses = (made.logits / TEMPERATURE).softmax(-1)
    assert hides.all()
    for row in range(3):
        if not torch.equal(read[row], guesses[row]):
            assert torch.equal(read[row].argmax(-1)[made.counted[row]], made.batch.labels[row][made.counted[row]])


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


def test_the_decoder_repairs_damaged_labels_better_than_it_would_by_copying():
    """All words of a window have one label and the states say nothing: only the labels around can tell."""
    generator = torch.Generator().manual_seed(7)
    decoder = decoder_of(5, states=8, labels=4, width=32)
    optimizer = torch.optim.AdamW(decoder.parameters(), lr=3e-3)
    counted = torch.ones(16, 12, dtype=torch.bool)

    def draw() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        gold = torch.randint(0, 4, (16, 1), generator=generator).expand(-1, 12)
        other = (gold + torch.randint(1, 4, gold.shape, generator=generator)) % 4
        read = torch.where(torch.rand(gold.shape, generator=generator) < 0.25, other, gold)
        return gold, read, torch.randn(16, 12, 8, generator=generator)

    with torch.random.fork_rng([]):
        torch.manual_seed(3)
        for _ in range(150):
            gold, read, states = draw()
            hidden = torch.rand(gold.shape, generator=generator) < 0.5
            written = decoder(F.one_hot(read, 4).float(), hidden, states, counted)
            loss = F.cross_entropy(written.flatten(0, 1), gold.flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    decoder.eval()
    right = copied = 0.0
    for _ in range(10):
        gold, read, states = draw()
        written = decoder(F.one_hot(read, 4).float(), torch.zeros_like(counted), states, counted).argmax(-1)
        right += float((written == gold).double().mean()) / 10
        copied += float((read == gold).double().mean()) / 10
    assert copied == pytest.approx(0.75, abs=0.05)
    assert right > 0.9


def test_what_it_writes_is_noted(tiny_encoder):
    technique = tiny.technique(LabelLm, init_steps=1)
    found = technique.findings(run(tiny_encoder, {"label_lm": technique}).modules("label_lm"))
    assert len(found) == 2 and all(0 < value < 1 for value in found.values())
