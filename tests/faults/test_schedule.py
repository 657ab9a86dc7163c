"""`fpplm up` and `fpplm schedule`: runs that start by themselves, in the project, one at a time; a clean end.

The flow is a stub with the real one's parameters, so that what takes time here is Prefect alone.
"""

from __future__ import annotations

import ast
import base64
import json
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError

import psutil
import pytest
import yaml

from tests import drifting
from tests.project import ROOT, Project, free_port

STUB = """
import json, os, subprocess, sys
from pathlib import Path
from typing import Literal
from prefect import flow
from fpplm.project.overrides import with_overrides

@flow(name="retrain")
def retrain(overrides: list[str] | None = None, promote: bool = True,
            busy: Literal["wait", "skip", "fail"] = "wait", stage_hours: float = 24, notify: str | None = None,
            cold_every: int | None = None):
    told = {"cwd": os.getcwd(), "python": sys.executable, "overrides": overrides, "promote": promote, "busy": busy}
    with with_overrides(overrides or []), open("fired.log", "a") as log:
        log.write(json.dumps(told) + "\\n")
    if Path("long").exists():
        subprocess.run(["sleep", "600"], check=True)
"""


PASSWORD = "fpplm:a-password"


class Up(NamedTuple):
    """A running `fpplm up`."""

    project: Project
    process: subprocess.Popen[str]
    port: int

    def ask(self, path: str, **body: Any) -> list[dict[str, Any]]:
        return list(self.send(f"{path}/filter", body))

    def send(self, path: str, body: Any = None, method: str | None = None, **headers: str) -> Any:
        """Asks the API as Prefect's clients do; `headers` replace theirs, "" leaves one out."""
        address = f"http://127.0.0.1:{self.port}/api"
        own = {"Authorization": f"Basic {base64.b64encode(PASSWORD.encode()).decode()}", **headers}
        own = {key: value for key, value in own.items() if value}
        if (body is not None or method) and "token" not in headers:
            asked = urllib.request.Request(f"{address}/csrf-token?client=test", headers=own)
            own |= {"Prefect-Csrf-Token": answer_of(asked)["token"], "Prefect-Csrf-Client": "test"}
        content = None if body is None else json.dumps(body).encode()
        return answer_of(
            urllib.request.Request(
                f"{address}/{path}", content, {"Content-Type": "application/json", **own}, method=method
            )
        )

    def until(self, met: Callable[[], bool], seconds: float = 180) -> None:
        deadline = time.monotonic() + seconds
        while not met():
            log = (self.project.path / "up.log").read_text()
            assert self.process.poll() is None, f"it has ended: {log}"
            assert time.monotonic() < deadline, log
            time.sleep(0.2)

    def fired(self) -> list[dict[str, Any]]:
        log = self.project.path / "fired.log"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def family(self) -> list[psutil.Process]:
        """All that it has started, directly or not, whoever their parents are by now."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get("FPPLM_STARTED_BY") == str(self.process.pid):
                    found.append(process)
        return found


def answer_of(request: urllib.request.Request) -> Any:
    """The server's answer; like Prefect's clients it asks again after a 503, which a locked database gives."""
    deadline = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.loads(answer.read() or "null")
        except HTTPError as error:
            if error.code != 503 or time.monotonic() > deadline:
                raise
            time.sleep(1)


def start(project: Project, *options: str, **variables: str) -> Up:
    (project.path / "up.log").touch()
    port = free_port()
    process = project.start("sh", "-c", f"exec fpplm up --port {port} {' '.join(options)} >> up.log 2>&1", **variables)
    running = Up(project, process, port)
    try:
        running.until((project.path / ".fpplm/prefect/api").exists)
    except BaseException:
        process.terminate()
        raise
    return running


def states(project: Project) -> set[tuple[str, str]]:
    """Types and messages of the runs' states, from the database: no server needed."""
    database = sqlite3.connect(project.path / ".prefect/prefect.db")
    query = "select state_type, message from flow_run join flow_run_state on flow_run_state.id = flow_run.state_id"
    return set(database.execute(query).fetchall())


@pytest.fixture(scope="module")
def project(make_project: Callable[[], Project]) -> Project:
    found = make_project()
    shutil.copyfile(ROOT / "prefect.yaml", found.path / "prefect.yaml")
    (found.path / "flows/retrain.py").write_text(STUB)
    return found


@pytest.fixture(scope="module")
def up(project: Project) -> Iterator[Up]:
    up = start(project, PREFECT_SERVER_API_HOST="0.0.0.0")
    yield up
    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(timeout=90) == 0, (project.path / "up.log").read_text()


