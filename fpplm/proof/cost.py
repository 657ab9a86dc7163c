"""What a version cost, where this folder knows it: CPU time of its training, and of the words that it tags."""

from __future__ import annotations

from typing import Any

from fpplm.pipeline.paths import BUNDLE, TIMINGS
from fpplm.pipeline.timing import TimingReport
from fpplm.promotion.history import runs
from fpplm_core.errors import FpplmError
from fpplm_core.files import read_record
from fpplm_core.serving.bundle import open_bundle

NOT_MEASURED = "not measured"


def cost_of(digest: str) -> dict[str, Any]:
    """The cost of a bundle with this digest, as the claim of a certificate; what is unknown is "not measured".

    Energy is never measured: docs/decisions/0035-proof.md has the reasons.
    """
    return {
        "cpuSeconds": cpu_seconds_of(digest) or NOT_MEASURED,
        "cpuSecondsPerMillionWords": serving_cost(digest) or NOT_MEASURED,
        "energy": NOT_MEASURED,
    }


def cpu_seconds_of(model: str) -> dict[str, float]:
    """The CPU seconds of each stage when it last ran before this model, named by its digest, was first decided on.

    It is empty if this folder's ledger does not know them all.
    """
    found: dict[str, float] = {}
    for run in runs():
        found |= {name: seconds for name, seconds in run.cpu_seconds.items() if run.ran.get(name)}
        if run.model == model:
            return found if "train" in found else {}
    return {}


def serving_cost(digest: str) -> dict[str, float]:
    """The CPU seconds per million words of each graph, as verify measured them; empty unless ./bundle is this one."""
    try:
        if open_bundle(BUNDLE, allow_links=True).manifest["digest"] != digest:
            return {}
        timings = read_record(TIMINGS, TimingReport).runs
    except FpplmError:
        return {}
    costs = {f"{timing.variant} on {timing.device}": timing.cpu_s_per_million_words for timing in timings}
    return {name: round(cost, 1) for name, cost in costs.items() if cost is not None}
