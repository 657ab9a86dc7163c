import dataclasses
import math
from itertools import pairwise, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F
from transformers import AutoModelForMaskedLM

from fpplm_core.errors import ParamsError
from fpplm_core.evaluation.metrics import micro_f1
from fpplm_core.model import pretrained
from fpplm_core.model.digest import weights_sha256
from fpplm_core.model.tagger import initialise
from fpplm_core.tagging.decoder import SpanDecoder
from fpplm_core.tagging.schemes import label_list, legal, split_tag, tag_errors, transitions
from fpplm_core.tagging.spans import spans_from_tags
from fpplm_core.tagging.viterbi import legality_scores, viterbi
from fpplm_core.training.batch import IGNORED, Batch, tag_loss
from fpplm_core.training.data import count_label_pairs
from fpplm_core.training.loop import train_steps
from fpplm_core.training.schedules import linear
from fpplm_core.training.state import initial_state
from fpplm_core.training.technique import StepContext
from fpplm_core.training.techniques.multi_task import losses
from fpplm_core.training.techniques.multi_task.losses import (
    FORBIDDEN,
    Anchor,
    Pairs,
    PrefixAndType,
    Presence,
    chain_loss,
    log_odds,
    neighbour_loss,
    pair_loss,
)
from fpplm_core.training.techniques.multi_task.technique import MultiTask
from tests import tiny
from tests.tiny import LABELS, SETTINGS, batch_of, context_of, label_rows, normal, step_of, tagger

ONE = label_list(["X"])
OFF = {"pair": 0, "presence": 0, "neighbours": 0, "boundary": 0, "anchor": 0}
seeds = st.integers(0, 2**32 - 1)
sizes = st.lists(st.integers(1, 5), min_size=1, max_size=3)
short = settings(max_examples=10)  # it walks through all paths


