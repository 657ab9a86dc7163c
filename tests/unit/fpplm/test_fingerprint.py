"""What is a change of a stage's code, and of which stage."""

from __future__ import annotations

import ast
import json
import os
import shutil
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

from fpplm.pipeline.changes import Change
from fpplm.pipeline.code import CODE, check_code, read_code, write_code
from fpplm.pipeline.fingerprint import (
    BY_NAME,
    Fingerprint,
    differences,
    digest,
    fingerprint,
    fingerprints,
    sources,
    union,
)
from fpplm_core.errors import DataError, FpplmError, InputsChanged

ROOT = Path(__file__).resolve().parents[3]


def both() -> tuple[Fingerprint, Fingerprint]:
    made = fingerprints(["tasks.read", "tasks.train"])
    return made["tasks.read"], made["tasks.train"]


def edit(name: str, text: str) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text)


def test_it_holds_what_is_imported_and_nothing_else(code: Path) -> None:
    read, train = both()
    assert list(read.modules) == ["smallcore", "smallcore.text", "smallcore.text.words", "tasks", "tasks.read"]
    assert list(read.files) == ["smallcore/py.typed", "smallcore/text/page.html"]
    assert read.packages == {}
    assert list(train.modules) == [
        *("smallcore", "smallcore.plugins", "smallcore.plugins.first", "smallcore.sums"),
        *("tasks", "tasks.shared", "tasks.train"),
    ]
    assert train.packages == {"PyYAML": metadata.version("PyYAML"), "numpy": metadata.version("numpy")}
    assert train.python == f"{sys.version_info.major}.{sys.version_info.minor}"


SAME: dict[str, Callable[[], None]] = {
    "nothing": lambda: None,
    "comment": lambda: edit("smallcore/text/words.py", "# why\nMARK = 1  # what\n"),
    "docstring": lambda: edit("smallcore/text/words.py", '"""Words."""\n\nMARK = 1\n"""What marks a word."""\n'),
    "layout": lambda: edit("smallcore/text/words.py", "\n\nMARK = (\n    1\n)\n"),
    "what no stage imports": lambda: edit("smallcore/other.py", "MARK = 2\n"),
    "a hidden file": lambda: edit("smallcore/text/.page.html.swp", "x"),
    "a page beside a module": lambda: edit("smallcore/text/README.md", "x"),
    "a file of the project": lambda: edit("notes.txt", "x"),
    "another folder's file": lambda: edit("smallcore/text/pictures/a.svg", "x"),
}
OF_READ: dict[str, tuple[Callable[[], None], list[tuple[str, str]]]] = {
    "constant": (lambda: edit("smallcore/text/words.py", "MARK = 2\n"), [("code", "smallcore.text.words")]),
    "the package above": (lambda: edit("smallcore/text/__init__.py", "x = 1\n"), [("code", "smallcore.text")]),
    "a string that is used": (
        lambda: edit("smallcore/text/words.py", '"""Help."""\nMARK = 1\nprint(__doc__)\n'),
        [("code", "smallcore.text.words")],
    ),
    "a file beside a module": (lambda: edit("smallcore/text/page.html", "<b>"), [("file", "smallcore/text/page.html")]),
    "a new file": (lambda: edit("smallcore/text/list.txt", "x"), [("file", "smallcore/text/list.txt")]),
    "a lazy import": (
        lambda: (
            edit("smallcore/text/words.py", "MARK = 1\n\n\ndef f():\n    from smallcore.text import late\n"),
            edit("smallcore/text/late.py", "import yaml\n"),
        )[0],
        [("code", "smallcore.text.late"), ("code", "smallcore.text.words"), ("package", "PyYAML")],
    ),
    "a package that is not installed": (
        lambda: edit("tasks/read.py", "from smallcore.text import words\nimport nowhere_to_be_had\n"),
        [("code", "tasks.read"), ("package", "nowhere_to_be_had")],
    ),
    "a package of the project": (
        lambda: (
            edit("tasks/read.py", "from smallcore.text import words\nimport mine.deep\n"),
            edit("mine/__init__.py", ""),
            edit("mine/deep.py", "import single\n"),
            edit("single.py", "x = 1\n"),
        )[0],
        [("code", "mine"), ("code", "mine.deep"), ("code", "single"), ("code", "tasks.read")],
    ),
}


