"""A bundle from anywhere: what its folder, its manifest and its config.json may be."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from random import Random

import numpy as np
import pytest

from fpplm_core.errors import BundleError
from fpplm_core.export.bundle_writer import seal
from fpplm_core.serving import Predictor, bundle, open_bundle
from fpplm_core.serving.config import shorten
from fpplm_core.serving.golden import require_golden
from tests.hostile_bundles import files, values
from tests.hostile_bundles.tiny import CONFIG, LABELS, as_format_1, reseal, save_tagger, table, write_tiny_bundle

TEXT = "Ann met BOB in London"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("whole") / "bundle")


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "bundle"))


def refusal(folder: Path, **options: object) -> str:
    """The one line with which a bundle is refused, without the folder's path."""
    with pytest.raises(BundleError) as caught:
        Predictor.load(folder, "cpu", **options).predict(TEXT)
    line = str(caught.value)
    assert line.isprintable() and len(line) < 1000
    return line.replace(str(folder), "")


def found(folder: Path, **options: object) -> list[tuple[str, str]]:
    return [(entity.text, entity.label) for entity in Predictor.load(folder, "cpu", **options).predict(TEXT)]


def test_a_whole_bundle_answers(whole):
    assert found(whole) == [("Ann", "PER"), ("BOB", "PER"), ("London", "LOC")]


def test_a_bundle_of_format_1_answers_as_before(whole, folder):
    """No file, key or output of format 2 is needed."""
    as_format_1(folder)
    assert {path.name for path in folder.iterdir()} == {
        *("README.md", "config.json", "golden.json", "label_lm.onnx", "manifest.json", "model.fp32.onnx"),
        "tokenizer.json",
    }
    assert open_bundle(folder).manifest["format"] == 1
    words = TEXT.split()
    old, new = (Predictor.load(path, "cpu") for path in (folder, whole))
    assert np.array_equal(old.logits([words])[0], new.logits([words])[0])
    assert old.explain(words) == new.explain(words) and old.predict(TEXT) == new.predict(TEXT)


@pytest.mark.parametrize("name", ["nulls.json", "console", "com10.json", "onnx/a-con.onnx", "x", "x" * 100])
def test_plain_names_are_accepted(folder, name):
    (folder / name).write_text("x")
    reseal(folder)
    assert name in open_bundle(folder).manifest["files"]


def test_a_format_and_the_keys_of_another_do_not_go_together(folder):
    values.edit(folder, "config.json", lambda config: config.update(config.pop("fpplm")))
    assert "`fpplm` must be there" in refusal(folder)
    files.write_manifest(folder, files.manifest_of(folder) | {"format": 1})
    assert "not in the manifest, got 'model.fp32.onnx'" in refusal(folder)


@pytest.mark.parametrize("number", ["1e999", "-1e999", "NaN", "Infinity"])
def test_numbers_are_finite(folder, number):
    file = folder / "config.json"
    file.write_text(file.read_text().replace("{", f'{{"more": {number}, ', 1))
    reseal(folder)
    assert f"config.json: not a JSON file of a bundle, got {number} is " in refusal(folder)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"\xef\xbb\xbf[]", "BOM"),
        ("[]".encode("utf-16"), "utf-8"),
        (b'[{"words": ["London"], "words": ["Paris"], "spans": []}]', "a key is given twice"),
        (b"[NaN]", "NaN is no number"),
        (b"{", "not a JSON file"),
        (b"{}x", "not a JSON file"),
        (b'{"words": []}', "no golden sentences"),
    ],
)
def test_golden_sentences_are_read_as_strictly_as_other_files(folder, raw, said):
    (folder / "golden.json").write_bytes(raw)
    reseal(folder)
    with pytest.raises(BundleError, match=said):
        require_golden(Predictor.load(folder, "cpu"))


@pytest.mark.parametrize("name", files.NAMES, ids=ascii)
def test_a_listed_name_leads_nowhere(folder, name):
    """Whatever lies there, with its right hash: nothing outside the folder is read, and no two names are one file."""
    (folder.parent / "outside.txt").write_text("secret")
    manifest = files.manifest_of(folder)
    manifest["files"][name] = files.facts_of(b"secret")
    files.write_manifest(folder, manifest)
    twin = name.lower() in ("manifest.json", "model.sig") and not name.islower()
    reason = f"no list of files, got {shorten(name)};"
    reason = "not a JSON file" if name == "\ud800" else "two names differ in their case alone" if twin else reason
    assert f"/manifest.json: {reason}" in refusal(folder)


def test_names_that_differ_in_case_are_refused(folder):
    (folder / "readme.md").write_text("")
    reseal(folder)
    assert "two names differ in their case alone" in refusal(folder)


