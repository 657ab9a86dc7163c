"""`fpplm up`: runs a Prefect server and a worker for this project, and finds the server's address.

Prefect runs in subprocesses, which the guard (fpplm.pipeline.guard) finds and ends whatever their session or parent is.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import urlsplit

import psutil

from fpplm.pipeline.guard import guard, started_by  # first: it switches telemetry off before the libraries look
from fpplm.pipeline.paths import SCRATCH
from fpplm.project.lock import server_lock
from fpplm.report.run import PAGES
from fpplm.schedule import access, pages
from fpplm.service.address import listening_address, url
from fpplm_core.errors import FpplmError
from fpplm_core.files import write_text

if TYPE_CHECKING:
    from prefect.client.schemas.responses import DeploymentResponse

POOL = "fpplm"
HOME = SCRATCH / "prefect"  # Prefect's database and logs, unless PREFECT_HOME is set
ADDRESS = HOME / "api"
LOG = HOME / "server.log"
DEFAULT = "http://127.0.0.1:4200/api"
LOOK = 0.3  # seconds between checks of the processes
FOLDER_STEP = "prefect.deployments.steps.set_working_directory"  # `prefect deploy` adds it where nothing is fetched
GRACE = 45.0  # seconds for processes to end: the worker gives its runs 30


def api_url() -> str | None:
    """The address of Prefect's API, which it puts into PREFECT_API_URL: call it before prefect is imported.

    PREFECT_API_URL itself, else where `fpplm up` runs for this folder, else Prefect's default port on this machine;
    None where nothing answers at these two.
    """
    found = os.environ.get("PREFECT_API_URL") or next(
        (one for one in (own_address(), DEFAULT) if is_healthy(one)), None
    )
    if found:
        os.environ["PREFECT_API_URL"] = found
    return found


def own_address() -> str:
    """The address that `fpplm up` recorded for this folder, whether it still runs or not; "" if there is none."""
    return ADDRESS.read_text(encoding="utf-8") if ADDRESS.exists() else ""


def is_healthy(address: str) -> bool:
    """Whether a Prefect server at an http address is healthy; never uses a proxy."""
    place = urlsplit(address)
    connection = HTTPConnection(place.hostname or "", place.port, timeout=5)
    try:
        connection.request("GET", f"{place.path}/health")
        answer = connection.getresponse()
        return answer.status == 200 and answer.read(8) == b"true"
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def up(host: str, port: int) -> None:
    """Runs server and worker until SIGINT or SIGTERM.

    Raises:
        FpplmError: the port is taken, other machines would need no password, or server or worker has ended by itself.
        WorkspaceBusy: another `up` is running here.
    """
    place, here_only = listening_address(host, port)
    origin = url(place, port)
    address = f"{origin}/api"
    check_free(place, port, address)
    os.environ["PREFECT_API_URL"] = address
    guard()
    os.environ.setdefault("PREFECT_HOME", str(HOME.resolve()))
    os.environ.setdefault("PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED", "events,flow_runs")  # after 90 days
    HOME.mkdir(parents=True, exist_ok=True)  # Prefect warns where it is missing
    access.secure(host, here_only, origin)
    os.environ[PAGES] = pages.serve(port + 1)
    with server_lock():  # another `fpplm up` of this folder may be starting
        run_processes(place, port, address)


def run_processes(host: str, port: int, address: str) -> None:
    """Runs server and worker, as `up` does. Raises FpplmError if one of them has ended by itself."""
    received: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: received.append(number))
    running: dict[str, subprocess.Popen[bytes]] = {}
    print(f"starting; the server's log is {LOG}", flush=True)
    try:
        with LOG.open("wb") as log:
            where = ("--host", host, "--port", str(port))
            running["server"] = prefect("server", "start", *where, log=log)
        if not wait_for(running, received, lambda: is_healthy(address)):
            return
        mark_crashed("fpplm up was killed")  # runs of a server that ended with its machine
        running["worker"] = prefect("worker", "start", "--pool", POOL, "--type", "process")
        write_text(ADDRESS, address)
        print(f"Prefect is up: {address.removesuffix('/api')}  (fpplm schedule; Ctrl-C stops)", flush=True)
        wait_for(running, received, lambda: False)
    finally:
        ADDRESS.unlink(missing_ok=True)
        stop(running, received)


def check_free(host: str, port: int, address: str) -> None:
    """Raises FpplmError if the port is taken, the host is not this machine's, or this folder already has a server."""
    if is_healthy(own := own_address()):
        raise FpplmError("Prefect already runs for this folder", where=own, do="next: fpplm schedule")
    where, do = f"{host}:{port}", "choose another port with --port"
    if is_healthy(address):
        do = f"use it: PREFECT_API_URL={address} fpplm schedule; or {do}"
        raise FpplmError("another Prefect server runs there", where=where, do=do)
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        socket.create_server((host, port), family=family).close()
    except (OSError, OverflowError) as error:
        raise FpplmError("cannot listen there", where=where, got=str(error), do=do) from None


