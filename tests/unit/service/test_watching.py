"""New versions and shadows: what is taken, what is refused, and that no request fails meanwhile."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fpplm.service import shadow as shadows
from fpplm.service import sources, watching
from fpplm.service.app import Service
from fpplm.service.limits import Limits
from fpplm.service.metrics import Metrics
from fpplm.service.model import load_model
from fpplm.service.shadow import Shadow
from fpplm.service.sources import Folder, Production, source_of
from fpplm.service.texts import Texts
from fpplm.service.watching import watch
from fpplm_core.errors import BundleError, DataError, RegistryError
from fpplm_core.export.bundle_writer import seal
from fpplm_core.serving import Predictor
from tests.hostile_bundles.tiny import save_tagger, table
from tests.project import wait_until
from tests.unit.service.conftest import Server

SECRET = "zyxwvut"


def other_bundle(source: Path, folder: Path) -> Path:
    """A bundle in which places are persons."""
    shutil.copytree(source, folder)
    logits = table()
    logits[logits.argmax(axis=1) == 8, 4] = 20
    (graph,) = (file for file in folder.rglob("*.onnx") if file.name != "label_lm.onnx")
    save_tagger(graph, table=logits)
    (folder / "golden.json").write_text(json.dumps([{"words": ["London"], "spans": [[0, 1, "PER"]]}]))
    seal(folder, {"scores": {}})
    return folder


def replace(folder: Path, new: Path) -> None:
    """Writes another bundle over a folder, file by file."""
    shutil.copytree(new, folder, dirs_exist_ok=True)


def service_of(folder: Path, shadow: Path | None = None, **options: Any) -> tuple[Service, Callable[..., Any]]:
    metrics = Metrics()
    load = partial(load_model, "tagger", partial(Predictor.load, threads=1), limits=Limits(), metrics=metrics)
    second = Shadow(load("shadow", shadow), 1.0, metrics, **options) if shadow else None
    return Service(load("served", folder), Limits(), metrics, second), partial(load, "served")


async def until(is_true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not is_true():
            await asyncio.sleep(0.01)


def test_a_new_bundle_in_the_folder_is_taken_and_a_bad_one_is_not(bundle, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(watching, "PERIOD", 0.02)
    folder = shutil.copytree(bundle, tmp_path / "bundle")
    better = other_bundle(bundle, tmp_path / "other")
    bad = shutil.copytree(better, tmp_path / "bad")
    (bad / "golden.json").write_text(json.dumps([{"words": ["London"], "spans": []}]))
    seal(bad, {"scores": {}})
    service, load = service_of(folder)
    first, loads = service.model.version, []

    def counted(path: Path) -> Any:
        loads.append(path)
        return load(path)

    def refusals() -> float:
        return service.metrics.registry.get_sample_value("fpplm_reloads_total", {"outcome": "refused"}) or 0

    async def scenes() -> None:
        source, old = Folder(folder), weakref.ref(service.model.predictor)
        task = asyncio.create_task(watch(service, source, source.state(), counted))
        await asyncio.sleep(0.2)
        assert loads == []  # nothing has changed
        replace(folder, bad)
        await until(lambda: refusals() > 0)
        tries = len(loads)
        await asyncio.sleep(0.3)
        assert len(loads) <= tries + 1 and service.model.version == first  # the same files are not tried again
        (folder / "golden.json").touch()
        shutil.rmtree(folder)
        await asyncio.sleep(0.1)
        shutil.copytree(better, folder)
        await until(lambda: service.model.version != first)
        await until(lambda: old() is None)  # its graphs' memory is free again
        (row,) = (await service.tag(Texts(["London"], None, [None])))[1]
        assert row[0]["label"] == "PER"
        task.cancel()

    asyncio.run(scenes())
    service.close()
    assert f"{first} stays in service" in capfd.readouterr().err
    assert service.metrics.registry.get_sample_value("fpplm_reloads_total", {"outcome": "taken"}) == 1


def test_the_watch_goes_on_after_any_error(bundle, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(watching, "PERIOD", 0.02)
    folder = shutil.copytree(bundle, tmp_path / "bundle")
    service, load = service_of(folder)
    first, errors = service.model.version, [MemoryError(), BrokenProcessPool("a child died")]

    def failing(path: Path) -> Any:
        if errors:
            raise errors.pop()
        return load(path)

    async def scenes() -> None:
        source = Folder(folder)
        task = asyncio.create_task(watch(service, source, source.state(), failing))
        replace(folder, other_bundle(bundle, tmp_path / "other"))
        await until(lambda: service.model.version != first)
        task.cancel()

    asyncio.run(scenes())
    service.close()
    said = capfd.readouterr().err
    assert "unexpected BrokenProcessPool" in said and "unexpected MemoryError" in said
    assert service.metrics.registry.get_sample_value("fpplm_reloads_total", {"outcome": "refused"}) >= 2


HANGS = """
import asyncio, time
from fpplm.service.watching import run_aside
async def main():
    task = asyncio.create_task(run_aside(lambda: time.sleep(600)))
    await asyncio.sleep(0.1)
    task.cancel()
    print(await run_aside(lambda: 7))