@pytest.mark.parametrize("name", ["onnx/model.onnx", "tokenizer.json", "config.json", "manifest.json", "README.md"])
@pytest.mark.parametrize("kind", ["symbolic", "hard"])
def test_a_link_is_accepted_on_request_alone(folder, name, kind):
    target = folder.parent / "cache"
    shutil.move(folder / name, target)
    (folder / name).symlink_to(target) if kind == "symbolic" else os.link(target, folder / name)
    assert f"/{name}: a {'hard ' if kind == 'hard' else ''}link" in refusal(folder)
    assert "--allow-links" in refusal(folder)
    assert found(folder, allow_links=True)[0] == ("Ann", "PER")
    target.write_bytes(target.read_bytes()[:-3] + b"xxx")
    assert "changed since" in refusal(folder, allow_links=True) or "manifest.json" in refusal(folder, allow_links=True)


@pytest.mark.parametrize("allow_links", [False, True])
@pytest.mark.parametrize("name", ["onnx/model.onnx", "manifest.json"])
def test_what_is_no_file_is_refused_at_once(folder, name, allow_links):
    """A pipe without a writer, behind a link too, would keep a reader for ever."""
    file, aside = folder / name, folder.parent / "aside"
    file.unlink()
    os.mkfifo(file)
    assert "not a regular file" in refusal(folder, allow_links=allow_links)
    file.rename(aside)
    for target in (aside, Path("/dev/zero"), folder):
        file.symlink_to(target)
        line = refusal(folder, allow_links=allow_links)
        assert ("not a regular file" if allow_links else "a link") in line
        file.unlink()
    file.symlink_to(file)  # a loop
    assert ("cannot be opened" if allow_links else "a link") in refusal(folder, allow_links=allow_links)
    file.unlink()
    file.mkdir()
    assert "not a regular file" in refusal(folder, allow_links=allow_links)


@pytest.mark.parametrize(
    "name", ["model.int8.onnx", "onnx/x.onnx", "evil.py", "a.so", ".hidden", "onnx/model.onnx_data", "a\nb"]
)
def test_a_file_that_the_manifest_does_not_list_is_refused(folder, name):
    (folder / name).write_text("")
    assert "not in the manifest" in refusal(folder) and repr(name) in refusal(folder)


def test_a_signature_may_be_added_and_a_bill_of_materials_not(folder):
    (folder / bundle.SIGNATURE).write_text("anything")
    assert found(folder)
    (folder / bundle.BILL_OF_MATERIALS).write_text("{}")
    assert "not in the manifest, got 'bom.cdx.json'" in refusal(folder)
    (folder / bundle.BILL_OF_MATERIALS).unlink()
    digest = open_bundle(folder).manifest["digest"]
    reseal(folder)  # and it is not sealed
    assert open_bundle(folder).manifest["digest"] == digest


@pytest.mark.parametrize("allow_links", [False, True])
def test_a_linked_folder_of_graphs_is_refused(folder, allow_links):
    """The folders that DVC and the hub's cache make are none."""
    shutil.move(folder / "onnx", folder.parent / "onnx")
    (folder / "onnx").symlink_to(folder.parent / "onnx")
    assert "not in the manifest, got 'onnx'" in refusal(folder, allow_links=allow_links)


def test_a_subfolder_is_not_sealed(folder):
    (folder / "inner").mkdir()
    with pytest.raises(BundleError, match="not a regular file"):
        seal(folder, {})


@pytest.mark.parametrize("name", ["onnx/model.onnx", "label_lm.onnx"])
def test_the_bytes_that_were_hashed_are_the_bytes_that_run(folder, name):
    """A graph is read at the first text, long after the bundle was opened."""
    predictor = Predictor.load(folder, "cpu")
    spoilt = folder.parent / "other.onnx"
    save_tagger(spoilt, table=-table())
    spoilt.replace(folder / name)
    with pytest.raises(BundleError, match=f"{name}: changed since"):
        predictor.explain(TEXT.split())


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_a_file_swapped_while_the_bundle_is_opened_is_not_read(folder, name, monkeypatch):
    verify = bundle._verify

    def swap_after(path, checked, *rest):
        verify(path, checked, *rest)
        if checked == name:
            (path / name).write_bytes((path / name).read_bytes().replace(b"London", b"Boston") + b" ")

    monkeypatch.setattr(bundle, "_verify", swap_after)
    assert f"{name}: changed since" in refusal(folder)


def test_a_digest_pins_a_bundle(folder):
    digest = open_bundle(folder).manifest["digest"]
    assert found(folder, digest=digest) and found(folder, digest=digest.upper())
    save_tagger(folder / "onnx/model.onnx", table=-table())
    reseal(folder)  # as anybody can
    assert found(folder) != [("Ann", "PER"), ("BOB", "PER"), ("London", "LOC")]
    assert "another bundle than the digest names" in refusal(folder, digest=digest)


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("kind", [files.strange_manifest, values.json_text, values.any_value, values.variants])
def test_hostile_values_are_refused_in_one_line(folder, kind, seed):
    kind(folder, Random(seed))
    try:
        Predictor.load(folder, "cpu").predict(TEXT)
    except BundleError as error:
        assert str(error).isprintable() and len(str(error)) < 1000
    else:
        assert kind in (values.any_value, values.json_text), "they may be harmless; the others never are"


