"""Self-training on text without labels: what is labelled, what counts, and what keeps a type from taking over."""

from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from fpplm_core.export.label_lm_graph import second_graph
from fpplm_core.params import load
from fpplm_core.training import self_training
from fpplm_core.training.batch import IGNORED, Batch
from fpplm_core.training.data import draw_unlabelled
from fpplm_core.training.loop import train_steps
from fpplm_core.training.self_training import Quotas, SelfTraining, unlabelled_losses, whole_spans
from fpplm_core.training.state import TrainingState, initial_state
from fpplm_core.training.technique import StepContext, StepOutputs, Technique
from fpplm_core.training.techniques.label_lm.technique import LabelLm
from tests import tiny
from tests.tiny import LABELS, SETTINGS, batch_of, label_rows, normal, saved, weights

TRAIN = load(Path(__file__).parents[3] / "params.yaml").train
OUT, B, _, E, S = range(5)  # of type X; then Y's


def own(**values: float) -> SelfTraining:
    return SelfTraining(**{**TRAIN.self_training.model_dump(), "begin": 0.2, "full": 0.4, **values})


def text_of(step: int) -> Batch | None:
    """Text for the steps from the third on."""
    batch = batch_of(1000 + step)
    return batch._replace(labels=torch.full_like(batch.labels, IGNORED)) if step > 2 else None


def begin(folder: Path, techniques: dict[str, Technique]) -> TrainingState:
    return initial_state(tiny.tagger(folder), techniques, SETTINGS, unlabelled=True)


def trained(folder: Path, names: list[str], text=text_of, **values: float) -> tuple[TrainingState, list[dict]]:
    techniques = {**tiny.build(names), self_training.NAME: own(**values)}
    state = begin(folder, techniques)
    steps = train_steps(state, batch_of, techniques, SETTINGS, 0, text)
    return state, [{name: float(value) for name, value in report.losses.items()} for report in steps]


def losses_on(folder: Path, batch: Batch, techniques: dict[str, Technique], step: int = 10) -> dict[str, torch.Tensor]:
    state = begin(folder, techniques)
    names = {name: StepContext(step, 12, 3, name, 1.0, state.modules(name)) for name in techniques}
    return unlabelled_losses(state, batch, techniques, names)


class Recorder(Technique):
    """Keeps the labels that it is shown, and trusts those of `mask`."""

    def __init__(self, mask: torch.Tensor | None = None) -> None:
        self.mask, self.seen, self.step = mask, None, None

    def trust(self, taught: StepOutputs, labels: torch.Tensor, context: StepContext) -> torch.Tensor | None:
        assert not taught.logits.requires_grad and not taught.model.training
        self.seen, self.taught = labels, taught
        return self.mask

    def unlabelled_losses(self, step: StepOutputs, context: StepContext) -> dict[str, torch.Tensor]:
        assert step.logits.requires_grad and step.model.training
        self.step = step
        return {}


@pytest.mark.parametrize("names", [[], tiny.SECTION["active"]], ids=["plain", "all"])
def test_labels_never_come_from_gold(tiny_encoder, names):
    """Another column of labels in the batch changes no bit of the run."""

    def cheating(step: int) -> Batch | None:
        return batch_of(1000 + step) if step > 2 else None

    assert saved(trained(tiny_encoder, names)[0]) == saved(trained(tiny_encoder, names, cheating)[0])


def test_the_labels_are_those_of_the_averaged_weights(tiny_encoder):
    recorder, batch = Recorder(), text_of(5)
    assert batch is not None
    state = begin(tiny_encoder, {"own": recorder})
    for value in state.average.values():
        value.mul_(1.5)  # no longer the current weights
    before = {name: p.detach().clone() for name, p in state.model.named_parameters()}
    unlabelled_losses(state, batch, {"own": recorder}, {"own": StepContext(1, 2)})
    for name, p in state.model.named_parameters():
        assert torch.equal(p, before[name]) and p.grad is None
        p.data.copy_(state.average[name])
    with torch.no_grad():
        wanted = tiny.step_of(state.model.eval(), batch).logits.argmax(-1)
    owned = batch.word_mask.bool()
    assert torch.equal(recorder.seen[owned], wanted[owned]) and (recorder.seen[~owned] == IGNORED).all()