@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
def test_what_leaves_it_as_it_is(code: Path, change: Callable[[], None]) -> None:
    before = both()
    change()
    assert both() == before


@pytest.mark.parametrize("change, expected", OF_READ.values(), ids=OF_READ)
def test_what_changes_it_changes_that_stage_alone(
    code: Path, change: Callable[[], None], expected: list[tuple[str, str]]
) -> None:
    read, train = both()
    change()
    read_now, train_now = both()
    assert [(one.kind, one.name) for one in differences(read, read_now)] == expected
    assert train_now == train


def test_imports_for_types_alone_do_not_count(code: Path) -> None:
    assert "smallcore.text" not in fingerprint("tasks.shared").modules
    edit("tasks/shared.py", "from smallcore import text\n")
    assert "smallcore.text" in fingerprint("tasks.shared").modules


def test_a_module_that_is_loaded_by_name_counts(code: Path) -> None:
    read, train = both()
    edit("smallcore/plugins/second.py", "import pandas\n")
    read_now, train_now = both()
    assert [(one.kind, one.name) for one in differences(train, train_now)] == [
        ("code", "smallcore.plugins.second"),
        ("package", "pandas"),
    ]
    assert read_now == read


def test_another_version_of_a_package(code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read, train = both()
    real = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "99.0" if name == "numpy" else real(name))
    read_now, train_now = both()
    assert differences(train, train_now) == [Change("package", "numpy", real("numpy"), "99.0")]
    assert read_now == read


def test_a_package_that_is_installed_later_is_seen(code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code / "site").mkdir()
    monkeypatch.syspath_prepend(code / "site")
    edit("tasks/read.py", "import late_package\n")
    assert fingerprint("tasks.read").packages == {"late_package": None}
    edit("site/late_package/__init__.py", "")
    edit("site/late_thing-1.5.dist-info/METADATA", "Metadata-Version: 2.1\nName: late-thing\nVersion: 1.5\n")
    edit("site/late_thing-1.5.dist-info/RECORD", "late_package/__init__.py,,\n")
    assert fingerprint("tasks.read").packages == {"late-thing": "1.5"}
    shutil.move("site/late_thing-1.5.dist-info", "site/late_thing-1.6.dist-info")
    edit("site/late_thing-1.6.dist-info/METADATA", "Metadata-Version: 2.1\nName: late-thing\nVersion: 1.6\n")
    assert fingerprint("tasks.read").packages == {"late-thing": "1.6"}


def test_under_another_python_the_modules_are_not_compared(code: Path) -> None:
    read, _ = both()
    other = Fingerprint("3.99", {"tasks.read": "x"}, {}, {"numpy": "1"})
    assert differences(read, other) == [
        Change("python", "python", read.python, "3.99"),
        Change("package", "numpy", None, "1"),
    ]


def test_its_files_are_found_again(code: Path) -> None:
    read, train = both()
    names = [str(path.relative_to(code)) for path in sources(read)]
    assert names == [
        *("smallcore/__init__.py", "smallcore/py.typed", "smallcore/text/__init__.py", "smallcore/text/page.html"),
        *("smallcore/text/words.py", "tasks/__init__.py", "tasks/read.py"),
    ]
    assert set(sources(union([read, train]))) == {*sources(read), *sources(train)}


def test_a_circle_of_imports_ends(code: Path) -> None:
    edit("smallcore/text/words.py", "import smallcore.text.other\n")
    edit("smallcore/text/other.py", "import smallcore.text.words\nimport tasks.read\n")
    assert "smallcore.text.other" in fingerprint("tasks.read").modules


def test_a_damaged_memory_is_made_anew(code: Path) -> None:
    before = both()
    for content in ("", "[]", '{"made_by": 3}', "\0"):
        edit(".fpplm/code.json", content)
        assert both() == before
    shutil.rmtree(".fpplm")
    edit(".fpplm", "a file where the folder should be")
    assert both() == before


