"""The result of verifying the exported graphs, as metrics/verify.json holds it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from fpplm_core.errors import FpplmError


@dataclass(frozen=True)
class VariantVerdict:
    """A graph against torch: how far its logits and spans differ, what F1 loses, and whether it may serve.

    The first two are over dev and test. `dev_f1_loss_low` and `dev_f1_loss_high` are the one-sided 95 % bounds of
    `dev_f1_loss`. The F1 of dev alone decides; that of test is only reported.
    """

    max_logit_delta: float
    sentences_with_other_spans: int
    dev_f1: float
    dev_f1_loss: float
    dev_f1_loss_low: float
    dev_f1_loss_high: float
    test_f1: float
    test_f1_loss: float
    accepted: bool


@dataclass(frozen=True)
class LabelLmTrial:
    """Dev F1 of the preferred graph without and with the label language model, which is used if it helps."""

    dev_f1: float
    dev_f1_refined: float
    used: bool


@dataclass(frozen=True)
class ServedF1:
    """Micro F1 on the test split of the graph that the bundle prefers on the CPU, with its bootstrap interval.

    `f1_without_documents` is the F1 on single sentences of a tagger that was trained with document context; None if the
    tagger has no context or test marks no documents.
    """

    graph: str
    f1: float
    f1_low: float
    f1_high: float
    f1_without_documents: float | None = None


@dataclass(frozen=True)
class ClientF1:
    """Micro F1 of a graph of the bundle as a client without fpplm reads it (`GenericClient`)."""

    file: str
    dev_f1: float
    test_f1: float


@dataclass(frozen=True)
class VerifyReport:
    """The verdicts by "VARIANT on DEVICE", the size of each graph, and the variants that the bundle leaves out.

    `served` is None without a bundle, `label_lm` without that model; `clients` has the variants that clients without
    fpplm load on a CPU. `failures` says why a graph has no verdict on a device, by "VARIANT on DEVICE" too.
    """

    variants: dict[str, VariantVerdict]
    bytes: dict[str, int]
    refused: list[str]
    served: ServedF1 | None = None
    clients: dict[str, ClientF1] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    label_lm: LabelLmTrial | None = None

    @classmethod
    def of(cls, verdicts: dict[str, VariantVerdict], sizes: dict[str, int], failures: dict[str, str]) -> VerifyReport:
        """A variant is left out if no device accepts it; `sizes` are the bytes of each graph."""
        accepted = {name.split()[0] for name, verdict in verdicts.items() if verdict.accepted}
        refused = sorted({name.split()[0] for name in (*verdicts, *failures)} - accepted)
        return cls(verdicts, sizes, refused, failures=failures)

    @property
    def kept(self) -> list[str]:
        """The variants that the bundle gets."""
        return [variant for variant in self.bytes if variant not in self.refused]

    def by_device(self, preference: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
        """The variants that may serve on each device, in its order of preference.

        A device serves what it has accepted itself. Where none was judged, because this machine has no such device,
        fp32 comes first: that another device accepted a variant says nothing about its arithmetic there. No device
        serves a variant that failed on it.
        """
        offered = {}
        for device, order in preference.items():
            judged = {v: verdict for v in order if (verdict := self.variants.get(f"{v} on {device}"))}
            untried = (v for v in order if v in self.kept and f"{v} on {device}" not in self.failures)
            unjudged = sorted(untried, key=lambda variant: variant != "fp32")
            offered[device] = [v for v, verdict in judged.items() if verdict.accepted] if judged else unjudged
        return offered

    @property
    def facts(self) -> dict[str, Any]:
        """What the manifest of the bundle says."""
        values = asdict(self)
        return {name: values[name] for name in ("variants", "served", "clients", "label_lm") if values[name]}


def require_fp32(report: VerifyReport) -> None:
    """Raises FpplmError if the float32 graph is refused on the CPU: there is nothing to fall back on."""
    if not report.variants["fp32 on cpu"].accepted:
        raise FpplmError(
            "the exported graph does not reproduce torch's output",
            where="verify",
            got=json.dumps(asdict(report.variants["fp32 on cpu"])),
            do="report the encoder; or raise verify.max_logit_delta if the spans agree",
        )
