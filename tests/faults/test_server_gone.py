"""Prefect's server killed while the flow trains: back after a few seconds, or gone for good."""

from __future__ import annotations

import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from tests.faults.test_faults import last_run, train_anew, wait_for
from tests.faults.test_kills import digests
from tests.faults.test_prefect import ask
from tests.project import Project, free_port, kill_group

BOUND = 300  # seconds in which the flow ends, one way or the other


def serve(project: Project, port: int) -> subprocess.Popen[str]:
    """A Prefect server that answers, with the project's database."""
    process = project.start("prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port))
    deadline = time.monotonic() + 180
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/api/health", timeout=2)
            return process
        except OSError:
            assert process.poll() is None and time.monotonic() < deadline, "the server did not start"
            time.sleep(0.5)


@pytest.mark.parametrize("back", [True, False], ids=["back", "gone"])
def test_the_server_is_killed_in_mid_run(trained: Project, tmp_path: Path, back: bool) -> None:
    project = trained.copy(tmp_path / "project")
    train_anew(project)
    port = free_port()
    address = f"http://127.0.0.1:{port}/api"
    servers = [serve(project, port)]
    try:
        # By default Prefect tries each call five times again, for a minute: the end would be the same, and later.
        process = project.start(
            "fpplm", "retrain", PREFECT_API_URL=address, PREFECT_CLIENT_MAX_RETRIES="5" if back else "0"
        )
        output = wait_for(process, "epoch 1")
        kill_group(servers[0])
        if back:
            time.sleep(3)
            servers.append(serve(project, port))
        output += process.communicate(timeout=BOUND)[0]
        assert digests(project) == digests(trained), "the work is done either way"
        assert last_run(project).verdict == "unchanged"
        if back:
            assert process.returncode == 0
            assert {row["state_type"] for row in ask(address, "flow_runs")} == {"COMPLETED"}
        else:
            assert process.returncode == 1
            assert "error: unexpected ConnectError" in output and "Traceback" not in output
        assert "0 of 9 stages ran" in project.ok("fpplm", "retrain")
    finally:
        for server in servers:
            if server.poll() is None:
                kill_group(server)
