"""Kinds of bundle with hostile values in config.json and tokenizer.json, sealed anew."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from tests.hostile_bundles.files import Options
from tests.hostile_bundles.tiny import CONFIG, LABELS, reseal

STRANGE = (
    None,
    True,
    False,
    -1,
    0,
    1,
    2,
    7,
    10**9,
    2**63,
    -(2**63),
    10**400,
    1e308,
    -0.0,
    0.5,
    "",
    "x",
    "1",
    "\0",
    "x" * 10**5,
    "\x1b[2J",
    [],
    [[]],
    {},
    {"a": 1},
    [None],
    ["x"] * 10**4,
    [0] * 10**5,
)


def edit(folder: Path, name: str, change: Callable[[dict[str, Any]], object]) -> Options:
    file = folder / name
    values = json.loads(file.read_text())
    change(values)
    file.write_text(json.dumps(values))
    reseal(folder)
    return {}


def edit_config(folder: Path, change: Callable[[dict[str, Any]], object]) -> Options:
    """Changes what config.json has for fpplm."""
    return edit(folder, "config.json", lambda config: change(config["fpplm"]))


def any_value(folder: Path, random: Random) -> Options:
    """Any key of config.json with a value of another kind, or missing."""
    key, value = random.choice(list(CONFIG)), random.choice(STRANGE)
    gone = random.random() < 0.2
    return edit_config(folder, lambda c: c.pop(key) if gone else c.update({key: value}))


def words(folder: Path, random: Random) -> Options:
    """A rule of words that is code."""
    names = [
        "os:system",
        "subprocess:getoutput",
        "builtins:eval",
        "evil:cut",
        "unicode-0",
        "../x",
        "",
        "__import__('os')",
    ]
    (folder.parent / "evil.py").write_text("import os; os.system('touch evil')")
    return edit_config(folder, lambda c: c.update(words=random.choice(names)))


def labels(folder: Path, random: Random) -> Options:
    wrong = random.choice(
        [
            [],
            ["O"],
            LABELS[1:],
            [*LABELS[:-1], "B-PER"],
            [*LABELS[:-1], "B-"],
            [*LABELS[:-1], "-LOC"],
            [*LABELS[:-1], "Q-LOC"],
            [*LABELS[:-1], 3],
            [*LABELS[:-1], None],
            [*LABELS[:-1], "B-\x1b[2J"],
            [*LABELS[:-1], "B-\n"],
            [*LABELS[:-1], "B-" + "x" * 10**6],
            [*LABELS[:-1], "B-\ud800"],
            [*LABELS, "B-Y"],
            ["O"] + [f"B-{n}" for n in range(10**5)],
            "O",
            {"O": 0},
            [["O"]] * 9,
        ]
    )
    return edit_config(folder, lambda c: c.update(labels=wrong))


def transitions(folder: Path, random: Random) -> Options:
    size = len(LABELS) + 1
    value = random.choice([1e300, -1e300, 10**400, "0", None, [], True, 2e6])
    rows = [[0.0] * size for _ in range(size)]
    rows[random.randrange(size)][random.randrange(size)] = value
    wrong = random.choice(
        [rows, rows, [[0.0] * size] * (size - 1), [[0.0] * (size + 1)] * size, [0.0] * size, [[]] * size]
    )
    return edit_config(folder, lambda c: c.update(transitions=wrong))


def sizes(folder: Path, random: Random) -> Options:
    """Windows that hold no word, or more than memory."""
    key = random.choice(["window", "stride", "context", "first_shape"])
    value = random.choice(
        [-5, -1, 2, 7, 32, 33, 10**9, 2**63, 1.5, "8", True, [8]] + ([None] if key != "first_shape" else [])
    )
    valid = (
        type(value) is int
        and {
            "window": 17 <= value <= 33,
            "stride": 0 <= value < 16,
            "context": 0 <= value <= 32,
            "first_shape": False,
        }[key]
    )
    edit_config(folder, lambda c: c.update({key: value}))
    return {"expect": "answers" if valid else "refused"}


def label_lm(folder: Path, random: Random) -> Options:
    wrong = [
        {"below": 2, "use": True},
        {"below": -1, "use": False},
        {"below": 0, "use": True},
        {"below": "1", "use": True},
        {"below": 0.5},
        {"use": True},
        {"below": 0.5, "use": 1},
        {"below": 10**400, "use": True},
        3,
        [],
        "x",
        {},
    ]
    return edit_config(folder, lambda c: c.update(label_lm=random.choice(wrong)))


def variants(folder: Path, random: Random) -> Options:
    name = random.choice(
        ["../x", "x/../../../tmp/evil", "/tmp/evil", "", "int8", "fp32/../fp32", "x" * 10**5, "\0", 3, None]
    )
    wrong = random.choice(
        [
            {"cpu": [name], "cuda": []},
            {"cpu": ["fp32", name]},
            {"cpu": [f"v{n}" for n in range(10**5)]},
            {"cpu": []},
            {},
            {"cpu": "fp32"},
            {"cpu": ["fp32", "fp32"]},
            {"tpu": ["fp32"]},
            {"cuda": ["fp32"]},
            {"cpu": {"fp32": 1}},
            ["fp32"],
        ]
    )
    return edit_config(folder, lambda c: c.update(variants=wrong))


def graph_files(folder: Path, random: Random) -> Options:
    """No file, or one that the manifest does not list or is no graph."""
    names = ["../x", "/etc/passwd", "onnx/../../x", "onnx", "onnx/", "", "\0", "x" * 10**5, "model.fp32.onnx", 3, None]
    wrong = [{"fp32": random.choice([*names, "README.md", "tokenizer.json"])}, {}, [], "onnx/model.onnx", None]
    return edit_config(folder, lambda c: c.update(graphs=random.choice([wrong[0], *wrong])))


def json_text(folder: Path, random: Random) -> Options:
    """A JSON file as no writer would leave it."""
    file = folder / random.choice(["config.json", "tokenizer.json", "manifest.json"])
    text = file.read_text().rstrip()
    inside = text[1:]
    spoilt: list[bytes] = [
        b"\xef\xbb\xbf" + text.encode(),
        text.encode("utf-16"),
        b"",
        b"null",
        b"[]",
        b'"x"',
        b"3",
        b"{}",
        b"\xff",
        f'{{"a": {"[" * 10**5}{"]" * 10**5}, {inside}'.encode(),
        ("[" * 10**5).encode(),
        f'{{"a": {"{" + chr(34) + "a" + chr(34) + ":"}'.encode() * 10**4,
        f'{{"window": 32, {inside}'.encode(),
        f'{{"labels": [], "model": 1, "files": 1, {inside}'.encode(),
        f'{{"a": NaN, {inside}'.encode(),
        f'{{"a": Infinity, {inside}'.encode(),
        f'{{"a": 1e999, {inside}'.encode(),
        f'{{"a": {"9" * 10**4}, {inside}'.encode(),
        f'{{"a": "\\ud800", {inside}'.encode(),
        f'{{"a": "\\udc00x", {inside}'.encode(),
        (text + "x").encode(),
        (text + text).encode(),
        text.replace(":", "=").encode(),
        text[: len(text) // 2].encode(),
        f'{{"a": "\n", {inside}'.encode(),
        f"// x\n{text}".encode(),
        f"{{'a': 1, {inside}".encode(),
    ]
    file.write_bytes(random.choice(spoilt))
    if file.name != "manifest.json":
        reseal(folder)
    return {}


def huge_text(folder: Path, random: Random) -> Options:
    """A key that nobody reads, of several megabytes: it costs time, and changes nothing."""
    more = random.choice(["x" * 4 * 10**6, [0] * 10**6, [[]] * 10**6])
    return edit(folder, "config.json", lambda c: (c if random.random() < 0.5 else c["fpplm"]).update(more=more))


REPLACED = {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 100}
PARTS: list[Any] = [
    {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated", "invert": False},
    {"type": "Replace", "pattern": {"Regex": "(a+)+$"}, "content": ""},
    {"type": "Replace", "pattern": {"Regex": "(?:"}, "content": ""},
    {"type": "Replace", "pattern": {"String": ""}, "content": "a"},
    {"type": "Replace", "pattern": {"Regex": "\\w"}, "content": "a"},
    REPLACED,
    {"type": "Sequence", "normalizers": [REPLACED] * 3, "pretokenizers": [REPLACED] * 3, "processors": [REPLACED]},
    {
        "type": "Sequence",
        "normalizers": [{"type": "Lowercase"}] * 10**4,
        "pretokenizers": [{"type": "Whitespace"}] * 10**4,
    },
    {"type": "Prepend", "prepend": "x" * 10**5},
    {"type": "Evil"},
    {"pattern": {"String": "a"}, "content": "b"},
    3,
    [],
    "x",
    {"type": "Precompiled", "precompiled_charsmap": ""},
    {"type": "Precompiled", "precompiled_charsmap": "AAAA"},
    {
        "type": "Precompiled",
        "precompiled_charsmap": base64.b64encode(b"\x04\0\0\0" + b"\xff" * 4 + b"x" * 10**6).decode(),
    },
    {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(b"\x04\0\0\0" + b"\xff" * 4 + b"x\0").decode()},
    {"type": ["Replace"]},
    {"type": "Sequence"},
    {"type": "Sequence", "normalizers": 3},
    {"type": "ByteLevel", "x": 1},
    {"type": "CharDelimiterSplit", "delimiter": "a"},
    {"type": "TemplateProcessing", "single": [], "pair": [], "special_tokens": {}},
]


def character_map(images: dict[str, str]) -> bytes:
    """A map of SentencePiece's kind, from single letters: a double array of 768 units, then the images."""
    units, texts = [0] * 768, b""
    units[0] = 256 << 10
    for letter, image in images.items():
        units[256 ^ ord(letter)] = 768 << 10 | 1 << 8 | ord(letter)
        units[512 ^ ord(letter)] = 1 << 31 | len(texts)
        texts += image.encode() + b"\0"
    raw = b"".join(unit.to_bytes(4, "little") for unit in units)
    return len(raw).to_bytes(4, "little") + raw + texts