@pytest.fixture
def running(up: Up) -> Up:
    """The same server for all tests, with nothing deployed: in which order they run must not matter."""
    for kind in ("deployments", "automations"):
        for row in up.ask(kind):
            up.send(f"{kind}/{row['id']}", method="DELETE")
    return up


@pytest.fixture
def own(project: Project, tmp_path: Path) -> Iterator[Up]:
    """One that a test may end, with a run under way that does not end by itself."""
    copy = project.copy(tmp_path / "project")
    for left in (".prefect", ".fpplm", "fired.log"):
        path = copy.path / left
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    (copy.path / "long").touch()
    up = start(copy)
    yield up
    if up.process.poll() is None:
        up.process.terminate()
        up.process.wait(timeout=90)


def test_prefect_yaml_has_the_flows_parameters() -> None:
    import inspect

    from flows.retrain import retrain

    (deployment,) = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    flow = {key: one.default for key, one in inspect.signature(retrain.fn).parameters.items()}
    assert {key: value or None for key, value in deployment["parameters"].items()} == flow
    stub = next(node for node in ast.parse(STUB).body if isinstance(node, ast.FunctionDef))
    assert [argument.arg for argument in stub.args.args] == list(flow)


def test_without_a_server_it_says_what_to_start(project: Project) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}/api"
    done = project.run("fpplm", "schedule", PREFECT_API_URL=nowhere)
    assert done.returncode == 1 and nowhere in done.stderr and "fpplm up" in done.stderr
    assert done.stderr.count("\n") == 2, "what it does, and the error"


def test_fires_by_itself_in_the_project(running: Up) -> None:
    options = ("--set", "train.lr=1e-4", "--only-report", "--busy", "skip")
    said = running.project.ok("fpplm", "schedule", "--every", "5", *options)
    assert "every 0:00:05" in said and "train.lr=1e-4" in said and "promote=False" in said
    asked = {"overrides": ["train.lr=1e-4"], "promote": False, "busy": "skip"}
    told = {"cwd": str(running.project.path), "python": sys.executable, **asked}
    running.until(lambda: running.fired().count(told) > 1)


def test_only_this_machine_and_no_web_page_can_use_it(running: Up) -> None:
    """Whatever PREFECT_SERVER_API_HOST says: a page in a browser here may send requests, but not with the token."""
    listening = {
        connection.laddr.ip
        for process in running.family()
        for connection in process.net_connections()
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}
    for headers in ({"Content-Type": ""}, {"Content-Type": "text/plain"}, {}):
        with pytest.raises(HTTPError) as caught:
            running.send("deployments/filter", {}, token="none", Origin="http://evil.test", **headers)
        assert caught.value.code == 403
    asked = urllib.request.Request(
        f"http://127.0.0.1:{running.port}/api/health", headers={"Origin": "http://evil.test"}
    )
    with urllib.request.urlopen(asked, timeout=30) as answer:
        assert "Access-Control-Allow-Origin" not in answer.headers


ESCALATIONS = ("data.segmentation=os:system", "promotion.margin=1", "train.device=${oc.env:HOME}")


@pytest.mark.parametrize("override", ESCALATIONS)
def test_a_run_started_on_the_server_sets_no_more_than_a_deployment_may(running: Up, override: str) -> None:
    running.project.ok("fpplm", "schedule", "--every", "1h")
    (deployment,) = running.ask("deployments")
    given = {"parameters": {"overrides": ["train.lr=1e-4", override]}}
    run = running.send(f"deployments/{deployment['id']}/create_flow_run", given)
    running.until(lambda: running.send(f"flow_runs/{run['id']}")["state_type"] == "FAILED")
    message = running.send(f"flow_runs/{run['id']}")["state"]["message"]
    assert "a scheduled run may not" in message
    # A run of the schedule before this one may still start: only this override must never arrive.
    assert not any(override in fired["overrides"] for fired in running.fired())


def test_another_schedule_takes_the_place_of_the_first(running: Up) -> None:
    running.project.ok("fpplm", "schedule", "--every", "1h", "--set", "train.lr=1e-4")
    said = running.project.ok("fpplm", "schedule", "--cron", "30 4 * * 1", "--timezone", "Asia/Tokyo")
    assert said.count("Mon ") == 3 and said.count("04:30:00 JST") == 3
    (deployment,) = running.ask("deployments")
    (schedule,) = deployment["schedules"]
    assert schedule["active"] and schedule["schedule"]["cron"] == "30 4 * * 1"
    assert deployment["parameters"]["overrides"] == [], "those of the schedule before are gone"
    running.project.ok("fpplm", "schedule", "--when", "drift")
    assert running.ask("deployments")[0]["schedules"] == [] and len(running.ask("automations")) == 1
    assert "drift" not in running.project.ok("fpplm", "schedule", "--every", "1h")
    assert running.ask("automations") == []


