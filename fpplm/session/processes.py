"""Starts the processes of a training by torchrun, on this machine or on several, and joins them."""

from __future__ import annotations

import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import elastic_launch
from torch.distributed.rendezvous import rendezvous
from torch.distributed.run import config_from_args, parse_args

from fpplm.pipeline.parent import WATCHED
from fpplm_core.errors import DataError, FpplmError, ParamsError
from fpplm_core.model import parallel
from fpplm_core.model.device import choose_device

TIMEOUT = 600.0  # seconds that a process waits for the others: more than it takes to write a large checkpoint
ANSWER = 5.0  # seconds in which all that are alive notice that an exchange failed


def run_in_processes(count: int) -> bool:
    """Runs this command again under torchrun if it needs several processes; returns whether it did.

    The environment variables of torchrun's options (PET_NNODES, PET_NODE_RANK, PET_MASTER_ADDR, PET_MAX_RESTARTS …)
    spread them over machines; without those, all run on this one. False in each of these processes, whether
    torchrun or another launcher (RANK is set) started it. If one fails, exits with its exit code.

    Raises:
        ParamsError: PET_NNODES is no number of machines, or does not divide the number of processes.
        FpplmError: a process was killed.
    """
    machines = os.environ.get("PET_NNODES", "1")
    if dist.is_torchelastic_launched() or (machines == "1" and (count == 1 or "RANK" in os.environ)):
        return False
    if not re.fullmatch("[1-9][0-9]*", machines):
        do = "give a whole number of at least 1; elastic ranges, such as 1:4, are not supported"
        raise ParamsError("not a number of machines", where="PET_NNODES", got=repr(machines), do=do)
    if count % int(machines):
        raise ParamsError(
            "not divisible by the number of machines",
            where="train.processes",
            got=f"{count}, PET_NNODES={machines}",
            do="set it to a multiple of the number of machines",
        )
    each = count // int(machines)
    options = ["--nproc-per-node", str(each)]
    if machines == "1":
        options += ["--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0", "--rdzv-id", str(os.getpid())]
        options += ["--local-addr", "127.0.0.1"]
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # listens to no other machine
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, torch.get_num_threads() // each)))
    os.environ[WATCHED] = str(os.getpid())
    command = sys.modules["__main__"].__spec__
    with tempfile.TemporaryDirectory() as logs:
        module = command.name if command else sys.argv[0]
        arguments = parse_args([*options, "--log-dir", logs, "-m", module, *sys.argv[1:]])  # type: ignore[no-untyped-call]
        config, python, rest = config_from_args(arguments)
        try:
            elastic_launch(config, python)(*rest)
        except ChildFailedError as error:
            number, failure = error.get_first_failure()
            if failure.exitcode > 0:  # it has said why
                sys.exit(failure.exitcode)
            killed = signal.Signals(-failure.exitcode).name
            raise FpplmError(
                "a training process was killed",
                where=f"process {number} of {count}",
                got=killed,
                do="look for a lack of memory; the same command resumes from the last checkpoint",
            ) from None
        except SignalException as error:
            sys.exit(128 + error.sigval)
    return True


def own_rank() -> int:
    """This process's number, from 0, also outside of `process_group`."""
    return int(os.environ.get("RANK", "0"))


@contextmanager
def process_group(count: int, device_name: str, timeout: float = TIMEOUT) -> Iterator[torch.device]:
    """Joins the processes that were started with this one, as the environment describes (`env://`); yields its device.

    Raises:
        ParamsError: their number is not `count`.
        DeviceError: this machine has fewer devices than processes.
        FpplmError: one of the processes ended, or did not answer within `timeout` seconds.
    """
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    device = choose_device(device_name, int(os.environ.get("LOCAL_RANK", "0")), here)
    found = int(os.environ.get("WORLD_SIZE", "1"))
    if found != count:
        raise ParamsError(
            "not the number of processes that were started",
            where="train.processes",
            got=str(count),
            do=f"set it to {found}, or start as many",
        )
    if count == 1:
        yield device
        return
    waiting = timedelta(seconds=timeout)
    store, rank, _ = next(rendezvous("env://", timeout=waiting))
    # torchrun keeps its store when it starts the processes again, with the addresses of those that have ended.
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    store = dist.PrefixStore(f"attempt {attempt}", store)  # type: ignore[attr-defined]
    if device.type == "cuda":
        torch.cuda.set_device(device)
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, store=store, rank=rank, world_size=count, timeout=waiting)
    try:
        yield device
    except parallel.ExchangeFailed as error:
        try:
            store.set(f"alive/{rank}", "")
            time.sleep(ANSWER)
            gone = [number for number in range(count) if not store.check([f"alive/{number}"])]
        except RuntimeError:  # it has ended with process 0
            gone = [0]
        names = ", ".join(map(str, gone))
        raise FpplmError(
            f"process {names} ended or does not answer" if gone else "the processes cannot reach each other",
            where=f"process {rank} of {count}",
            got=str(error),
            do="see the messages of that process; the same command resumes from the last checkpoint",
        ) from error
    finally:
        dist.destroy_process_group()


def require_same_inputs(inputs: Mapping[str, str]) -> None:
    """Raises DataError if a process has other inputs (a digest each, by name) than process 0."""
    everywhere = parallel.gather(dict(inputs))
    for number, found in enumerate(everywhere):
        if different := [name for name, digest in found.items() if digest != everywhere[0].get(name)]:
            raise DataError(
                f"not the same {', '.join(different)} as process 0",
                where=f"process {number} of {len(everywhere)}",
                do="give its machine the same commit, params.yaml and build/encoded, then start again",
            )