def test_words_are_hidden_from_the_student_alone(tiny_encoder):
    recorder, batch = Recorder(), text_of(5)
    losses_on(tiny_encoder, batch, {self_training.NAME: own(hidden=0.5), "own": recorder})
    assert torch.equal(recorder.taught.batch.ids, batch.ids)
    changed = recorder.step.batch.ids != batch.ids
    assert changed.any() and (recorder.step.batch.ids[changed] == tiny.BLUEPRINT.mask_id).all()
    assert torch.equal(recorder.step.clean.ids, batch.ids)
    losses_on(tiny_encoder, batch, {self_training.NAME: own(hidden=0.0), "own": recorder})
    assert torch.equal(recorder.step.batch.ids, batch.ids)


def test_words_that_one_technique_distrusts_do_not_count(tiny_encoder):
    batch = text_of(5)
    owned = batch.word_mask.bool()
    first, second = (torch.rand(owned.shape, generator=torch.Generator().manual_seed(n)) < 0.7 for n in (1, 2))
    recorders = {"a": Recorder(first), "b": Recorder(second), "c": Recorder()}
    losses_on(tiny_encoder, batch, recorders)
    labels = recorders["a"].seen
    kept = whole_spans(labels, owned & first & second, LABELS)
    for recorder in recorders.values():
        assert torch.equal(recorder.step.batch.labels, torch.where(kept, labels, IGNORED))


def slow_spans(labels: list[int], kept: list[bool]) -> list[bool]:
    """Word by word: O by itself, S by itself, B I* E of one type whole; anything else not at all."""
    found, word = [False] * len(labels), 0
    while word < len(labels):
        name, end = LABELS[labels[word]], word + 1
        if name.startswith("B-"):
            kind = name[2:]
            while end < len(labels) and LABELS[labels[end]] == f"I-{kind}":
                end += 1
            legal = end < len(labels) and LABELS[labels[end]] == f"E-{kind}"
            end += legal
        else:
            legal = name == "O" or name.startswith("S-")
        if legal and all(kept[word:end]):
            found[word:end] = [True] * (end - word)
        word = end
    return found


@given(st.lists(st.tuples(st.integers(0, len(LABELS) - 1), st.booleans()), min_size=1, max_size=9), st.integers(0, 3))
def test_an_entity_counts_whole_or_not_at_all(words, padding):
    labels, kept = map(list, zip(*words, strict=True))
    rows = torch.tensor([[*labels, *[IGNORED] * padding]])
    found = whole_spans(rows, torch.tensor([[*kept, *[False] * padding]]), LABELS)[0].tolist()
    slow = slow_spans(labels, kept)
    assert not any(found[len(labels) :])
    assert all(want or not have for have, want in zip(found, slow, strict=False))
    legal = whole_spans(rows, torch.tensor([[True] * len(labels) + [False] * padding]), LABELS)[0, : len(labels)]
    if legal.all():  # at an illegal border, the words on both sides are doubtful
        assert found[: len(labels)] == slow


@given(st.integers(0, 10**6))
def test_legal_labels_that_are_trusted_all_count(seed):
    rows = label_rows(seed, [7, 4, 1])
    assert torch.equal(whole_spans(rows, rows != IGNORED, LABELS), rows != IGNORED)


