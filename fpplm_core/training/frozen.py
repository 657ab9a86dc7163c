"""The frozen phase, before step 0: the encoder is frozen, and everything else trains on its states.

Linear probing before fine-tuning (2202.10054) preserves the pretrained features, because fine-tuning then starts with
a converged head. The states are computed once, without the encoder's dropout; the dropout of the head and of the
techniques' modules stays on. What the phase draws depends on (seed, its step, name) alone. A run that was interrupted
in the phase starts it again.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch

from fpplm_core.model.groups import Group
from fpplm_core.model.tagger import last_layer
from fpplm_core.tagging.batches import batch_stream
from fpplm_core.tagging.word_logits import join_word_logits
from fpplm_core.training.averaging import averaged
from fpplm_core.training.data import make_batch
from fpplm_core.training.encodings import EncodedWindows, encode_windows
from fpplm_core.training.gradients import clip_gradients, exchange_gradients
from fpplm_core.training.history import DevScore, TrainingHistory
from fpplm_core.training.loop import StepReport, all_losses, freeze, read_losses
from fpplm_core.training.randomness import derive_seed, seeded
from fpplm_core.training.run import TrainingRun
from fpplm_core.training.selection import decode_dev
from fpplm_core.training.technique import StepContext, StepOutputs

MOST_WINDOWS = 4096  # of train, drawn by the seed: enough for a head, however large train is
BATCH_WORDS = 512  # with padding
HEAD_RATE = 5.0  # the head's learning rate, in units of train.head_lr: a high rate cannot damage the frozen encoder
WARMUP = 20  # steps
EVALUATE_EVERY = 50  # steps
PATIENCE = 3  # evaluations without a better dev F1 after which the phase ends


def train_frozen(run: TrainingRun, history: TrainingHistory, folder: Path) -> Iterator[DevScore]:
    """Runs the frozen phase if a technique asks for one and training has not begun; yields every evaluation on dev.

    At its end, the techniques' modules, the direction of the head and their averages are those with the best dev F1.
    The states are on the disk of `folder`, in files without a name. A caller that stops before the end must prepare the
    run again. Raises FpplmError if a loss is not finite, and OSError.
    """
    steps = max((technique.frozen_phase() for technique in run.techniques.values()), default=0)
    if not steps or history.step:
        return
    state, model = run.state, run.state.model
    trained = [group for group in state.groups if not group.depth]
    locked = [group for group in state.groups if group.depth]
    for group in locked:
        freeze(group, True)
    model.training = False  # nothing but the head and the techniques' modules trains
    chosen = _draw_windows(run)
    budget, bfloat16 = 4 * run.settings.batch_pieces, run.loop.bfloat16
    encode = partial(encode_windows, model, budget=budget, bfloat16=bfloat16, folder=folder)
    train = encode([run.data.windows[row] for row in chosen])
    dev = encode(run.data.dev.windows)
    labels = torch.tensor([tag for row in chosen for tag in run.data.tags[row]], device=state.device)
    for name, technique in run.techniques.items():
        technique.initialise(train.states.to(state.device), labels, state.modules(name))
    reports = _train_steps(run, train, chosen, trained, steps)
    yield from _until_dev_stops_rising(run, reports, dev, history)
    for group in locked:
        freeze(group, False)
    model.training = True
    for name, parameter in ((n, p) for group in trained for n, p in group.parameters.items()):
        state.average[name].copy_(parameter.detach())


def _until_dev_stops_rising(
    run: TrainingRun, reports: Iterator[StepReport], dev: EncodedWindows, history: TrainingHistory
) -> Iterator[DevScore]:
    """Trains until dev F1 stops rising, then restores the head and the modules with the best F1.

    The restored head is scaled to its initial norm. On states that do not change it overfits train and its norm grows
    several times; fine-tuning from such a head gives a lower F1 (docs/decisions/0020-frozen-phase.md).
    """
    last = last_layer(run.state.model.head)
    norm = torch.linalg.vector_norm(last.weight.detach())
    modules = (run.state.model.head, run.state.technique_modules)
    while unread := list(itertools.islice(reports, EVALUATE_EVERY)):
        read_losses(unread)
        score = DevScore(unread[-1].step + 1, _dev_f1(run, dev))
        history.frozen.append(score)
        best = max(reversed(history.frozen), key=lambda one: one.f1)  # the last of equal ones: F1 can stay 0 for long
        if score is best:
            kept = [copy.deepcopy(module.state_dict()) for module in modules]
        yield score
        if score.step - best.step >= PATIENCE * EVALUATE_EVERY:
            break
    for module, weights in zip(modules, kept, strict=True):
        module.load_state_dict(weights)
    with torch.no_grad():
        shrink = norm / torch.linalg.vector_norm(last.weight)
        last.weight.mul_(shrink)
        last.bias.mul_(shrink)


def _draw_windows(run: TrainingRun) -> list[int]:
    """The rows of at most MOST_WINDOWS windows that have labels, drawn with the seed, in order."""
    labelled = np.flatnonzero([len(tags) > 0 for tags in run.data.tags])
    random = np.random.default_rng(derive_seed(run.loop.seed, 0, "frozen/windows"))
    return sorted(random.permutation(labelled)[:MOST_WINDOWS].tolist())


def _train_steps(
    run: TrainingRun, train: EncodedWindows, chosen: list[int], trained: list[Group], steps: int
) -> Iterator[StepReport]:
    state, device = run.state, run.state.device
    seed = derive_seed(run.loop.seed, 0, "frozen")
    own = [dict(row) for row in state.optimizer.param_groups if not row["group"].depth]
    optimizer = torch.optim.AdamW(own, fused=True)
    lengths = np.diff(train.starts)
    for number, rows in zip(range(steps), batch_stream(lengths, BATCH_WORDS, seed), strict=False):
        factor = min(1.0, (number + 0.5) / WARMUP)
        for row in optimizer.param_groups:
            row["lr"] = run.loop.head_lr * factor * row["rate"] * (HEAD_RATE if row["group"].name == "head" else 1.0)
        contexts = {
            name: StepContext(number, steps, seed, name, factor, state.modules(name), in_frozen_phase=True)
            for name in run.techniques
        }
        batch, hidden = make_batch(run.data, [chosen[row] for row in rows]).to(device), train.of(rows).to(device)
        with (
            seeded(device, derive_seed(seed, number, "dropout")),
            torch.autocast(device.type, torch.bfloat16, enabled=run.loop.bfloat16),
        ):
            logits = state.model.classify(hidden)
            losses = all_losses(
                StepOutputs(state.model, batch, batch, hidden, logits, state.average), run.techniques, contexts
            )
            loss = torch.stack([value.float() for value in losses.values()]).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        exchange_gradients(trained)
        norms = clip_gradients(trained)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        yield StepReport(number, {name: v.detach() for name, v in losses.items()}, run.loop.head_lr * factor, norms, {})


def _dev_f1(run: TrainingRun, encoded: EncodedWindows) -> float:
    state, dev, device = run.state, run.data.dev, run.state.device
    with (
        averaged({}, state.model, state.technique_modules),
        torch.inference_mode(),
        torch.autocast(device.type, torch.bfloat16, enabled=run.loop.bfloat16),
    ):
        logits = state.model.classify(encoded.states.to(device)).cpu().numpy()
        own = [logits[None, start:end] for start, end in itertools.pairwise(encoded.starts)]
        words = join_word_logits([[window] for window in dev.windows], own, dev.lengths)
        return decode_dev(state, run.techniques, dev, run.settings.f1_shift, words).f1
