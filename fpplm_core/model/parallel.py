"""Several processes that train as one: each encodes its share of a batch, and all of them see every state.

Only the encoder's work is split. Its states are gathered (some hundred kilobytes), and every process computes all that
follows, the head and the techniques' losses, over the whole batch with the same noise. So each loss is normalised by
the whole batch, and all processes hold the same weights after every step.
Gradients of the encoder's weights are partial: `all_reduce_sum` sums them wherever they are computed. All others are
the same in each process, up to the order of sums on a GPU: `all_reduce_mean` makes them equal to the bit.

The processes form the default group of `torch.distributed`; whoever starts them also makes the group. Without a group
there is one process, and nothing is exchanged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor

from fpplm_core.errors import FpplmError

T = TypeVar("T")


class ExchangeFailed(RuntimeError):
    """Another process ended, or did not answer within the group's timeout."""


def size() -> int:
    """The number of processes that train together; 1 without a group."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """This process's number, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


@contextmanager
def _exchange() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # of gloo and of NCCL
        raise ExchangeFailed(str(error).strip().split("\n")[0]) from error


@contextmanager
def local_rows(inputs: Mapping[str, Tensor]) -> Iterator[Mapping[str, Tensor]]:
    """This process's rows of a batch; noise drawn within the context is this process's own.

    All processes get the same number of rows: if the batch does not divide, some rows come twice.
    """
    if size() == 1:
        yield inputs
        return
    first = next(iter(inputs.values()))
    each = -(-len(first) // size())
    own = torch.arange(rank() * each, (rank() + 1) * each, device=first.device) % len(first)
    seed = int(torch.randint(2**62, ()))  # equal in all processes, like everything drawn outside
    with torch.random.fork_rng([first.device] if first.device.type == "cuda" else []):
        torch.manual_seed(seed + rank())
        yield {name: tensor[own] for name, tensor in inputs.items()}


def all_gather_rows(own: Tensor, whole: Tensor) -> Tensor:
    """The rows of all processes in order, as many as `whole` has; gradients reach this process's own rows alone."""
    return own if size() == 1 else cast(Tensor, _AllGatherRows.apply(own))[: len(whole)]  # type: ignore[no-untyped-call]


class _AllGatherRows(torch.autograd.Function):
    @staticmethod
    def forward(_: Any, own: Tensor) -> Tensor:
        parts = [torch.empty_like(own) for _ in range(size())]
        with _exchange():
            dist.all_gather(parts, own.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        return gradient.chunk(size())[rank()]


def all_reduce_sum(gradients: Sequence[Tensor]) -> None:
    """Replaces each tensor by its sum over all processes, in one message."""
    if size() == 1 or not gradients:
        return
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    with _exchange():
        dist.all_reduce(flat)
    for gradient, total in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
        gradient.copy_(total.view_as(gradient))


def all_reduce_mean(gradients: Sequence[Tensor]) -> None:
    """Replaces each tensor by its mean over all processes, in one message."""
    all_reduce_sum(gradients)
    if size() > 1 and gradients:
        torch._foreach_div_(list(gradients), float(size()))


def any_process(condition: bool) -> bool:
    """Whether the condition holds in one of the processes at least."""
    return condition if size() == 1 else any(gather(condition))


def gather(value: T) -> list[T]:
    """The values of all processes, by their numbers; each must be picklable."""
    found: list[Any] = [value] * size()
    if size() > 1:
        with _exchange():
            dist.all_gather_object(found, value)
    return found


def broadcast_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of process 0, on the CPU; what the others pass is ignored."""
    if size() == 1:
        return dict(tensors)
    layout = gather({name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()} if rank() == 0 else {})[0]
    found = {}
    for name, (shape, dtype) in layout.items():
        value = tensors[name].cpu().contiguous() if rank() == 0 else torch.empty(shape, dtype=dtype)
        with _exchange():
            dist.broadcast(value, 0)
        found[name] = value
    return found


@torch.no_grad()
def require_equal_weights(weights: Iterable[Tensor], step: int) -> None:
    """Raises FpplmError, with the number of the process, if one holds other weights than process 0, in any bit."""
    if size() == 1:
        return
    # The sum of the bits, weighted by the tensor's place; it wraps around.
    sums = torch.stack([weight.view(torch.int32).sum(dtype=torch.int64) for weight in weights])
    checksums = gather(int((sums * torch.arange(1, len(sums) + 1, device=sums.device)).sum()))
    different = [str(number) for number, checksum in enumerate(checksums) if checksum != checksums[0]]
    if different:
        raise FpplmError(
            "the processes no longer hold the same weights",
            where=f"step {step}",
            got=f"process {', '.join(different)} of {size()} differs from process 0",
            do="run it again: it goes on from the last checkpoint; a process that differs twice has faulty hardware",
        )
