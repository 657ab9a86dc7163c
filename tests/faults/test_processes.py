"""Training in two processes, on one machine or two: killed, it says so, leaves nobody behind and resumes to the bit."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen

import psutil
import pytest

from tests.project import Project, free_port, shared, wait_until

TRAIN = ("python", "-m", "tasks.train")


@pytest.fixture(scope="module")
def whole(trained: Project, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Project:
    """A project that has trained in two processes, and nothing disturbed it."""

    def make() -> Project:
        project = trained.copy(tmp_path_factory.mktemp("two") / "project")
        project.set(train={"processes": 2, "epochs": 3})
        assert "device cpu, 2 × " in project.ok(*TRAIN)
        numbers = json.loads((project.path / "metrics/train.json").read_text())
        assert numbers["epochs"] == 3 and numbers["dev_f1"] > 0
        return project

    return shared(request, make)


@pytest.fixture
def two(whole: Project, tmp_path: Path) -> tuple[Project, bytes]:
    """A copy to train again, and the model that it gives if nothing disturbs it."""
    return whole.copy(tmp_path / "project"), model(whole)


def model(project: Project) -> bytes:
    return (project.path / "build/model/model.safetensors").read_bytes()


def workers(launcher: int) -> list[psutil.Process]:
    """The processes that train, by their number."""
    found = {}
    for process in psutil.Process(launcher).children(recursive=True):
        if "tasks.train" in process.cmdline():
            found[process.environ()["RANK"]] = process
    return [found[rank] for rank in sorted(found)]


def saved(project: Project) -> bool:
    return any((project.path / ".fpplm/checkpoints").rglob("state.safetensors"))


def test_a_process_that_is_killed_ends_the_run_with_an_error_and_it_resumes(two: tuple[Project, bytes]) -> None:
    project, whole = two
    train = project.start(*TRAIN)
    wait_until(lambda: saved(project))
    other = workers(train.pid)[1]
    other.kill()
    said, _ = train.communicate(timeout=60)
    assert train.returncode == 1 and "error: process 1 of 2: a training process was killed, got SIGKILL" in said
    assert "resumed at step" in project.ok(*TRAIN)
    assert model(project) == whole


def test_a_process_that_is_killed_is_started_again_where_restarts_are_allowed(two: tuple[Project, bytes]) -> None:
    project, whole = two
    train = project.start(*TRAIN, PET_MAX_RESTARTS="1")
    wait_until(lambda: saved(project))
    workers(train.pid)[1].kill()
    said, _ = train.communicate(timeout=120)
    assert train.returncode == 0, said
    assert "resumed at step" in said and model(project) == whole


def test_sigterm_saves_in_all_processes_and_the_run_resumes(two: tuple[Project, bytes]) -> None:
    project, whole = two
    train = project.start(*TRAIN)
    wait_until(lambda: saved(project))
    children = workers(train.pid)
    train.send_signal(signal.SIGTERM)
    said, _ = train.communicate(timeout=60)
    assert train.returncode == 143 and said.count("the same command resumes it") == 1, said
    assert not any(process.is_running() for process in children)
    assert "resumed at step" in project.ok(*TRAIN)
    assert model(project) == whole


def test_the_processes_end_with_a_launcher_that_is_killed(two: tuple[Project, bytes]) -> None:
    project, _ = two
    train = project.start(*TRAIN)
    wait_until(lambda: saved(project))
    children = workers(train.pid)
    assert len(children) == 2
    train.kill()
    train.communicate(timeout=60)
    _, alive = psutil.wait_procs(children, timeout=60)
    assert not alive


def test_two_machines_train_what_one_does(two: tuple[Project, bytes], tmp_path: Path) -> None:
    """Two launchers on the loopback, each with a folder of its own: nothing is shared."""
    project, whole = two
    second = project.copy(tmp_path / "second")
    (second.path / "build/model/model.safetensors").unlink()
    meeting = {"PET_NNODES": "2", "PET_MASTER_ADDR": "127.0.0.1", "PET_MASTER_PORT": str(free_port())}
    for text, code in together(project, second, "PET_NODE_RANK", **meeting):
        assert code == 0, text
    assert model(project) == whole
    assert not (second.path / "build/model/model.safetensors").exists() and not saved(second)


def test_both_machines_start_again_where_a_process_of_one_is_killed(two: tuple[Project, bytes], tmp_path: Path) -> None:
    project, whole = two
    second = project.copy(tmp_path / "second")
    meeting = {"PET_NNODES": "2", "PET_MASTER_ADDR": "127.0.0.1", "PET_MASTER_PORT": str(free_port())}

    def kill(launchers: list[Popen[str]]) -> None:
        wait_until(lambda: saved(project))
        [worker] = workers(launchers[1].pid)
        worker.kill()

    runs = together(project, second, "PET_NODE_RANK", kill, PET_MAX_RESTARTS="1", **meeting)
    assert [code for _, code in runs] == [0, 0], runs
    assert "resumed at step" in runs[0][0] and model(project) == whole


def test_a_machine_with_other_inputs_is_refused(two: tuple[Project, bytes], tmp_path: Path) -> None:
    """Without torchrun: another launcher has set the variables of each process."""
    project, _ = two
    second = project.copy(tmp_path / "second")
    second.set(train={"lr": 2e-3})
    meeting = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    for text, code in together(project, second, "RANK", **meeting):
        assert code == 3 and "process 1 of 2: not the same settings as process 0" in text


def together(
    first: Project,
    second: Project,
    number: str,
    disturb: Callable[[list[Popen[str]]], None] = lambda _: None,
    **meeting: str,
) -> list[tuple[str, int]]:
    """Trains in both folders at once, and returns what each process said and its exit code."""
    common = {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", **meeting}
    runs = [project.start(*TRAIN, **common, **{number: str(n)}) for n, project in enumerate((first, second))]
    disturb(runs)
    return [(run.communicate(timeout=120)[0], run.returncode) for run in runs]
