"""The flow against a running Prefect server, and what happens without a network."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.project import Project, free_port, kill_group


@pytest.fixture
def project(trained: Project, tmp_path: Path) -> Project:
    return trained.copy(tmp_path / "project")


@pytest.fixture
def server(project: Project) -> Iterator[str]:
    """The address of a `prefect server` of the test's own."""
    port = free_port()
    command = ("prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port))
    process = project.start(*command, PREFECT_SERVER_ANALYTICS_ENABLED="false")
    address = f"http://127.0.0.1:{port}/api"
    deadline = time.monotonic() + 180
    while True:
        try:
            urllib.request.urlopen(f"{address}/health", timeout=2)
            break
        except OSError:
            assert process.poll() is None and time.monotonic() < deadline, "the server did not start"
            time.sleep(0.5)
    yield address
    kill_group(process)


def ask(address: str, path: str) -> list[dict[str, Any]]:
    request = urllib.request.Request(f"{address}/{path}/filter", b"{}", {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return list(json.load(answer))


def test_flow_on_a_server_leaves_runs_and_artifacts(project: Project, server: str) -> None:
    for name in ("check", "evaluate", "gate"):  # so that some stages have something to do
        (project.path / f"metrics/{name}.json").unlink()
    project.ok("fpplm", "retrain", PREFECT_API_URL=server)
    run = max(ask(server, "flow_runs"), key=lambda row: row["start_time"])
    assert run["state_type"] == "COMPLETED"
    rows = [row for row in ask(server, "task_runs") if row["flow_run_id"] == run["id"]]
    states = {row["name"]: row["state_name"] for row in rows}
    ran = [states.pop(name) for name in ("check", "evaluate", "gate")]
    ran.append(states.pop(next(name for name in states if name.startswith("decide"))))
    assert set(ran) == {"Completed"} and set(states.values()) == {"Cached"} and len(states) == 6
    every = ask(server, "artifacts")  # with those of the first run, on a temporary server with the same database
    artifacts = {row["key"]: row for row in every if row["flow_run_id"] == run["id"]}
    assert artifacts.keys() == {"check", "scores", "types", "slices", "gate", "retraining", "report"}
    assert {row["key"] for row in every} == artifacts.keys() | {"graphs"}
    assert "file:" not in json.dumps(every), "no browser follows such a link"
    assert (
        f"{project.path.name}/reports/report" in artifacts["report"]["data"] and "](" not in artifacts["report"]["data"]
    )
    types = json.loads((project.path / "metrics/evaluate.json").read_text())["test"]["types"]
    for kind, row in types.items():
        assert f"| test | {kind} | {row['f1']:.4f} |".replace(".", "\\.") in artifacts["types"]["data"]
    project.ok("fpplm", "retrain", PREFECT_API_URL=server, FPPLM_PAGES="http://127.0.0.1:4201")
    links = [row["data"] for row in ask(server, "artifacts") if row["key"] == "report"]
    assert sum("[report.html](http://127.0.0.1:4201/report.html)" in link for link in links) == 1


@pytest.mark.parametrize("reach", ["create_connection(('192.0.2.1', 9))", "getaddrinfo('example.org', 80)"])
def test_the_guard_refuses_and_logs_from_any_folder(project: Project, outside_log: Path, reach: str) -> None:
    done = project.run("sh", "-c", f'cd reports && python -c "import socket; socket.{reach}"')
    assert done.returncode != 0
    assert len(outside_log.read_text().splitlines()) == 1
    outside_log.unlink()


def test_hub_encoder_without_network_is_one_line(project: Project) -> None:
    project.set(model={"encoder": "nobody/no-such-encoder"})
    start = time.monotonic()
    done = project.run("python", "-m", "tasks.encode")
    assert done.returncode == 4 and "nobody/no-such-encoder" in done.stderr
    assert "Traceback" not in done.stderr
    assert time.monotonic() - start < 120, "nothing hangs"


def test_the_temporary_servers_database_is_the_projects_own(project: Project, tmp_path: Path) -> None:
    """One in the home directory would serve all projects, and be upgraded by whichever has the newest Prefect."""
    home = tmp_path / "home"
    home.mkdir()
    project.ok("env", "-u", "PREFECT_HOME", f"HOME={home}", "fpplm", "retrain")
    assert (project.path / ".fpplm/prefect.db").exists() and not list(home.rglob("*.db"))
