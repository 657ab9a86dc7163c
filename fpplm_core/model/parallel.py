"""Several processes that train as one: each encodes its share of a batch, and all of them see every state.

Only the encoder's work is split. Its states are gathered (some hundred kilobytes), and every process computes all that
follows, the head and the techniques' losses, over the whole batch with the same noise. So each loss is normalised by
the whole batch, and all processes hold the same weights after every step.
Gradients of the encoder's weights are partial: `all_reduce_sum` sums them wherever they are computed.
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

import torch
import torch.distributed as dist
from torch import Tensor

from fpplm_core.errors import FpplmError


def size() -> int:
    """The number of processes that train together; 1 outside of `process_group`."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """This process's number, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


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
    dist.all_reduce(flat)
    for gradient, total in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
        gradient.copy_(total.view_as(gradient))


@contextmanager
def process_group(count: int, device: torch.device, helper: Callable[..., None], *arguments: Any) -> Iterator[None]:
    """Makes this process number 0 of `count`; the others run `helper(*arguments)` and end with the context.

    The processes share the cores, or have a CUDA device each. `helper` must be importable, `arguments` picklable. If a
    helper dies, the next exchange fails here too.
    """
    if count == 1:
        yield
        return
    threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        world = GroupSpec(
            "nccl" if device.type == "cuda" else "gloo", f"file://{folder}/meeting", count, threads // count
        )
        context = multiprocessing.get_context("spawn")
        helpers = [
            context.Process(target=_help, args=(world, number, helper, arguments), daemon=True)
            for number in range(1, count)
        ]
        for process in helpers:
            process.start()
        world.enter(0)
        try:
            yield
        finally:
            for process in helpers:
                process.join(10) if sys.exc_info()[0] is None else process.kill()
            dist.destroy_process_group()
            torch.set_num_threads(threads)


class GroupSpec(NamedTuple):
    """How the processes of a group find each other, how many they are, and the threads of each."""

    backend: str
    meeting: str
    processes: int
    threads: int

    def enter(self, number: int) -> None:
        torch.set_num_threads(max(1, self.threads))
        if self.backend == "nccl":
            torch.cuda.set_device(number)
        dist.init_process_group(self.backend, init_method=self.meeting, rank=number, world_size=self.processes)


def _help(world: GroupSpec, number: int, helper: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    world.enter(number)
    try:
        helper(*arguments)
    except FpplmError as error:
        sys.exit(f"process {number}: {error}")
    dist.destroy_process_group()
