"""What a warm start takes from an earlier run's model, and which models it refuses."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from fpplm_core.data.corpus import write_corpus
from fpplm_core.data.records import Sentence
from fpplm_core.data.seen import sentence_hashes
from fpplm_core.errors import DataError
from fpplm_core.files import write_record, write_tensors
from fpplm_core.model.blueprint import Blueprint
from fpplm_core.model.digest import weights_sha256
from fpplm_core.model.tagger import Tagger, initialise
from fpplm_core.tagging.windows import WindowBuilder
from fpplm_core.training.leakage import require_unseen_by_encoder, write_seen
from fpplm_core.training.start import (
    Start,
    copy_by_name,
    load_modules,
    load_weights,
    new_labels,
    read_start,
    require_same_encoder,
    require_unseen_by_start,
    untrained_tagger,
    write_origin,
)
from fpplm_core.training.state import TrainingState, initial_state
from tests import tiny

NAMES = ["multi_task", "label_lm", "adversarial", "fuzzy_regions", "filter_pooling", "resampling"]
FILES = ["model.safetensors", "extras.safetensors", "blueprint.json", "origin.json", "seen.safetensors"]
TRAIN = ["Mira Holt visited the old harbour of Quarl .", "Nothing of note has happened here since then ."]
TEST = ["The ferry leaves for Lindau at noon today .", "Ulm"]


def sentence(text: str, line: int = 1) -> Sentence:
    words = tuple(text.split(" "))
    return Sentence(words, ("O",) * len(words), "x.conll", tuple(range(line, line + len(words))))


def write_splits(folder: Path, train: list[str], test: list[str] = TEST) -> Path:
    for split, texts in (("train", train), ("dev", ["Some other words stand in the dev split"]), ("test", test)):
        write_corpus(folder / f"{split}.parquet", [sentence(text, 10 * n + 1) for n, text in enumerate(texts)])
    return folder


def state_of(encoder: Path, labels: list[str] = tiny.LABELS, seed: int = 1) -> TrainingState:
    """A state whose weights all differ from those of another seed."""
    from fpplm_core.model.pretrained import load_encoder

    model = initialise(load_encoder(str(encoder), None), Blueprint(labels, tiny.FIRST_SHAPE, 4), tiny.MODEL, seed)
    counted = torch.zeros(len(labels), len(labels))
    state = initial_state(model, tiny.build(NAMES), tiny.changed(seed=seed), counted)
    with torch.no_grad(), torch.random.fork_rng([]):
        torch.manual_seed(seed)
        for parameter in state.parameters().values():
            parameter.add_(torch.randn_like(parameter))
        for buffer in state.technique_modules.buffers():
            buffer.copy_(buffer + seed)
    return state


def write_model(folder: Path, state: TrainingState, corpus: Path, tokenizer: Path, start: Start | None = None) -> Path:
    """What `finish_run` and `write_origin` write."""
    write_tensors(folder / "model.safetensors", state.model.state_dict())
    write_tensors(folder / "extras.safetensors", state.technique_modules.state_dict())
    write_record(folder / "blueprint.json", state.model.blueprint)
    digest = weights_sha256(state.model)
    write_origin(folder, corpus, tokenizer, start, encoder_sha256="e" * 64, model_sha256=digest)
    return folder


@pytest.fixture(scope="module")
def tokenizer(tiny_encoder: Path) -> Path:
    return tiny_encoder / "tokenizer.json"


@pytest.fixture(scope="module")
def earlier(tiny_encoder: Path, tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model; tests change copies of it."""
    folder = tmp_path_factory.mktemp("earlier")
    return write_model(folder / "model", state_of(tiny_encoder, seed=2), write_splits(folder, TRAIN), tokenizer)


@pytest.fixture
def folder(earlier: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(earlier, tmp_path / "model"))


def test_the_same_labels_take_every_weight_and_no_counter(tiny_encoder: Path, earlier: Path) -> None:
    state, start = state_of(tiny_encoder), read_start(earlier)
    counters = {name: buffer.clone() for name, buffer in state.technique_modules.named_buffers()}
    load_weights(start, state.model)
    load_modules(start, state, tiny.build(NAMES))
    assert weights_sha256(state.model) == start.origin.model_sha256
    for name, parameter in state.technique_modules.named_parameters():
        assert torch.equal(parameter, start.extras[name]), name
        assert torch.equal(state.average[f"extras.{name}"], parameter), name
    for name, buffer in state.technique_modules.named_buffers():
        assert torch.equal(buffer, counters[name]), name


