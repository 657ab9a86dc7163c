import copy
import math
import pickle
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import reduce
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from fpplm.studies.plan import Plan
from fpplm_core.data.settings import DataSettings
from fpplm_core.errors import FpplmError, ParamsError
from fpplm_core.evaluation.slices import Slice
from fpplm_core.params import MOVED, Params, load
from fpplm_core.settings import Settings, read_yaml, yaml_text
from fpplm_core.training import techniques
from fpplm_core.training.technique import build

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


KNOBS = leaves(Params)


def settings_in(kind: type[Settings]) -> Iterator[type[Settings]]:
    yield kind
    for one in kind.__subclasses__():
        yield from settings_in(one)


def test_no_field_is_a_tuple_or_set_in_which_a_boolean_would_pass_for_a_number() -> None:
    kinds = set(settings_in(Settings))
    assert {Params, Plan, Slice, DataSettings} <= kinds
    for kind in kinds:
        for name, field in kind.model_fields.items():
            assert not re.search(r"\b(tuple|set|frozenset)\b", str(field.annotation)), f"{kind.__name__}.{name}"


def value_of(name: str) -> Any:
    return reduce(dict.__getitem__, name.split("."), VALUES)


def changed(name: str, value: Any) -> dict[str, Any]:
    """The values of params.yaml with another one for a key."""
    values = copy.deepcopy(VALUES)
    *sections, key = name.split(".")
    reduce(dict.__getitem__, sections, values)[key] = value
    return values


def error_of(values: Any) -> str:
    with pytest.raises(ParamsError) as caught:
        Params.parse(values, "params.yaml")
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


def written_keys(values: dict[str, Any], prefix: str = "") -> set[str]:
    """The dotted names of all values that are no block of knobs."""
    found = set()
    for key, value in values.items():
        name = f"{prefix}{key}"
        found |= written_keys(value, f"{name}.") if isinstance(value, dict) and name not in KNOBS else {name}
    return found


def test_params_yaml_is_valid():
    assert Params.parse(VALUES, "params.yaml").model_dump() == VALUES


@pytest.mark.parametrize(
    "profile", sorted(FILE.parent.glob("benchmarks/studies/profiles/*.yaml")), ids=lambda path: path.stem
)
def test_profiles_are_whole_params_files(profile):
    params = load(profile)
    assert list(params.technique.blocks()) == sorted(params.technique.active)


def test_every_knob_stands_in_params_yaml_and_nothing_else_does():
    assert written_keys(VALUES) == set(KNOBS)
    assert {name.split(".")[1] for name in KNOBS if name.startswith("technique.")} == {"active", *techniques.names()}


def test_every_knob_has_a_comment_on_its_line():
    assert set(KNOBS) == set(LINES)
    assert [name for name, rest in LINES.items() if len(rest.partition("  # ")[2]) < 10] == []


@pytest.mark.parametrize(
    "name", [name for name, kind in KNOBS.items() if "Literal" in str(kind) and name != "check.severity"]
)
def test_a_knob_with_few_values_lists_them_on_its_line(name):
    kind = KNOBS[name]
    options = get_args(kind) if "list" not in str(kind) else get_args(get_args(kind)[0])
    words = [word for option in options for word in (get_args(option) or [option]) if isinstance(word, str)]
    assert words and all(word in LINES[name] for word in words)


NUMBER = r"(-?\d+(?:\.\d+)?)"
LONE = re.compile(rf"(>=?) {NUMBER}(?:,|;|$)")
INTERVAL = re.compile(rf"in ([\[\]]){NUMBER}, {NUMBER}([\[\]])")


def is_whole(name: str) -> bool:
    """Whether a knob is a whole number, or a word beside."""
    return KNOBS[name] is int or "Annotated[int," in str(KNOBS[name])


def probes(name: str) -> list[tuple[float, bool]]:
    """Values at and beyond the range in a knob's comment, and whether they are inside."""
    step = 1 if is_whole(name) else 1e-6
    if match := INTERVAL.search(LINES[name]):
        left, low, high, right = match[1], float(match[2]), float(match[3]), match[4]
        return [(low, left == "["), (low - step, False), (high, right == "]"), (high + step, False)]
    if (match := LONE.search(LINES[name])) and "a multiple of" not in LINES[name]:
        low = float(match[2])
        return [(low, match[1] == ">="), (low - step, False), (low + step, True)]
    return []


RANGES = [(name, *probe) for name in KNOBS for probe in probes(name)]


