"""`fpplm check` reads ./params.yaml as the pipeline does, and names it where it is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from fpplm.project.template import settings_here
from fpplm_core.errors import ParamsError

OVERRIDES = [[], ["check.near=0.9"]]


@pytest.mark.parametrize("overrides", OVERRIDES)
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "params.yaml: "),
        ("- 1\n", "params.yaml: "),
        ("data: {\n", "params.yaml:2: not valid YAML"),
        ("check: {near: .nan}\n", "params.yaml: check.near: not a number"),
    ],
)
def test_a_broken_file_is_named_by_its_own_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str, overrides: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(text)
    with pytest.raises(ParamsError) as caught:
        settings_here(overrides)
    assert str(caught.value).startswith(said)


def test_a_date_is_a_wrong_value_and_no_defect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).parents[3] / "params.yaml").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(text.replace("near: 0.8", "near: 2020-01-01"))
    for overrides in ([], ["check.drift=0.3"]):
        with pytest.raises(ParamsError, match=r"check\.near"):
            settings_here(overrides)
