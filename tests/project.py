"""A whole project in a temporary folder: the repository's code, a little of its data, a tiny encoder, no network.

A plugin of pytest, so that `e2e` and `faults` have the same fixtures.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from filelock import FileLock

from fpplm_core.settings import read_yaml

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
STAGES = ["environment", "read", "check", "encode", "train", "evaluate", "gate", "export", "verify"]
SIZES = {"train": 80, "dev": 30, "test": 30}
SETTINGS = {
    "model": {"encoder": "encoder", "shapes": "on"},
    "encode": {"window": 64, "stride": 16, "context": 8},
    "train": {
        "epochs": 4,
        "warmup": 0.1,
        "batch_pieces": 256,
        "lr": 1e-3,
        "head_lr": 1e-2,
        "checkpoint_steps": 2,
        "precision": "float32",  # where two are alike in speed, the measured choice is no part of what is tested
    },
    "export": {"refine_below": 0.9},
    "gate": {"min_f1": 0.001, "min_type_f1": 0.0, "type_f1": dict.fromkeys(("LOC", "MISC", "ORG", "PER"), 0.0)},
    "verify": {"max_f1_loss": 0.5, "max_f1_bound": 1.0},
    "promotion": {"min_speed": 0},  # of a busy machine says nothing
}

# Every Python of a run imports this: it refuses connections that would leave this machine, and logs them.
GUARD = """
import os, socket
_connect, _look_up = socket.socket.connect, socket.getaddrinfo
def _note(what):
    with open(os.environ["OUTSIDE_LOG"], "a") as log:
        log.write(f"{what}\\n")
def connect(self, address):
    if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1", "localhost"):
        _note(address)
        raise OSError(101, "Network is unreachable")
    return _connect(self, address)
def look_up(host, *rest, **options):
    if host not in (None, "", "127.0.0.1", "::1", "localhost", "0.0.0.0"):
        _note(host)
        raise socket.gaierror(-3, "Temporary failure in name resolution")
    return _look_up(host, *rest, **options)
socket.socket.connect, socket.getaddrinfo = connect, look_up
"""


PORTS = [iter(range(start, start + 1000)) for start in range(20_000, 28_000, 1000)]  # of each worker of pytest


@dataclass
class Project:
    """A project folder and how to run commands in it."""

    path: Path

    def run(self, *command: str, stdin: str | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.path,
            env=self.environment(**variables),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    def ok(self, *command: str, **options: Any) -> str:
        """Standard output of a command that must succeed."""
        done = self.run(*command, **options)
        assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def start(self, *command: str, **variables: str) -> subprocess.Popen[str]:
        """A command in a process group of its own, to be killed."""
        return subprocess.Popen(
            command,
            cwd=self.path,
            env=self.environment(**variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def environment(self, **variables: str) -> dict[str, str]:
        own = {
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(self.path / "guard"),
            "PREFECT_HOME": str(self.path / ".prefect"),
            "COLUMNS": "160",
        }
        return {**os.environ, **own, **variables}

    def copy(self, path: Path) -> Project:
        """The same project, history and DVC cache included, in another folder."""
        half_written = shutil.ignore_patterns("*.pyc.*")  # by a process that runs in the project for another test
        return Project(Path(shutil.copytree(self.path, path, symlinks=True, ignore=half_written)))

    def set(self, **sections: dict[str, Any]) -> None:
        """Changes values of params.yaml."""
        file = self.path / "params.yaml"
        values = read_yaml(file)
        for section, changes in sections.items():
            values[section].update(changes)
        file.write_text(yaml.safe_dump(values, sort_keys=False))

    def commit(self) -> None:
        self.ok("git", "add", "-A")
        who = ("-c", "user.name=t", "-c", "user.email=t@localhost")
        self.ok("git", *who, "commit", "-qm", "as it is", "--allow-empty")


def kill_group(process: subprocess.Popen[str]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def free_port() -> int:
    """A port that no other worker of pytest gets, nor the system for a connection of its own: those are above 32767."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    for port in PORTS[worker % 8]:
        with socket.socket() as found, suppress(OSError):
            found.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


def wait_until(reached: Callable[[], object], process: subprocess.Popen[str] | None = None, step: float = 0.05) -> None:
    """Fails where two minutes pass, or the process ends, before it is reached."""
    deadline = time.monotonic() + 120
    while not reached():
        assert process is None or process.poll() is None, "it ended before that"
        assert time.monotonic() < deadline, "not in two minutes"
        time.sleep(step)