def case(seed: int, sizes: list[int], scale: float = 1.0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits, legal labels and masked scores of one entity type."""
    labels = label_rows(seed, sizes, ONE, "X")
    scores = normal(seed + 1, 5, 5, scale=scale).masked_fill(~Pairs(ONE, torch.zeros(5, 5)).legal, FORBIDDEN)
    return normal(seed, *labels.shape, 5, scale=scale), labels, scores


def windows(labels: torch.Tensor) -> list[list[int]]:
    return [[label for label in row if label != IGNORED] for row in labels.tolist()]


def logsumexp(values: list[float]) -> float:
    return float(np.logaddexp.reduce(values))


def all_chances(logits: torch.Tensor, scores: torch.Tensor) -> dict[tuple[int, ...], float]:
    """The chance of every path of one window, by its loss."""
    words = logits.shape[1]
    paths = list(product(range(5), repeat=words))
    return {path: math.exp(-words * float(chain_loss(logits, torch.tensor([path]), scores))) for path in paths}


@given(seeds, sizes, st.sampled_from([0.0, 1.0, 20.0]))
def test_the_pair_loss_is_the_one_by_enumeration(seed, sizes, scale):
    logits, labels, scores = case(seed, sizes, scale)
    losses = []
    for z, gold in zip(logits.tolist(), windows(labels), strict=True):
        for t, (a, b) in enumerate(pairwise(gold)):
            table = {
                (i, j): z[t][i] + z[t + 1][j] + float(scores[i, j])
                for i, j in product(range(5), repeat=2)
                if legal(ONE[i], ONE[j], "BIOES")
            }
            losses.append(logsumexp(list(table.values())) - table[a, b])
    wanted = sum(losses) / max(1, len(losses))
    assert float(pair_loss(logits, labels, scores)) == pytest.approx(wanted, rel=1e-4, abs=1e-4)


@given(seeds, sizes, st.sampled_from([0.0, 1.0, 20.0]))
def test_the_chain_loss_is_the_one_by_enumeration(seed, sizes, scale):
    logits, labels, scores = case(seed, sizes, scale)
    total, words = 0.0, 0
    for z, gold in zip(logits.tolist(), windows(labels), strict=True):

        def score(path, z=z):
            inner = sum(float(scores[a, b]) for a, b in pairwise(path))
            return inner + sum(row[label] for row, label in zip(z, path, strict=False))

        total += logsumexp([score(path) for path in product(range(5), repeat=len(gold))]) - score(gold)
        words += len(gold)
    assert float(chain_loss(logits, labels, scores)) == pytest.approx(total / words, rel=1e-4, abs=1e-4)


def many_labels(kinds: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits of 3 × 20 words and scores for so many types, which want gradients, and legal labels."""
    labels = label_list([f"T{n}" for n in range(kinds)])
    count = len(labels)
    rows = torch.tensor([[labels.index(label) for label in ("O", "B-T0", "E-T0", "S-T1") * 5]] * 3)
    rows[1, 13:] = IGNORED
    legal_pairs = Pairs(labels, torch.zeros(count, count)).legal
    logits, scores = normal(1, 3, 20, count, scale=5.0), normal(2, count, count).masked_fill(~legal_pairs, FORBIDDEN)
    return logits.requires_grad_(), scores.requires_grad_(), rows


@pytest.mark.parametrize("loss", [pair_loss, chain_loss])
@pytest.mark.parametrize("bfloat16", [False, True])
def test_many_labels_have_the_loss_and_gradients_of_few(monkeypatch, loss, bfloat16):
    found = []
    for most in (losses.MANY_LABELS, 1000):
        monkeypatch.setattr(losses, "MANY_LABELS", most)
        logits, scores, labels = many_labels(25)
        assert len(scores) == 101
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            value = loss(logits, labels, scores)
        found.append([value.detach(), *torch.autograd.grad(value, [logits, scores])])
    for many, few in zip(*found, strict=True):
        assert torch.allclose(many, few, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("loss", [pair_loss, chain_loss])
def test_many_labels_keep_no_table_for_each_word(loss):
    kept = []
    logits, scores, labels = many_labels(125)
    with torch.autograd.graph.saved_tensors_hooks(lambda value: kept.append(value) or value, lambda value: value):
        loss(logits, labels, scores).backward()
    storages = {value.untyped_storage().data_ptr(): value.untyped_storage().nbytes() for value in kept}
    assert sum(storages.values()) < 3 * scores.nbytes


@given(seeds, sizes)
def test_what_stands_in_the_padding_does_not_matter(seed, sizes):
    logits, labels, scores = case(seed, sizes)
    padded = F.pad(logits, (0, 0, 0, 2), value=50.0)
    more = F.pad(labels, (0, 2), value=IGNORED)
    padded[more == IGNORED] = 99.0
    for loss in (pair_loss, chain_loss):
        assert float(loss(padded, more, scores)) == pytest.approx(float(loss(logits, labels, scores)), rel=1e-5)
    guesses = torch.cat([logits, logits.flip(2)], 2)
    wide = torch.cat([padded, padded], 2)
    wide[:, : logits.shape[1]][labels != IGNORED] = guesses[labels != IGNORED]
    assert float(neighbour_loss(wide, more)) == pytest.approx(float(neighbour_loss(guesses, labels)), rel=1e-5)


@pytest.mark.parametrize("kinds", [["X"], ["X", "Y"], ["A", "B", "C", "D"]])
def test_a_uniform_guess_costs_one(kinds):
    labels = label_list(kinds)
    rows = label_rows(1, [6, 1, 4], labels, "".join(kinds))
    zeros = torch.zeros(*rows.shape, len(labels))
    assert Pairs(labels, torch.zeros(2 * [len(labels)]))(zeros, rows, "pair").item() == pytest.approx(1.0, abs=1e-6)
    assert float(neighbour_loss(torch.cat([zeros, zeros], 2), rows)) == pytest.approx(math.log(len(labels)), abs=1e-6)
    for module in (Presence(8, labels), PrefixAndType(8, labels)):
        torch.nn.init.zeros_(module.head.weight)
        torch.nn.init.zeros_(module.head.bias)
        assert module(normal(2, *rows.shape, 8), rows).item() == pytest.approx(1.0, abs=1e-6)


def test_the_legal_pairs_are_those_of_the_scheme():
    wanted = [[legal(a, b, "BIOES") for b in LABELS] for a in LABELS]
    assert Pairs(LABELS, tiny.PAIRS).legal.tolist() == wanted


@short
@given(seeds, st.integers(2, 3))
def test_illegal_paths_have_no_chance(seed, words):
    """All illegal paths of a window together, however much the logits want them."""
    pairs = Pairs(ONE, torch.zeros(5, 5))
    logits = normal(seed, 1, words, 5, scale=10.0)
    scores = pairs.scores.detach().masked_fill(~pairs.legal, FORBIDDEN)
    table, chances = pairs.legal.tolist(), all_chances(logits, scores)
    fine = {path for path in chances if all(table[a][b] for a, b in pairwise(path))}
    assert sum(chance for path, chance in chances.items() if path not in fine) < 1e-6
    assert sum(chances[path] for path in fine) == pytest.approx(1.0, abs=1e-3)


@short
@given(seeds, st.sampled_from(["pair", "crf"]))
def test_the_transitions_move_by_observed_minus_expected_counts(seed, kind):
    pairs, words = Pairs(ONE, torch.zeros(5, 5)), 3
    with torch.no_grad():
        pairs.scores.copy_(normal(seed, 5, 5))
    labels = label_rows(seed, [words], ONE, "X")
    logits = normal(seed, 1, words, 5)
    pairs(logits, labels, kind).backward()
    masked = pairs.scores.detach().masked_fill(~pairs.legal, FORBIDDEN)
    observed, expected = torch.zeros(5, 5), torch.zeros(5, 5)
    for a, b in pairwise(windows(labels)[0]):
        observed[a, b] += 1
    if kind == "pair":
        for t in range(words - 1):
            joint = logits[0, t][:, None] + logits[0, t + 1][None] + masked
            expected += joint.flatten().softmax(0).view(5, 5)
        scale = (words - 1) * math.log(int(pairs.legal.sum()))
    else:
        for path, chance in all_chances(logits, masked).items():
            for a, b in pairwise(path):
                expected[a, b] += chance
        scale = words * math.log(5)
    assert torch.allclose(pairs.scores.grad, (expected - observed) / scale, atol=1e-4)
    assert not pairs.scores.grad[~pairs.legal].any()


@given(seeds)
def test_half_the_transitions_undo_that_inner_words_count_twice(seed):
    """A path's pair scores sum up to twice its logits and A / 2, but for the logits of its ends."""
    logits, labels, scores = case(seed, [4])
    (path,) = windows(labels)
    pairs = sum(float(logits[0, t, a] + logits[0, t + 1, b] + scores[a, b]) for t, (a, b) in enumerate(pairwise(path)))
    single = sum(float(logits[0, t, a]) for t, a in enumerate(path))
    single += sum(float(scores[a, b]) / 2 for a, b in pairwise(path))
    edges = float(logits[0, 0, path[0]] + logits[0, -1, path[-1]])
    assert pairs == pytest.approx(2 * single - edges, abs=1e-4)


@pytest.mark.parametrize(("kind", "share"), [("pair", 0.5), ("crf", 1.0)])
def test_the_decoder_gets_the_learned_transitions(tiny_encoder, kind, share):
    technique = tiny.technique(MultiTask, pair_kind=kind)
    modules = technique.modules(tagger(tiny_encoder), tiny.PAIRS)
    with torch.no_grad():
        modules["pair"].scores.copy_(normal(1, 9, 9))
    found = technique.transitions(modules)
    assert torch.equal(found, share * modules["pair"].scores.detach()) and not found.requires_grad
    assert (
        tiny.technique(MultiTask, pair=0).transitions(
            tiny.technique(MultiTask, pair=0).modules(tagger(tiny_encoder), tiny.PAIRS)
        )
        is None
    )
    scores = legality_scores(transitions(LABELS))
    scores[:-1, :-1] += found.numpy()
    (best,) = viterbi(normal(2, 1, 6, 9, scale=3.0).numpy(), np.array([6]), scores)
    assert not tag_errors([LABELS[label] for label in best], "BIOES")


def counted(seed: int, windows: int = 400) -> list[list[int]]:
    """Labels of one type: an entity of two words follows another entity often, and one word hardly ever."""
    random = np.random.default_rng(seed)
    words = {"O": ["O"], "S": ["S-X"], "L": ["B-X", "E-X"]}
    parts = [random.choice(["O", "S", "L"], size=6, p=[0.75, 0.02, 0.23]) for _ in range(windows)]
    return [[ONE.index(tag) for part in row for tag in words[part]] for row in parts]


def test_label_pairs_are_counted_within_the_words_of_a_window():
    tags = [[0, 1, 3, 0], [IGNORED, 2, 2, IGNORED, 1, 3], [], [4], [IGNORED, IGNORED]]
    wanted = torch.zeros(5, 5)
    for row in tags:
        for a, b in pairwise(row):
            if IGNORED not in (a, b):
                wanted[a, b] += 1
    assert torch.equal(count_label_pairs(tags, 5), wanted) and int(wanted.sum()) == 5
    assert not count_label_pairs([], 5).any()


@given(seeds, st.floats(1e5, 1e7))
def test_with_the_counted_scores_states_that_say_nothing_give_each_pair_its_share(seed, many):
    pairs = normal(seed, 5, 5).exp()
    pairs = (pairs + pairs.T) * many  # a label is as often first as second
    share = pairs / pairs.sum()
    z = share.sum(1).log()
    found = (z[:, None] + z[None] + log_odds(pairs)).flatten().softmax(0).view(5, 5)
    assert torch.allclose(found, share, rtol=1e-2)


def test_counted_scores_of_rare_labels_are_shrunk_and_without_counts_there_are_none():
    assert not log_odds(torch.zeros(5, 5)).any()
    pairs = torch.tensor([[900.0, 0, 0], [0, 90, 0], [0, 0, 1]])
    found = log_odds(pairs)
    assert 0 < found[2, 2] < 0.2 and found[1, 1] > 1.5  # one in 991, against log(991); 90 of 91
    assert -0.2 < found[0, 2] < 0 and found[0, 1] < -2.5


@pytest.mark.parametrize("kind", ["pair", "crf"])
def test_the_decoder_begins_with_half_the_counted_scores(tiny_encoder, kind):
    pairs = torch.ones(9, 9) * 5 + 100 * torch.eye(9)
    technique = tiny.technique(MultiTask, pair_kind=kind)
    modules = technique.modules(tagger(tiny_encoder), pairs)
    legal_ones = modules["pair"].legal
    found = technique.transitions(modules)
    assert torch.allclose(found, log_odds(pairs).masked_fill(~legal_ones, 0.0) / 2)
    sizes = technique.findings(modules)["size of the label pairs' scores"]
    assert sizes["largest"] == pytest.approx(float(modules["pair"].scores.abs().max()))


def test_the_counted_scores_alone_raise_the_f1_of_a_weak_tagger():
    """Logits that say a little about each word by itself: the decoder finds more entities with the scores of train."""
    scores = log_odds(count_label_pairs(counted(1), 5))
    gold = counted(2, 150)
    shares = np.bincount(np.concatenate(gold), minlength=5) / sum(map(len, gold))
    logits = []
    for seed, row in enumerate(gold):
        states = 1.5 * F.one_hot(torch.tensor(row), 5).float() + normal(seed, len(row), 5)
        logits.append((1.5 * states + torch.from_numpy(shares + 1e-3).log().float()).numpy())
    spans = [spans_from_tags([ONE[label] for label in row]) for row in gold]
    plain = SpanDecoder.of_labels(ONE)
    learned = SpanDecoder.of_labels(ONE)
    learned.scores[:-1, :-1] += (scores / 2).numpy()
    assert micro_f1(spans, learned.spans(logits)) > micro_f1(spans, plain.spans(logits)) + 0.02


def test_the_transitions_have_a_rate_of_their_own(tiny_encoder):
    active = {"multi_task": tiny.technique(MultiTask)}
    state = tiny.start(tiny_encoder, active)
    next(train_steps(state, batch_of, active, SETTINGS))
    scores = state.modules("multi_task")["pair"].scores
    (own,) = [row["lr"] for row in state.optimizer.param_groups if any(p is scores for p in row["params"])]
    (head,) = {row["lr"] for row in state.optimizer.param_groups if row["group"].name == "head"}
    assert own == pytest.approx(active["multi_task"].rates()["pair"] * head)
    others = {row["lr"] for row in state.optimizer.param_groups if row["group"].name == "extras"}
    assert others == {own, head}


@given(seeds, sizes)
def test_neighbours_are_asked_for_word_by_word(seed, sizes):
    labels = label_rows(seed, sizes, ONE, "X")
    guesses = normal(seed, *labels.shape, 10)
    before, after = [], []
    for row, gold in enumerate(windows(labels)):
        for t in range(len(gold)):
            left, right = guesses[row, t, :5].log_softmax(0), guesses[row, t, 5:].log_softmax(0)
            before += [-float(left[gold[t - 1]])] if t else []
            after += [-float(right[gold[t + 1]])] if t + 1 < len(gold) else []
    wanted = (sum(before) / max(1, len(before)) + sum(after) / max(1, len(after))) / 2
    assert float(neighbour_loss(guesses, labels)) == pytest.approx(wanted, rel=1e-4, abs=1e-6)


@given(seeds, sizes)
def test_presence_and_parts_are_those_of_the_labels(seed, sizes):
    labels, hidden = label_rows(seed, sizes), normal(seed, len(sizes), max(sizes), 8)
    presence, parts = Presence(8, LABELS), PrefixAndType(8, LABELS)
    found, prefixes, kinds = [], [], []
    for row, gold in enumerate(windows(labels)):
        states = hidden[row, : len(gold)]
        pooled = (presence.query(states).softmax(0) * states).sum(0)
        there = {split_tag(LABELS[label])[1] for label in gold}
        wanted = torch.tensor([float(kind in there) for kind in "XY"])
        found.append(F.binary_cross_entropy_with_logits(presence.head(pooled), wanted))
        for label, scores in zip(gold, parts.head(states), strict=True):
            prefix, kind = split_tag(LABELS[label])
            prefixes.append(-scores[:5].log_softmax(0)["OBIES".index(prefix)])
            kinds.append(-scores[5:].log_softmax(0)[["", "X", "Y"].index(kind)])
    mean = [float(torch.stack(losses).mean().detach()) for losses in (found, prefixes, kinds)]
    assert presence(hidden, labels).item() == pytest.approx(mean[0] / math.log(2), rel=1e-4)
    both = (mean[1] / math.log(5) + mean[2] / math.log(3)) / 2
    assert parts(hidden, labels).item() == pytest.approx(both, rel=1e-4)


def test_each_loss_is_proportional_to_its_weight_and_zero_switches_it_off(tiny_encoder):
    model, step = tagger(tiny_encoder), step_of(tagger(tiny_encoder), batch_of(0))
    names = ("pair", "presence", "neighbours", "boundary")
    for name in names:
        values = []
        for weight in (1.0, 3.0):
            technique = tiny.technique(MultiTask, **{**OFF, name: weight})
            context = context_of(technique, model)
            assert set(context.modules) == {name}
            losses = technique.losses(step, context)
            assert set(losses) == {name}
            values.append(losses[name].item())
        assert values[1] == pytest.approx(3 * values[0])
    assert tiny.technique(MultiTask, **OFF).losses(step, context_of(tiny.technique(MultiTask, **OFF), model)) == {}
    assert tiny.technique(MultiTask, **OFF).modules(model, tiny.PAIRS) == {}


def test_every_loss_reaches_the_encoder(tiny_encoder):
    for kind in ("pair", "crf"):
        model = tagger(tiny_encoder)
        technique = tiny.technique(MultiTask, pair_kind=kind)
        step = step_of(model, batch_of(0))
        for loss in technique.losses(step, context_of(technique, model)).values():
            (gradient,) = torch.autograd.grad(loss, step.hidden, retain_graph=True)
            assert gradient.isfinite().all() and gradient[step.counted].any()
            assert not gradient[~step.counted].any()


def test_learned_weights_are_those_of_the_formula(tiny_encoder):
    model = tagger(tiny_encoder)
    step = step_of(model, batch_of(0))
    fixed = tiny.technique(MultiTask, pair=1, presence=1, neighbours=1, boundary=1)
    learned = tiny.technique(MultiTask, pair=1, presence=1, neighbours=1, boundary=1, weights="uncertainty")
    context = context_of(learned, model)
    raw = fixed.losses(step, context)
    tag = tag_loss(step.logits, step.batch.labels).item()
    values = {"tag": 0.7, "pair": -1.0, "presence": 5.0, "neighbours": -5.0, "boundary": 0.0}
    with torch.no_grad():
        for name, value in values.items():
            context.modules["uncertainty"][name].fill_(value)
    wanted = 0.0
    for name, value in values.items():
        s = min(2.0, max(-2.0, value))
        wanted += math.exp(-s) * (tag if name == "tag" else raw[name].item()) + s / 2
    found = tag + sum(loss.item() for loss in learned.losses(step, context).values())
    assert found == pytest.approx(wanted, rel=1e-5)
    reported = learned.findings(context.modules)["weights"]
    assert reported == pytest.approx({n: math.exp(-min(2.0, max(-2.0, v))) for n, v in values.items()})


def test_a_learned_weight_at_its_bound_can_leave_it(tiny_encoder):
    model = tagger(tiny_encoder)
    technique = tiny.technique(MultiTask, weights="uncertainty")
    context = context_of(technique, model)
    score = context.modules["uncertainty"]["pair"]
    score.data.fill_(2.5)
    sum(technique.losses(step_of(model, batch_of(0)), context).values()).backward()
    assert score.item() == 2.0 and score.grad > 0, "its loss is small, so that its weight must rise"


def test_scores_of_pairs_do_not_decay(tiny_encoder):
    """At 25 times the head's rate, they would shrink by a third in a run."""
    state = tiny.start(tiny_encoder, {"multi_task": tiny.technique(MultiTask)})
    scores = state.modules("multi_task")["pair"].scores
    decays = {p: row["weight_decay"] for row in state.optimizer.param_groups for p in row["params"]}
    assert decays[scores] == 0 and decays[state.model.head.weight] > 0


def test_weights_are_learned(tiny_encoder):
    technique = tiny.technique(MultiTask, weights="uncertainty", presence=0)
    active = {"multi_task": technique}
    state = tiny.run(tiny_encoder, active)
    learned = technique.findings(state.modules("multi_task"))["weights"]
    assert set(learned) == {"tag", "pair", "neighbours", "boundary"}
    assert all(value != 1.0 for value in learned.values())


@pytest.mark.parametrize(("anchor", "warmup"), [(0.1, 0.1), (0.5, 0.25), (0.99, 0.0), (0.3, 1.0)])
def test_all_pulls_together_are_the_anchor(tiny_encoder, anchor, warmup):
    model, total = tagger(tiny_encoder), 40
    technique = tiny.technique(MultiTask, **{**OFF, "anchor": anchor})
    modules = technique.modules(model, tiny.PAIRS)
    parameters = dict(model.named_parameters())
    first = {name: p.detach().clone() for name, p in parameters.items()}
    for p in parameters.values():
        p.data += 1.0
        p.grad = torch.zeros_like(p)
    for step in range(total):
        technique.after_update(
            parameters, StepContext(step, total, 0, "", linear((step + 0.5) / total, warmup), modules)
        )
    for name, p in parameters.items():
        left = 1.0 if name.startswith("head") else 1.0 - anchor
        assert torch.allclose(p.detach(), first[name] + left, atol=1e-4), name


def test_the_anchor_leaves_alone_what_is_frozen(tiny_encoder):
    model = tagger(tiny_encoder)
    technique = tiny.technique(MultiTask, **{**OFF, "anchor": 0.5})
    context = context_of(technique, model)
    parameters = dict(model.named_parameters())
    for number, (name, p) in enumerate(parameters.items()):
        p.data += 1.0
        p.grad = torch.zeros_like(p) if number % 2 and name.startswith("encoder") else None
    before = {name: p.detach().clone() for name, p in parameters.items()}
    technique.after_update(parameters, context)
    for name, p in parameters.items():
        assert torch.equal(p.detach(), before[name]) == (p.grad is None)
        p.grad = None
    technique.after_update(parameters, context)


def test_an_anchored_run_ends_nearer_to_the_pretrained_weights(tiny_encoder):
    moved = []
    for anchor in (0.0, 0.5, 0.9):
        model = tiny.run(tiny_encoder, {"multi_task": tiny.technique(MultiTask, **{**OFF, "anchor": anchor})}).model
        start = dict(tagger(tiny_encoder).encoder.named_parameters())
        moved.append(sum(float((p - start[n]).detach().square().sum()) for n, p in model.encoder.named_parameters()))
    assert moved[0] > moved[1] > moved[2]


def test_the_anchor_is_made_anew_and_not_saved(tiny_encoder):
    anchor = Anchor(tagger(tiny_encoder))
    assert not anchor.state_dict()
    assert all(
        torch.equal(anchor.weights({n: p})[n], p) for n, p in tagger(tiny_encoder).encoder.named_parameters("encoder")
    )


@pytest.mark.parametrize("kind", ["pair", "crf"])
def test_the_transitions_learn_which_label_follows(tiny_encoder, kind):
    """All windows read O S O S …: what the text does not say, the transitions do."""

    def batches(step):
        batch = batch_of(step)
        rows = (torch.arange(7) % 2 * LABELS.index("S-X")).expand(3, -1)
        return batch._replace(labels=rows.where(batch.labels != IGNORED, batch.labels))

    active = {"multi_task": tiny.technique(MultiTask, pair_kind=kind)}
    longer = tiny.changed(steps=30)
    state = tiny.start(tiny_encoder, active, longer)
    for _ in train_steps(state, batches, active, longer):
        pass
    learned = active["multi_task"].transitions(state.modules("multi_task"))
    outside, single = LABELS.index("O"), LABELS.index("S-X")
    assert learned[outside, single] > learned[outside, outside]
    assert learned[single, outside] > learned[single, single]


@pytest.fixture(scope="module")
def masked_encoder(tmp_path_factory, tiny_encoder):
    """The tiny encoder with a head for hidden pieces."""
    folder = tmp_path_factory.mktemp("masked")
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        AutoModelForMaskedLM.from_pretrained(tiny_encoder).save_pretrained(folder)
    return folder


def test_masked_lm_trains_the_encoder_leaves_its_head_alone_and_resumes(masked_encoder):
    active = tiny.build(["multi_task"], multi_task={"masked_lm": 1.0})
    state = tiny.start(masked_encoder, active)
    head = state.modules("multi_task")["masked_lm"].head[0]
    before = weights_sha256(head)
    losses = [float(report.losses["multi_task.masked_lm"]) for report in train_steps(state, batch_of, active, SETTINGS)]
    assert weights_sha256(head) == before and all(p.grad is None for p in head.parameters())
    assert 0.5 < losses[0] < 2 and all(map(math.isfinite, losses))
    assert not any("masked_lm" in name for name in state.tensors())
    again = tiny.start(masked_encoder, active)
    steps = train_steps(again, batch_of, active, SETTINGS)
    for _ in range(5):
        next(steps)
    last = tiny.start(masked_encoder, active)
    last.restore(again.tensors())
    for _ in train_steps(last, batch_of, active, SETTINGS, 5):
        pass
    assert tiny.digest(last) == tiny.digest(state)


def test_masked_lm_learns_what_hidden_pieces_were(masked_encoder):
    active = tiny.build(["multi_task"], multi_task={"masked_lm": 10.0})
    settings = tiny.changed(steps=60)
    state = tiny.start(masked_encoder, active, settings)
    losses = [
        float(report.losses["multi_task.masked_lm"])
        for report in train_steps(state, lambda step: batch_of(step % 2), active, settings)
    ]
    assert np.mean(losses[-6:]) < np.mean(losses[:6]) - 0.2  # a random head that stays as it is allows no more


SECOND = ["ADJ", "NOUN", "VERB"]


def second_tagger(folder):
    blueprint = dataclasses.replace(tiny.BLUEPRINT, second=SECOND)
    return initialise(pretrained.load_encoder(str(folder), None), blueprint, tiny.MODEL, seed=1)


def second_batch(step):
    """Two windows of the first task, the second of which has the second's labels too, and one of the second alone."""
    batch = batch_of(step)
    labels, second = batch.labels.clone(), batch.ids.gather(1, batch.first_pieces) % 3  # which a tagger can learn
    labels[2], second[0] = IGNORED, IGNORED
    return batch._replace(labels=labels, second=second.masked_fill(batch.word_mask == 0, IGNORED))


def test_a_second_task_is_learned_beside_the_first(tiny_encoder):
    active = tiny.build(["multi_task"], multi_task={"second": 1.0})
    settings = tiny.changed(steps=60)
    state = initial_state(second_tagger(tiny_encoder), active, settings)
    losses = [report.losses for report in train_steps(state, lambda n: second_batch(n % 4), active, settings)]
    found = [float(step["multi_task.second"]) for step in losses]
    assert found[0] == pytest.approx(1, abs=0.15) and np.mean(found[-6:]) < 0.5
    assert float(losses[-1]["tag"]) < float(losses[0]["tag"])


@pytest.mark.parametrize("kind", ["pair", "crf"])
def test_windows_of_the_second_task_alone_do_not_count_for_the_first(tiny_encoder, kind):
    """All techniques, on: the losses of the first task are those of a batch without such a window."""
    active = tiny.build(["multi_task", "label_lm"], multi_task={"second": 1.0, "pair_kind": kind})
    found = []
    for rows in (3, 2):
        state = initial_state(second_tagger(tiny_encoder), active, SETTINGS)
        state.model.eval()
        batch = Batch._make(value[:rows] for value in second_batch(0))
        step = step_of(state.model, batch)
        own = {n: t.losses(step, context(n, state)) for n, t in active.items()}
        found.append({f"{n}.{key}": float(v.detach()) for n, every in own.items() for key, v in every.items()})
        if rows == 2:
            found[-1].pop("multi_task.second"), found[0].pop("multi_task.second")
    assert found[0] == pytest.approx(found[1], rel=1e-5) and len(found[0]) >= 4


def context(name, state):
    return StepContext(0, 12, 3, name, 1.0, state.modules(name))


def test_all_six_with_a_second_task_stay_finite(tiny_encoder):
    active = tiny.build(tiny.SECTION["active"], multi_task={"second": 1.0, "weights": "uncertainty"})
    state = initial_state(second_tagger(tiny_encoder), active, SETTINGS)
    for report in train_steps(state, second_batch, active, SETTINGS):
        assert all(value.isfinite() for value in report.losses.values())
    assert all(value.isfinite().all() for value in state.tensors().values())


@pytest.mark.parametrize("kind", ["pair", "crf"])
def test_with_a_single_label_all_losses_are_numbers(tiny_encoder, kind):
    """A corpus without entities, for which the check was switched off."""
    model = initialise(
        pretrained.load_encoder(str(tiny_encoder), None),
        dataclasses.replace(tiny.BLUEPRINT, labels=["O"]),
        tiny.MODEL,
        1,
    )
    active = tiny.build(["multi_task"], multi_task={"pair_kind": kind})
    state = initial_state(model, active, SETTINGS)
    for report in train_steps(
        state, lambda n: batch_of(n)._replace(labels=batch_of(n).labels.clamp(max=0)), active, SETTINGS
    ):
        assert all(value.isfinite() for value in report.losses.values())


@pytest.mark.parametrize(("weight", "labels"), [(0.5, ()), (0, SECOND)])
def test_a_second_task_without_labels_or_weight_is_an_error(tiny_encoder, weight, labels):
    blueprint = dataclasses.replace(tiny.BLUEPRINT, second=labels)
    model = initialise(pretrained.load_encoder(str(tiny_encoder), None), blueprint, tiny.MODEL, seed=1)
    active = tiny.build(["multi_task"], multi_task={"second": weight})
    with pytest.raises(ParamsError, match=r"technique.multi_task.second: .*give both data.second and this weight"):
        initial_state(model, active, SETTINGS)