@pytest.mark.parametrize("types", [["Y", "X"], ["X", "Y", "Z"], ["Y"], ["Z", "A"], ["A", "X", "Z"]])
def test_rows_are_found_by_the_names_of_labels(tiny_encoder: Path, earlier: Path, types: list[str]) -> None:
    labels = ["O", *(f"{prefix}-{kind}" for kind in types for prefix in "SEIB")]
    state, start = state_of(tiny_encoder, labels), read_start(earlier)
    fresh = {name: value.clone() for name, value in state.tensors().items()}
    load_weights(start, state.model)
    load_modules(start, state, tiny.build(NAMES))
    known = {label: place for place, label in enumerate(start.blueprint.labels)}
    rows = {
        "model.head.weight": start.weights["head.weight"],
        "model.head.bias": start.weights["head.bias"],
        **{
            f"extras.{name}": start.extras[name]
            for name in (
                "label_lm.decoder.labels",
                "label_lm.decoder.write.weight",
                "label_lm.decoder.write.bias",
                "adversarial.rival.layers.2.weight",
            )
        },
    }
    now = state.tensors()
    for name, source in rows.items():
        for place, label in enumerate(labels):
            wanted = source[known[label]] if label in known else fresh[name][place]
            assert torch.equal(now[name][place], wanted), (name, label)
    scores, before = now["extras.multi_task.pair.scores"], fresh["extras.multi_task.pair.scores"]
    source = start.extras["multi_task.pair.scores"]
    for row, first in enumerate(labels):
        for column, second in enumerate(labels):
            both = first in known and second in known
            wanted = source[known[first], known[second]] if both else before[row, column]
            assert scores[row, column] == wanted, (first, second)
    assert torch.equal(now["extras.label_lm.decoder.positions"], start.extras["label_lm.decoder.positions"])
    assert torch.equal(
        now["model.encoder.encoder.layer.0.output.dense.weight"],
        start.weights["encoder.encoder.layer.0.output.dense.weight"],
    )
    assert new_labels(start, state.model.blueprint) == [label for label in labels if label not in known]


def test_every_label_of_the_label_lm_starts_at_its_centroid(tiny_encoder: Path, earlier: Path) -> None:
    """Of the states of the encoder that the start has, which a new label has as well."""
    labels = ["O", *(f"{prefix}-{kind}" for kind in "XZ" for prefix in "SEIB")]
    warm, cold, techniques = state_of(tiny_encoder, labels), state_of(tiny_encoder, labels), tiny.build(NAMES)
    load_modules(read_start(earlier), warm, techniques)
    hidden, gold = tiny.normal(1, 40, warm.model.width), torch.arange(40) % len(labels)
    for state in (warm, cold):
        techniques["label_lm"].initialise(hidden, gold, state.modules("label_lm"))
    embeddings = [state.modules("label_lm")["decoder"].labels for state in (warm, cold)]
    assert embeddings[0].norm(dim=1).allclose(torch.ones(len(labels)))
    assert torch.equal(*embeddings)


def test_a_description_moves_new_labels_alone(tiny_encoder: Path, earlier: Path) -> None:
    from fpplm_core.model.pretrained import load_encoder, load_tokenizer

    start, builder = (
        read_start(earlier),
        WindowBuilder(load_tokenizer(str(tiny_encoder), None).backend_tokenizer, 64, 16),
    )
    labels = ["O", *(f"{prefix}-{kind}" for kind in "XZ" for prefix in "SEIB")]
    blueprint = Blueprint(labels, tiny.FIRST_SHAPE, 4)
    described = {kind: builder.windows([text.split()]) for kind, text in (("X", "old towns"), ("Z", "tall trees"))}
    without, moved = (
        untrained_tagger(load_encoder(str(tiny_encoder), None), blueprint, tiny.MODEL, 1, given, start)
        for given in ({}, described)
    )
    differs = (without.state_dict()["head.weight"] != moved.state_dict()["head.weight"]).any(1)
    assert [label for label, one in zip(labels, differs.tolist(), strict=True) if one] == labels[5:]
    known = [start.blueprint.labels.index(label) for label in labels[:5]]
    assert torch.equal(moved.state_dict()["head.weight"][:5], start.weights["head.weight"][known])