WRONG = [
    (("--cron", "61 3 * * *"), "61 3 * * *"),
    (("--cron", "0 3 31 2 *"), "the schedule never runs"),
    (("--cron", "0 3 * * *", "--every", "1h"), "only one"),
    (("--every", "soon"), "'soon'"),
    (("--every", "0"), "greater than 0"),
    (("--timezone", "Mars/Olympus"), "Mars/Olympus"),
    (("--set", "train.lrr=1"), "lrr"),
    (("--set", "train.lr=fast"), "train.lr"),
    (("--set", "data.segmentation=os:system"), "a scheduled run may not set this"),
    (("--set", "data.path=/etc"), "a scheduled run may not set this"),
    (("--set", "train.device=${oc.env:HOME}"), "may not use ${...}"),
    (("--notify", "slack-webhook/nobody"), "--notify"),
]


def test_what_would_fail_at_night_fails_now(running: Up) -> None:
    running.project.ok("fpplm", "schedule", "--every", "7d")
    (before,) = running.ask("deployments")
    for options, said in WRONG:
        done = running.project.run("fpplm", "schedule", *options)
        assert done.returncode == 2 and said in done.stderr and done.stderr.count("\n") == 2, (options, done.stderr)
        (after,) = running.ask("deployments")
        for key in ("schedules", "parameters"):
            assert after[key] == before[key], options


def test_a_drift_starts_a_run_and_no_drift_starts_none(running: Up, tmp_path: Path) -> None:
    project, bundle = running.project, drifting.write_bundle(tmp_path / "bundle")
    said = project.ok("fpplm", "schedule", "--when", "drift", "--set", "train.lr=3e-4")
    assert "at each drift" in said and "next" not in said
    assert running.ask("deployments")[0]["schedules"] == []

    def of_drift() -> list[dict[str, Any]]:
        return [run for run in running.fired() if run["overrides"] == ["train.lr=3e-4"]]

    for share, code in ((0.0, 0), (1.0, 10)):
        texts = tmp_path / f"{share}.txt"
        texts.write_text("".join(f"{line}\n" for line in drifting.lines(300, 4, share)))
        sketch = str(tmp_path / f"{share}.json")
        project.ok("fpplm", "predict", str(bundle), str(texts), "--sketch", sketch)
        done = project.run("fpplm", "drift", sketch, "--bundle", str(bundle), "--emit")
        assert done.returncode == code, done.stderr
        assert ("fpplm.drift" in done.stdout) == (code == 10)
    running.until(lambda: len(of_drift()) > 0)
    assert len(of_drift()) == 1
    assert "no longer" in project.ok("fpplm", "schedule", "--off")
    assert running.ask("automations") == []
    assert "nothing was scheduled" in project.ok("fpplm", "schedule", "--off")


def test_a_repository_that_is_not_ready_is_reported(running: Up) -> None:
    assert "not ready" in running.project.ok("fpplm", "schedule", "--every", "7d"), "the stub is not committed"


def test_off_leaves_nothing_to_come(running: Up) -> None:
    running.project.ok("fpplm", "schedule", "--every", "1h")
    scheduled = {"state": {"type": {"any_": ["SCHEDULED"]}}}
    running.until(lambda: len(running.ask("flow_runs", flow_runs=scheduled)) > 0)
    assert "no longer" in running.project.ok("fpplm", "schedule", "--off")
    assert running.ask("deployments")[0]["schedules"] == []
    assert running.ask("flow_runs", flow_runs=scheduled) == []
    assert "nothing was scheduled" in running.project.ok("fpplm", "schedule", "--off")


def test_second_up_says_that_one_is_there(running: Up, tmp_path: Path) -> None:
    done = running.project.run("fpplm", "up", "--port", str(free_port()))
    assert done.returncode == 1 and "already runs for this folder" in done.stderr and str(running.port) in done.stderr
    (tmp_path / "dvc.yaml").touch()
    elsewhere = Project(tmp_path).run("fpplm", "up", "--port", str(running.port))
    assert elsewhere.returncode == 1 and "another Prefect server" in elsewhere.stderr


