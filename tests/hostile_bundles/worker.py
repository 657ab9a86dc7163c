"""Loads bundles, one a line of standard input, in a process with limits; writes what came of each, one a line.

Every file that Python opens, every import, process and connection during a load is noted by an audit hook.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fpplm_core.errors import BundleError
from fpplm_core.serving import Predictor, deadline, onnx_session
from fpplm_core.serving.onnx_session import CGROUP

TEXTS = ["Ann met BOB in London and Paris.", "", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!", "Zürich 東京 word " * 30]
MEMORY = 3 << 30  # bytes of address space, of which an idle worker has 1 GB
LINE = 1000  # characters of an error, with the folder's path
SECONDS = 2.0  # for a graph, instead of onnx_session.DEADLINE
WATCHED = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "socket.", "ctypes.dlopen", "exec")
CHANGES = (
    "os.remove",
    "os.rename",
    "os.mkdir",
    "os.rmdir",
    "os.link",
    "os.symlink",
    "os.chmod",
    "os.truncate",
    "shutil.",
)


class Audit:
    """Notes what happens within `watch` that loading a bundle has no need for."""

    def __init__(self) -> None:
        self.folder: str | None = None
        self.noted: list[str] = []
        sys.addaudithook(self.hear)

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.folder is None:
            return
        if event == "open":
            place, mode, flags = arguments
            writes = bool((flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)) or (mode or "r")[0] not in "rb"
            if isinstance(place, int):
                return
            own = (Path(self.folder), Path(self.folder, "onnx"), CGROUP, CGROUP / "cpu")
            if writes or Path(os.fsdecode(place)).parent not in own:
                self.noted.append(f"open {place!r}")
        elif event == "import" and arguments[0] not in sys.modules:
            self.noted.append(f"import {arguments[0]}")
        elif event.startswith(WATCHED + CHANGES):
            self.noted.append(f"{event} {arguments!r}"[:200])

    @contextmanager
    def watch(self, folder: str) -> Iterator[None]:
        self.folder, self.noted = folder, []
        try:
            yield
        finally:
            self.folder = None


def answers(predictor: Predictor) -> list[Any]:
    """What a bundle says about the texts. Raises AssertionError where that cannot be true."""
    found = [predictor.predict(text) for text in TEXTS]
    assert list(predictor.predict_many(TEXTS)) == found, "other entities among others"
    for text, entities in zip(TEXTS, found, strict=True):
        for entity in entities:
            assert text[entity.start : entity.end] == entity.text and 0 <= entity.score <= 1, entity
    if predictor.label_lm_threshold:
        explained = predictor.explain(["London", "x"])
        assert [row.word for row in explained] == ["London", "x"]
    return found


def load(folder: str, options: dict[str, Any], audit: Audit) -> dict[str, Any]:
    swap = options.get("swap")
    arguments = {key: options[key] for key in ("digest", "allow_links") if key in options}
    os.chdir(Path(folder).parent)  # where the files lie that a bundle would like to read
    try:
        with audit.watch(folder):
            predictor = Predictor.load(folder, "cpu", **arguments)
        if swap:
            file = Path(folder, swap)
            file.write_bytes(file.read_bytes()[::-1])
        with audit.watch(folder):
            return {"outcome": "answers", "answers": answers(predictor)}
    except BundleError as error:
        line = str(error)
        return {"outcome": "refused" if line.isprintable() and len(line) < LINE else "not one line", "message": line}
    except BaseException as error:
        return {"outcome": "traceback", "message": f"{type(error).__name__}: {error}"[:500]}


def peak_megabytes() -> int:
    """The most resident memory of this program; ru_maxrss also counts what its parent had when it started it."""
    status = Path("/proc/self/status").read_bytes()  # as text it would look for a codec
    return int(status.split(b"VmHWM:")[1].split()[0]) // 1024


def main() -> None:
    base = sys.argv[1]
    onnx_session.DEADLINE, deadline.TICK = SECONDS, SECONDS / 10
    wanted = answers(Predictor.load(base, "cpu"))  # imports what a load needs
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    audit = Audit()
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        case = json.loads(line)
        began = time.perf_counter()
        result = load(case["folder"], case["options"], audit)
        result["seconds"] = round(time.perf_counter() - began, 3)
        result["megabytes"] = peak_megabytes()
        result["noted"] = audit.noted
        found = result.pop("answers", None)
        result["same"] = found == wanted
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