@pytest.mark.parametrize(("name", "value", "inside"), RANGES)
def test_the_range_in_a_comment_is_the_one_that_holds(name, value, inside):
    value = int(value) if is_whole(name) else value
    if not inside:
        message = error_of(changed(name, value))
        assert name in message and repr(value) in message
    else:
        try:
            Params.parse(changed(name, value), "params.yaml")
        except ParamsError as error:  # in its own range, but knobs of one section have to fit each other
            assert str(error).startswith(f"params.yaml: {name.rpartition('.')[0]}: ")


def test_most_numbers_have_a_range_in_their_comment():
    numbers = {name for name, kind in KNOBS.items() if kind in (int, float)}
    without = numbers - {name for name, _, _ in RANGES}
    assert without <= {"train.batch_pieces", "export.opset", "technique.label_lm.width"}


@pytest.mark.parametrize(
    ("name", "value", "parts"),
    [
        ("train.lr", -1, ["params.yaml: train.lr:", "greater than 0", "got -1"]),
        ("train.lr", "fast", ["params.yaml: train.lr:", "must be a number", "got 'fast'"]),
        ("train.epochs", 1.5, ["params.yaml: train.epochs:", "must be a whole number or 'auto'", "got 1.5"]),
        ("train.epochs", None, ["params.yaml: train.epochs:", "got null"]),
        ("train.ema", math.nan, ["params.yaml: train.ema:", "got nan"]),
        ("train.device", "tpu", ["params.yaml: train.device:", "'auto', 'cpu' or 'cuda'", "got 'tpu'"]),
        ("data.scheme", "IOB3", ["data.scheme", "'auto', 'IOB1', 'IOB2', 'IO', 'BIOES'", "'TAGS'", "got 'IOB3'"]),
        ("data.format", "xlsx", ["data.format", "use auto, or one of", "conll", "got 'xlsx'"]),
        ("data.tag_column", 1.5, ["data.tag_column", "got 1.5"]),
        ("data.segmentation", "my.module", ["data.segmentation", "unicode, whitespace, characters or MODULE"]),
        ("data.segmentation", "rules", ["data.segmentation", "renamed; use unicode"]),
        ("data.words", "rules", ["data.words: renamed to data.segmentation"]),
        ("data.dev_fraction", 0.1, ["data.dev_fraction: renamed to data.held_out"]),
        ("data.repair", "guess", ["data.repair", "'refuse', 'conlleval' or 'discard'", "got 'guess'"]),
        ("data.train", None, ["data.train", "must be text", "got null"]),
        ("check.severity.duplicate", "fatal", ["'error', 'warning' or 'off'", "got 'fatal'"]),
        ("check.severity.duplicate", False, ["check.severity.duplicate", "'error', 'warning' or 'off'", "got false"]),
        ("check.severity", {"typo": "off"}, ["check.severity", "no such check: typo; known: malformed_tag, "]),
        ("check.severity", {"typoo": "off", "leakag": "off"}, ["did you mean leakage? known: malformed_tag, "]),
        ("technique.active", ["adverserial"], ["'adverserial'; did you mean adversarial? known: "]),
        ("check.duplicate", "off", ["check.duplicate: renamed to check.severity.duplicate"]),
        ("check.max_word", 100, ["check.max_word: removed"]),
        ("model.encoder", "", ["model.encoder", "must have at least 1 character", "got ''"]),
        ("gate.type_f1", {"PER": 2}, ["gate.type_f1.PER", "must be less than or equal to 1", "got 2"]),
        ("gate.type_f1", 0.5, ["gate.type_f1", "must be a mapping", "got 0.5"]),
        ("export.variants", ["fp32", "int4"], ["export.variants.1", "'fp32', 'fp16' or 'int8'", "got 'int4'"]),
        ("train", None, ["params.yaml: train: must be a section, got null"]),
        ("technique", ["x"], ["params.yaml: technique: must be a section"]),
        ("technique.active", "label_lm", ["params.yaml: technique.active:", "must be a list", "got 'label_lm'"]),
        ("technique.active", ["label_lm", 3], ["params.yaml: technique.active.1:", "must be text", "got 3"]),
        (
            "technique.active",
            ["magic"],
            ["technique.active: unknown technique 'magic'; known: adversarial, "],
        ),
        ("technique.label_lm.weight", "much", ["technique.label_lm.weight:", "must be a number", "got 'much'"]),
        ("technique.label_lm", None, ["technique.label_lm: must be a section, got null"]),
        ("technique.adversarial.full", 0.1, ["technique.adversarial: full 0.1 must not be before"]),
    ],
)
def test_a_wrong_value_is_an_error_that_names_file_key_value_and_what_is_allowed(name, value, parts):
    message = error_of(changed(name, value))
    assert all(part in message for part in parts), message


