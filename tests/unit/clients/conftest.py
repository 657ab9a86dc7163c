"""A bundle whose answers depend on every part of a client, and what runs the clients."""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from clients.measure import ENVIRONMENT, Runtime, install_javascript, runtimes
from fpplm_core.data.records import Sentence
from fpplm_core.export import portable
from fpplm_core.export.golden import write_golden
from fpplm_core.tagging.decoder import SpanDecoder
from tests.conftest import vocabulary
from tests.hostile_bundles import tiny

FIRST_SHAPE, LONGEST = 2, 512  # pieces: longer texts are cut by transformers and by Transformers.js at other places
OFFLINE = re.compile("ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH")
WORDS = ("London", "Paris", "the", "The", "river", "CITY", "words", "Iain", "x9", "of", "in", "-", "a.b", "McX")
RARE = ("[SEP]", "\u200b", "supercalifragilistic" * 2)  # a piece's name, no piece, too many pieces


@pytest.fixture(scope="session")
def javascript() -> None:
    """What the clients in JavaScript need."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("there is no node")
    try:
        install_javascript()
    except subprocess.CalledProcessError as error:
        if OFFLINE.search(error.stderr):
            pytest.skip("npm's registry cannot be reached")
        raise


def run_node(script: str, given: object) -> Any:
    """What a module prints, as JSON; it reads `given` from its standard input."""
    command, text = ["node", "--input-type=module", "-e", script], json.dumps(given)
    done = subprocess.run(command, input=text, capture_output=True, text=True, env=ENVIRONMENT, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Logits by piece, by its place in the window and by its token type, and scores for pairs of labels."""
    folder, random_numbers = tmp_path_factory.mktemp("clients") / "bundle", np.random.default_rng(4)
    count = len(tiny.LABELS)
    decoder = SpanDecoder.of_labels(tiny.LABELS)
    scores = decoder.scores + random_numbers.normal(0, 0.5, decoder.scores.shape).astype(np.float32)
    own = {"words": "unicode-2", "context": 0, "first_shape": FIRST_SHAPE, "transitions": scores.tolist()}
    tiny.write_tiny_bundle(folder, **own, label_lm={"below": 0, "use": False})
    tokenizer = tiny.tokenizer()
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    tokenizer.save(str(folder / "tokenizer.json"))
    tables = {
        name: random_numbers.normal(0, 1.5, (rows, count)).astype(np.float32)
        for name, rows in (("pieces", len(vocabulary())), ("places", LONGEST + 1), ("shapes", FIRST_SHAPE + 7))
    }
    tables["pieces"][:, [tiny.LABELS.index("I-PER"), tiny.LABELS.index("I-LOC")]] -= 9  # the graph looks 5 words back
    nodes = [
        helper.make_node("CumSum", ["attention_mask", "axis"], ["place"]),
        helper.make_node("Gather", ["pieces", "input_ids"], ["by_piece"]),
        helper.make_node("Gather", ["places", "place"], ["by_place"]),
        helper.make_node("Gather", ["shapes", "token_type_ids"], ["by_shape"]),
        helper.make_node("Sum", ["by_piece", "by_place", "by_shape"], ["logits"]),
    ]
    inputs = [*tiny.INPUTS, tiny.port("token_type_ids", TensorProto.INT64)]
    graph = folder / "onnx/model.onnx"
    tiny.save(graph, nodes, [tiny.port("logits", TensorProto.FLOAT, count)], inputs, axis=np.array(1), **tables)
    roles = portable.piece_roles(tokenizer)
    decoder = SpanDecoder(tiny.LABELS, scores)
    onnx.save(portable.make_portable(onnx.load(graph), decoder, roles, FIRST_SHAPE, None), graph)
    names = {str(number): label for number, label in enumerate(portable.portable_labels(tiny.LABELS))}
    config = json.loads((folder / "config.json").read_text()) | {"id2label": names}
    (folder / "config.json").write_text(json.dumps(config))
    hub = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": LONGEST, "unk_token": "[UNK]"}
    names = ["input_ids", "attention_mask", "token_type_ids"]
    (folder / "tokenizer_config.json").write_text(json.dumps(hub | {"model_input_names": names}))
    tiny.reseal(folder)
    write_golden(folder, sentences())
    return tiny.reseal(folder)


def sentences() -> list[Sentence]:
    """Short sentences, some of several windows, and one without words."""
    chosen = random.Random(3)
    found = [chosen.choices(WORDS, k=chosen.choice((1, 3, 9, 25, 90))) for _ in range(40)]
    for words, rare in zip(found, RARE * 2, strict=False):
        words.insert(chosen.randrange(len(words) + 1), rare)
    return [Sentence(tuple(words), ("O",) * len(words), "made", tuple(range(len(words)))) for words in [*found, []]]


@pytest.fixture(scope="session")
def clients(javascript: None, tmp_path_factory: pytest.TempPathFactory) -> list[Runtime]:
    if shutil.which("g++") is None:
        pytest.skip("there is no C compiler")
    return runtimes(tmp_path_factory.mktemp("cpp"))


@pytest.fixture(params=range(4))
def runtime(request: pytest.FixtureRequest, clients: list[Runtime]) -> Runtime:
    """Each of the clients but transformers, which tests/unit/export/test_clients.py tries."""
    one = clients[request.param]
    if one.command[-1] == "clients.page" and shutil.which("chromium") is None:
        pytest.skip("there is no chromium")
    return one
