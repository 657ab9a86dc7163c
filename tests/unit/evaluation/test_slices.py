"""slices.yaml: what is read, and what is refused in one line."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fpplm_core.errors import ParamsError
from fpplm_core.evaluation.slices import MIN_SUPPORT, MOST_SLICES, SLICES, Slice, Slices, read_slices

SHIPPED = Path(__file__).resolve().parents[3] / "slices.yaml"


@pytest.fixture(autouse=True, scope="module")
def _folder(tmp_path_factory):
    with contextlib.chdir(tmp_path_factory.mktemp("project")):
        yield


def read(text: str | None) -> Slices:
    SLICES.unlink(missing_ok=True)
    if text is not None:
        SLICES.write_text(text, encoding="utf-8")
    return read_slices()


def error(text: str) -> str:
    with pytest.raises(ParamsError) as caught:
        read(text)
    return str(caught.value)


def test_the_shipped_file_has_length_script_and_novelty():
    found = read(SHIPPED.read_text(encoding="utf-8"))
    assert found.min_support == MIN_SUPPORT
    used = {name for one in found.slices.values() for name, value in vars(one).items() if value is not None}
    assert used == {"min_words", "max_words", "script", "mentions"}


@pytest.mark.parametrize("text", [None, "", "# nothing\n", "slices:\n", "slices: {}\n"])
def test_without_a_file_or_entries_there_are_no_slices(text):
    assert read(text) == Slices() and not Slices().slices


def test_one_value_is_a_list_of_one_and_numbers_in_cells_are_text():
    text = "slices: {a: {source: x.*, document: 3, script: Han, column: {1: 7, pos: [NOUN, PROPN]}}}"
    (one,) = read(text).slices.values()
    assert one == Slice(source=["x.*"], document=[3], script=["Han"], column={1: ["7"], "pos": ["NOUN", "PROPN"]})


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("- a\n", ["slices.yaml: expected a mapping, got ['a']"]),
        ("3\n", ["slices.yaml: expected a mapping, got 3"]),
        ("slice: {}\n", ["slices.yaml: slice: unknown key", "known here: min_support, slices"]),
        ("min_support: 0\n", ["slices.yaml: min_support:", "greater than or equal to 1", "got 0"]),
        ("min_support: true\n", ["slices.yaml: min_support:", "a whole number", "got true"]),
        ("slices: ''\n", ["slices.yaml: slices: expected a mapping, got ''"]),
        ("slices: []\n", ["slices.yaml: slices: expected a mapping, got []"]),
        ("slices: 0\n", ["slices.yaml: slices: expected a mapping, got 0"]),
        ("slices: [a]\n", ["slices.yaml: slices: expected a mapping, got ['a']"]),
        ("slices: {a: }\n", ["slices.yaml: slices.a: expected a mapping, got null", "{max_words: 10}"]),
        ("slices: {a: {}}\n", ["slices.yaml: slices.a: a slice needs a condition", "min_words"]),
        ("slices: {a: {regex: null}}\n", ["slices.yaml: slices.a: a slice needs a condition"]),
        ("slices: {a: {words: 3}}\n", ["slices.yaml: slices.a: words: unknown key", "known here: min_words"]),
        ("slices: {a: {max_words: 0}}\n", ["slices.yaml: slices.a: max_words", "got 0"]),
        ("slices: {a: {max_words: 2.5}}\n", ["slices.yaml: slices.a: max_words", "got 2.5"]),
        ("slices: {a: {min_words: 5, max_words: 4}}\n", ["slices.a: max_words: less than min_words, 5", "got 4"]),
        ("slices: {a: {script: Klingon}}\n", ["slices.a: script.0: use one of Latin", "got 'Klingon'"]),
        ("slices: {a: {regex: '(?=x)'}}\n", ["slices.a: regex: not a regular expression of RE2", "got '(?=x)'"]),
        ("slices: {a: {regex: '('}}\n", ["slices.a: regex: not a regular expression of RE2 (", "missing )"]),
        ("slices: {a: {regex: '(?<!x)'}}\n", ["RE2, which has no look-around ("]),
        ("slices: {a: {regex: '(?<n'}}\n", ["not a regular expression of RE2 ("]),
        ("slices: {a: {regex: '(?<n(?=x)'}}\n", ["not a regular expression of RE2 ("]),
        ("slices: {a: {regex: '[(?=]('}}\n", ["not a regular expression of RE2 (missing )"]),
        ("slices: {a: {regex: 'x(?<=y)'}}\n", ["RE2, which has no look-around ("]),
        ("slices: {a: {regex: '(x{1000}){1000}'}}\n", ["slices.a: regex: not a regular expression of RE2"]),
        ("slices: {a: {regex: ''}}\n", ["slices.a: regex:", "at least 1 character"]),
        ("slices: {a: {column: pos}}\n", ["slices.a: column:", "a mapping", "got 'pos'"]),
        ("slices: {a: {column: {}}}\n", ["slices.a: column:", "at least 1"]),
        ("slices: {a: {column: {pos: true}}}\n", ["slices.a: column.pos:", "text", "got true"]),
        ("slices: {a: {column: {true: x}}}\n", ["slices.a: column", "got true"]),
        ("slices: {a: {document: -1}}\n", ["slices.a: document: ", "got -1"]),
        ("slices: {a: {source: []}}\n", ["slices.a: source:", "at least 1"]),
        ("slices: {a: {mentions: new}}\n", ["slices.a: mentions: must be 'seen' or 'unseen', got 'new'"]),
        ("slices: {2020: {max_words: 3}}\n", ["slices.yaml: the name of a slice is text, got 2020; put it in quotes"]),
        ('slices: {"": {max_words: 3}}\n', ["1 to 60 printable characters", "got ''"]),
        ('slices: {" a": {max_words: 3}}\n', ["no blank at its ends", "got ' a'"]),
        ('slices: {"a\\nb": {max_words: 3}}\n', ["printable", r"got 'a\nb'"]),
        ('slices: {"\\e[31m": {max_words: 3}}\n', ["printable", r"got '\x1b[31m'"]),
        (f"slices: {{{'a' * 61}: {{max_words: 3}}}}\n", ["1 to 60 printable characters"]),
        ("slices: {a: {max_words: 3}, a: {max_words: 4}}\n", ["slices.yaml:1: not valid YAML", "duplicate key"]),
        ("slices: {a: {max_words: 3\n", ["slices.yaml:2: not valid YAML"]),
    ],
)
def test_what_is_wrong_is_one_line_with_its_key_and_value(text, parts):
    message = error(text)
    assert "\n" not in message, message
    for part in parts:
        assert part in message, message


def test_every_wrong_slice_has_its_line():
    lines = error("slices: {a: {max_words: 0}, b: {max_words: 1}, c: {script: x}, 4: {}}").split("\n")
    named = [line.split(": ")[1].split(",")[0] for line in lines]
    assert named == ["slices.a", "slices.c", "the name of a slice is text"]


def test_a_thousand_slices_are_read_and_no_more():
    def text(number: int) -> str:
        return "slices:\n" + "".join(f"  s{n}: {{min_words: {n + 1}}}\n" for n in range(number))

    assert len(read(text(MOST_SLICES)).slices) == MOST_SLICES
    assert f"too many slices, got {MOST_SLICES + 1}" in error(text(MOST_SLICES + 1))


values = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 9) | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3),
    max_leaves=6,
)
conditions = st.dictionaries(st.sampled_from(sorted(Slice.model_fields)) | st.text(max_size=5), values, max_size=3)


@given(st.dictionaries(st.text(max_size=8) | st.integers(), conditions | values, max_size=3))
def test_any_other_content_is_read_or_refused_with_a_line_for_each_error(slices):
    try:
        found = read(yaml.safe_dump({"slices": slices}))
    except ParamsError as error:
        assert all(line.startswith("slices.yaml") for line in str(error).split("\n")), str(error)
    else:
        assert all(isinstance(name, str) and one != Slice() for name, one in found.slices.items())


def test_a_floor_of_no_slice_is_refused():
    slices = Slices(slices={"short": Slice(max_words=3)})
    slices.require(["short"])
    with pytest.raises(ParamsError, match=r"params.yaml: gate.slice_f1.shrt: .* no such slice; use one of short"):
        slices.require(["shrt"])
    with pytest.raises(ParamsError, match="define it there"):
        Slices().require(["short"])