def test_another_project_leaves_the_schedule_of_this_one(running: Up, tmp_path: Path) -> None:
    running.project.ok("fpplm", "schedule", "--every", "7d")

    def planned() -> list[dict[str, Any]]:
        names = ("id", "version", "schedules", "parameters", "pull_steps")
        return [{name: one[name] for name in names} for one in running.ask("deployments")]

    before = planned()
    other = running.project.copy(tmp_path / "other")
    shutil.rmtree(other.path / ".fpplm")
    for options in (("--every", "1h"), ("--off",)):
        done = other.run("fpplm", "schedule", *options, PREFECT_API_URL=f"http://127.0.0.1:{running.port}/api")
        assert done.returncode == 1 and "another project's" in done.stderr and str(running.project.path) in done.stderr
        assert planned() == before


def test_port_in_use_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "dvc.yaml").touch()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = Project(tmp_path).run("fpplm", "up", "--port", str(taken.getsockname()[1]))
    assert done.returncode == 1 and "in use" in done.stderr and "--port" in done.stderr
    assert done.stderr.count("\n") == 1 and not (tmp_path / ".fpplm/prefect/server.log").exists()


def test_stopping_ends_all_and_says_so_of_the_run(own: Up) -> None:
    own.project.ok("fpplm", "schedule", "--every", "5")
    cancelled = {"state": {"type": {"any_": ["CANCELLED"]}}}
    own.until(lambda: bool(own.fired() and own.ask("flow_runs", flow_runs=cancelled)))
    assert len(own.fired()) == 1, "two at once"
    assert {"prefect.engine", "600"} <= {process.cmdline()[-1] for process in own.family()}
    own.process.terminate()
    assert own.process.wait(timeout=90) == 0
    assert own.family() == []
    assert not (own.project.path / ".fpplm/prefect/api").exists()
    ended = states(own.project)
    assert ("CRASHED", "fpplm up was stopped") in ended
    assert not {"RUNNING", "PENDING"} & {state for state, _ in ended}


def test_nothing_outlives_an_up_that_is_killed(own: Up) -> None:
    own.project.ok("fpplm", "schedule", "--every", "5")
    own.until(lambda: len(own.fired()) == 1)
    family = own.family()
    assert len(family) > 2, "server, worker, run"
    own.process.kill()
    own.process.wait()
    _, alive = psutil.wait_procs(family, timeout=60)
    assert not alive, [process.cmdline() for process in alive]


def test_server_that_dies_ends_all_and_the_next_start_goes_on(own: Up) -> None:
    own.project.ok("fpplm", "schedule", "--every", "5")
    own.until(lambda: len(own.fired()) == 1)
    (server,) = [process for process in own.family() if "server" in process.cmdline()]
    server.kill()
    assert own.process.wait(timeout=90) == 1
    assert "Prefect's server has ended by itself, got exit code -9" in (own.project.path / "up.log").read_text()
    assert own.family() == []
    (own.project.path / "long").unlink()
    again = start(own.project)
    try:
        again.until(lambda: len(again.fired()) > 1)  # the run that nobody ended holds nothing up
        assert ("CRASHED", "fpplm up was killed") in states(own.project)
    finally:
        again.process.terminate()
        assert again.process.wait(timeout=90) == 0


def test_with_a_password_others_get_nothing_and_runs_fire(project: Project, tmp_path: Path) -> None:
    copy = project.copy(tmp_path / "project")
    for left in (".prefect", ".fpplm"):
        shutil.rmtree(copy.path / left, ignore_errors=True)
    (copy.path / "fired.log").unlink(missing_ok=True)
    auth = {"PREFECT_SERVER_API_AUTH_STRING": PASSWORD}
    up = start(copy, "--host", "0.0.0.0", **auth)
    try:
        wrong = base64.b64encode(b"fpplm:wrong").decode()
        for header in ("", f"Basic {wrong}", f"Bearer {PASSWORD}"):
            for path, body in (("deployments/filter", {}), ("flow_runs/", {"flow_id": "x"}), ("admin/version", None)):
                with pytest.raises(HTTPError) as caught:
                    up.send(path, body, Authorization=header, **({"token": "none"} if body is not None else {}))
                assert caught.value.code in (401, 403), path
        with pytest.raises(HTTPError) as caught:
            up.send("admin/version", Authorization="")
        assert caught.value.code == 401
        refused = copy.run("fpplm", "schedule", "--off", PREFECT_API_URL=f"http://127.0.0.1:{up.port}/api")
        assert refused.returncode == 1 and "PREFECT_API_AUTH_STRING" in refused.stderr
        copy.ok("fpplm", "schedule", "--every", "5", **auth)
        up.until(lambda: len(up.fired()) > 0)
    finally:
        up.process.terminate()
        assert up.process.wait(timeout=90) == 0, (copy.path / "up.log").read_text()