@pytest.mark.parametrize(
    "name", ["train.learning_rate", "check.typo", "trian", "data.Path", "technique.magic", "technique.label_lm.wieght"]
)
def test_an_unknown_key_is_an_error_that_lists_the_known_ones(name):
    message = error_of(changed(name, 1))
    known = value_of(name.rpartition(".")[0]) if "." in name else VALUES
    head, _, names = message.partition("known here: ")
    guessed = {"trian": "did you mean train? ", "data.Path": "did you mean path? ",
               "technique.label_lm.wieght": "did you mean weight? "}.get(name, "")  # fmt: skip
    assert head == f"params.yaml: {name}: unknown key; {guessed}" and sorted(names.split(", ")) == sorted(known)


@pytest.mark.parametrize("name", sorted([*KNOBS, *Params.model_fields]))
def test_a_missing_key_is_an_error_that_names_it(name):
    values = copy.deepcopy(VALUES)
    *sections, key = name.split(".")
    del reduce(dict.__getitem__, sections, values)[key]
    assert error_of(values).startswith(f"params.yaml: {name}: missing key; add it")


@pytest.mark.parametrize(
    ("window", "stride", "fits"), [(64, 31, True), (64, 32, False), (8, 3, True), (9, 4, True), (9, 5, False)]
)
def test_the_stride_is_less_than_half_of_the_window(window, stride, fits):
    values = changed("encode", {**VALUES["encode"], "window": window, "stride": stride})
    values["train"]["batch_pieces"] = 1024
    if fits:
        assert Params.parse(values, "params.yaml").encode.stride == stride
    else:
        message = error_of(values)
        assert f"params.yaml: encode: stride {stride} must be less than half of window {window}" in message


def test_a_step_has_room_for_a_window():
    values = changed("train.batch_pieces", VALUES["encode"]["window"] - 1)
    message = error_of(values)
    assert "batch_pieces" in message and "window" in message


def test_off_is_a_word_quoted_or_not(tmp_path):
    """DVC rewrites params.yaml with YAML 1.2, where nothing needs quotes that does not look like a number or true."""
    path = tmp_path / "params.yaml"
    for text in ("off", '"off"', "'off'"):
        path.write_text(TEXT.replace("severity: {}", f"severity: {{duplicate: {text}}}", 1))
        assert load(path).check.severity == {"duplicate": "off"}
    path.write_text("a: 1e-4\nb: on\nc: yes\nd: true\ne: null\nf: [off]\n")
    assert read_yaml(path) == {"a": 1e-4, "b": "on", "c": "yes", "d": True, "e": None, "f": ["off"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data: [1, 2\ntrain: 3", r"params.yaml:2: not valid YAML"),
        ("data:\n\tpath: x", r"params.yaml:2: not valid YAML"),
        ("a: b: c", r"params.yaml:1: not valid YAML"),
        ("b: 1\na: \x01", r"params.yaml:2: not valid YAML \(a control character\), got #x0001"),
        ("", r"params.yaml: expected sections, got an empty file"),
        ("# a comment\n", r"params.yaml: expected sections, got an empty file"),
        ("a: 1\nb: 2\na: 3\n", r"params.yaml:3: not valid YAML \(found duplicate key"),
        ("a: 1\n---\nb: 2\n", r"params.yaml:2: not valid YAML"),
        ("a: 2020-13-45\n", r"params.yaml: not valid YAML \(month must be in 1\.\.12\)"),
        (
            "a:\n  b: 1\n<<<<<<< HEAD\n  c: 1\n=======\n  c: 2\n>>>>>>> other\n",
            r"yaml:3: not valid YAML \(a merge conf",
        ),
        ("a: 1\n||||||| base\nb: 1\n", r"params.yaml:2: not valid YAML \(a merge conflict\), got \|\|\|\|\|\|\| base"),
        ("- data", r"params.yaml: expected sections, got list"),
        ("!!python/object:os.system x", r"params.yaml:1: not valid YAML"),
    ],
)
def test_a_file_that_is_no_yaml_is_an_error_with_its_line(tmp_path, text, message):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(ParamsError, match=message):
        load(path)


def test_a_file_that_cannot_be_read_is_an_error(tmp_path):
    with pytest.raises(ParamsError, match=r"none.yaml: no such file; run this in the project's folder"):
        load(tmp_path / "none.yaml")
    with pytest.raises(ParamsError, match="cannot be read"):
        load(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"data: caf\xe9")
    with pytest.raises(ParamsError, match=r"latin.yaml:1: not UTF-8, got byte 0xe9; save it as UTF-8"):
        load(tmp_path / "latin.yaml")
    (tmp_path / "utf16.yaml").write_bytes(TEXT.encode("utf-16"))
    with pytest.raises(ParamsError, match=r"utf16.yaml:1: not UTF-8, got byte 0xff"):
        load(tmp_path / "utf16.yaml")


junk = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.one_of(st.text(max_size=3), st.integers()), inner, max_size=2)
    ),
    max_leaves=4,
)