def prefect(*command: str, log: BinaryIO | None = None) -> subprocess.Popen[bytes]:
    """Starts a Prefect command in a new session: the terminal's Ctrl-C goes to `up`, which ends all in order."""
    return subprocess.Popen(
        [sys.executable, "-m", "prefect", "--no-prompt", *command],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT if log else None,
        start_new_session=True,
    )


def wait_for(running: Mapping[str, subprocess.Popen[bytes]], received: list[int], ready: Callable[[], bool]) -> bool:
    """Waits until ready; False if a signal arrives first. Raises FpplmError if a process has ended."""
    while not received:
        for name, process in running.items():
            if process.poll() is not None:
                last = LOG.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
                got = f"exit code {process.returncode}" + (f" ({last[0].strip()})" if last and name == "server" else "")
                raise FpplmError(f"Prefect's {name} has ended by itself", got=got, do=f"see {LOG}, then: fpplm up")
        if ready():
            return True
        time.sleep(LOOK)
    return False


def stop(running: Mapping[str, subprocess.Popen[bytes]], received: list[int]) -> None:
    """Ends the worker and its runs, tells the server how they ended, then ends the server."""
    if worker := running.get("worker"):
        end(worker, received)
    for process in started_by(os.getpid(), spared={one.pid for one in running.values()}):
        with suppress(psutil.Error):
            process.kill()
    if server := running.get("server"):
        if worker and server.poll() is None:
            mark_crashed("fpplm up was stopped")
        end(server, received)


def mark_crashed(reason: str) -> None:
    """Marks the running runs of the pool as crashed when no worker is left, which Prefect's worker does not do.

    Such a run would otherwise occupy the only slot forever, and every later run would be skipped. Runs of other folders
    stay as they are: their worker may live, as several projects can share Prefect's database (PREFECT_HOME).
    """
    from prefect.client.orchestration import get_client
    from prefect.client.schemas import filters
    from prefect.client.schemas.objects import StateType
    from prefect.states import Crashed

    active = filters.FlowRunFilterStateType(any_=[StateType.PENDING, StateType.RUNNING, StateType.CANCELLING])
    runs = filters.FlowRunFilter(state=filters.FlowRunFilterState(type=active))
    pool = filters.WorkPoolFilter(name=filters.WorkPoolFilterName(any_=[POOL]))
    with get_client(sync_client=True) as client:
        elsewhere = {one.id for one in client.read_deployments() if folder_of(one) not in (None, str(Path.cwd()))}
        for run in client.read_flow_runs(flow_run_filter=runs, work_pool_filter=pool):
            if run.deployment_id in elsewhere:
                continue
            client.set_flow_run_state(run.id, Crashed(message=reason), force=True)


def folder_of(deployment: DeploymentResponse) -> str | None:
    """The folder in which a deployment's runs work; None if they fetch the project first."""
    steps = deployment.pull_steps or []
    return steps[0][FOLDER_STEP]["directory"] if len(steps) == 1 and FOLDER_STEP in steps[0] else None


def end(process: subprocess.Popen[bytes], received: list[int]) -> None:
    """Asks a process to end, and kills it after GRACE or on another signal."""
    if process.poll() is None:
        process.terminate()
    signals, deadline = len(received), time.monotonic() + GRACE
    while process.poll() is None and len(received) == signals and time.monotonic() < deadline:
        time.sleep(LOOK)
    process.kill()
    process.wait()
