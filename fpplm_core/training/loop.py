"""The training loop as a generator. It names no technique: `technique` says what one may return.

What a step draws depends on (seed, step, name) alone, so a resumed run equals an uncut one bit for bit, and switching
one technique on changes no other draw.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from fpplm_core.errors import FpplmError, ParamsError, TrainingDiverged
from fpplm_core.model import parallel
from fpplm_core.model.groups import Group
from fpplm_core.training.batch import Batch, tag_loss
from fpplm_core.training.gradients import clip_factor, clip_gradients, exchange_gradients, gradient_norms
from fpplm_core.training.randomness import derive_seed, seeded
from fpplm_core.training.schedules import SCHEDULES, layerwise
from fpplm_core.training.self_training import unlabelled_losses
from fpplm_core.training.state import LoopSettings, TrainingState, update_average
from fpplm_core.training.technique import StepContext, StepOutputs, Technique

T = TypeVar("T")
MEASURE_EVERY = 47  # steps between measurements of the losses' gradients; a prime, so that they meet each n-th step too
COMPARE_EVERY = 50  # steps from one comparison of the processes' weights to the next


class StepReport(NamedTuple):
    """One finished step; all tensors are detached scalars on the device.

    `norms` are the gradient norms before clipping, see `clip_gradients`; `gradients` are the norms of each loss's
    gradient in the encoder's top block, empty in a step that did not measure them.
    """

    step: int
    losses: dict[str, Tensor]
    lr: float
    norms: dict[str, Tensor]
    gradients: dict[str, Tensor]


def read_losses(reports: Sequence[StepReport]) -> list[dict[str, float]]:
    """The losses of these steps, in one transfer. Raises TrainingDiverged if a gradient is not finite."""
    found: list[dict[str, float]] = []
    values = iter(torch.stack([v.float() for r in reports for v in (*r.losses.values(), *r.norms.values())]).tolist())
    for report in reports:
        losses = {name: next(values) for name in report.losses}
        norms = {name: next(values) for name in report.norms}
        found.append(losses)
        if not all(map(math.isfinite, norms.values())):
            raise TrainingDiverged(
                "the loss or its gradient is not finite",
                where=f"step {report.step}",
                got=", ".join(f"{key} {value:.3g}" for key, value in losses.items()),
                do="lower train.lr, or set train.precision to float32",
            )
    return found


def read_gradient_shares(reports: Sequence[StepReport]) -> list[dict[str, float]]:
    """Each loss's share of the gradient norms, norm / sum of norms, for each step that measured them."""
    found = []
    for report in reports:
        if report.gradients:
            norms = torch.stack([norm.float() for norm in report.gradients.values()])
            shares = norms / norms.sum().clamp(min=torch.finfo(norms.dtype).tiny)
            found.append(dict(zip(report.gradients, shares.tolist(), strict=True)))
    return found


def train_steps(
    state: TrainingState,
    batches: Callable[[int], Batch],
    techniques: Mapping[str, Technique],
    settings: LoopSettings,
    start: int = 0,
    unlabelled: Callable[[int], Batch | None] = lambda _: None,
) -> Iterator[StepReport]:
    """Trains from step `start`, one step for each report; the caller logs, evaluates, saves and stops.

    `batches(step)` returns the batch of a step, `unlabelled(step)` its batch of unlabelled text, if any. Raises
    FpplmError if two techniques return what only one may or if two processes hold different weights, and ParamsError if
    every parameter is frozen. A loss that is not finite also raises FpplmError: on the CPU before the weights change;
    on a GPU, where reading it would wait, when the caller passes the reports to `read_losses`.
    """
    device = next(state.model.parameters()).device
    parameters = state.parameters()
    top = next(group for group in state.groups if group.depth == 1)
    for number in range(start, settings.steps):
        # Step n of N trains at the middle of its slot, so that neither the first nor the last step has rate 0.
        factor = SCHEDULES[settings.schedule]((number + 0.5) / settings.steps, settings.warmup)
        contexts = {
            name: StepContext(number, settings.steps, settings.seed, name, factor, state.modules(name))
            for name in techniques
        }
        _set_rates(state, techniques, settings, factor, contexts)
        clean = batches(number).to(device)
        offers = (t.on_inputs(clean, state.model, contexts[n]) for n, t in techniques.items())
        batch = _owned("on_inputs", clean, offers)

        with (
            seeded(device, derive_seed(settings.seed, number, "dropout")),
            torch.autocast(device.type, torch.bfloat16, enabled=settings.bfloat16),
        ):
            hidden = state.model.words(batch.ids, batch.mask, batch.types, batch.first_pieces)
            changed = (t.on_hidden(hidden, batch, state.model, contexts[n]) for n, t in techniques.items())
            hidden = _owned("on_hidden", hidden, changed)
            logits = state.model.classify(hidden)
            losses = all_losses(
                StepOutputs(state.model, clean, batch, hidden, logits, state.average), techniques, contexts
            )
            text = unlabelled(number)
            if text is not None:
                with seeded(device, derive_seed(settings.seed, number, "unlabelled/dropout")):
                    losses |= unlabelled_losses(state, text.to(device), techniques, contexts)
            loss = torch.stack([value.float() for value in losses.values()]).sum()
        measured = number % MEASURE_EVERY == MEASURE_EVERY // 2 and top.name not in state.closed
        gradients = gradient_norms(losses, list(top.parameters.values())) if measured else {}
        loss.backward()  # type: ignore[no-untyped-call]
        exchange_gradients(state.groups)

        norms, detached = clip_gradients(state.groups), {key: value.detach() for key, value in losses.items()}
        report = StepReport(number, detached, settings.lr * factor, norms, gradients)
        if device.type == "cpu":
            read_losses([report])
        clip = clip_factor(norms["model"]) if "model" in norms else 1.0
        contexts = {name: replace(context, clip=clip) for name, context in contexts.items()}
        for name, technique in techniques.items():
            technique.before_update(parameters, contexts[name])
        state.optimizer.step()
        for name, technique in techniques.items():
            technique.after_update(parameters, contexts[name])
        state.optimizer.zero_grad(set_to_none=True)
        update_average(state, settings, number)
        if number % COMPARE_EVERY == COMPARE_EVERY - 1 or number + 1 == settings.steps:
            parallel.require_equal_weights(parameters.values(), number)
        yield report