@given(st.sampled_from(sorted([*KNOBS, *Params.model_fields, "technique.x"])), junk)
def test_any_value_at_any_key_is_taken_or_refused_by_name(name, value):
    values = changed(name, value)
    try:
        Params.parse(values, "params.yaml")
    except ParamsError as error:
        assert name.split(".")[0] in str(error) and str(error).startswith("params.yaml: ")


def test_numbers_as_dvc_passes_them_are_understood():
    values = changed("train.lr", "1e-4")  # what YAML 1.1 reads 1e-4 as
    assert Params.parse(values, "params.yaml").train.lr == 1e-4


def test_parameters_cannot_be_changed():
    settings = load(FILE)
    with pytest.raises(ValueError, match="frozen"):
        settings.train.lr = 1.0


NUMBERS = [name for name, kind in KNOBS.items() if re.search(r"\b(int|float)\b", str(kind))]


@pytest.mark.parametrize("name", NUMBERS)
def test_a_boolean_is_no_number(name):
    for value in (True, False):
        held, key = ({"PER": value}, f"{name}.PER") if "dict" in str(KNOBS[name]) else (value, name)
        kind = "a whole number" if is_whole(name) else "a (whole )?number"
        said = rf"params.yaml: {key}: must be {kind}( or .*)?, got {str(value).lower()}"
        assert re.fullmatch(said, error_of(changed(name, held)))


def test_an_optional_section_names_its_keys():
    message = error_of(changed("data.second", {"trian": "x"}))
    known = "train, format, word_column, tag_column"
    assert message == f"params.yaml: data.second.trian: unknown key; did you mean train? known here: {known}"


def test_every_error_of_a_file_is_said_a_line_each():
    values = changed("train.lr", -1)
    values["model"]["dropuot"] = 0.1
    values["technique"]["adversarial"]["epsilon"] = "strong"
    del values["gate"]["min_f1"]
    with pytest.raises(ParamsError) as caught:
        Params.parse(values, "params.yaml")
    lines = str(caught.value).splitlines()
    keys = ["model.dropuot", "train.lr", "technique.adversarial.epsilon", "gate.min_f1"]
    assert sorted(line.split(": ")[1] for line in lines) == sorted(keys)
    assert all(line.startswith("params.yaml: ") for line in lines)


@pytest.mark.parametrize(("old", "new"), MOVED.items())
def test_a_key_of_the_release_before_is_answered_with_what_became_of_it(old, new):
    values = changed(old, 0.5)
    if new in KNOBS:  # a file of that release lacks the new key
        *sections, key = new.split(".")
        del reduce(dict.__getitem__, sections, values)[key]
    answer = f"renamed to {new}; rename it" if new else "removed: no value is needed; remove it"
    assert error_of(values) == f"params.yaml: {old}: {answer}"


def test_parameters_are_read_without_what_takes_seconds_to_import():
    code = "import sys; from fpplm_core.params import load; load(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=FILE.parent, capture_output=True, text=True, check=True)
    assert not {"torch", "transformers", "pandas", "pyarrow"} & set(done.stdout.split())


SETTINGS = """
from fpplm_core.settings import Settings
class NoiseSettings(Settings):
    strength: float
"""
TECHNIQUE = """
from fpplm_core.training.technique import Technique
from fpplm_core.training.techniques.{name}.settings import NoiseSettings
class Noise(NoiseSettings, Technique):
    pass
"""


@pytest.fixture
def toys(tmp_path, monkeypatch) -> Iterator[Path]:
    """The techniques with two more folders beside them, toy_a and toy_b."""
    names = ("toy_b", "toy_a")
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
        (tmp_path / name / "settings.py").write_text(SETTINGS)
        (tmp_path / name / "technique.py").write_text(TECHNIQUE.format(name=name))
    monkeypatch.setattr(techniques, "__path__", [*techniques.__path__, str(tmp_path)])
    yield tmp_path
    for name in names:
        for module in (name, f"{name}.settings", f"{name}.technique"):
            sys.modules.pop(f"{techniques.__name__}.{module}", None)


