"""`fpplm serve --sketches` counts each text once: in batches, across a restart, when its file is taken, at its end."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from fpplm.service import sketches
from fpplm.service.limits import Limits
from fpplm.service.metrics import Metrics
from fpplm.service.model import load_model
from fpplm.service.sketches import SketchFile, write_sketches
from fpplm.service.texts import Texts
from fpplm_core.errors import DataError
from fpplm_core.serving import Predictor
from fpplm_core.serving.sketch import Sketch, read_sketch
from fpplm_core.tagging.windows import WindowBuilder
from tests.hostile_bundles.tiny import tokenizer
from tests.unit.service.conftest import Server

TYPES = ("LOC",)
BUILDER = WindowBuilder(tokenizer(), 32, 8)


def counted(sketch: Sketch, *texts: str) -> Sketch:
    for text in texts:
        sketch.add(text.split(), BUILDER, [])
    return sketch


def test_every_answered_text_is_counted_once_also_across_a_restart(
    start: Callable[..., Server], bundle: Path, tmp_path: Path
) -> None:
    for service in (1, 2):
        server = start(bundle, "--sketches", str(tmp_path / "sketches"))

        def ask(number: int, server: Server = server) -> None:
            server.predict(texts=[f"London {number}", "Paris and London"]).raise_for_status()

        with ThreadPoolExecutor(16) as pool:
            list(pool.map(ask, range(60)))
        assert server.predict(words=[["London"]]).status_code == 200
        assert server.predict(texts=[7]).status_code == 422
        assert server.stop() == 0
        (file,) = (tmp_path / "sketches").glob("*.json")
        sketch = read_sketch(file)
        assert sketch.texts == service * 121
        assert sketch.counts["types"].sum(axis=0).tolist() == [service * 181, 0]
        assert "London" not in file.read_text()


def test_a_file_that_is_no_sketch_is_named_and_kept(tmp_path: Path) -> None:
    (tmp_path / "v.json").write_text("{}")
    with pytest.raises(DataError, match=r"v\.json: not a sketch"):
        SketchFile(tmp_path, Sketch(TYPES, "d"), "v")
    assert (tmp_path / "v.json").read_text() == "{}"


def test_a_file_that_is_taken_has_all_texts_and_the_next_one_those_since(tmp_path: Path) -> None:
    sketch = counted(Sketch(TYPES, "d"), "a b", "c")
    file = SketchFile(tmp_path, sketch, "v")
    file.write()
    counted(sketch, "after the write")
    shutil.move(tmp_path / "v.json", tmp_path / "taken.json")
    file.write()
    counted(sketch, "d", "e")
    file.write()
    taken, rest = read_sketch(tmp_path / "taken.json"), read_sketch(tmp_path / "v.json")
    assert (taken.texts, rest.texts) == (2, 3)
    assert (taken + rest).as_text() == sketch.as_text()
    (tmp_path / "v.json").unlink()
    file.write()
    assert read_sketch(tmp_path / "v.json").texts == 0


def test_it_goes_on_with_the_file_that_is_there(tmp_path: Path) -> None:
    first, second = (counted(Sketch(TYPES, "d"), text) for text in ("a", "b c"))
    SketchFile(tmp_path, first, "v").write()
    SketchFile(tmp_path, second, "v").write()
    assert read_sketch(tmp_path / "v.json").as_text() == (first + second).as_text()


def test_a_file_that_is_taken_before_the_first_write_after_a_restart_is_counted_once(tmp_path: Path) -> None:
    SketchFile(tmp_path, counted(Sketch(TYPES, "d"), "a"), "v").write()
    file = SketchFile(tmp_path, counted(Sketch(TYPES, "d"), "b c", "d"), "v")
    (tmp_path / "v.json").unlink()
    file.write()
    assert read_sketch(tmp_path / "v.json").texts == 2


def test_a_model_that_never_served_writes_no_sketch(bundle: Path, tmp_path: Path) -> None:
    load = partial(load_model, "tagger", Predictor.load, "served", bundle, Limits(), Metrics(), tmp_path)
    first = load()
    asyncio.run(first.batcher.answer(Texts(["London"], None, [None])))
    first.close()
    (file,) = tmp_path.glob("*.json")
    again = load()
    file.unlink()
    again.close()
    assert not file.exists()


def test_a_file_of_another_bundle_is_not_overwritten(tmp_path: Path) -> None:
    SketchFile(tmp_path, counted(Sketch(TYPES, "d"), "a"), "v").write()
    with pytest.raises(DataError, match="two bundles"):
        SketchFile(tmp_path, Sketch(TYPES, "e"), "v")


def test_writing_while_texts_are_counted_loses_none(tmp_path: Path) -> None:
    sketch = Sketch(TYPES, "d")
    file = SketchFile(tmp_path, sketch, "v")
    threads = [threading.Thread(target=counted, args=(sketch, *map(str, range(300)))) for _ in range(3)]
    for thread in threads:
        thread.start()
    taken = 0
    while any(thread.is_alive() for thread in threads):
        file.write()
        taken += read_sketch(file.path).texts
        file.path.unlink()
    file.write()
    assert taken + read_sketch(file.path).texts == 900


def test_a_full_disk_does_not_end_the_writing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sketches, "PERIOD", 0.01)
    (tmp_path / "file").touch()
    file = SketchFile(tmp_path / "folder", counted(Sketch(TYPES, "d"), "a"), "v")
    (tmp_path / "folder").symlink_to(tmp_path / "file")  # no folder can be made there

    async def write() -> None:
        job = asyncio.create_task(write_sketches(lambda: file))
        await asyncio.sleep(0.2)
        (tmp_path / "folder").unlink()
        await asyncio.sleep(0.3)
        assert not job.done()
        job.cancel()

    asyncio.run(write())
    assert read_sketch(tmp_path / "folder/v.json").texts == 1
    assert "was not written" in capsys.readouterr().err