@given(st.permutations("abcdef"), st.lists(st.sampled_from("abcdefgh"), unique=True), st.booleans())
def test_copying_by_name_is_what_a_dictionary_does(source_names, target_names, two_axes):
    axes = (list(target_names),) * (1 + two_axes), (list(source_names),) * (1 + two_axes)
    shapes = [[len(names) for names in own] + [3] for own in axes]
    target, source = tiny.normal(1, *shapes[0]), tiny.normal(2, *shapes[1])
    before = target.clone()
    assert copy_by_name(target, axes[0], source, axes[1])
    places = {name: n for n, name in enumerate(source_names)}
    for index in np.ndindex(*shapes[0][:-1]):
        names = [target_names[n] for n in index]
        known = all(name in places for name in names)
        wanted = source[tuple(places[name] for name in names)] if known else before[index]
        assert torch.equal(target[index], wanted)


def test_other_widths_and_wrong_numbers_of_names_do_not_fit():
    target, source = torch.zeros(2, 3), torch.ones(2, 4)
    assert not copy_by_name(target, (["a", "b"],), source, (["a", "b"],))
    assert not copy_by_name(target, (["a", "b"],), torch.ones(2, 3), (["a"],))
    assert not copy_by_name(target, (), torch.ones(3, 2), ())
    assert not target.any()


def other_head(model: Tagger) -> Tagger:
    return Tagger(model.encoder, model.blueprint, tiny.MODEL.model_copy(update={"head": "mlp"}))


def other_shapes(model: Tagger) -> Tagger:
    model.blueprint = replace(model.blueprint, first_shape=None)
    return model


def other_vocabulary(model: Tagger) -> Tagger:
    model.keep_pieces(torch.arange(20))
    return model


@pytest.mark.parametrize("change", [other_head, other_shapes, other_vocabulary])
def test_other_shapes_are_refused(tiny_encoder: Path, earlier: Path, change: Callable[[Tagger], Tagger]) -> None:
    model = change(state_of(tiny_encoder).model)
    with pytest.raises(DataError, match=r"model\.start: its weights have other names or shapes, got .*model; set"):
        load_weights(read_start(earlier), model)


def test_another_encoder_or_tokenizer_is_refused(earlier: Path, tokenizer: Path, tmp_path: Path) -> None:
    start = read_start(earlier)
    require_same_encoder(start, "e" * 64, tokenizer)
    with pytest.raises(DataError, match=r"made with another encoder, got .* sha256 e{12} instead of f{12}"):
        require_same_encoder(start, "f" * 64, tokenizer)
    other = tmp_path / "tokenizer.json"
    other.write_text(
        tokenizer.read_text()
        .replace('"lowercase":false', '"lowercase":true')
        .replace('"lowercase": false', '"lowercase": true')
    )
    assert other.read_text() != tokenizer.read_text()
    with pytest.raises(DataError, match="made with another tokenizer"):
        require_same_encoder(start, "e" * 64, other)


@pytest.mark.parametrize(
    "leaked", [TEST[0], "the FERRY leaves , for Lindau at noon today", "Some other words stand in the dev split !"]
)
def test_a_start_that_saw_dev_or_test_is_refused(
    tiny_encoder: Path, tokenizer: Path, tmp_path: Path, leaked: str
) -> None:
    own = write_splits(tmp_path / "own", TRAIN)
    write_model(tmp_path / "m", state_of(tiny_encoder), write_splits(tmp_path / "other", [*TRAIN, leaked]), tokenizer)
    with pytest.raises(DataError, match=r"it was trained on sentences of dev or test, got .*: 1, such as x\.conll:1"):
        require_unseen_by_start(read_start(tmp_path / "m"), own)
    require_unseen_by_start(
        read_start(tmp_path / "m"), write_splits(tmp_path / "own", [*TRAIN, leaked])
    )  # train has it itself