def test_a_folder_beside_the_others_is_a_technique(toys):
    kinds = techniques.settings()
    assert {"toy_a", "toy_b"} <= set(kinds)
    built = build({"toy_b": kinds["toy_b"](strength=0.2)})
    assert {name: technique.strength for name, technique in built.items()} == {"toy_b": 0.2}


@pytest.mark.parametrize("text", ["", SETTINGS + SETTINGS.replace("Noise", "Other")])
def test_a_settings_file_without_one_class_is_an_error(toys, text):
    (toys / "toy_a" / "settings.py").write_text(text)
    with pytest.raises(FpplmError, match=r"toy_a/settings.py: must define one Settings class, got [02]"):
        techniques.settings()


@pytest.mark.parametrize("text", ["", TECHNIQUE + TECHNIQUE.replace("class Noise", "class Other")])
def test_a_technique_file_without_one_class_is_an_error(toys, text):
    (toys / "toy_a" / "technique.py").write_text(text.format(name="toy_a"))
    with pytest.raises(FpplmError, match=r"toy_a/technique.py: must define one Technique class, got [02]"):
        build({"toy_a": techniques.settings()["toy_a"](strength=0.2)})


def test_the_order_in_which_techniques_are_listed_does_not_matter():
    orders = [["label_lm", "adversarial"], ["adversarial", "label_lm"], ["adversarial", "label_lm", "adversarial"]]
    sections = [Params.parse(changed("technique.active", order), "params.yaml").technique for order in orders]
    assert [list(build(section.blocks())) for section in sections] == [["adversarial", "label_lm"]] * 3


def test_settings_survive_the_way_to_another_process():
    params = load(FILE)
    assert pickle.loads(pickle.dumps(params)) == params


BOMB = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in pairwise("abcdefghij")
)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a: 1\nb: " + "[" * 100_000, ":2: nested too deeply"),
        ("\n".join(" " * depth + "a:" for depth in range(300)), ":51: nested too deeply"),
        ("a: &x [*x]\n", ": a.0: aliases make the values too many, or contain themselves"),
        ("a: &x {b: *x}\n", ": a.b: aliases make the values too many, or contain themselves"),
        (BOMB, "aliases make the values too many"),
        ("a: 1\nb: 2\na: 3\n", ":3: not valid YAML (found duplicate key"),
        ("a: 1\n" * 2 + "b: " + "x" * 10_000, ":2: not valid YAML (found duplicate key"),
        (f"a: {'x' * 10_000}\na: {'y' * 10_000}\n", ":2: not valid YAML (found duplicate key"),
        (f"a: {'9' * 10_000}\n", ": not valid YAML (Exceeds the limit"),
        (f"a: [0x{'f' * 10_000}]\n", ": a.0: a number too large"),
        ("a: {b: .nan}\n", ": a.b: not a number"),
        ("a: 2020-99-99\n", ": not valid YAML (month must be"),
        ("a: b\n" * 200_001, ": too large, got 1000005 characters"),
    ],
)
def test_what_no_settings_file_has_is_refused_in_one_short_line(tmp_path, content, said):
    path = tmp_path / "params.yaml"
    path.write_text(content)
    with pytest.raises(ParamsError) as caught:
        read_yaml(path)
    message = str(caught.value)
    assert message.startswith(str(path)) and said in message
    assert "\n" not in message and len(message) < len(str(path)) + 300


@given(st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**63), st.floats(allow_nan=False),
              st.text(st.characters(exclude_categories=["Cs"])),
              st.sampled_from(["1234567e8", "0o17", "off", "null", "1:20", "012", "1_000", "=", "<<", "2020-01-01"])),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=5,
))  # fmt: skip
def test_written_values_are_read_as_they_were(values):
    with TemporaryDirectory() as folder:
        file = Path(folder, "a.yaml")
        file.write_bytes(yaml_text(values).encode())
        found = read_yaml(file)
    assert repr(found) == repr(values)


def test_aliases_of_few_values_are_read(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("a: &x {b: 1}\nc: *x\nd:\n  <<: *x\n  e: 2\n")
    assert read_yaml(path) == {"a": {"b": 1}, "c": {"b": 1}, "d": {"b": 1, "e": 2}}


def test_a_long_value_is_shortened_in_its_error():
    for value in ("x" * 10**6, -(10**5000), ["x" * 100] * 1000):
        values = copy.deepcopy(VALUES)
        values["train"]["epochs"] = value
        with pytest.raises(ParamsError) as caught:
            Params.parse(values, "params.yaml")
        assert "train.epochs" in str(caught.value) and len(str(caught.value)) < 400
