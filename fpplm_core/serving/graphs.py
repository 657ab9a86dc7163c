"""Opens the graphs of a bundle, and checks that they take and give what tagging needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fpplm_core.errors import BundleError
from fpplm_core.serving.bundle import LABEL_LM, Bundle
from fpplm_core.serving.config import BundleConfig
from fpplm_core.serving.files import one_line
from fpplm_core.serving.onnx_session import Session, open_session
from fpplm_core.serving.padded_session import Feeds

TYPES: dict[str, type[np.generic]] = {"tensor(int64)": np.int64, "tensor(float)": np.float32, "tensor(bool)": np.bool_}
WHOLE, REAL, TRUTH = TYPES
AGAIN = "make the bundle again"
WIDEST = 65_536  # numbers of an encoder's state


class Port(NamedTuple):
    """An input or output: its type as ONNX Runtime names it, its rank, and the size of a third axis, None for any."""

    type: str
    rank: int = 2
    width: int | None = None


@dataclass(frozen=True)
class Signature:
    """What a graph must take, and nothing else, and what it must give. The first two axes are batch and pieces."""

    inputs: Mapping[str, Port]
    outputs: Mapping[str, Port]


def tagger_signature(config: BundleConfig) -> Signature:
    """The inputs and outputs that the tagger's graph must have."""
    names = ["input_ids", "attention_mask", *(["token_type_ids"] if config.first_shape is not None else [])]
    outputs = {config.logits: Port(REAL, 3, len(config.labels))}
    if config.label_lm_threshold:
        outputs["states"] = Port(REAL, 3)
    return Signature({name: Port(WHOLE) for name in names}, outputs)


def label_lm_signature(config: BundleConfig) -> Signature:
    """The inputs and outputs that the label language model's graph must have."""
    labels = Port(REAL, 3, len(config.labels))
    inputs = {"read": labels, "hidden": Port(TRUTH), "states": Port(REAL, 3), "counted": Port(TRUTH)}
    return Signature(inputs, {"written": labels})


class CheckedSession:
    """A session whose outputs have the sizes that its signature and its inputs promise."""

    def __init__(self, session: Session, signature: Signature, where: str) -> None:
        self.session, self.signature, self.where = session, signature, where

    def run(self, names: Sequence[str], feeds: Feeds) -> list[NDArray[Any]]:
        """As `Session.run`. Raises BundleError for outputs of other sizes too."""
        found = self.session.run(names, feeds)
        sizes = next(iter(feeds.values())).shape[:2]
        for name, values in zip(names, found, strict=True):
            width = self.signature.outputs[name].width
            if values.shape[:2] != sizes or values.ndim != 3 or width not in (None, values.shape[2]):
                wanted = (*sizes, width or "…")
                raise BundleError(f"`{name}` must be {wanted}", where=self.where, got=str(values.shape), do=AGAIN)
        return found


def require_finite(values: NDArray[np.float32], where: str) -> NDArray[np.float32]:
    """The same numbers. Raises BundleError if one is infinite or none, which has no place in an order of labels."""
    if not np.isfinite(values).all():
        raise BundleError("the graph gives numbers that are not finite", where=where, do=AGAIN)
    return values


def choose_variant(bundle: Bundle, device: str, variant: str) -> str:
    """The named variant, or for `auto` the one that the device prefers. Raises BundleError if the bundle lacks it."""
    offered = bundle.config.variants["cpu" if device == "cpu" else "cuda"]
    chosen = offered[0] if variant == "auto" and offered else variant
    if chosen not in offered:
        do = f"it has {offered}"
        raise BundleError("no such variant in the bundle", where=str(bundle.path), got=repr(chosen), do=do)
    return chosen


def batch_pieces(bundle: Bundle, device: str, variant: str) -> int:
    """The most pieces in a run that has more than one window (docs/performance.md).

    The 8-bit graphs of format 1 scale activations by their range over a whole run: there, each window runs alone, so
    that a text gets the same answer whatever shares its batch.
    """
    if bundle.manifest["format"] == 1 and variant in ("int8", "mixed"):
        return 1
    return 128 if device == "cpu" else 32768


def open_tagger(bundle: Bundle, variant: str, device: str, threads: int | None) -> CheckedSession:
    """The graph of a variant.

    Raises BundleError if it cannot be opened, is no tagger of the bundle's labels, or fails in a first run over two
    pieces; DeviceError if the device does not start.
    """
    return _open(bundle, bundle.config.graphs[variant], tagger_signature(bundle.config), device, threads)


def open_label_lm(bundle: Bundle, device: str, threads: int | None) -> CheckedSession:
    """The graph of the label language model. Raises as `open_tagger` does."""
    return _open(bundle, LABEL_LM, label_lm_signature(bundle.config), device, threads)


def _open(bundle: Bundle, name: str, signature: Signature, device: str, threads: int | None) -> CheckedSession:
    where = str(bundle.path / name)
    session = open_session(bundle.read(name), device, threads, where, bundle.config.window)
    inputs, outputs = (_ports(found, where) for found in (session.session.get_inputs(), session.session.get_outputs()))
    if set(inputs) != set(signature.inputs):
        got = one_line(sorted(inputs))
        raise BundleError(f"the graph must take {', '.join(signature.inputs)}", where=where, got=got, do=AGAIN)
    for wanted, found in ((signature.inputs, inputs), (signature.outputs, outputs)):
        for port, facts in wanted.items():
            _require_port(port, facts, found.get(port), where)
    feeds = {port: np.ones((1, 2, *map(int, shape[2:])), TYPES[kind]) for port, (kind, shape) in inputs.items()}
    checked = CheckedSession(session, signature, where)
    for values in checked.run(list(signature.outputs), feeds):
        require_finite(values, where)
    return checked


def _ports(found: Sequence[Any], where: str) -> dict[str, tuple[str, list[Any]]]:
    """The type and shape of each input or output by its name. Raises BundleError if a name is not UTF-8."""
    try:
        return {port.name: (port.type, list(port.shape)) for port in found}
    except UnicodeDecodeError as error:
        raise BundleError("a name in the graph is no text", where=where, got=one_line(error), do=AGAIN) from None


def _require_port(name: str, wanted: Port, found: tuple[str, list[Any]] | None, where: str) -> None:
    kind, shape = found or ("nothing", [])
    right = len(shape) == wanted.rank and kind == wanted.type and not {type(size) for size in shape[:2]} & {int}
    if right and wanted.rank == 3:
        width = shape[2]
        right = isinstance(width, int) and 0 < width <= WIDEST and wanted.width in (None, width)
    if not right:
        sizes = ", ".join(("batch", "pieces", str(wanted.width or "width"))[: wanted.rank])
        got = one_line(f"{kind} {shape or ''}")
        raise BundleError(f"the graph's `{name}` must be {wanted.type} ({sizes})", where=where, got=got, do=AGAIN)