def altered_bundle(bundle: Path, target: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    """A copy of a bundle with other values for fpplm in its config.json, sealed anew."""
    from fpplm_core.export.bundle_writer import seal
    from fpplm_core.serving.bundle import CONFIG, MANIFEST

    copy = Path(shutil.copytree(bundle, target))
    config = json.loads((copy / CONFIG).read_text())
    change(config["fpplm"])
    (copy / CONFIG).write_text(json.dumps(config))
    facts = json.loads((copy / MANIFEST).read_text())
    seal(copy, {key: value for key, value in facts.items() if key not in ("format", "files", "digest")})
    return copy


def write_guard(folder: Path) -> Path:
    """Writes the guard into a folder of its own there, to be put on PYTHONPATH."""
    guard = folder / "guard"
    guard.mkdir()
    (guard / "sitecustomize.py").write_text(GUARD)
    return guard


def head(source: Path, target: Path, sentences: int) -> None:
    """The first sentences of a CoNLL file."""
    blocks = source.read_text(encoding="utf-8").split("\n\n")
    target.write_text("\n\n".join(blocks[:sentences]) + "\n\n", encoding="utf-8")


@pytest.fixture(scope="session")
def make_project(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path) -> Callable[[], Project]:
    def make() -> Project:
        path = tmp_path_factory.mktemp("project")
        for name in ("fpplm_core", "fpplm", "tasks", "flows"):
            shutil.copytree(ROOT / name, path / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in (
            "dvc.yaml",
            "params.yaml",
            "expectations.yaml",
            "slices.yaml",
            "requirements.lock",
            ".gitignore",
            ".dvcignore",
        ):
            shutil.copyfile(ROOT / name, path / name)
        shutil.copytree(tiny_encoder, path / "encoder")
        write_guard(path)
        (path / "data" / "wikigold").mkdir(parents=True)
        for split, sentences in SIZES.items():
            head(ROOT / f"data/wikigold/{split}.conll", path / f"data/wikigold/{split}.conll", sentences)
        project = Project(path)
        project.set(**SETTINGS)
        with (path / ".gitignore").open("a") as ignored:
            ignored.write("/.prefect/\n/retrain.log\n/plots/\n")
        project.ok("git", "init", "-q", "-b", "main")
        project.ok("dvc", "init", "-q")
        project.commit()
        return project

    return make


SHARED: dict[str, Path] = {}  # by the name of the fixture


def shared(request: pytest.FixtureRequest, make: Callable[[], Project]) -> Project:
    """What a fixture makes, once for all test processes; tests may read it and change copies of it."""
    own = request.getfixturevalue("tmp_path_factory").getbasetemp()
    folder = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    place = folder / f"{make.__module__}.{request.fixturename}"
    with FileLock(f"{place}.lock"):
        if not place.exists():
            place.symlink_to(make().path)
    SHARED[request.fixturename] = place.resolve()
    return Project(place.resolve())


@pytest.fixture(scope="session")
def trained(make_project: Callable[[], Project], request: pytest.FixtureRequest) -> Project:
    """A project after its first `fpplm retrain`."""

    def make() -> Project:
        project = make_project()
        (project.path / "retrain.log").write_text(project.ok("fpplm", "retrain"))
        return project

    return shared(request, make)


@pytest.fixture(scope="session", autouse=True)
def outside_log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The file in which the guard of any process logs a connection that would leave this machine."""
    log = tmp_path_factory.mktemp("outside") / "outside.log"
    os.environ["OUTSIDE_LOG"] = str(log)
    yield log
    assert not log.exists(), log.read_text()


@pytest.fixture(autouse=True)
def nothing_shared_is_changed(request: pytest.FixtureRequest, outside_log: Path) -> Iterator[None]:
    """After each test the shared projects are as they were, and no process has tried to reach the network."""
    before = {name: files(SHARED[name]) for name in request.fixturenames if name in SHARED}
    yield
    assert not outside_log.exists(), outside_log.read_text()
    for name, found in before.items():
        assert files(SHARED[name]) == found, f"{name} was changed, which other tests share: change a copy of it"


def files(path: Path) -> dict[Path, tuple[int, int]]:
    """Size and time of each file of a project, but for those that commands which only read write too."""
    found = {}
    for file in path.rglob("*"):
        if file.is_file() and not {".git", "tmp", "__pycache__"} & set(file.parts[len(path.parts) :]):
            state = file.lstat()
            found[file] = (state.st_size, state.st_mtime_ns)
    return found


def model_digest(project: Project) -> str:
    return hashlib.sha256((project.path / "build/model/model.safetensors").read_bytes()).hexdigest()


def steps_saved(project: Project) -> int:
    """The step of the newest checkpoint, 0 where there is none."""
    for file in (project.path / ".fpplm").glob("checkpoints/*/state.safetensors"):
        raw = file.read_bytes()
        header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
        return int(json.loads(header["__metadata__"]["history"])["step"])
    return 0
