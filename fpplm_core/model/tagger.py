"""The tagger: a pretrained encoder and a head over the first piece of each word."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fpplm_core.errors import EncoderError
from fpplm_core.model import parallel, pretrained
from fpplm_core.model.blueprint import Blueprint
from fpplm_core.model.dropout import Dropout
from fpplm_core.model.groups import Group, top_modules
from fpplm_core.model.word_shapes import add_shapes
from fpplm_core.tagging.batches import Arrays

if TYPE_CHECKING:
    from fpplm_core.model.settings import ModelSettings

SHAPE_DROPOUT = 0.1  # share of training windows without shapes


def new_head(width: int, labels: int, settings: ModelSettings) -> nn.Module:
    """A random head, from states (..., width) to logits (..., labels)."""
    head: nn.Module = nn.Linear(width, labels)
    if settings.head == "mlp":
        head = nn.Sequential(nn.Linear(width, width), nn.ReLU(), Dropout(settings.dropout), head)
    for layer in head.modules():
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)
    return head


def last_layer(head: nn.Module) -> nn.Linear:
    """The layer of a head that gives the logits: a row of it, and a number of its bias, for each label."""
    return [layer for layer in head.modules() if isinstance(layer, nn.Linear)][-1]


class Tagger(nn.Module):
    """Encoder, dropout, head.

    `forward` is the graph to export, from ids, mask and, with shapes, token types (batch, pieces) to the logits of all
    pieces (batch, pieces, K). Training and evaluation look at first pieces alone: `words`, then `classify`.
    """

    def __init__(self, encoder: nn.Module, blueprint: Blueprint, settings: ModelSettings) -> None:
        super().__init__()
        self.encoder = encoder
        self.blueprint = blueprint
        self.shape_dropout = SHAPE_DROPOUT
        self.width = int(cast(Any, encoder).config.hidden_size)
        self.dropout = Dropout(settings.dropout)
        self.head = new_head(self.width, len(blueprint.labels), settings)
        for module in encoder.modules():
            if type(module) is nn.Dropout:
                module.__class__ = Dropout  # same rate and mode, cheaper draws
        if blueprint.first_shape is not None:
            add_shapes(encoder, blueprint.first_shape)
        self.kept: tuple[Tensor, Tensor] | None = None

    def keep_pieces(self, pieces: Tensor) -> None:
        """Removes the embeddings of all other pieces; a piece's id is then its place in `pieces`.

        A row that occurs in no window has no gradient, yet clipping, the optimizer, the average and every checkpoint
        would visit it: with a large vocabulary that is most of a step. *Shape:* pieces (n,), ascending, with `mask_id`.
        """
        table = cast(nn.Embedding, cast(Any, self.encoder).get_input_embeddings())
        self.kept = pieces, table.weight.detach()
        table.weight = nn.Parameter(table.weight.detach()[pieces])
        table.padding_idx = None  # no attention reaches the row of padding, so it has no gradient anyway
        mask_id = int(torch.searchsorted(pieces, self.blueprint.mask_id))
        self.blueprint = replace(self.blueprint, mask_id=mask_id)

    def restore_vocabulary(self) -> None:
        """Puts back the embeddings that `keep_pieces` removed."""
        if self.kept is not None:
            pieces, whole = self.kept
            table = cast(nn.Embedding, cast(Any, self.encoder).get_input_embeddings())
            table.weight = nn.Parameter(whole.index_copy(0, pieces, table.weight.detach()))
            self.blueprint = replace(self.blueprint, mask_id=int(pieces[self.blueprint.mask_id]))
            self.kept = None

    def pretrained_ids(self, ids: Tensor) -> Tensor:
        """The ids of pieces as the tokenizer gave them. *Shape:* any, kept."""
        return ids if self.kept is None else self.kept[0][ids]

    def encode(
        self, ids: Tensor, mask: Tensor, types: Tensor | None = None, embeddings: Tensor | None = None
    ) -> Tensor:
        """*Shape:* ids, mask, types (batch, pieces) to hidden states (batch, pieces, width).

        `embeddings` (batch, pieces, width) replace those of `ids`. In training a share of the rows has no shapes, so
        that the tagger also works for a client that sends zeros.
        """
        inputs: dict[str, Tensor] = {"attention_mask": mask}
        inputs |= {"input_ids": ids} if embeddings is None else {"inputs_embeds": embeddings}
        if self.blueprint.first_shape is not None and types is not None:
            if self.training and self.shape_dropout:
                types = types * (torch.rand(len(types), 1, device=types.device) >= self.shape_dropout)
            inputs["token_type_ids"] = types
        with parallel.local_rows(inputs) as own:
            states = cast(Tensor, self.encoder(**own).last_hidden_state)
        return parallel.all_gather_rows(states, whole=mask)

    def embed(self, ids: Tensor) -> Tensor:
        """The embeddings of pieces. *Shape:* (batch, pieces) to (batch, pieces, width)."""
        return cast(Tensor, cast(Any, self.encoder).get_input_embeddings()(ids))

    def first_piece_states(self, hidden: Tensor, first: Tensor) -> Tensor:
        """The states of first pieces. *Shape:* (batch, pieces, width), (batch, words) to (batch, words, width)."""
        return hidden.gather(1, first.unsqueeze(-1).expand(-1, -1, hidden.shape[-1]))

    def words(
        self, ids: Tensor, mask: Tensor, types: Tensor, first: Tensor, embeddings: Tensor | None = None
    ) -> Tensor:
        """`encode`, then the states of first pieces alone. *Shape:* first (batch, words) to (batch, words, width)."""
        return self.first_piece_states(self.encode(ids, mask, types, embeddings), first)

    def classify(self, hidden: Tensor) -> Tensor:
        """float32 logits. *Shape:* (..., width) to (..., K)."""
        return cast(Tensor, self.head(self.dropout(hidden))).float()

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        return self.classify(self.encode(input_ids, attention_mask, token_type_ids))

    def groups(self) -> list[Group]:
        """Head, then the encoder's blocks from the top, then its embeddings; every parameter is in exactly one."""
        blocks = self._blocks()
        parts: list[tuple[str, list[nn.Module]]] = [("head", [self.dropout, self.head])]
        parts += [(f"block{i}", [blocks[i]]) for i in reversed(range(len(blocks)))]
        inside = {module for block in blocks for module in block.modules()}
        rest = list(top_modules(self.encoder, inside))
        parts.append(("embeddings", rest))
        loose = {id(parameter): name for name, parameter in self.named_parameters()}
        groups = []
        for depth, (name, modules) in enumerate(parts):
            own = {id(p): p for module in modules for p in module.parameters()}
            groups.append(Group(name, depth, modules, {loose.pop(key): p for key, p in own.items()}))
        # Parameters outside of all parts, such as XLNet's mask_emb.
        groups[-1].parameters.update({name: self.get_parameter(name) for name in loose.values()})
        return groups

    def _blocks(self) -> nn.ModuleList:
        """The encoder's list of layers: the module list as long as its configuration says.

        ALBERT, whose layers share their weights, has a list of as many groups of layers.
        """
        config = cast(Any, self.encoder).config
        for count in (config.num_hidden_layers, getattr(config, "num_hidden_groups", None)):
            for module in self.encoder.modules():
                if isinstance(module, nn.ModuleList) and len(module) == count:
                    return module
        got, do = type(self.encoder).__name__, "choose an encoder of a tested family (docs/deploy.md)"
        raise EncoderError("no list of layers found in the encoder", where="model.encoder", got=got, do=do)


def initialise(encoder: nn.Module, blueprint: Blueprint, settings: ModelSettings, seed: int) -> Tagger:
    """A tagger whose head depends on `seed` alone; leaves the global random state as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Tagger(encoder, blueprint, settings)


def load_trained(weights: Path, blueprint: Blueprint, settings: ModelSettings) -> Tagger:
    """The tagger with the weights of a training, in evaluation mode. Raises EncoderError and OSError."""
    encoder = pretrained.load_encoder(settings.encoder, settings.revision)
    model = Tagger(encoder, blueprint, settings)
    model.load_state_dict(safetensors.torch.load_file(weights))
    return model.eval()


def batch_logits(model: Tagger, bfloat16: bool = False) -> Callable[[Arrays], NDArray[np.float32]]:
    """The function that `word_logits` calls: from a batch's arrays to the logits (batch, words, K) of its words."""
    device = next(model.parameters()).device

    def run(arrays: Arrays) -> NDArray[np.float32]:
        ids, mask, types, first, _ = (torch.from_numpy(array).to(device) for array in arrays)
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            logits = model.classify(model.words(ids, mask, types, first))
        return cast(NDArray[np.float32], logits.cpu().numpy())

    return run