def test_a_file_of_absurd_size_is_not_read(folder):
    """Not even its hash is computed: it is sparse, and takes no room on the disk."""
    manifest = files.manifest_of(folder)
    for name, limit in bundle.LIMITS.items():
        os.truncate(folder / name, limit + 1)
        if name != bundle.MANIFEST:
            manifest["files"][name]["bytes"] = limit + 1
        else:
            assert "manifest.json: too large" in refusal(folder)
        files.write_manifest(folder, manifest)
    assert "manifest.json: no list of files, got 'config.json'" in refusal(folder)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("window", -5, "an integer from 8 to 32768, got -5"),  # these two did not end
        ("window", 2, "an integer from 8 to 32768, got 2"),
        ("window", True, "an integer"),
        ("stride", CONFIG["window"] // 2, "an integer from 0 to 15, got 16"),
        ("context", 33, "from 0 to 32"),
        ("first_shape", -1, "from 0 to 1000"),
        ("labels", [], "a list of 1 to"),
        ("labels", LABELS[1:], "the first of them O"),
        ("labels", [*LABELS[:-1], "B-PER"], "different from each other"),
        ("labels", [*LABELS[:-1], "B-"], "printable characters, got 'B-'"),
        ("labels", [*LABELS[:-1], "S-\x1b[2J"], r"got 'S-\x1b[2J'"),
        ("labels", [*LABELS[:-1], "S-\u202e\n"], "printable characters"),
        ("transitions", [[0.0] * 9] * 9, "10 rows of 10 numbers"),
        ("transitions", [[0.0] * 10] * 9 + [[0.0] * 9 + [1e300]], "numbers within ±1000000"),
        ("label_lm", {"below": 0, "use": True}, "false if below is 0"),
        ("variants", {"cpu": ["x/../../evil"]}, "letters, digits, - and _, got ['x/../../evil']"),
        ("variants", {"cpu": ["fp32", "\x1b[2J"]}, "letters, digits"),
        ("variants", {"cpu": ["fp32\n"]}, "letters, digits"),
        ("variants", {"cpu": ["x" * 41]}, "up to 40 letters"),
        ("variants", {"cpu": ["int8"]}, "`graphs` must be the file of each variant"),
        ("graphs", {"fp32": "onnx/../../evil.onnx"}, "not in the manifest, got 'onnx/../../evil.onnx'"),
        ("graphs", {"fp32": "onnx/model_int8.onnx"}, "not in the manifest, got 'onnx/model_int8.onnx'"),
        ("graphs", {"fp32": 3}, "the file of each variant"),
        ("graphs", "onnx/model.onnx", "`graphs` must be an object"),
        ("lower_case", "yes", "true or false"),
        ("variants", {"cuda": ["fp32"]}, "the variants of cpu and cuda"),
        ("variants", {"cpu": []}, "no such variant in the bundle"),
        ("words", ["os:system"], "`words` must be a short text"),
    ],
)
def test_a_value_out_of_range_is_named(folder, key, value, said):
    values.edit_config(folder, lambda config: config.update({key: value}))
    assert said in refusal(folder)


@pytest.mark.parametrize("key", sorted({*CONFIG} - {"words", "label_lm"}))
def test_a_missing_key_is_named(folder, key):
    values.edit_config(folder, lambda config: config.pop(key))
    assert f"`{key}` must be there" in refusal(folder)


@pytest.mark.parametrize(
    "label", ["S-a b", "S-a/b", "S-\"'", "S-人物", "S-a-b", "S-B-PER", "S-\u200cنام", "S-" + "x" * 900]
)
def test_odd_names_of_types_are_no_fault(folder, label):
    values.edit_config(folder, lambda config: config.update(labels=[*LABELS[:-1], label]))
    assert found(folder)[-1] == ("London", label[2:])


def test_a_bundle_without_cuda_variants_says_so(folder, monkeypatch):
    values.edit_config(folder, lambda config: config.update(variants={"cpu": ["fp32"]}))
    assert open_bundle(folder).config.variants == {"cpu": ["fp32"], "cuda": []}
    assert json.loads((folder / "config.json").read_text())["fpplm"]["variants"] == {"cpu": ["fp32"]}


def test_lower_case_is_for_berts_normalizer_alone(folder):
    values.edit_config(folder, lambda config: config.update(lower_case=True))
    assert found(folder) == [], "the table has words in their own case alone"
    values.edit(folder, "tokenizer.json", lambda tokenizer: tokenizer.update(normalizer={"type": "NFC"}))
    assert "tokenizer.json: `lower_case` needs BERT's normalizer, got NFC" in refusal(folder)
    values.edit(folder, "tokenizer.json", lambda tokenizer: tokenizer.update(normalizer=None))
    assert "`lower_case` needs BERT's normalizer, got NoneType" in refusal(folder)