def test_what_an_older_fpplm_remembers_is_not_used(code: Path) -> None:
    before = both()
    stored = json.loads(Path(".fpplm/code.json").read_text())
    stored |= {"made_by": "older", "modules": dict.fromkeys(stored["modules"], "wrong")}
    edit(".fpplm/code.json", json.dumps(stored))
    assert both() == before


def test_a_syntax_error_is_named_with_its_line(code: Path) -> None:
    edit("smallcore/sums.py", "x = 1\ndef f(:\n")
    with pytest.raises(FpplmError, match=r"sums\.py:2: Python cannot read this file"):
        fingerprint("tasks.read")


@pytest.mark.parametrize("name", ["tasks.none", "nowhere", "nowhere.deep"])
def test_a_missing_module_is_named(code: Path, name: str) -> None:
    with pytest.raises(DataError, match=name.partition(".")[0]):
        fingerprint(name)


def test_every_module_of_tasks_has_its_file_and_a_file_that_is_right_keeps_its_time(code: Path) -> None:
    edit("build/code/gone.json", "{}")
    made = write_code()
    files = sorted(CODE.iterdir())
    assert [file.name for file in files] == ["read.json", "shared.json", "train.json"]
    assert read_code("train") == made["train"] == fingerprint("tasks.train")
    for file in files:
        os.utime(file, ns=(1, 1))
    edit("smallcore/text/words.py", "MARK = 3\n")
    write_code()
    assert [file.name for file in files if file.stat().st_mtime_ns != 1] == ["read.json"]


def test_a_stage_does_not_start_with_code_that_was_edited_since(code: Path) -> None:
    write_code()
    check_code("read")
    edit("smallcore/text/words.py", "# a comment\nMARK = 1\n")
    check_code("read")
    edit("smallcore/text/words.py", "MARK = 2\n")
    check_code("train")
    with pytest.raises(InputsChanged) as caught:
        check_code("read")
    assert str(caught.value).startswith("smallcore.text.words: the code has changed since")
    assert "dvc repro" in str(caught.value)


def test_without_a_fingerprint_a_stage_does_not_start(code: Path) -> None:
    with pytest.raises(DataError, match="run: dvc repro"):
        check_code("read")
    edit("build/code/read.json", '{"python": "3.11"}')
    with pytest.raises(DataError, match="not a fingerprint"):
        check_code("read")


def test_the_digest_is_that_of_all_the_code(code: Path) -> None:
    read, train = both()
    before = digest([read, train])
    assert before == digest([train, read, read]) == digest([union([read, train])])
    assert before not in (digest([read]), digest([train]))
    edit("smallcore/sums.py", "x = 1\n")
    assert digest(both()) != before


# --- our own code -----------------------------------------------------------------------------------------------------


def computes_names(path: Path) -> bool:
    """Whether a module imports others by a name that it computes."""
    calls = (node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call))
    names = {ast.unparse(call.func).rpartition(".")[2] for call in calls}
    return bool(names & {"import_module", "__import__", "spec_from_file_location"})


def test_the_table_names_every_module_that_imports_by_a_computed_name() -> None:
    found = set()
    for path in (ROOT / "fpplm_core").rglob("*.py"):
        if computes_names(path):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found.add(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    segmenter = "fpplm_core.data.segmenter"  # it imports what params.yaml names
    assert found - {segmenter} == set(BY_NAME)


@pytest.mark.parametrize("owner", BY_NAME)
def test_what_the_table_names_is_there(owner: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    folder = ROOT / BY_NAME[owner].partition(".*")[0].replace(".", "/")
    last = BY_NAME[owner].rpartition("*")[2]
    if last:
        wanted = {entry.name for entry in folder.iterdir() if (entry / "__init__.py").exists()}
    else:
        wanted = {entry.stem for entry in folder.glob("*.py") if entry.stem != "__init__"}
    modules = fingerprint(owner).modules
    assert wanted
    assert {f"{BY_NAME[owner].partition('.*')[0]}.{name}{last}" for name in wanted} <= modules.keys()