def tokenizer_map(folder: Path, random: Random) -> Options:
    """A character map that leads out of its own bytes."""
    raw = bytearray(character_map({"a": "b", "L": "Li", "x": "", "e": "\u00e9"}))
    for _ in range(random.choice([0, 1, 2, 8])):
        place = random.choice([0, 4, 4 + 4 * (256 ^ ord("a")), 4 + 4 * (512 ^ ord("L")), len(raw) - 8])
        raw[random.choice([place, place + random.randrange(4), random.randrange(len(raw))])] ^= 1 << random.randrange(8)
    text = base64.b64encode(raw).decode()
    part = {"type": "Precompiled", "precompiled_charsmap": text}
    return edit(folder, "tokenizer.json", lambda t: t.update(normalizer=part))


def tokenizer_part(folder: Path, random: Random) -> Options:
    """A part that loops, grows the text, panics, or is none."""
    key = random.choice(["normalizer", "pre_tokenizer", "post_processor", "decoder"])
    return edit(folder, "tokenizer.json", lambda t: t.update({key: random.choice(PARTS)}))


def special_pieces(folder: Path, random: Random) -> Options:
    """A post-processor that adds a window full of pieces, ids that the graph lacks, or none at all."""

    def change(values: dict[str, Any]) -> None:
        special = values["post_processor"]["special_tokens"]["[CLS]"]
        ids = random.choice([[2] * 31, [2] * 10**5, [10**6], [2**32 - 1], [2**32], [-1], [], [2, 3]])
        special.update(ids=ids, tokens=["[CLS]"] * len(ids))
        if random.random() < 0.3:
            single = values["post_processor"]["single"]
            values["post_processor"]["single"] = random.choice(
                [[], single[1:2], single[:1], single[:1] * 3, single[::-1], single * 2]
            )

    return edit(folder, "tokenizer.json", change)


