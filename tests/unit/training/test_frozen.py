"""The frozen phase: what it trains on, what it leaves alone, and that it can be cut."""

import dataclasses
import resource
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch

from fpplm_core.errors import FpplmError
from fpplm_core.model.digest import weights_sha256
from fpplm_core.params import Params, load
from fpplm_core.tagging.batches import collate, epoch_batches
from fpplm_core.tagging.spans import spans_from_tags
from fpplm_core.tagging.windows import Window
from fpplm_core.training import frozen
from fpplm_core.training.averaging import averaged
from fpplm_core.training.batch import IGNORED
from fpplm_core.training.data import TrainingData
from fpplm_core.training.encodings import encode_windows
from fpplm_core.training.frozen import train_frozen
from fpplm_core.training.history import TrainingHistory
from fpplm_core.training.run import TrainingRun, train_epochs
from fpplm_core.training.selection import Dev, evaluate_on_dev
from fpplm_core.training.state import initial_state
from fpplm_core.training.technique import Technique
from fpplm_core.training.techniques.fuzzy_regions.technique import FuzzyRegions
from tests import tiny

TRAIN = load(tiny.FILE).train
FOLDER = Path(tempfile.gettempdir())
NAMES = sorted(tiny.SECTION["active"])


def windows_of(seed: int, count: int) -> tuple[list[Window], list[list[int]]]:
    """Windows of random pieces, two for some words; a word's label depends on its first piece alone."""
    random = np.random.default_rng(seed)
    windows, tags = [], []
    for sentence in range(count):
        words = int(random.integers(1, 9))
        ids, first, own = [2], [], []
        for _ in range(words):
            first.append(len(ids))
            piece = int(random.integers(10, 90))
            own.append(tiny.LABELS.index("S-X" if piece < 30 else "S-Y" if piece < 50 else "O"))
            ids += [piece, *random.integers(90, 100, random.integers(0, 2)).tolist()]
        ids.append(3)
        windows.append(Window(sentence, ids, list(range(words)), first, [tiny.FIRST_SHAPE] * len(ids)))
        tags.append(own)
    return windows, tags


@pytest.fixture(scope="module")
def data() -> TrainingData:
    windows, tags = windows_of(1, 60)
    dev, gold = windows_of(2, 30)
    spans = [spans_from_tags([tiny.LABELS[tag] for tag in own]) for own in gold]
    epochs = [epoch_batches([len(w.ids) for w in windows], 64, 3, epoch) for epoch in range(1)]
    return TrainingData(
        tiny.BLUEPRINT, windows, tags, [[] for _ in tags], epochs, Dev(dev, [len(w.owned_words) for w in dev], spans)
    )


def prepare(
    folder: Path, data: TrainingData, active: dict[str, Technique] | None = None, bfloat16: bool = False
) -> TrainingRun:
    loop = tiny.changed(steps=data.steps, bfloat16=bfloat16)
    active = active or {"fuzzy_regions": tiny.technique(FuzzyRegions, frozen_steps=200, open_by=0.5)}
    return TrainingRun(data, initial_state(tiny.tagger(folder), active, loop), active, TRAIN, loop, "", None)


def phase(run: TrainingRun) -> TrainingHistory:
    history = TrainingHistory()
    for _ in train_frozen(run, history, FOLDER):
        pass
    return history


def whole(run: TrainingRun, history: TrainingHistory) -> bytes:
    class Never:
        def is_set(self):
            return False

    for _ in train_epochs(run, history, Never()):
        pass
    return tiny.saved(run.state)


@pytest.mark.parametrize("bfloat16", [False, True])
def test_logits_of_cached_states_are_those_of_the_live_encoder(tiny_encoder, data, tmp_path, bfloat16):
    model = tiny.tagger(tiny_encoder).eval()
    found = encode_windows(model, data.windows, 64, bfloat16, tmp_path)
    assert len(found.states) == sum(len(window.owned_words) for window in data.windows)
    for rows in ([0], [3, 1, 2], [59, 7]):
        arrays = collate([data.windows[row] for row in rows])
        ids, mask, types, first, words = (torch.from_numpy(array) for array in arrays)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            live = model.classify(model.words(ids, mask, types, first))
            cached = model.classify(found.of(rows))
        assert cached.shape == live.shape
        counted = words.bool()
        assert torch.allclose(cached[counted], live[counted], atol=2e-2 if bfloat16 else 1e-5)
        assert not found.of(rows)[~counted].any()


