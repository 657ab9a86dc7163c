"""Heads that start at descriptions of their labels."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fpplm_core.model import pretrained
from fpplm_core.model.blueprint import Blueprint
from fpplm_core.model.descriptions import STRENGTH, Descriptions, encode_descriptions
from fpplm_core.model.digest import weights_sha256
from fpplm_core.model.tagger import Tagger, initialise, last_layer
from fpplm_core.tagging.schemes import label_list
from fpplm_core.tagging.windows import WindowBuilder
from fpplm_core.training.start import untrained_tagger

LABELS = label_list(["PER", "creative-work", "plant"])
BLUEPRINT = Blueprint(LABELS, 2, 4)
TEXTS = {"PER": "the word in London", "creative-work": "rivers"}


@pytest.fixture(scope="module")
def encoder(tiny_encoder: Path) -> Any:
    return pretrained.load_encoder(str(tiny_encoder), None)


@pytest.fixture(scope="module")
def builder(tiny_encoder: Path) -> WindowBuilder:
    return WindowBuilder(pretrained.load_tokenizer(str(tiny_encoder), None).backend_tokenizer, 12, 2)


@pytest.fixture(scope="module")
def descriptions(builder: WindowBuilder) -> Descriptions:
    return {kind: builder.windows([text.split()]) for kind, text in TEXTS.items()}


def last(tagger: Tagger) -> Tensor:
    """The rows of the labels. *Shape:* (K, width)."""
    return last_layer(tagger.head).weight.detach()


def taggers(encoder: Any, descriptions: Descriptions, settings: Any) -> tuple[Tagger, Tagger]:
    """Without and with descriptions."""
    return (
        initialise(copy.deepcopy(encoder), BLUEPRINT, settings, 1),
        untrained_tagger(copy.deepcopy(encoder), BLUEPRINT, settings, 1, descriptions, None),
    )


@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_the_labels_of_a_type_move_in_one_direction(encoder, descriptions, params, head):
    without, described = taggers(encoder, descriptions, params.model.model_copy(update={"head": head}))
    added = last(described) - last(without)
    kinds = [label.partition("-")[2] for label in LABELS]
    of = {kind: added[[row for row, own in enumerate(kinds) if own == kind]] for kind in set(kinds)}
    assert not of[""].any() and not of["plant"].any()
    assert added.norm(dim=1)[1:9].allclose(STRENGTH * last(without).norm(dim=1)[1:9], rtol=1e-4)
    directions = {kind: nn.functional.normalize(rows, dim=1) for kind, rows in of.items() if kind in TEXTS}
    for rows in directions.values():
        assert rows.allclose(rows[:1].expand_as(rows), atol=1e-5)
    # Of two descriptions, what they do not share is opposite.
    assert directions["PER"].allclose(-directions["creative-work"], atol=1e-5)
    other = [
        name
        for name, _ in without.named_parameters()
        if not torch.equal(*(model.get_parameter(name) for model in (without, described)))
    ]
    assert other == ["head.3.weight" if head == "mlp" else "head.weight"]


def test_the_direction_is_that_of_the_words_as_the_tagger_reads_them(encoder, descriptions, params):
    without, described = taggers(encoder, descriptions, params.model)
    tagger, means = without.eval(), []
    for windows in descriptions.values():
        ids, first = torch.tensor([windows[0].ids]), torch.tensor([windows[0].first_pieces])
        means.append(tagger.first_piece_states(tagger.encode(ids, torch.ones_like(ids)), first)[0].mean(0))
    added = (last(described) - last(without))[1]
    assert nn.functional.cosine_similarity(added, means[0] - means[1], dim=0) > 0.9999


def test_without_descriptions_nothing_changes(encoder, params):
    without, described = taggers(encoder, {}, params.model)
    assert weights_sha256(without) == weights_sha256(described)


def test_equal_descriptions_say_nothing(encoder, descriptions, params):
    """And are no division by zero."""
    without, described = taggers(encoder, dict.fromkeys(TEXTS, descriptions["PER"]), params.model)
    assert torch.equal(last(without), last(described))


def test_a_description_of_a_type_that_no_sentence_has_changes_no_other_label(encoder, descriptions, params):
    """As in the folds of `fpplm review`: a rare type may lie in one of them alone."""
    few = Blueprint(label_list(["plant"]), 2, 4)
    without, described = (
        untrained_tagger(copy.deepcopy(encoder), few, params.model, 1, given, None) for given in ({}, descriptions)
    )
    assert torch.equal(last(without), last(described))


def test_an_encoding_is_the_mean_over_all_words_however_many_windows(encoder, builder):
    text = ["the", "city", "of", "London"] * 8
    windows = builder.windows([text])
    assert len(windows) > 2
    found = encode_descriptions(encoder, {"PER": windows})["PER"]
    states = []
    for window in windows:
        ids = torch.tensor([window.ids])
        with torch.no_grad():
            states += list(encoder(input_ids=ids).last_hidden_state[0, window.first_pieces])
    assert len(states) == len(text)
    assert found.allclose(torch.stack(states).mean(0), atol=1e-5)


def test_nothing_is_drawn_and_no_mode_changes(encoder, descriptions, params):
    encoder = copy.deepcopy(encoder).train()
    before = torch.get_rng_state()
    one, other = (
        untrained_tagger(encoder, Blueprint(LABELS, None, 4), params.model, 1, given, None)
        for given in (descriptions, dict(reversed(descriptions.items())))
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert encoder.training and one.head.training
    assert last(one).allclose(last(other), atol=1e-6)  # in whatever order they are written