def taught(quotas: Quotas, chances: dict[int, float], confidence: float = 0.9) -> torch.Tensor:
    """Whether words with these labels and probabilities are trusted."""
    labels = torch.tensor([list(chances)])
    rest = (1 - torch.tensor(list(chances.values()))) / (len(LABELS) - 1)
    probabilities = rest.unsqueeze(1).repeat(1, len(LABELS))
    probabilities[range(len(chances)), list(chances)] = torch.tensor(list(chances.values()))
    step = StepOutputs(None, None, None, None, probabilities.log().unsqueeze(0), {})
    context = StepContext(10, 12, modules={"quotas": quotas})
    return own(confidence=confidence).trust(step, labels, context)[0]


def filled(labelled: list[int], kept: list[int], rounds: int = 300) -> Quotas:
    quotas = Quotas(LABELS)
    for _ in range(rounds):
        quotas.observe(torch.tensor([labelled]))
        quotas.observe(torch.tensor([kept]), torch.ones(1, len(kept)))
    return quotas


BALANCED = [OUT] * 12 + [B, E, S, 5, 7, 8]


def test_without_any_experience_the_threshold_is_the_set_one():
    assert taught(Quotas(LABELS), {OUT: 0.91, S: 0.91, 8: 0.91}).all()
    assert not taught(Quotas(LABELS), {OUT: 0.89, S: 0.89, 8: 0.89}).any()
    quotas = filled(BALANCED, BALANCED)
    assert torch.allclose(quotas.thresholds(0.9), torch.tensor(0.9)) and torch.allclose(quotas.weights(), torch.ones(3))


def test_a_starved_type_has_a_lower_threshold_and_a_flood_weighs_less():
    quotas = filled(BALANCED, [OUT] * 12 + [S] * 5 + [8])
    outside, flood, starved = quotas.thresholds(0.9).tolist()
    assert outside == pytest.approx(0.9) and flood == pytest.approx(0.9) and 0.5 < starved < 0.75
    weight = quotas.weights().tolist()
    assert weight[2] == 1 and weight[1] < 0.7
    assert 5 * weight[1] < 3.5  # nearer to the labelled share of 3


def test_the_share_of_a_rare_type_is_that_of_all_labels_however_long_ago_it_came():
    quotas = Quotas(LABELS)
    quotas.observe(torch.tensor([[S] + [OUT] * 9]))
    for _ in range(999):
        quotas.observe(torch.tensor([[OUT] * 9 + [8]]))
    assert quotas.summary(0.9)["labelled share"] == pytest.approx({"O": 0.9, "X": 0.0001, "Y": 0.0999})


def test_without_types_every_weight_is_1():
    quotas = Quotas(["O"])
    quotas.observe(torch.zeros(1, 5, dtype=torch.long))
    quotas.observe(torch.zeros(1, 5, dtype=torch.long), torch.ones(1, 5))
    assert quotas.weights().tolist() == [1.0] and quotas.thresholds(0.9).tolist() == pytest.approx([0.9])


def test_who_keeps_only_o_learns_no_more_of_it():
    quotas = filled(BALANCED, [OUT] * 18)
    assert quotas.weights()[0] < 0.1
    assert quotas.thresholds(0.9)[1:].max() <= 0.9


@pytest.mark.parametrize("bias", [[3.0, 0.0, 0.0], [1.0, 1.5, 0.0]], ids=["to O", "to X"])
def test_quotas_keep_a_simulated_model_from_collapse(bias):
    """A model of three numbers, the log-odds of O, X and Y, which learns its own labels and leans to one of them."""

    def shares(with_quotas: bool) -> list[float]:
        generator, quotas, odds = torch.Generator().manual_seed(1), Quotas(LABELS), torch.tensor(bias)

        def scores(words: int) -> torch.Tensor:
            return odds + 2.0 * torch.randn(words, 3, generator=generator)

        for _ in range(300):
            quotas.observe(torch.tensor([BALANCED]))
            drawn = scores(200)
            chance, guess = drawn.softmax(-1).max(-1)
            kept = chance > (quotas.thresholds(0.9)[guess] if with_quotas else 0.9)
            weight = quotas.weights()[guess] if with_quotas else torch.ones(200)
            push = weight.unsqueeze(1) * (torch.nn.functional.one_hot(guess, 3) - drawn.softmax(-1))
            odds = odds + push[kept].mean(0)
            quotas.observe(torch.tensor([OUT, S, 8])[guess[kept]], torch.ones(200))
        return (scores(4000).argmax(-1).bincount(minlength=3) / 4000).tolist()

    assert min(shares(with_quotas=False)) < 0.005
    assert min(shares(with_quotas=True)) > 0.03