def test_the_states_are_on_the_disk_of_the_folder_and_leave_nothing_there(tiny_encoder, data, tmp_path):
    found = encode_windows(tiny.tagger(tiny_encoder).eval(), data.windows, 64, False, tmp_path)
    assert len(found.states) and not list(tmp_path.iterdir())
    assert str(tmp_path) in Path("/proc/self/maps").read_text(encoding="utf-8")


def test_a_full_disk_is_an_error_and_not_the_end_of_the_process(tiny_encoder, data, tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            encode_windows(tiny.tagger(tiny_encoder).eval(), data.windows, 64, False, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("names", [["fuzzy_regions"], NAMES], ids=["alone", "all"])
def test_only_the_head_and_the_modules_of_techniques_change(tiny_encoder, data, names):
    run = prepare(tiny_encoder, data, tiny.build(names))
    state = run.state
    before = {name: tensor.clone() for name, tensor in state.tensors().items()}
    history = phase(run)
    after = state.tensors()
    assert before.keys() == after.keys()  # nothing of the phase's own optimizer is left
    changed = {name for name in after if not torch.equal(before[name], after[name])}
    assert {"model.head.weight", "average.head.weight"} <= changed
    assert not any(".encoder." in name for name in changed)
    context_heads = ("extras.multi_task.presence", "extras.multi_task.neighbours", "extras.multi_task.boundary")
    assert ("extras.multi_task.pair.scores" in changed) == (len(names) > 1)
    assert not any(name.startswith(context_heads) for name in changed)
    for name, parameter in state.parameters().items():
        assert torch.equal(state.average[name], parameter) and parameter.requires_grad and parameter.grad is None
    assert all(module.training for module in [*state.model.modules(), *state.technique_modules.modules()])
    assert not state.frozen and not state.optimizer.state and history.step == 0


def test_the_phase_learns_and_keeps_the_direction_of_its_best_and_its_first_norm(tiny_encoder, data):
    plain = TRAIN.model_copy(update={"f1_shift": 0.0})  # the shift depends on the scale of the logits
    run = prepare(tiny_encoder, data)._replace(settings=plain)
    norm = float(run.state.model.head.weight.detach().norm())
    score = evaluate_on_dev(run.state, run.techniques, data.dev, plain, False).f1
    best = max(one.f1 for one in phase(run).frozen)
    assert best > max(0.4, 2 * score)
    assert float(run.state.model.head.weight.detach().norm()) == pytest.approx(norm)
    with averaged(run.state.average, run.state.model, run.state.technique_modules):
        assert evaluate_on_dev(run.state, run.techniques, data.dev, plain, False).f1 == pytest.approx(best)


@pytest.mark.parametrize("steps", [1, 50, 70, 400])
def test_it_ends_when_dev_stops_rising_or_its_steps_are_over(tiny_encoder, data, steps):
    active = {"fuzzy_regions": tiny.technique(FuzzyRegions, frozen_steps=steps)}
    scores = phase(prepare(tiny_encoder, data, active)).frozen
    best = max(reversed(scores), key=lambda score: score.f1)
    assert [score.step for score in scores] == [min(50 * (n + 1), steps) for n in range(len(scores))]
    assert scores[-1].step == min(steps, best.step + 50 * frozen.PATIENCE)


def test_it_goes_on_while_no_entity_of_dev_is_found(tiny_encoder, data, monkeypatch):
    monkeypatch.setattr(frozen, "_dev_f1", lambda run, _: 0.0 if len(history.frozen) < 6 else 0.1)
    active = {"fuzzy_regions": tiny.technique(FuzzyRegions, frozen_steps=500)}
    history = TrainingHistory()
    for _ in train_frozen(prepare(tiny_encoder, data, active), history, FOLDER):
        pass
    assert [score.f1 for score in history.frozen] == [0.0] * 6 + [0.1] * 4


@pytest.mark.parametrize("names", [["fuzzy_regions"], NAMES], ids=["alone", "all"])
@pytest.mark.parametrize("cut", [1, 2])
def test_a_run_cut_within_the_phase_equals_the_uncut_one(tiny_encoder, data, names, cut):
    blocks = {"fuzzy_regions": {"frozen_steps": 150}}
    run = prepare(tiny_encoder, data, tiny.build(names, **blocks))
    uncut = whole(run, phase(run))
    killed = train_frozen(prepare(tiny_encoder, data, tiny.build(names, **blocks)), TrainingHistory(), FOLDER)
    for _ in range(cut):
        next(killed)
    killed.close()
    torch.rand(7)
    again = prepare(tiny_encoder, data, tiny.build(names, **blocks))
    assert whole(again, phase(again)) == uncut


def test_a_resumed_run_does_not_repeat_it(tiny_encoder, data):
    run = prepare(tiny_encoder, data)
    history = TrainingHistory(step=1)
    before = tiny.saved(run.state)
    assert not list(train_frozen(run, history, FOLDER)) and not history.frozen and tiny.saved(run.state) == before


@pytest.mark.parametrize("active", [{}, {"fuzzy_regions": tiny.technique(FuzzyRegions, frozen_steps=0)}])
def test_without_it_nothing_happens(tiny_encoder, data, active):
    run = prepare(tiny_encoder, data)._replace(techniques=active)
    before = tiny.saved(run.state)
    assert not phase(run).frozen and tiny.saved(run.state) == before


def test_global_randomness_stays_where_it_was(tiny_encoder, data):
    before = torch.get_rng_state().tolist(), np.random.get_state()[1].tolist()
    phase(prepare(tiny_encoder, data))
    assert (torch.get_rng_state().tolist(), np.random.get_state()[1].tolist()) == before


class Watch(Technique):
    """Writes down what it is called with, and fails where the encoder would be needed."""

    def __init__(self) -> None:
        self.began: list[tuple[torch.Tensor, torch.Tensor]] = []
        self.steps: list[tuple[int, float]] = []

    def frozen_phase(self):
        return 60

    def initialise(self, hidden, labels, modules):
        assert not self.steps
        self.began.append((hidden, labels))

    def losses(self, step, context):
        if context.in_frozen_phase:
            assert not step.hidden.requires_grad and step.logits.requires_grad
            counted = step.batch.labels != IGNORED
            assert counted.sum(1).tolist() == step.batch.word_mask.sum(1).tolist() and counted.shape[1] > 0
            noise = torch.rand(1, generator=context.generator("x", step.hidden.device))
            self.steps.append((context.step, float(noise)))
        return {}


def test_techniques_see_all_cached_words_first_and_then_the_steps(tiny_encoder, data):
    run = prepare(tiny_encoder, data, {"watch": (watch := Watch())})
    passes = []
    run.state.model.encoder.register_forward_hook(lambda *_: passes.append(run.state.model.training))
    steps = train_frozen(run, TrainingHistory(), FOLDER)
    next(steps)
    encoded = len(passes)
    for _ in steps:
        pass
    assert len(passes) == encoded and not any(passes)  # once, in evaluation mode
    ((hidden, labels),) = watch.began
    assert labels.tolist() == [tag for own in data.tags for tag in own] and len(hidden) == len(labels)
    assert [number for number, _ in watch.steps] == list(range(60))
    assert len({noise for _, noise in watch.steps}) == 60


def test_windows_without_labels_are_left_out_and_many_are_drawn_by_the_seed(tiny_encoder, data, monkeypatch):
    monkeypatch.setattr(frozen, "MOST_WINDOWS", 7)
    tags = [[] if row < 40 else own for row, own in enumerate(data.tags)]
    run = prepare(tiny_encoder, dataclasses.replace(data, tags=tags), {"watch": (watch := Watch())})
    drawn = frozen._draw_windows(run)
    assert len(set(drawn)) == 7 and min(drawn) >= 40 and drawn == frozen._draw_windows(run)
    other = run._replace(loop=tiny.changed(run.loop, seed=9))
    assert frozen._draw_windows(other) != drawn
    phase(run)
    assert watch.began[0][1].tolist() == [tag for row in drawn for tag in tags[row]]


def test_a_loss_that_is_no_number_is_an_error(tiny_encoder, data):
    class Spoiler(Watch):
        def losses(self, step, context):
            return {"bad": step.logits.sum() * (float("nan") if context.step == 3 else 0.0)}

    with pytest.raises(FpplmError, match=r"step 3: .*not finite"):
        phase(prepare(tiny_encoder, data, {"spoiler": Spoiler()}))


def test_the_encoder_keeps_its_bits_until_the_joint_steps(tiny_encoder, data):
    run = prepare(tiny_encoder, data)
    before = weights_sha256(run.state.model.encoder)
    history = phase(run)
    assert weights_sha256(run.state.model.encoder) == before
    head = weights_sha256(run.state.model.head)
    whole(run, history)
    assert weights_sha256(run.state.model.encoder) != before and weights_sha256(run.state.model.head) != head


def test_params_name_what_became_of_the_old_keys():
    values = load(tiny.FILE).model_dump()
    values["technique"]["fuzzy_regions"] |= {"frozen_until": 0.03}
    with pytest.raises(FpplmError, match=r"frozen_until.*removed"):
        Params.parse(values, "params.yaml")
