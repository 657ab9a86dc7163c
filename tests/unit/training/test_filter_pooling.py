import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fpplm_core.training.batch import IGNORED, Batch, hide_words
from fpplm_core.training.technique import StepContext
from fpplm_core.training.techniques.filter_pooling.technique import (
    MEASURE_EVERY,
    FilterPooling,
    effective_rank,
    fill,
    head_logits,
)
from tests import tiny
from tests.tiny import LABELS, batch_of, context_of, step_of, tagger

MASK = 4
NOW = {"begin": 0.0, "full": 0.0, "fade": 1.0}
seeds = st.integers(0, 2**32 - 1)
sizes = st.lists(st.integers(1, 8), min_size=1, max_size=3)


def case(seed: int, sizes: list[int], share: float = 0.4) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """States, which words are dropped, and which count."""
    generator = torch.Generator().manual_seed(seed)
    counted = torch.arange(max(sizes)) < torch.tensor(sizes).unsqueeze(1)
    hidden = torch.randn(*counted.shape, 3, generator=generator)
    return hidden, (torch.rand(counted.shape, generator=generator) < share) & counted, counted


@given(seeds, sizes, st.integers(1, 4), st.sampled_from([0.0, 0.4, 0.9, 1.0]))
def test_a_hole_is_the_mean_of_the_kept_words_around_it(seed, sizes, window, share):
    hidden, dropped, counted = case(seed, sizes, share)
    mixed, kept = fill(hidden, dropped, counted, window)
    for row, words in enumerate(sizes):
        for t in range(words):
            near = range(max(0, t - window), min(words, t + window + 1))
            around = [hidden[row, other] for other in near if not dropped[row, other]]
            filtered = bool(dropped[row, t]) and bool(around)
            assert kept[row, t] == (not filtered)
            if filtered:
                assert torch.allclose(mixed[row, t], torch.stack(around).mean(0), atol=1e-6)
            else:
                assert torch.equal(mixed[row, t], hidden[row, t])
    assert torch.equal(mixed[~counted], hidden[~counted]) and not kept[~counted].any()


@given(seeds, sizes, st.integers(1, 4), st.integers(1, 5))
def test_padding_changes_nothing(seed, sizes, window, more):
    hidden, dropped, counted = case(seed, sizes)
    widened = [torch.nn.functional.pad(value, (0, more)) for value in (dropped, counted)]
    noise = torch.cat([hidden, torch.full((len(sizes), more, 3), 1e4)], 1)
    noise[~widened[1]] = 1e4
    mixed, kept = fill(noise, *widened, window)
    wanted, wanted_kept = fill(hidden, dropped, counted, window)
    assert torch.equal(mixed[widened[1]], wanted[counted])
    assert torch.equal(kept[:, : kept.shape[1] - more], wanted_kept)


def test_a_batch_gives_what_each_window_gives_alone():
    hidden, dropped, counted = case(1, [8, 3, 5])
    mixed, _ = fill(hidden, dropped, counted, 2)
    for row, words in enumerate([8, 3, 5]):
        part = (slice(row, row + 1), slice(words))
        alone, _ = fill(hidden[part], dropped[part], counted[part], 2)
        assert torch.equal(mixed[part], alone)


@given(seeds, sizes, st.integers(1, 3))
def test_the_gradient_reaches_the_kept_neighbours_and_not_the_filtered_word(seed, sizes, window):
    hidden, dropped, counted = case(seed, sizes)
    hidden.requires_grad_()
    mixed, kept = fill(hidden, dropped, counted, window)
    for row, t in (counted & ~kept).nonzero().tolist():
        (gradient,) = torch.autograd.grad(mixed[row, t].sum(), hidden, retain_graph=True)
        reached = {(r, w) for r, w in gradient.any(2).nonzero().tolist()}
        near = range(t - window, t + window + 1)
        assert reached == {(row, w) for w in near if 0 <= w < sizes[row] and not dropped[row, w]}
        assert (row, t) not in reached
    (gradient,) = torch.autograd.grad(mixed.sum(), hidden)
    assert not gradient[counted & ~kept].any()