def test_the_loss_is_the_cross_entropy_of_what_counts_over_all_words(tiny_encoder):
    labels = torch.tensor([[OUT, S, IGNORED, 5, 7], [OUT, IGNORED, IGNORED, IGNORED, IGNORED]])
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]])
    logits = normal(1, 2, 5, len(LABELS)).requires_grad_()
    batch = Batch(mask, mask, mask, mask, mask, labels)
    step = StepOutputs(None, batch, batch, None, logits, {})
    quotas = filled(BALANCED, [OUT] * 14 + [S] * 3 + [8])
    weight = quotas.weights()[torch.tensor([0, 1, 0, 2, 2])]
    context = StepContext(3, 10, modules={"quotas": quotas})
    loss = own(weight=2.0, begin=0.2, full=0.4).unlabelled_losses(step, context)["tag"]
    logs = -logits.log_softmax(-1)
    first = sum(weight[w] * logs[0, w, labels[0, w]] for w in (0, 1, 3, 4))
    assert float(loss) == pytest.approx(float(2.0 * 0.5 * (first + weight[0] * logs[1, 0, OUT]) / 7), rel=1e-5)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert not gradient[labels == IGNORED].any() and gradient[labels != IGNORED].any(-1).all()


def test_text_changes_no_draw_of_the_labelled_pass(tiny_encoder):
    """With a weight of zero the text is labelled and learned for nothing: the tagger is that of a run without it."""
    state, _ = trained(tiny_encoder, [], weight=0.0)
    assert weights(state) == weights(tiny.run(tiny_encoder))


def test_text_changes_the_tagger_from_its_first_step_on(tiny_encoder):
    state, losses = trained(tiny_encoder, [], confidence=0.5)
    assert weights(state) != weights(tiny.run(tiny_encoder))
    assert ["self_training.tag" in step for step in losses] == [False] * 3 + [True] * 9


@pytest.mark.parametrize("names", [[], tiny.SECTION["active"]], ids=["plain", "all"])
@pytest.mark.parametrize("bfloat16", [False, True])
def test_a_resumed_run_equals_the_uncut_one(tiny_encoder, names, bfloat16):
    settings = tiny.changed(bfloat16=bfloat16)
    techniques = {**tiny.build(names), self_training.NAME: own(confidence=0.5)}
    whole, done = begin(tiny_encoder, techniques), 0
    for _ in train_steps(whole, batch_of, techniques, settings, 0, text_of):
        pass
    kept: dict[str, torch.Tensor] = {}
    for cut in (2, 4, 5, 9, 12):
        state = begin(tiny_encoder, techniques)
        if kept:
            state.restore(kept)
        steps = train_steps(state, batch_of, techniques, settings, done, text_of)
        while done < cut:
            assert next(steps).step == done
            done += 1
        steps.close()
        kept = {name: tensor.clone() for name, tensor in state.tensors().items()}
    assert saved(state) == saved(whole)
    findings = {name: technique.findings(whole.modules(name)) for name, technique in techniques.items()}
    counted = findings[self_training.NAME]["share of unlabelled words that count"]
    assert 0 <= counted <= 1 and (counted or names)  # an untrained rival and label LM agree on nothing


