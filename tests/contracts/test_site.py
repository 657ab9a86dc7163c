"""The documentation as a site: generated pages are complete, links are checked, and nothing loads from elsewhere."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import typer

from fpplm.cli.main import app
from fpplm_core.settings import read_yaml
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def site() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_site", ROOT / "docs/site.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def built(site: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("site")
    site.SITE = folder / "build/docs"
    site.main()
    shutil.copyfile(ROOT / "mkdocs.yml", folder / "mkdocs.yml")
    done = build(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    command = (Path(sys.executable).with_name("zensical"), "build", "--strict")
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def leaves(values: dict[str, object], above: str = "") -> list[tuple[str, str]]:
    """The blocks and names of all parameters."""
    found = []
    for name, value in values.items():
        nested = isinstance(value, dict) and bool(value)
        found += leaves(value, f"{above}.{name}".lstrip(".")) if nested else [(above, name)]  # type: ignore[arg-type]
    return found


def test_each_parameter_stands_in_its_block_with_type_and_meaning(site: ModuleType) -> None:
    blocks = re.split(r"^#+ (.*)$", site.parameters(), flags=re.MULTILINE)
    tables = dict(zip(blocks[1::2], blocks[2::2], strict=True))
    for block, name in leaves(read_yaml(ROOT / "params.yaml")):
        row = re.search(rf"^\| `{name}` \| `(.+)` \| (.+) \| (.+) \|$", tables[block], re.MULTILINE)
        assert row and len(row[3].split()) >= 2, f"{block}.{name}"
    assert "| `lr` | `0.0003` | number, > 0, < 1 | peak learning rate of the encoder's top block" in tables["train"]
    assert "| `epochs` | `auto` | integer, ≥ 1 or `auto` |" in tables["train"]
    assert "1e-4 for 12 layers" in tables["train"], "a comment that continues on the next line"


def test_a_parameter_without_a_comment_has_no_meaning(site: ModuleType) -> None:
    found = dict(
        site.comments("a:\n  b: 1  # one\n     # more\n  c: 'x'\n  d:  # block\n    e: [1]  # in it\n# after\nf: 2\n")
    )
    assert found == {"a": "", "a.b": "one more", "a.c": "", "a.d": "block", "a.d.e": "in it after", "f": ""}


def test_each_command_and_option_is_there(site: ModuleType) -> None:
    text = site.commands()
    for name, command in typer.main.get_command(app).commands.items():
        section = re.search(rf"^## `fpplm {name}`$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
        assert section, name
        for parameter in command.params:
            assert all(option in section[1] for option in parameter.opts), f"{name} {parameter.opts}"


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("from fpplm.pipeline import paths, stage\nstage.run(paths.CORPUS)", {"paths.CORPUS", "stage.run"}),
        ("from fpplm.pipeline import parent as parent", {"parent"}),
        ("def f():\n    from fpplm.pipeline.paths import MODEL as M\n    return M.name", {"paths.MODEL"}),
        ("import numpy\nfrom prefect import flow\nfrom tasks import read", set()),
    ],
)
def test_names_are_found_however_they_are_imported(site: ModuleType, source: str, names: set[str]) -> None:
    assert site.imported(source) == {f"fpplm.pipeline.{name}" for name in names}


def test_each_name_that_stages_and_flows_import_has_a_meaning(site: ModuleType) -> None:
    rows = re.findall(r"^\| `([\w.]+)` \| (.*) \| (`.*`) \|$", site.api(), re.MULTILINE)
    assert len(rows) > 100 and all(meaning for _, meaning, _ in rows)
    found = {name: (meaning, users) for name, meaning, users in rows}
    assert found["fpplm.pipeline.paths.MODEL"][0] == "`Path('build/model')`"
    meaning, users = found["fpplm_core.files.write_record"]
    assert meaning.startswith("Writes a dataclass as JSON") and "`tasks/evaluate`" in users


def test_the_pages_load_nothing_from_elsewhere(built: Path) -> None:
    pages = list((built / "build/site").rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        loaded = re.findall(r"<(?:script|img|link|iframe)[^>]+(?:src|href)=\"?(https?:[^\">]+)", page.read_text())
        assert not loaded, f"{page.name}: {loaded}"
    styles = [*(built / "build/site").rglob("*.css")]
    assert styles and not [s for s in styles if re.search(r"url\(\"?https?:|@import", s.read_text())]


def test_diagrams_are_drawn_and_docstrings_shown(built: Path) -> None:
    assert (built / "build/site/architecture.html").read_text().count("<svg id=") >= 3
    predictor = (built / "build/site/predictor.html").read_text()
    assert "predict_many" in predictor and "Raises BundleError if the bundle is incomplete" in predictor


@pytest.mark.parametrize("link", ["nothing.md", "deploy.md#nowhere", "#nowhere"])
def test_a_link_that_leads_nowhere_is_an_error(built: Path, tmp_path: Path, link: str) -> None:
    (tmp_path / "build/docs").mkdir(parents=True)
    (tmp_path / "build/docs/index.md").write_text(f"# Home\n\n[here]({link})\n")
    (tmp_path / "build/docs/deploy.md").write_text("# Deploy\n\n[home](index.md#home)\n")
    (tmp_path / "mkdocs.yml").write_text("site_name: x\ndocs_dir: build/docs\nsite_dir: build/site\n")
    done = build(tmp_path)
    assert done.returncode != 0 and "does not exist" in done.stdout + done.stderr