asyncio.run(main())
"""


def test_the_end_of_the_service_does_not_wait_for_a_remote_that_never_answers():
    done = subprocess.run([sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "7\n", "")


def test_a_process_that_dies_while_it_fetches_is_an_error(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sources, "_send_production", os._exit)  # with a connection for a code: a TypeError, and an end
    with pytest.raises(RegistryError, match="fetches the version in production was killed"):
        Production().path()


def test_no_request_fails_while_the_folder_is_replaced(start, bundle, tmp_path):
    folder = shutil.copytree(bundle, tmp_path / "bundle")
    server: Server = start(folder, "--watch")
    versions: set[str] = set()
    failed: list[Any] = []

    def ask() -> int:
        asked = 0
        while not done.is_set():
            found = server.predict(texts=["in London", "no"])
            if found.status_code == 200:
                wanted = "LOC" if found.json()["version"] == first else "PER"
                if [[e["label"] for e in row] for row in found.json()["entities"]] != [[wanted], []]:
                    failed.append(found.json())
                versions.add(found.json()["version"])
            else:
                failed.append(found.text)
            asked += 1
        return asked

    first = server.predict(texts=[]).json()["version"]
    done = threading.Event()
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(ask) for _ in range(4)]
        try:
            time.sleep(1)
            replace(folder, other_bundle(bundle, tmp_path / "other"))
            wait_until(lambda: len(versions) == 2)
            time.sleep(0.5)
        finally:
            done.set()
    assert not failed and len(versions) == 2 and sum(one.result() for one in asked) > 100
    assert server.client.get("/v2/models/tagger").json()["versions"] == [(versions - {first}).pop()]
    assert server.metrics()['fpplm_reloads_total{outcome="taken"}'] == 1


def test_a_shadow_counts_where_it_disagrees(bundle, tmp_path):
    service, _ = service_of(bundle, other_bundle(bundle, tmp_path / "other"), keep_texts=False)
    shadow = service.shadow
    assert shadow is not None

    async def ask() -> None:
        for _ in range(3):
            asked = Texts([f"{SECRET} in London", "NATO", "no"], None, [None] * 3)
            _, entities = await service.tag(asked)
            assert [[one["label"] for one in row] for row in entities] == [["LOC"], ["PER"], []]
        await asyncio.gather(*shadow.tasks)

    asyncio.run(ask())
    service.close()
    report = shadow.report()
    assert report["texts"] == {"different": 3, "equal": 6}
    assert report["entities"] == {
        "LOC": {"both": 0, "served": 3, "shadow": 0},
        "PER": {"both": 3, "served": 0, "shadow": 3},
    }
    assert set(report["milliseconds"]) == {"served", "shadow"} and SECRET not in str(report)
    value = service.metrics.registry.get_sample_value
    assert value("fpplm_shadow_entities_total", {"label": "LOC", "found_by": "served"}) == 3
    assert value("fpplm_shadow_seconds_count") == 3 and SECRET not in service.metrics.page().decode()


def test_a_shadow_that_fails_or_is_late_changes_no_answer(bundle, tmp_path, monkeypatch):
    service, _ = service_of(bundle, bundle, keep_texts=False)
    shadow = service.shadow
    assert shadow is not None
    broken = lambda windows: (_ for _ in ()).throw(BundleError("broken"))  # noqa: E731
    monkeypatch.setattr(shadow.model.predictor, "submit", broken)

    async def ask() -> None:
        _, entities = await service.tag(Texts(["London"], None, [None]))
        assert len(entities[0]) == 1
        await asyncio.gather(*shadow.tasks)
        await asyncio.to_thread(shadow.model.close)
        await service.tag(Texts(["London"], None, [None]))
        await asyncio.gather(*shadow.tasks)

    asyncio.run(ask())
    assert shadow.report()["texts"] == {"failed": 1, "skipped": 1}


@pytest.mark.parametrize("keep", [False, True])
def test_the_report_has_texts_only_where_that_is_switched_on(start, bundle, tmp_path, keep):
    report = tmp_path / "report.json"
    other = other_bundle(bundle, tmp_path / "other")
    options = ("--shadow", str(other), "--shadow-share", "1", "--shadow-report", str(report))
    server: Server = start(bundle, *options, *(["--shadow-texts"] if keep else []))
    server.predict(texts=[f"{SECRET} in London"])
    server.predict(words=[["London", SECRET]])
    assert server.stop() == 0
    found = json.loads(report.read_text())
    assert found["texts"] == {"different": 2} and (SECRET in report.read_text()) == keep
    if keep:
        assert found["examples"][0] == {
            "text": f"{SECRET} in London",
            "served": [[11, 17, "LOC"]],
            "shadow": [[11, 17, "PER"]],
        }


def test_a_full_disk_does_not_end_the_report(bundle, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(shadows, "PERIOD", 0.01)
    service, _ = service_of(bundle, bundle, keep_texts=False)
    shadow, folder = service.shadow, tmp_path / "folder"
    assert shadow is not None
    folder.touch()  # so the report cannot be written there

    async def write() -> None:
        job = asyncio.create_task(shadow.write(folder / "report.json"))
        await asyncio.sleep(0.1)
        folder.unlink()
        folder.mkdir()
        await until((folder / "report.json").exists)
        job.cancel()

    asyncio.run(write())
    service.close()
    assert "was not written" in capfd.readouterr().err


def test_production_follows_the_tags_of_the_project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = ("-c", "user.name=a", "-c", "user.email=a@b")

    def git(*words: str) -> None:
        subprocess.run(["git", *name, *words], check=True, capture_output=True)

    git("init", "--quiet")
    git("commit", "--quiet", "--allow-empty", "-m", "first")
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    source = source_of(Path("production"), lambda: None)
    assert isinstance(source, Production) and source.state() is None
    with pytest.raises(DataError, match="no version is in production"):
        source.path()
    states = []
    for number in (1, 2):
        git("tag", "-a", f"tagger@v{number}.0.0", "-m", "x")
        git("tag", "-a", f"tagger#production#{number}", "-m", "x")
        states.append(source.state())
    assert states[0] is not None and states[0] != states[1]
    monkeypatch.setattr("fpplm.registry.versions.bundle_of", Path)
    assert sources._production() == tmp_path / "v2.0.0"
    (tmp_path / "production").mkdir()
    assert isinstance(source_of(Path("production"), lambda: None), Folder)
