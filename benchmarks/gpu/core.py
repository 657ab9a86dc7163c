"""What the GPU check needs of fpplm_core: every import of it stands in this file.

`write_inputs` runs where the whole environment is; all else runs with torch, transformers and onnxruntime alone.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fpplm_core.model.blueprint import Blueprint
from fpplm_core.model.pretrained import load_encoder
from fpplm_core.model.tagger import Tagger, initialise
from fpplm_core.params import load
from fpplm_core.serving.onnx_session import open_session
from fpplm_core.tagging.batches import batch_stream, collate
from fpplm_core.tagging.windows import Window
from fpplm_core.training import techniques
from fpplm_core.training.batch import IGNORED, Batch, tag_loss
from fpplm_core.training.length import warmup_of
from fpplm_core.training.loop import read_losses, train_steps
from fpplm_core.training.state import LoopSettings, TrainingState, initial_state
from fpplm_core.training.technique import Technique, build

__all__ = ["Run", "forward_and_backward", "names", "open_session", "read_inputs", "read_losses", "write_inputs"]


class Inputs(NamedTuple):
    """Encoded training windows, their label ids, and what the tagger is made of."""

    folder: Path
    blueprint: Blueprint
    windows: list[Window]
    tags: list[list[int]]
    second: list[list[int]]

    def tagger(self) -> Tagger:
        """The tagger before training, on the CPU in float32; its head depends on the seed alone."""
        settings = load()
        encoder = load_encoder(str(self.folder / "encoder"), None)
        return initialise(encoder, self.blueprint, settings.model, settings.train.seed)

    def batch(self, rows: Sequence[int]) -> Batch:
        """As `training.data.make_batch`, whose module needs pyarrow."""
        arrays = collate([self.windows[row] for row in rows])

        def table(values: list[list[int]]) -> Tensor:
            filled = np.full(arrays.first_pieces.shape, IGNORED, dtype=np.int64)
            for place, row in enumerate(rows):
                filled[place, : len(values[row])] = values[row]
            return torch.from_numpy(filled)

        second = table(self.second) if self.blueprint.second else None
        ids, mask, types, first_pieces, word_mask = (torch.from_numpy(array) for array in arrays)
        return Batch(ids, mask, types, first_pieces, word_mask, table(self.tags), second)

    def batches(self, pieces: int) -> Iterator[list[int]]:
        """The rows of each step, epoch after epoch, at most this many pieces a step."""
        lengths, seed = [len(window.ids) for window in self.windows], load().train.seed
        return batch_stream(lengths, pieces, seed)

    def feeds(self, rows: Sequence[int]) -> dict[str, NDArray[np.int64]]:
        """A batch as the exported graph takes it."""
        arrays = collate([self.windows[row] for row in rows])
        feeds = {"input_ids": arrays.ids, "attention_mask": arrays.mask, "token_type_ids": arrays.types}
        return feeds if self.blueprint.first_shape is not None else dict(itertools.islice(feeds.items(), 2))


class Run:
    """A training of so many steps with these techniques (None: those that ship), as the train stage prepares it."""

    def __init__(
        self, inputs: Inputs, device: torch.device, active: list[str] | None, pieces: int, bfloat16: bool, steps: int
    ) -> None:
        settings = load()
        technique = settings.technique if active is None else settings.technique.model_copy(update={"active": active})
        self.rows = list(itertools.islice(inputs.batches(pieces), steps))
        self.words = [sum(len(inputs.windows[row].owned_words) for row in rows) for rows in self.rows]
        self.inputs = inputs
        self.techniques: dict[str, Technique] = build(technique.blocks())
        numbers = settings.train.model_dump(include=set(LoopSettings.__dataclass_fields__))
        numbers["warmup"] = warmup_of(settings.train, steps)
        self.settings = LoopSettings(**numbers, steps=steps, bfloat16=bfloat16)
        self.state: TrainingState = initial_state(inputs.tagger().to(device), self.techniques, self.settings)

    def steps(self) -> Iterator[Any]:
        """The reports of all steps, as they are trained."""

        def batch(step: int) -> Batch:
            return self.inputs.batch(self.rows[step])

        return train_steps(self.state, batch, self.techniques, self.settings)


def forward_and_backward(
    model: Tagger, batch: Batch, bfloat16: bool = False
) -> tuple[NDArray[np.float32], float, float]:
    """Logits of the owned words, the tag loss and the norm of its gradient, without dropout."""
    device = next(model.parameters()).device
    batch = batch.to(device)
    model.eval().zero_grad(set_to_none=True)
    with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
        states = model.encode(batch.ids, batch.mask, batch.types)
        logits = model.classify(model.first_piece_states(states, batch.first_pieces))
        loss = tag_loss(logits, batch.labels)
    loss.backward()  # type: ignore[no-untyped-call]
    norm = torch.stack([p.grad.norm() for p in model.parameters() if p.grad is not None]).norm()
    return logits.detach()[batch.word_mask.bool()].cpu().numpy(), float(loss.detach()), float(norm)


def names() -> list[str]:
    """The techniques."""
    return techniques.names()


def read_inputs(folder: Path) -> Inputs:
    """Raises OSError where `benchmarks/gpu.sh prepare` has not been run."""
    content = json.loads((folder / "windows.json").read_text(encoding="utf-8"))
    windows = [Window(**row) for row in content["windows"]]
    return Inputs(folder, Blueprint(**content["blueprint"]), windows, content["tags"], content["second"])


def write_inputs(folder: Path) -> None:
    """Writes the windows of build/encoded, the encoder, and a float16 graph of the untrained tagger with its logits.

    The encoder's table of pieces is cut down to those that occur, and its weights are rounded to float16, so that all
    of it stays under 60 MB.
    """
    from fpplm_core.data.encoded import Encoded, RenumberedWindows, open_windows
    from fpplm_core.export.onnx import export_fp32
    from fpplm_core.export.variants import derive_fp16
    from fpplm_core.training.data import used_pieces

    settings = load()
    encoding = json.loads(Path("build/encoded/encoding.json").read_text(encoding="utf-8"))
    blueprint = Blueprint(**{name: encoding[name] for name in Blueprint.__dataclass_fields__})
    windows, tags, second = Encoded.of(open_windows("train", Path("build/encoded")))
    pieces = used_pieces(windows, blueprint.mask_id)
    blueprint = replace(blueprint, mask_id=int(np.searchsorted(pieces, blueprint.mask_id)))
    content = {"blueprint": asdict(blueprint), "windows": [asdict(row) for row in RenumberedWindows(windows, pieces)]}
    text = json.dumps(content | {"tags": list(tags), "second": list(second)})
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "windows.json").write_text(text, encoding="utf-8")

    encoder = load_encoder(settings.model.encoder, settings.model.revision)
    table = encoder.get_input_embeddings().weight.detach()[torch.from_numpy(pieces)]
    encoder.set_input_embeddings(nn.Embedding.from_pretrained(table, freeze=False))  # type: ignore[no-untyped-call]
    encoder.config.vocab_size = len(pieces)
    encoder.half().save_pretrained(folder / "encoder")

    inputs = read_inputs(folder)
    model = inputs.tagger().eval()
    exact = folder / "fp32.onnx"
    export_fp32(model, exact, with_states=False)
    derive_fp16(exact, folder / "fp16.onnx")
    exact.unlink()
    rows = next(inputs.batches(1024))
    with torch.inference_mode():
        logits = model(*(torch.from_numpy(values) for values in inputs.feeds(rows).values()))
    np.savez(folder / "reference.npz", rows=np.array(rows), logits=logits.numpy())