def tokenizer_model(folder: Path, random: Random) -> Options:
    """A vocabulary or model out of range."""

    def change(values: dict[str, Any]) -> None:
        model = values["model"]
        kind = random.randrange(10)
        if kind == 0:
            model["vocab"][random.choice(["London", "a", "[UNK]"])] = random.choice(
                [-1, 10**6, 2**31, 2**32, 1.5, None, "1"]
            )
        elif kind == 1:
            model["vocab"] = random.choice([None, [], {}, 3, {"x" * 10**5: 0, "[UNK]": 1}, {"[UNK]": 0}])
        elif kind == 2:
            model["unk_token"] = random.choice(["none", None, "", 3])
        elif kind == 3:
            model["max_input_chars_per_word"] = random.choice([0, -1, 10**9, None, "9", 1.5])
        elif kind == 4:
            model["continuing_subword_prefix"] = random.choice(["", None, 3, "#" * 10**5])
        elif kind == 5:
            model["type"] = random.choice(["BPE", "Unigram", "WordLevel", "Evil", None, 3])
        elif kind == 6:
            content = random.choice(["", "a", " ", "x" * 10**5, None, "London"])
            token = {
                "id": random.choice([0, 10**6, -1, 2**40]),
                "content": content,
                "single_word": False,
                "lstrip": True,
            }
            values["added_tokens"].append(token | {"rstrip": True, "normalized": True, "special": False})
        elif kind == 7:
            model["vocab"] |= {f"{n:x}": n for n in range(3 * 10**4)}
        else:
            values["model"] = other_model(random)

    return edit(folder, "tokenizer.json", change)


