"""Which folder training starts from, and when the model in production becomes it."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fpplm.pipeline import inputs
from fpplm.pipeline.changes import Change
from fpplm.pipeline.start import POINTER, START, pinned_version, start_facts, start_folder
from fpplm.registry import start as registry
from fpplm_core.errors import DataError, ParamsError
from fpplm_core.model.settings import ModelSettings
from fpplm_core.params import Params
from tests import tiny

OWN = "a" * 64


def model(start: str | None) -> ModelSettings:
    return tiny.MODEL.model_copy(update={"start": start})


def settings(start: str | None = "production", path: str = "data/corpus") -> Params:
    return cast(Params, SimpleNamespace(model=model(start), data=SimpleNamespace(path=path)))


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".fpplm").mkdir()
    return tmp_path


def write(folder: Path, version: str | None = None, starts: tuple[str, ...] = (), pinned: bool = True) -> Path:
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_text("weights")
    (folder / "origin.json").write_text(json.dumps({"model_sha256": OWN, "starts": starts}))
    if pinned:
        (folder / "version.json").write_text(json.dumps({"version": version}))
    return folder


def test_without_a_start_training_is_cold() -> None:
    assert start_folder(model(None)) is None and start_facts(model(None)) == {}
    assert start_folder(model("production")) is None, "nothing is in production yet"
    assert inputs.start(settings(None)) == inputs.start(settings()) == {}


def test_a_pinned_version_and_a_pinned_cold_start() -> None:
    write(START, "v3.0.0")
    assert start_folder(model("production")) == START and start_facts(model("production")) == {
        "version": "v3.0.0",
        "model_sha256": OWN,
    }
    assert set(inputs.start(settings())) == {"model.safetensors", "origin.json", "version.json"}
    (START / "version.json").write_text('{"version": null}')
    assert start_folder(model("production")) is None and start_facts(model("production")) == {}
    assert pinned_version(START) == ""


def test_a_folder_of_the_users_own_has_no_version() -> None:
    write(Path("models/news"), pinned=False)
    assert start_folder(model("models/news")) == Path("models/news")
    assert start_facts(model("models/news")) == {"model_sha256": OWN}
    before = inputs.start(settings("models/news"))
    (Path("models/news") / "model.safetensors").write_text("other weights")
    assert inputs.start(settings("models/news")) != before


@pytest.mark.parametrize("content", ["[]", "null", '"version"', "3", "{}", "", '{"model_sha', "\xff"])
def test_strange_files_of_a_folder_are_for_train_to_refuse(content: str) -> None:
    folder = write(Path("models/news"), pinned=False)
    for name in ("origin.json", "version.json"):
        (folder / name).write_text(content)
    assert start_folder(model("models/news")) == folder
    assert start_facts(model("models/news")) == {}


def test_a_missing_folder_says_how_to_get_it() -> None:
    with pytest.raises(DataError, match=r"model\.start: no such folder, got models/gone; name build/model of a"):
        start_folder(model("models/gone"))
    POINTER.parent.mkdir()
    POINTER.write_text("outs: []")
    with pytest.raises(DataError, match=r"model\.start: no such folder, got data/start; dvc pull data/start\.dvc"):
        start_folder(model("production"))


def fetched(monkeypatch: pytest.MonkeyPatch, starts: tuple[str, ...] = (), has_origin: bool = True) -> None:
    def copy_of(path: Path, version: str, commit: str, target: Path) -> Path:
        assert (str(path), version, commit) == ("build/model", "v3.0.0", "c0ffee")
        write(target, starts=starts, pinned=False)
        if not has_origin:
            (target / "origin.json").unlink()
        return target

    monkeypatch.setattr(registry, "copy_of", copy_of)
    monkeypatch.setattr(registry, "commit_of", lambda version: "c0ffee")


@pytest.mark.parametrize(
    ("starts", "every", "cold"),
    [
        (0, None, False),
        (9, None, False),
        (0, 1, True),
        (0, 2, False),
        (1, 2, True),
        (2, 4, False),
        (3, 4, True),
        (9, 4, True),
    ],
)
def test_of_so_many_models_one_starts_cold(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, starts: int, every: int | None, cold: bool
) -> None:
    fetched(monkeypatch, (OWN,) * starts)
    version, why = registry.fill(tmp_path / "start", "v3.0.0", every)
    assert version == (None if cold else "v3.0.0")
    assert not cold or why == f"as one of {every} promoted models does"
    kept = {path.name for path in (tmp_path / "start").iterdir()}
    assert kept == {"version.json"} | (set() if cold else {"model.safetensors", "origin.json"})
    assert json.loads((tmp_path / "start/version.json").read_text()) == {"version": version}


def test_a_chain_with_cold_starts_repeats(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    chain, cold = 0, []
    for number in range(12):
        fetched(monkeypatch, (OWN,) * chain)
        version, _ = registry.fill(tmp_path / f"{number}", "v3.0.0", 4)
        chain = chain + 1 if version else 0
        cold += [] if version else [number]
    assert cold == [3, 7, 11]


def test_what_an_earlier_release_made_is_no_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fetched(monkeypatch, has_origin=False)
    assert registry.fill(tmp_path / "start", "v3.0.0", None) == (None, "an earlier fpplm made v3.0.0")
    assert registry.fill(tmp_path / "other", None, 3) == (None, "nothing is in production")


def pin(monkeypatch: pytest.MonkeyPatch, changes: list[Change], given: Any) -> str | None:
    monkeypatch.setattr(registry, "is_repository", lambda: True)
    monkeypatch.setattr(registry, "source_changes", lambda stage, params: changes)
    return registry.pin_start(given, commit=False)


@pytest.mark.parametrize(
    "changes",
    [[], [Change("input", "start/model.safetensors", "1", "2"), Change("input", "start: unknown")]],
)
def test_a_start_alone_is_no_reason_to_choose_another(monkeypatch: pytest.MonkeyPatch, changes: list[Change]) -> None:
    assert pin(monkeypatch, changes, settings()) is None and not START.exists()


def test_what_a_training_writes_is_no_start(tmp_path: Path) -> None:
    """DVC empties it before the training."""
    write(Path("build/model"), pinned=False)
    (tmp_path / "link").symlink_to("build/model")
    for name in ("build/model", "./build/model/", "build", str(tmp_path / "build/model"), "link", "x/../build/model"):
        with pytest.raises(ParamsError, match=r"model\.start: names what this training writes, got .*; copy it out of"):
            start_facts(model(name))
        with pytest.raises(ParamsError):
            inputs.start(settings(name))


def test_a_start_by_its_path_must_exist() -> None:
    with pytest.raises(DataError, match=r"model\.start: no such folder, got data/start"):
        start_folder(model("data/start"))


def test_cold_every_without_production_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for given in (None, "models/news"):
        with pytest.raises(ParamsError, match=r"model\.start: --cold-every has no effect, got .*; leave out"):
            registry.pin_start(settings(given), commit=False, cold_every=2)


def test_without_git_the_start_is_cold_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "is_repository", lambda: False)
    assert registry.pin_start(settings(), commit=False) == "start: cold, no Git repository here"


def test_other_settings_choose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    changes = [Change("data", "data/corpus")]
    assert pin(monkeypatch, changes, settings(None)) is None and pin(monkeypatch, changes, settings("models/x")) is None
    for path in ("data", "./data", str(Path("data").resolve()), f"../{Path.cwd().name}/data", "."):
        with pytest.raises(ParamsError, match=r"data\.path: contains data/start, got .*; name a folder beside it"):
            pin(monkeypatch, changes, settings(path=path))
    assert not START.exists()
