"""What a run of a deployment may set: an allow-list of values, however they are written."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from fpplm.pipeline.paths import PARAMS
from fpplm.project.overrides import set_values, with_overrides
from fpplm_core.errors import ParamsError
from fpplm_core.settings import read_yaml
from tests.conftest import ROOT


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder; the working directory."""
    shutil.copyfile(ROOT / "params.yaml", tmp_path / "params.yaml")
    (tmp_path / "data/new").mkdir(parents=True)
    (tmp_path / "data/out").symlink_to("/etc")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def deployed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a run that a worker starts."""
    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", "a-deployment")


FREE = [
    "train.lr=1e-4",
    "technique.active=[]",
    "technique.label_lm.weight=0",
    "encode.window=128",
    "export.refine_below=0.5",
    "data.path=data/new",
    "data.train=other.conll",
    "data.dev=null",
    "data.scheme=IOB1",
    "data.segmentation=characters",
    "data={path: data/new, train: a.conll}",
    "data.describe={PER: names of persons, creative-work: 'films, books and songs'}",
    "data.describe.PER=names of persons",
]

CLOSED = [
    "data.segmentation=[unicode]",
    "data.segmentation=os:system",
    "++data.segmentation=os:system",
    "data={segmentation: 'os:system'}",
    "~data.segmentation",
    "data.path=/etc",
    "data.path='/etc'",
    "data.path=..",
    "data.path=data/../../elsewhere",
    "data.path=data/out",
    "data.path=.git",
    "data.path=1",
    "data.path=null",
    "data.train=../../../etc/passwd",
    "data.train=/etc/passwd",
    "data.test=../out/passwd",
    "data.incoming=flows",
    "data.second={train: /etc/passwd}",
    "model.encoder=someone/their-encoder",
    "model.encoder=package:antigravity/x",
    "model.revision=main",
    "check.severity={leakage: off}",
    "check.severity.leakage=off",
    "++check.severity.leakage=off",
    "gate.min_f1=0",
    "gate={min_f1: 0}",
    "verify.max_f1_loss=1",
    "promotion.margin=1",
    "promotion=null",
    "+anything=1",
    "train.device=${oc.env:HOME}",
    "train.device='${oc.env:HOME}'",
]


@pytest.mark.usefixtures("deployed")
@pytest.mark.parametrize("setting", FREE)
def test_a_deployment_sets_how_a_model_is_trained(setting: str) -> None:
    with with_overrides([setting]):
        assert read_yaml(PARAMS) != read_yaml(ROOT / "params.yaml")
    assert read_yaml(PARAMS) == read_yaml(ROOT / "params.yaml")


@pytest.mark.usefixtures("deployed")
@pytest.mark.parametrize("setting", CLOSED)
def test_a_deployment_sets_nothing_else(setting: str) -> None:
    before = PARAMS.read_bytes()
    with pytest.raises(ParamsError) as caught, with_overrides(["train.lr=1e-4", setting]):
        pytest.fail("the run has begun")
    assert PARAMS.read_bytes() == before and "\n" not in str(caught.value)
    assert str(Path.home()) not in str(caught.value)


def test_a_mapping_takes_keys_of_the_users_own(project: Path) -> None:
    before = read_yaml(PARAMS)
    set_values(PARAMS, ["data.describe.PER=names of persons", "data.describe={creative-work: '电影, books: songs'}"])
    set_values(PARAMS, ["data.describe.LOC=names of places", "check.severity={leakage: off}", "gate.type_f1.PER=0.5"])
    after = read_yaml(PARAMS)
    described = {"PER": "names of persons", "creative-work": "电影, books: songs", "LOC": "names of places"}
    assert after["data"] == before["data"] | {"describe": described}
    assert (after["check"]["severity"], after["gate"]["type_f1"]) == ({"leakage": "off"}, {"PER": 0.5})
    with pytest.raises(ParamsError, match="cannot be set"):
        set_values(PARAMS, ["train.describe.PER=names of persons"])


@pytest.mark.parametrize("setting", ["data.segmentation=os:system", "gate.min_f1=0.1", "data.path=/etc"])
def test_the_person_at_the_keyboard_sets_anything(setting: str) -> None:
    expected = shutil.copyfile(PARAMS, Path("expected.yaml"))
    set_values(expected, [setting])
    with with_overrides([setting]):
        assert read_yaml(PARAMS) == read_yaml(expected)


def test_a_full_disk_leaves_the_file_as_it_was(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = PARAMS.read_bytes()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(YAML, "dump", full)
    with pytest.raises(OSError, match="No space"):
        set_values(PARAMS, ["train.lr=1e-4"])
    assert PARAMS.read_bytes() == before