def all_losses(
    step: StepOutputs, techniques: Mapping[str, Technique], contexts: Mapping[str, StepContext]
) -> dict[str, Tensor]:
    """The label loss ("tag") and the losses of the techniques, by name; what one adds to "tag" is part of that."""
    losses = {"tag": tag_loss(step.logits, step.batch.labels)}
    for name, technique in techniques.items():
        context = contexts[name]
        with seeded(step.logits.device, derive_seed(context.seed, context.step, f"{name}/dropout")):
            own = technique.losses(step, context)
        losses |= {f"{name}.{key}": value for key, value in own.items() if key != "tag"}
        if "tag" in own:
            losses["tag"] = losses["tag"] + own["tag"]
    return losses


def _owned(hook: str, value: T, offers: Iterator[T | None]) -> T:
    given = [offer for offer in offers if offer is not None]
    if len(given) > 1:
        raise FpplmError(f"two techniques claim {hook}", where="technique.active", do="switch one of them off")
    return given[0] if given else value


def _set_rates(
    state: TrainingState,
    techniques: Mapping[str, Technique],
    settings: LoopSettings,
    factor: float,
    contexts: Mapping[str, StepContext],
) -> None:
    """Sets the learning rate of each group; switches gradients off where it is 0, and on for the others.

    A group that a technique froze (`lr_scale` 0) is also put into evaluation mode; one that was not drawn is not.
    """
    scales = {
        group.name: math.prod(t.lr_scale(group, contexts[name]) for name, t in techniques.items())
        for group in state.groups
    }
    frozen = {name for name, scale in scales.items() if scale == 0.0}
    if len(frozen) == len(state.groups):
        raise ParamsError("every parameter is frozen", where="technique", do="leave at least the head to train")
    trained = [group for group in state.groups if group.name not in frozen]
    for name, technique in techniques.items():
        for own, scale in technique.sampled_scales(trained, contexts[name]).items():
            scales[own] *= scale
    closed = {name for name, scale in scales.items() if scale == 0.0}
    for group in state.groups:
        if (group.name in closed) != (group.name in state.closed):
            _require_gradients(group, group.name not in closed)
        if (group.name in frozen) != (group.name in state.frozen):
            for module in group.modules:
                module.train(group.name not in frozen)
    state.frozen, state.closed = frozen, closed
    for row in state.optimizer.param_groups:
        group = row["group"]
        base = settings.lr * layerwise(group.depth, settings.layer_decay) if group.depth else settings.head_lr
        row["lr"] = base * factor * scales[group.name] * row["rate"]


def freeze(group: Group, frozen: bool) -> None:
    """Switches the gradients of a group off and puts it into evaluation mode, or reverses both."""
    _require_gradients(group, not frozen)
    for module in group.modules:
        module.train(not frozen)


def _require_gradients(group: Group, wanted: bool) -> None:
    for parameter in group.parameters.values():
        parameter.requires_grad_(wanted)
        parameter.grad = None