def pieces_of(seed: int) -> tuple[Batch, list[list[list[int]]]]:
    """Windows of words of one to three pieces, with context on both sides, and the pieces of each owned word."""
    random = torch.Generator().manual_seed(seed)

    def draw(low: int, high: int) -> int:
        return int(torch.randint(low, high, (1,), generator=random))

    rows, firsts, words = [], [], []
    for _ in range(draw(1, 4)):
        place, spans = 1 + draw(0, 4), []
        for _ in range(draw(1, 6)):
            spans.append(list(range(place, place + draw(1, 4))))
            place = spans[-1][-1] + 1
        rows.append(list(range(10, 10 + place + 1 + draw(0, 4))))
        firsts.append([span[0] for span in spans])
        words.append(spans)
    size, longest = max(map(len, rows)), max(map(len, firsts))
    ids = torch.tensor([row + [0] * (size - len(row)) for row in rows])
    first = torch.tensor([row + [0] * (longest - len(row)) for row in firsts])
    owned = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in firsts])
    return Batch(ids, (ids > 0).long(), torch.zeros_like(ids), first, owned, owned), words


@given(seeds, st.sampled_from([0.0, 0.3, 1.0]))
def test_every_piece_of_a_hidden_word_is_masked_and_nothing_else(seed, share):
    batch, words = pieces_of(seed)
    hidden = torch.rand(batch.first_pieces.shape, generator=torch.Generator().manual_seed(seed)) < share
    wanted = batch.ids.clone()
    for row, spans in enumerate(words):
        for t, span in enumerate(spans[:-1]):  # where the last one ends, the batch does not say
            if hidden[row, t]:
                wanted[row, span] = MASK
    assert torch.equal(hide_words(batch, hidden, MASK), wanted)


@pytest.mark.parametrize(("outside", "rate", "wanted"), [(1.0, 0.1, 0.1), (0.0, 0.1, 0.05), (0.5, 0.2, 0.15)])
def test_words_are_filtered_by_the_chance_that_they_mean_nothing(tiny_encoder, outside, rate, wanted):
    model = tagger(tiny_encoder)
    with torch.no_grad():
        model.head.weight.zero_()
        others = math.log((1 - outside) / (len(LABELS) - 1)) if outside < 1 else -100.0
        model.head.bias.fill_(others)
        model.head.bias[0] = math.log(outside) if outside else -100.0
    technique = tiny.technique(FilterPooling, rate=rate, **NOW)
    hidden = torch.randn(40, 100, model.width, generator=torch.Generator().manual_seed(1))
    labels = torch.zeros(40, 100, dtype=torch.long)
    batch = Batch(labels, labels, labels, labels, labels + 1, labels)
    assert torch.allclose(head_logits(model, hidden).softmax(-1)[..., 0], torch.tensor(outside), atol=1e-6)
    context = context_of(technique, model)
    mixed = technique.on_hidden(hidden, batch, model, context)
    changed = (mixed != hidden).any(2).double().mean()
    assert float(changed) == pytest.approx(wanted, abs=5 * math.sqrt(wanted / 4000))
    assert technique.findings(context.modules)["share of words filtered"] == pytest.approx(float(changed))


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.integers(0, 99))
def test_the_strength_rises_stays_and_falls(one, two, three, step):
    begin, full, fade = sorted((one, two, three))
    if begin == full > 0:
        full = math.nextafter(full, 2)
    if full > min(fade, 1):
        return
    technique = tiny.technique(FilterPooling, begin=begin, full=full, fade=fade)
    progress = step / 100
    found = technique.strength(StepContext(step, 100))
    assert 0 <= found <= 1
    if full <= progress <= fade:
        assert found == pytest.approx(1.0)
    elif progress < begin:
        assert found == 0
    elif progress < full:
        assert found == pytest.approx((progress - begin) / (full - begin), abs=1e-6)
    elif fade < 1:
        assert found == pytest.approx(1 - (progress - fade) / (1 - fade), abs=1e-6)


def test_nothing_is_touched_without_strength(tiny_encoder):
    model = tagger(tiny_encoder)
    batch = batch_of(0)
    hidden = step_of(model, batch).hidden
    early = tiny.technique(FilterPooling, begin=0.5, full=0.6)
    for technique, step in ((early, 0), (early, 5), (tiny.technique(FilterPooling, rate=0, cutoff=0, **NOW), 3)):
        context = context_of(technique, model, step)
        assert technique.on_inputs(batch, model, context) is None
        assert technique.on_hidden(hidden, batch, model, context) is None
    only = [
        tiny.technique(FilterPooling, rate=0, cutoff=0.5, **NOW),
        tiny.technique(FilterPooling, rate=0.5, cutoff=0, **NOW),
    ]
    assert [t.on_inputs(batch, model, context_of(t, model)) is None for t in only] == [False, True]
    assert [t.on_hidden(hidden, batch, model, context_of(t, model)) is None for t in only] == [True, False]


