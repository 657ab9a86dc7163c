"""A bundle says how its words were cut; it never makes serving import code."""

import json
import re
import shutil
import sys
from pathlib import Path

import pytest

from fpplm.cli.main import app
from fpplm.pipeline.failures import exit_on_error
from fpplm_core.errors import BundleError, ParamsError
from fpplm_core.export.bundle_writer import seal
from fpplm_core.serving import Predictor, open_bundle
from fpplm_core.serving.config import BundleConfig

TEXT = "it's a-b 我在"
CONFIG = {
    "labels": ["O", "S-X"],
    "transitions": [[0.0] * 3] * 3,
    "window": 16,
    "stride": 4,
    "context": 0,
    "first_shape": None,
    "variants": {"cpu": ["fp32"], "cuda": ["fp32"]},
    "graphs": {"fp32": "onnx/model.onnx"},
    "lower_case": False,
}
BY_RULE = {
    "unicode-1": ["it", "'s", "a-b", "我", "在"],
    "whitespace-1": ["it's", "a-b", "我在"],
    "characters-1": list("it'sa-b我在"),
}
OLD = {"rules": "unicode-1", "blanks": "whitespace-1", "characters": "characters-1"}


@pytest.fixture
def bundle(tiny_encoder: Path, tmp_path: Path):
    """Seals a bundle of which config.json has this value for `words`, or none."""

    def make(words: str | None = None, **changes: object) -> Path:
        folder = tmp_path / "bundle"
        (folder / "onnx").mkdir(parents=True, exist_ok=True)
        shutil.copy(tiny_encoder / "tokenizer.json", folder)
        config = {"fpplm": CONFIG | changes | ({} if words is None else {"words": words})}
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "onnx/model.onnx").write_bytes(b"opened at the first text")
        seal(folder, {})
        return folder

    return make


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that exists as soon as the module `trap_module` is imported, or its function `cut` is called."""
    sprung = tmp_path / "sprung"
    source = f"from pathlib import Path\nPath({str(sprung)!r}).touch()\n\ndef cut(text):\n    return text.split()\n"
    (tmp_path / "trap_module.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    return sprung


@pytest.fixture
def fpplm(monkeypatch: pytest.MonkeyPatch):
    """Runs a command; its exit code."""

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["fpplm", *arguments])
        with pytest.raises(SystemExit) as caught, exit_on_error():
            app()
        return int(caught.value.code or 0)

    return run


def words(predictor: Predictor) -> list[str]:
    return [word for word, _, _ in predictor.segment(TEXT).words]


@pytest.mark.parametrize(("rule", "wanted"), BY_RULE.items())
def test_a_bundle_cuts_by_its_rule(bundle, rule, wanted):
    assert words(Predictor.load(bundle(rule))) == wanted


@pytest.mark.parametrize(("old", "rule"), [(None, "unicode-1"), *OLD.items()])
def test_an_older_bundle_cuts_as_it_did(bundle, old, rule):
    assert words(Predictor.load(bundle(old))) == BY_RULE[rule]


@pytest.mark.parametrize("name", ["os:system", "trap_module:cut", "trap_module.inner:cut"])
def test_a_bundle_that_names_code_is_refused_and_imports_nothing(bundle, trap, name, fpplm, capsys):
    folder = bundle(name)
    open_bundle(folder)  # its manifest can be read
    with pytest.raises(BundleError, match=r"names code, which serving does not import.*segmenter=FUNCTION") as caught:
        Predictor.load(folder)
    assert "\n" not in str(caught.value)
    (folder.parent / "some.conll").write_text("Paris B-LOC\n")
    for command in ("predict", "evaluate"):
        assert fpplm(command, str(folder), str(folder.parent / "some.conll")) == BundleError.exit_code
    assert "Traceback" not in capsys.readouterr().err
    assert not trap.exists() and "trap_module" not in sys.modules


@pytest.mark.parametrize("name", ["own", "trap_module:cut"])
def test_a_segmenter_is_handed_in(bundle, trap, name):
    assert words(Predictor.load(bundle(name), segmenter=str.split)) == BY_RULE["whitespace-1"]
    assert not trap.exists()
    predictor = Predictor.load(bundle(name), segmenter=lambda text: ["other"])
    with pytest.raises(ParamsError, match=r"^segmenter: the segmenter's words are not those of the text, got 'other'"):
        predictor.segment(TEXT)


def test_without_its_segmenter_a_bundle_refuses_texts_and_not_words(bundle, monkeypatch):
    predictor = Predictor.load(bundle("own"))
    monkeypatch.setattr(Predictor, "session", None)  # the bundle has no graph, and the sentence no words
    assert predictor.tag([[]]) == [[]]
    for use in (predictor.predict, predictor.segment, predictor.word_ranges):
        with pytest.raises(BundleError, match=r"which it does not contain; pass it if you trust it") as caught:
            use(TEXT)
        assert "\n" not in str(caught.value)


def test_a_segmenter_beside_a_rule_is_refused(bundle):
    with pytest.raises(
        BundleError, match=r"trained with a segmentation rule, not with a segmenter, got unicode-1; load it without"
    ):
        Predictor.load(bundle("unicode-1"), segmenter=str.split)


@pytest.mark.parametrize("rule", ["unicode-3", "", "__import__('os')", "unicode-1 "])
def test_an_unknown_rule_is_refused(bundle, rule):
    with pytest.raises(
        BundleError, match=r"unknown segmentation rule, got .*; this version knows unicode-2, unicode-1, whitespace-1"
    ):
        Predictor.load(bundle(rule))


@pytest.mark.parametrize("changes", [{"labels": None}, {"label_lm": 3}, {"variants": 3}])
def test_a_config_that_is_none_is_refused_in_one_line(bundle, changes):
    with pytest.raises(BundleError, match=re.escape("config.json: cannot be read, because `")) as caught:
        Predictor.load(bundle(**changes))
    assert "\n" not in str(caught.value)


def test_every_field_of_the_config_is_read():
    label_lm = {"below": 0.5, "use": True}
    config = BundleConfig.from_json({"fpplm": CONFIG | {"words": "blanks", "label_lm": label_lm}}, 2)
    assert (config.segmentation, config.label_lm_threshold, config.use_label_lm) == ("whitespace-1", 0.5, True)
    assert BundleConfig.from_json({"fpplm": CONFIG}, 2).segmentation == "unicode-1"
    for name in CONFIG:
        with pytest.raises(BundleError, match=f"`{name}` must be there"):
            BundleConfig.from_json({"fpplm": {key: value for key, value in CONFIG.items() if key != name}}, 2)


def test_the_command_takes_a_segmenter_of_the_user(bundle, trap, fpplm, capsys):
    folder = str(bundle("own"))
    assert fpplm("predict", folder, "-", "--segmenter", "no_such_module:cut") == ParamsError.exit_code
    assert "--segmenter: no such segmenter" in capsys.readouterr().err
    assert not trap.exists()
    assert fpplm("evaluate", folder, "no.conll", "--segmenter", "trap_module:cut") == 3  # the file is missing
    assert trap.exists()
    sys.modules.pop("trap_module")