def other_model(random: Random) -> dict[str, Any]:
    letters = {letter: number for number, letter in enumerate("abcdefgh")}
    merges = random.choice([["a b"], [["a", "b"]], ["a"], [["a", "zz"]], [3], "x", ["a b"] * 10**4])
    return random.choice(
        [
            {
                "type": "BPE",
                "vocab": letters | {"ab": 8},
                "merges": merges,
                "dropout": random.choice([None, 0.5, 2, "x"]),
            },
            {
                "type": "BPE",
                "vocab": letters,
                "merges": [["a", "b"]],
                "continuing_subword_prefix": "####",
                "unk_token": "z",
            },
            {"type": "BPE", "vocab": {"é": 0, "e": 1}, "merges": [["e", "é"]], "continuing_subword_prefix": "#"},
            {
                "type": "Unigram",
                "vocab": [["a", -1.0], ["b", random.choice([1e308, -1e308, 10**400, None])]],
                "unk_id": 0,
            },
            {"type": "Unigram", "vocab": [["a", -1.0]], "unk_id": random.choice([None, 1, -1, 2**40, 0])},
            {"type": "Unigram", "vocab": [["", 0.0], ["a" * 10**5, 0.0]], "unk_id": 0},
        ]
    )


def truncation(folder: Path, random: Random) -> Options:
    """An encoder's truncation and padding, as earlier releases wrote them: they cut no text."""
    cut = {"direction": "Right", "max_length": random.choice([0, 1, 4]), "strategy": "LongestFirst", "stride": 0}
    pad = {
        "strategy": {"Fixed": 128},
        "direction": "Left",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": "[PAD]",
    }
    return edit(folder, "tokenizer.json", lambda t: t.update(truncation=cut, padding=random.choice([pad, None])))