def test_cutoff_hides_its_share_and_leaves_the_labels(tiny_encoder):
    model, technique = tagger(tiny_encoder), tiny.technique(FilterPooling, cutoff=0.2, **NOW)
    hidden = words = owned = 0
    context = context_of(technique, model, 0, 200)
    for step in range(200):
        batch = batch_of(step)
        changed = technique.on_inputs(batch, model, replace(context, step=step))
        assert all(a is b for a, b in zip(changed[1:], batch[1:], strict=True))
        assert set(changed.ids[changed.ids != batch.ids].tolist()) <= {MASK}
        before_last = batch.word_mask[:, 1:].bool()
        hidden += int((changed.ids != batch.ids).gather(1, batch.first_pieces)[:, :-1][before_last].sum())
        words += int(before_last.sum())
        owned += int(batch.word_mask.sum())
    assert technique.findings(context.modules)["share of words hidden from the encoder"] == pytest.approx(
        hidden / owned
    )
    assert hidden / words == pytest.approx(0.2, abs=5 * math.sqrt(0.16 / words))


def test_the_head_keeps_its_mode_and_its_dropout_is_not_used(tiny_encoder):
    model = tagger(tiny_encoder)
    model.head = torch.nn.Sequential(model.head, torch.nn.Dropout(0.9))
    hidden = torch.randn(2, 3, model.width)
    for training in (True, False):
        model.head.train(training)
        one, other = (head_logits(model, hidden) for _ in range(2))
        assert torch.equal(one, other)
        assert [module.training for module in model.head.modules()] == [training] * 3


def test_only_words_that_count_are_filtered(tiny_encoder):
    model, technique = tagger(tiny_encoder), tiny.technique(FilterPooling, rate=0.5, **NOW)
    for step in range(20):
        batch = batch_of(step)
        hidden = step_of(model, batch).hidden.detach()
        context = context_of(technique, model, step)
        mixed = technique.on_hidden(hidden, batch, model, context)
        assert torch.equal(mixed[batch.labels == IGNORED], hidden[batch.labels == IGNORED])
        assert mixed.isfinite().all()


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_effective_rank_of_known_matrices(count):
    assert float(effective_rank(3.0 * torch.eye(count, 8))) == pytest.approx(count)
    one = torch.outer(torch.arange(1.0, 7.0), torch.arange(1.0, count + 1))
    assert float(effective_rank(one)) == pytest.approx(1.0, abs=1e-4)
    values = torch.arange(1.0, count + 1)
    share = values / values.sum()
    turned, _ = torch.linalg.qr(torch.randn(8, 8, generator=torch.Generator().manual_seed(count)))
    found = float(effective_rank(torch.diag(values) @ turned[:count]))
    assert found == pytest.approx(math.exp(-float((share * share.log()).sum())), rel=1e-4)
    assert float(effective_rank(torch.zeros(count, 3))) == 1.0


def test_ranks_are_measured_now_and_then(tiny_encoder):
    model, technique = tagger(tiny_encoder), tiny.technique(FilterPooling, rate=0.5, **NOW)
    batch = batch_of(0)
    hidden = step_of(model, batch).hidden.detach()
    modules = technique.modules(model, tiny.PAIRS)
    before = float(effective_rank(hidden[batch.labels != IGNORED]))
    for step in range(2 * MEASURE_EVERY):
        technique.on_hidden(hidden, batch, model, StepContext(step, 100, 3, "f", 1.0, modules))
    assert float(modules["measured"].ranks[2]) == 2
    found = technique.findings(modules)
    assert found["effective rank before"] == pytest.approx(before)
    assert 1 <= found["effective rank after"] <= before + 1e-6


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_labels_that_the_filter_changes_are_counted(tiny_encoder, noise):
    """Recounted from what on_hidden returns; among equal words no label changes, among random ones many do."""
    model, technique = tagger(tiny_encoder), tiny.technique(FilterPooling, rate=0.2, **NOW)
    hidden = torch.ones(40, 101, model.width) + noise * tiny.normal(1, 40, 101, model.width)
    labels = torch.zeros(40, 101, dtype=torch.long)
    context = context_of(technique, model)
    mixed = technique.on_hidden(hidden, Batch(labels, labels, labels, labels, labels + 1, labels), model, context)
    before, after = (model.head(states).argmax(-1) for states in (hidden, mixed))
    filtered = (mixed != hidden).any(-1)
    found = technique.findings(context.modules)["share of filtered words whose label changes"]
    if noise:
        assert found == pytest.approx(float((before != after)[filtered].double().mean())) and found > 0.3
    else:
        assert found == 0
