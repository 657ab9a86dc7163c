"""Inputs that are edited while a stage uses them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import yaml

from tests.project import Project

# At the moment when the read stage has written train, having read it all, and goes on to dev: runs the Python in EDIT.
HOOK = """
import os, sys
def _edit(event, arguments):
    if event == "os.rename" and str(arguments[1]).endswith("/train.parquet"):
        exec(os.environ.pop("EDIT", ""))
if "tasks.read" in sys.orig_argv:
    sys.addaudithook(_edit)
"""
TRAIN = "data/wikigold/train.conll"
MORE = "Nairobi\\tI-LOC\\n\\n"


@pytest.fixture(scope="module")
def project(make_project: Callable[[], Project]) -> Project:
    found = make_project()
    with (found.path / "guard/sitecustomize.py").open("a") as guard:
        guard.write(HOOK)
    return found


def recorded(project: Project) -> str | None:
    """What dvc.lock says of the training file's folder, None where the stage is not recorded."""
    file = project.path / "dvc.lock"
    stages = yaml.safe_load(file.read_text())["stages"] if file.exists() else {}
    hashes = {dep["path"]: dep["md5"] for dep in stages.get("read", {}).get("deps", [])}
    return hashes.get("data/wikigold")


def replace(old: str, new: str) -> str:
    """Python that changes params.yaml."""
    return f"from pathlib import Path; p = Path('params.yaml'); t = p.read_text(); assert {old!r} in t; " + (
        f"p.write_text(t.replace({old!r}, {new!r}))"
    )


def test_an_edited_file_fails_the_stage_and_the_next_run_uses_it(project: Project) -> None:
    project.ok("dvc", "repro", "read")
    before = recorded(project)
    with (project.path / TRAIN).open("a") as stream:
        stream.write("Kisumu\tI-LOC\n\n")  # something to do
    done = project.run("dvc", "repro", "read", EDIT=f"open('{TRAIN}', 'a').write('{MORE}')")
    assert done.returncode != 0
    assert f"error: {TRAIN}: changed while the stage ran; nothing was recorded; run again" in done.stderr
    assert "Traceback" not in done.stderr
    assert recorded(project) == before
    assert "Running stage 'read'" in project.ok("dvc", "repro", "read")
    assert recorded(project) not in (None, before)
    words = (
        "from fpplm.pipeline import paths; from fpplm_core.data.corpus import load_corpus; "
        "print([s.words for s in load_corpus('train', paths.CORPUS)][-2:])"
    )
    assert project.ok("python", "-c", words).strip() == "[('Kisumu',), ('Nairobi',)]"


def test_the_exit_code_is_a_fault_that_the_flow_tries_again(project: Project) -> None:
    edit = replace("split_seed: 42", "split_seed: 43")
    done = project.run("python", "-m", "tasks.read", DVC_STAGE="read", EDIT=edit)
    assert done.returncode == 8
    assert "error: params.yaml: data: changed while the stage ran" in done.stderr
    decided = (
        "from fpplm.pipeline.failures import StageError; print([StageError('read', code).is_final for code in (8, 3)])"
    )
    assert project.ok("python", "-c", decided).strip() == "[False, True]"
    project.set(data={"split_seed": 42})


def test_a_section_that_the_stage_does_not_declare_may_change(project: Project) -> None:
    edit = replace("min_examples: 20", "min_examples: 21")
    lock = project.path / "dvc.lock"
    values = yaml.safe_load(lock.read_text())
    values["stages"].pop("read", None)
    lock.write_text(yaml.safe_dump(values))
    assert recorded(project) is None
    project.ok("dvc", "repro", "-f", "read", EDIT=edit)
    assert "min_examples: 21" in (project.path / "params.yaml").read_text()
    assert recorded(project) is not None