def test_the_rows_of_text_come_in_rounds_and_depend_on_seed_and_step_alone():
    settings = TRAIN.model_copy(update={"batch_pieces": 64})
    lengths = [8 + n % 9 for n in range(50)]
    rows = draw_unlabelled(lengths, settings, 90)
    assert len(rows) == 90
    flat = [row for step in rows for row in step]
    assert sorted(flat[:50]) == list(range(50)) and all(max(lengths[r] for r in b) * len(b) <= 64 for b in rows)
    assert draw_unlabelled(lengths, settings, 90)[:] == rows[:]
    assert draw_unlabelled(lengths, settings.model_copy(update={"seed": 2}), 90)[:] != rows[:]


def test_the_label_lm_trusts_what_it_would_write_itself(tiny_encoder):
    technique, model = tiny.technique(LabelLm), tiny.tagger(tiny_encoder).eval()
    modules = {**technique.modules(model, tiny.PAIRS), **technique.unlabelled_modules(model)}
    step = tiny.step_of(model, text_of(5))
    labels = step.logits.argmax(-1)
    decoder = modules["decoder"].eval()
    with torch.no_grad():
        decoder.write.weight.zero_()
        decoder.write.bias.copy_(torch.tensor([4.0 if name == LABELS[int(labels[0, 0])] else 0.0 for name in LABELS]))
        trusted = technique.trust(step, labels, StepContext(5, 12, modules=modules))
    assert torch.equal(trusted, (labels == labels[0, 0]) & step.batch.word_mask.bool())
    assert "entities' words of text on which it agrees" in technique.findings(modules)
    assert "entities' words of text on which it agrees" not in technique.findings(technique.modules(model, tiny.PAIRS))


def test_the_label_lm_is_exported_from_a_run_with_text(tiny_encoder, tmp_path):
    """Its weights lie beside those that exist for the text alone."""
    state, _ = trained(tiny_encoder, ["adversarial", "label_lm"])
    path = tmp_path / "extras.safetensors"
    safetensors.torch.save_file({n: t.contiguous() for n, t in state.technique_modules.state_dict().items()}, path)
    graph = second_graph(state.model, tiny.build(["adversarial", "label_lm"]), path)
    assert torch.equal(graph.module.labels, state.modules("label_lm")["decoder"].labels)


@pytest.mark.parametrize("true", [0.7, 1.0, 2.0, 3.0])
def test_confidence_is_calibrated_on_dev(tiny_encoder, true):
    """Of words whose calibrated probability is 0.9, nine tenths are right, however sure the logits are."""
    technique, draws = own(), torch.Generator().manual_seed(5)
    modules = technique.modules(tiny.tagger(tiny_encoder), tiny.PAIRS)
    logits = 4 * torch.randn(20_000, len(LABELS), generator=draws)
    labels = torch.multinomial((logits / true).softmax(-1), 1, generator=draws).squeeze(1)
    technique.on_dev(logits, labels, modules)
    assert float(modules["quotas"].temperature) == pytest.approx(true, rel=0.06)
    chance, guess = (logits / modules["quotas"].temperature).softmax(-1).max(-1)
    near = (chance - 0.9).abs() < 0.05
    assert float((guess == labels)[near].float().mean()) == pytest.approx(0.9, abs=0.03)


def test_an_overconfident_model_is_trusted_less(tiny_encoder):
    batch, technique = text_of(5), own(confidence=0.9)
    state = begin(tiny_encoder, {self_training.NAME: technique})
    context = StepContext(10, 12, 3, self_training.NAME, 1.0, state.modules(self_training.NAME))
    logits = torch.zeros(*batch.labels.shape, len(LABELS)).index_fill(-1, torch.tensor([0]), 5.0)  # p(O) = 0.94
    step = StepOutputs(state.model, batch, batch, torch.zeros(0), logits, state.average)
    labels = torch.zeros_like(batch.labels)
    assert technique.trust(step, labels, context).all()
    context.modules["quotas"].temperature.fill_(2.0)  # 0.58
    assert not technique.trust(step, labels, context).any()