def test_a_leak_through_the_start_of_a_start_is_refused(tiny_encoder: Path, tokenizer: Path, tmp_path: Path) -> None:
    state = state_of(tiny_encoder)
    first = read_start(write_model(tmp_path / "1", state, write_splits(tmp_path / "a", [*TRAIN, TEST[0]]), tokenizer))
    own = write_splits(tmp_path / "own", TRAIN)
    second = read_start(write_model(tmp_path / "2", state, own, tokenizer, first))
    third = read_start(write_model(tmp_path / "3", state, own, tokenizer, second))
    assert third.origin.starts == [second.origin.model_sha256, first.origin.model_sha256]
    assert set(third.seen.tolist()) == set(first.seen.tolist())
    with pytest.raises(DataError, match="trained on sentences of dev or test"):
        require_unseen_by_start(third, own)


def test_an_encoder_that_saw_dev_or_test_is_refused(tmp_path: Path) -> None:
    """As a start is; an encoder of which nothing is known passes, such as one on the hub."""
    encoder, own = tmp_path / "encoder", write_splits(tmp_path / "own", TRAIN)
    write_seen(encoder, sentence_hashes(map(sentence, [TRAIN[0], "A sentence that this project lacks as a whole"])))
    require_unseen_by_encoder(str(encoder), own)
    write_seen(encoder, sentence_hashes(map(sentence, [*TRAIN, TEST[0].upper()])))
    with pytest.raises(DataError, match=f"model.encoder: it was trained on .* got {encoder}: 1, such as x.conll:1; "):
        require_unseen_by_encoder(str(encoder), own)
    require_unseen_by_encoder(str(encoder), write_splits(tmp_path / "both", [*TRAIN, TEST[0]]))
    require_unseen_by_encoder("somebody/some-encoder", own)
    (encoder / "seen.safetensors").write_bytes(b"{}")
    with pytest.raises(DataError, match="safetensors: cannot be read"):
        require_unseen_by_encoder(str(encoder), own)


def test_short_sentences_and_strange_words_are_no_leak(tiny_encoder: Path, tokenizer: Path, tmp_path: Path) -> None:
    strange = ["Ulm", "\x1b \u202e \ud800 ! … , ;", "北京 是 中国 的 首都 城市"]
    write_model(tmp_path / "m", state_of(tiny_encoder), write_splits(tmp_path / "a", [*TRAIN, strange[0]]), tokenizer)
    require_unseen_by_start(read_start(tmp_path / "m"), write_splits(tmp_path / "own", TRAIN, [strange[0], strange[2]]))
    assert len(sentence_hashes(map(sentence, strange))) == 2  # one of signs alone counts by its signs
    assert len(sentence_hashes([])) == 0


def test_no_training_sentence_at_all(tiny_encoder: Path, tokenizer: Path, tmp_path: Path) -> None:
    start = read_start(write_model(tmp_path / "m", state_of(tiny_encoder), write_splits(tmp_path, ["Ulm"]), tokenizer))
    assert start.seen.shape == (0,)
    require_unseen_by_start(start, tmp_path)


@pytest.mark.parametrize(
    "name", ["model.safetensors", "extras.safetensors", "blueprint.json", "origin.json", "seen.safetensors"]
)
@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"null", b"\xff\xfe\x1b[31m", pickle.dumps({"a": 1}), None])
def test_a_damaged_file_is_said_in_one_line(folder: Path, name: str, content: bytes | None) -> None:
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(DataError) as caught:
        read_start(folder)
    said = str(caught.value)
    assert "\n" not in said and "\x1b" not in said and said.startswith("model.start: ") and str(folder) in said
    assert "dvc repro" not in said


def test_wrong_kinds_of_hashes_are_refused(folder: Path) -> None:
    safetensors.torch.save_file({"sentences": torch.ones(3)}, folder / "seen.safetensors")
    with pytest.raises(DataError, match="cannot be read"):
        read_start(folder)


def test_exchanged_weights_are_refused(folder: Path, tiny_encoder: Path) -> None:
    write_tensors(folder / "model.safetensors", state_of(tiny_encoder, seed=5).model.state_dict())
    with pytest.raises(DataError, match="not the weights that its run wrote"):
        read_start(folder)


def test_what_is_missing_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"not the model of a finished run, got .*nowhere without model.safetensors"):
        read_start(tmp_path / "nowhere")
    (folder / "origin.json").unlink()
    with pytest.raises(DataError, match=r"made by an earlier fpplm, got .* without origin.json"):
        read_start(folder)
    (folder / "manifest.json").write_text(json.dumps({}))
    (folder / "model.safetensors").unlink()
    with pytest.raises(DataError, match="a bundle, which has no weights to train on"):
        read_start(folder)
