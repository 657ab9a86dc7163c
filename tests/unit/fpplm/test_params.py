import copy
import math
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from fpplm_core.errors import ParamsError
from fpplm_core.params import Params, load, parse
from fpplm_core.settings import read_yaml
from fpplm_core.training import techniques

FILE = Path(__file__).resolve().parents[3] / "params.yaml"
TEXT = FILE.read_text(encoding="utf-8")
VALUES: dict[str, Any] = read_yaml(FILE)


def leaves(model: type[BaseModel], prefix: str = "") -> dict[str, Any]:
    """The annotation of every knob of a schema, by its dotted name."""
    found = {}
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found |= leaves(field.annotation, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = field.annotation
    return found


KNOBS = {name: kind for name, kind in leaves(Params).items() if name != "technique"}


def value_of(name: str) -> Any:
    value = VALUES
    for part in name.split("."):
        value = value[part]
    return value


def changed(name: str, value: Any) -> dict[str, Any]:
    """The values of params.yaml with another one for a key."""
    values = copy.deepcopy(VALUES)
    *sections, key = name.split(".")
    place = values
    for section in sections:
        place = place[section]
    place[key] = value
    return values


def error_of(values: Any) -> str:
    with pytest.raises(ParamsError) as caught:
        parse(values, "params.yaml")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def knob_lines() -> dict[str, str]:
    """What stands after the colon on each knob's line, by its dotted name."""
    found, path = {}, []
    for line in TEXT.splitlines():
        if match := re.match(r"( *)(\w+):(.*)$", line):
            indent, key, rest = match.groups()
            path = [*path[: len(indent) // 2], key]
            if rest.partition("#")[0].strip():
                found[".".join(path)] = rest
    return found


LINES = knob_lines()


def test_params_yaml_is_valid():
    techniques.build(load(FILE).technique)
    assert parse(VALUES, "params.yaml").model_dump() == VALUES


@pytest.mark.parametrize(
    "profile", sorted(FILE.parent.glob("benchmarks/studies/profiles/*.yaml")), ids=lambda path: path.stem
)
def test_profiles_are_whole_params_files(profile):
    settings = load(profile)
    assert set(techniques.build(settings.technique)) == set(settings.technique["active"])
    assert {name: set(block) for name, block in settings.technique.items() if name != "active"} == {
        name: set(block) for name, block in VALUES["technique"].items() if name != "active"
    }


def test_every_knob_stands_in_params_yaml_and_nothing_else_does():
    assert set(VALUES) == set(Params.model_fields)
    written = {f"{section}.{key}" for section, block in VALUES.items() if section != "technique" for key in block}
    assert written == set(KNOBS)
    known = {name: set(kind.model_fields) for name, kind in techniques.available().items()}
    blocks = {name: set(block) for name, block in VALUES["technique"].items() if name != "active"}
    assert blocks == {name: fields for name, fields in known.items() if fields or name in blocks}


def test_every_knob_has_a_comment_on_its_line():
    blocks = {
        f"technique.{name}.{key}" for name, block in VALUES["technique"].items() if name != "active" for key in block
    }
    assert set(KNOBS) | blocks | {"technique.active"} == set(LINES)
    assert [name for name, rest in LINES.items() if len(rest.partition("  # ")[2]) < 10] == []


@pytest.mark.parametrize(
    "name", [name for name, kind in KNOBS.items() if "Literal" in str(kind) and not name.startswith("check.")]
)
def test_a_knob_with_few_values_lists_them_on_its_line(name):
    kind = KNOBS[name]
    options = get_args(kind) if "list" not in str(kind) else get_args(get_args(kind)[0])
    assert all(option in LINES[name] for option in options)


NUMBER = r"(-?\d+(?:\.\d+)?)"
LONE = re.compile(rf"(>=?) {NUMBER}(?:,|;|$)")
INTERVAL = re.compile(rf"in ([\[\]]){NUMBER}, {NUMBER}([\[\]])")


def probes(name: str) -> list[tuple[float, bool]]:
    """Values at and beyond the range in a knob's comment, and whether they are inside."""
    step = 1 if KNOBS[name] is int else 1e-6
    if match := INTERVAL.search(LINES[name]):
        left, low, high, right = match[1], float(match[2]), float(match[3]), match[4]
        return [(low, left == "["), (low - step, False), (high, right == "]"), (high + step, False)]
    if match := LONE.search(LINES[name]):
        low = float(match[2])
        return [(low, match[1] == ">="), (low - step, False), (low + step, True)]
    return []


RANGES = [(name, *probe) for name in KNOBS for probe in probes(name)]


@pytest.mark.parametrize(("name", "value", "inside"), RANGES)
def test_the_range_in_a_comment_is_the_one_that_holds(name, value, inside):
    value = int(value) if KNOBS[name] is int else value
    if not inside:
        message = error_of(changed(name, value))
        assert name in message and repr(value) in message
    elif name not in ("encode.window", "encode.stride"):  # these two have to fit each other
        parse(changed(name, value), "params.yaml")


def test_most_numbers_have_a_range_in_their_comment():
    numbers = {name for name, kind in KNOBS.items() if kind in (int, float)}
    without = numbers - {name for name, _, _ in RANGES}
    assert without == {"train.batch_pieces"}


@pytest.mark.parametrize(
    ("name", "value", "parts"),
    [
        ("train.lr", -1, ["params.yaml: train.lr:", "greater than 0", "got -1"]),
        ("train.lr", "fast", ["params.yaml: train.lr:", "valid number", "got 'fast'"]),
        ("train.epochs", 1.5, ["params.yaml: train.epochs:", "integer", "got 1.5"]),
        ("train.epochs", None, ["params.yaml: train.epochs:", "got None"]),
        ("train.ema", math.nan, ["params.yaml: train.ema:", "got nan"]),
        ("train.device", "tpu", ["params.yaml: train.device:", "'auto', 'cpu' or 'cuda'", "got 'tpu'"]),
        ("data.scheme", "IOB3", ["data.scheme", "'auto', 'IOB1', 'IOB2', 'IO', 'BIOES'", "'TAGS'", "got 'IOB3'"]),
        ("data.format", "xlsx", ["data.format", "use auto, or one of", "conll", "got 'xlsx'"]),
        ("data.tag_column", 1.5, ["data.tag_column", "got 1.5"]),
        ("data.segmentation", "my.module", ["data.segmentation", "unicode, whitespace, characters or MODULE:FUNCTION"]),
        ("data.segmentation", "rules", ["data.segmentation", "renamed, write unicode"]),
        ("data.words", "rules", ["data.words: renamed, write data.segmentation"]),
        ("data.dev_fraction", 0.1, ["data.dev_fraction: renamed, write data.held_out"]),
        ("data.repair", "guess", ["data.repair", "'refuse', 'conlleval' or 'discard'", "got 'guess'"]),
        ("data.train", None, ["data.train", "valid string", "got None"]),
        ("check.duplicate", "fatal", ["check.duplicate", "'error', 'warning' or 'off'", "got 'fatal'"]),
        ("check.duplicate", False, ["check.duplicate", "'error', 'warning' or 'off'", "got False"]),  # YAML's off
        ("model.encoder", "", ["model.encoder", "at least 1 character", "got ''"]),
        ("gate.type_f1", {"PER": 2}, ["gate.type_f1.PER", "less than or equal to 1", "got 2"]),
        ("gate.type_f1", 0.5, ["gate.type_f1", "dictionary", "got 0.5"]),
        ("export.variants", ["fp32", "int4"], ["export.variants.1", "'fp32', 'fp16', 'int8' or 'mixed'", "got 'int4'"]),
        ("train", None, ["params.yaml: train:", "got None"]),
        ("technique", ["x"], ["params.yaml: technique:", "dictionary"]),
    ],
)
def test_a_wrong_value_is_an_error_that_names_file_key_value_and_what_is_allowed(name, value, parts):
    message = error_of(changed(name, value))
    assert all(part in message for part in parts), message


@pytest.mark.parametrize("name", ["train.learning_rate", "check.typo", "trian", "data.Path"])
def test_an_unknown_key_is_an_error_that_lists_the_known_ones(name):
    message = error_of(changed(name, 1))
    known = VALUES[name.split(".")[0]] if "." in name else VALUES
    assert message == f"params.yaml: {name}: unknown key; known here: {', '.join(known)}"


@pytest.mark.parametrize("name", sorted([*KNOBS, *Params.model_fields]))
def test_a_missing_key_is_an_error_that_names_it(name):
    values = copy.deepcopy(VALUES)
    section, _, key = name.partition(".")
    del (values[section] if key else values)[key or section]
    assert error_of(values).startswith(f"params.yaml: {name}: missing key; add it")


@pytest.mark.parametrize(
    ("window", "stride", "fits"), [(64, 31, True), (64, 32, False), (8, 3, True), (9, 4, True), (9, 5, False)]
)
def test_the_stride_is_less_than_half_of_the_window(window, stride, fits):
    values = changed("encode", {**VALUES["encode"], "window": window, "stride": stride})
    values["train"]["batch_pieces"] = 1024
    if fits:
        assert parse(values, "params.yaml").encode.stride == stride
    else:
        message = error_of(values)
        assert f"params.yaml: encode: value error, stride {stride} must be less than half of window {window}" in message


def test_a_step_has_room_for_a_window():
    values = changed("train.batch_pieces", VALUES["encode"]["window"] - 1)
    message = error_of(values)
    assert "batch_pieces" in message and "window" in message


def test_off_is_a_word_quoted_or_not(tmp_path):
    """DVC rewrites params.yaml with YAML 1.2, where nothing needs quotes that does not look like a number or true."""
    path = tmp_path / "params.yaml"
    for text in ("duplicate: off", 'duplicate: "off"', "duplicate: 'off'"):
        path.write_text(TEXT.replace("duplicate: warning", text, 1))
        assert load(path).check.duplicate == "off"
    path.write_text("a: 1e-4\nb: on\nc: yes\nd: true\ne: null\nf: [off]\n")
    assert read_yaml(path) == {"a": 1e-4, "b": "on", "c": "yes", "d": True, "e": None, "f": ["off"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data: [1, 2\ntrain: 3", r"params.yaml:2: not valid YAML"),
        ("data:\n\tpath: x", r"params.yaml:2: not valid YAML"),
        ("a: b: c", r"params.yaml:1: not valid YAML"),
        ("a: \x01", r"params.yaml: not valid YAML"),
        ("", r"params.yaml: sections are wanted, got NoneType"),
        ("- data", r"params.yaml: sections are wanted, got list"),
        ("!!python/object:os.system x", r"params.yaml:1: not valid YAML"),
    ],
)
def test_a_file_that_is_no_yaml_is_an_error_with_its_line(tmp_path, text, message):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(ParamsError, match=message):
        load(path)


def test_a_file_that_cannot_be_read_is_an_error(tmp_path):
    with pytest.raises(ParamsError, match=r"none.yaml: no such file; run in the project's folder"):
        load(tmp_path / "none.yaml")
    with pytest.raises(ParamsError, match="cannot be read"):
        load(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"data: caf\xe9")
    with pytest.raises(ParamsError, match=r"latin.yaml: cannot be read"):
        load(tmp_path / "latin.yaml")


junk = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.one_of(st.text(max_size=3), st.integers()), inner, max_size=2)
    ),
    max_leaves=4,
)


@given(st.sampled_from(sorted([*KNOBS, *Params.model_fields, "technique.active", "technique.x"])), junk)
def test_any_value_at_any_key_is_taken_or_refused_by_name(name, value):
    values = changed(name, value)
    try:
        techniques.build(parse(values, "params.yaml").technique)
    except ParamsError as error:
        assert name.split(".")[0] in str(error) and str(error).startswith("params.yaml: ")


def test_numbers_as_dvc_passes_them_are_understood():
    values = changed("train.lr", "1e-4")  # what YAML 1.1 reads 1e-4 as
    assert parse(values, "params.yaml").train.lr == 1e-4


def test_parameters_cannot_be_changed():
    settings = load(FILE)
    with pytest.raises(ValueError, match="frozen"):
        settings.train.lr = 1.0


def test_an_unknown_technique_is_an_error_that_lists_the_available_ones():
    names = ", ".join(techniques.available()) or "none yet"
    for section in ({"active": ["no_such"]}, {"active": [], "no_such": {}}):
        with pytest.raises(ParamsError) as caught:
            techniques.build(section)
        assert str(caught.value) == f"params.yaml: technique: unknown technique, got 'no_such'; available: {names}"


TOY = """
from fpplm_core.training.technique import Technique as Base
class Noise(Base):
    strength: float = 0.5
"""


@pytest.fixture
def toys(tmp_path, monkeypatch) -> Iterator[ModuleType]:
    """The techniques with two more modules in their folder."""
    names = ("toy_b", "toy_a")
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
        (tmp_path / name / "technique.py").write_text(TOY)
    monkeypatch.setattr(techniques, "__path__", [*techniques.__path__, str(tmp_path)])
    yield techniques
    for name in names:
        for module in (name, f"{name}.technique"):
            sys.modules.pop(f"{techniques.__name__}.{module}", None)


def test_a_module_in_the_folder_is_a_technique(toys):
    assert {"toy_a", "toy_b"} <= set(toys.available())
    section = {"active": ["toy_b"], "toy_a": {"strength": 0.1}, "toy_b": {"strength": 0.2}}
    built = toys.build(section)
    assert {name: technique.strength for name, technique in built.items()} == {"toy_b": 0.2}


def test_the_order_in_which_techniques_are_listed_does_not_matter(toys):
    orders = [["toy_a", "toy_b"], ["toy_b", "toy_a"], ["toy_b", "toy_a", "toy_b"]]
    assert [list(toys.build({"active": active})) for active in orders] == [["toy_a", "toy_b"]] * 3


@pytest.mark.parametrize("active", [[], ["toy_b"]])
@pytest.mark.parametrize(
    ("block", "parts"),
    [
        ({"strength": "much"}, ["technique.toy_b.strength", "valid number", "'much'"]),
        ({"power": 1}, ["technique.toy_b.power: unknown key; known here: strength"]),
        (3, ["technique.toy_b", "3"]),
    ],
)
def test_a_wrong_block_is_an_error_whether_active_or_not(toys, active, block, parts):
    with pytest.raises(ParamsError) as caught:
        toys.build({"active": active, "toy_b": block})
    assert all(part in str(caught.value) for part in ["params.yaml: ", *parts]), str(caught.value)


@pytest.mark.parametrize("active", [None, "toy_a", 3, ["toy_a", 3], [["toy_a"]], {"toy_a": 1}])
def test_what_is_no_list_of_names_is_refused(toys, active):
    with pytest.raises(ParamsError, match=r"params.yaml: technique"):
        toys.build({"active": active})
