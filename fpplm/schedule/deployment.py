"""`fpplm schedule`: deploys the retraining of prefect.yaml on a schedule, with Prefect's own command."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from fpplm.pipeline.paths import PARAMS
from fpplm.project.overrides import set_values_of_deployment
from fpplm.registry.repository import require_promotable
from fpplm.schedule.access import AUTH, log_in
from fpplm.schedule.server import DEFAULT, POOL, api_url, folder_of, own_address
from fpplm_core.errors import DataError, FpplmError, ParamsError
from fpplm_core.params import load
from fpplm_core.settings import read_yaml

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.responses import DeploymentResponse
    from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule

DRIFT = "fpplm.drift"  # the event of `fpplm drift --emit`
DRIFTED = {"prefect.resource.id": "fpplm.tagger"}  # its resource
FLOW, NAME = "retrain", "retrain"
FILE = Path("prefect.yaml")
NIGHTLY = "0 3 * * *"
FIELDS = 5  # croniter would read a sixth as seconds, at the end; Quartz and Spring have them in front
UNITS = {"": "seconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def schedule(cron: str | None, every: str | None, timezone: str, parameters: dict[str, Any], on_drift: bool) -> str:
    """Deploys prefect.yaml's retraining with this schedule instead of any earlier one; returns a description.

    `parameters` are those of the flow that differ from prefect.yaml's. With `on_drift` it also runs at each event of
    `fpplm drift --emit`. Without `cron` and `every` it runs each night, with `on_drift` at these events alone.

    Raises:
        ParamsError: an invalid cron expression, interval, time zone or parameter.
        FpplmError: there is no server, another project's schedule is on it, or Prefect failed.
    """
    if not FILE.exists():
        raise DataError("no such file", where=str(FILE), do="restore it with Git")
    with server() as client:
        rule = None if on_drift and cron is None and every is None else rule_of(cron, every, timezone)
        if rule:
            dates(rule)  # raises before anything is deployed
        check(parameters)
        make_pool(client)
        deploy(rule, on_drift, parameters)
        found = client.read_deployment_by_name(f"{FLOW}/{NAME}")  # prefect deploy leaves what its options do not name
        if rule is None:
            remove_schedules(client, found)
        if not on_drift:
            client.delete_resource_owned_automations(owner_of(found))
        done = client.read_deployment(found.id)
        given = ", ".join(f"{key}={value}" for key, value in done.parameters.items() if value not in (None, []))
        lines = [f"runs with  {given}"]
        if on_drift:
            lines.insert(0, "scheduled  at each drift that fpplm drift --emit finds")
        for deployed in done.schedules:
            lines = described(deployed.schedule, timezone, lines)
        pool = str(done.work_pool_name)
        if not any(worker.status == "ONLINE" for worker in client.read_workers_for_work_pool(pool)):
            lines.append(f"no worker  polls the pool {pool} yet: prefect worker start --pool {pool}")
        if done.parameters.get("promote") and folder_of(done):
            lines += refusals()
    return "\n".join(lines)


def described(deployed: Any, timezone: str, others: list[str]) -> list[str]:
    """The line of the schedule, the other lines, and the line of its next dates."""
    days = [f"{date.astimezone(ZoneInfo(timezone)):%a %Y-%m-%d %H:%M:%S %Z}" for date in dates(deployed)]
    when = f"cron {deployed.cron}" if hasattr(deployed, "cron") else f"every {deployed.interval}"
    return [f"scheduled  {when} ({timezone})", *others, f"next       {', '.join(days)}"]


def refusals() -> list[str]:
    """A line if a run that promotes would end at its start, as this folder's Git repository is now."""
    try:
        require_promotable()
    except FpplmError as error:
        return [f"not ready  every run would be refused: {error}"]
    return []


def unschedule() -> str:
    """Removes the schedule and its future runs. Raises FpplmError if there is no server, or it is another project's."""
    with server() as client:
        from prefect.exceptions import ObjectNotFound

        found: list[Any] = []
        with suppress(ObjectNotFound):
            deployment = client.read_deployment_by_name(f"{FLOW}/{NAME}")
            found = [*deployment.schedules, *client.read_resource_related_automations(owner_of(deployment))]
            client.delete_resource_owned_automations(owner_of(deployment))
            remove_schedules(client, deployment)
    return "no longer scheduled" if found else "nothing was scheduled"


def owner_of(deployment: DeploymentResponse) -> str:
    """The name by which Prefect's automations know a deployment."""
    return f"prefect.deployment.{deployment.id}"


def remove_schedules(client: SyncPrefectClient, deployment: DeploymentResponse) -> None:
    for one in deployment.schedules:
        client.delete_deployment_schedule(deployment.id, one.id)


@contextmanager
def server(named_may_be_shared: bool = False) -> Iterator[SyncPrefectClient]:
    """A client of the project's Prefect server; with `named_may_be_shared`, PREFECT_API_URL may name another project's.

    Raises FpplmError if no server answers, it has another project's deployment, or a request fails.
    """
    is_named = "PREFECT_API_URL" in os.environ
    address = api_url()
    if address is None:
        raise FpplmError("no Prefect server", where=DEFAULT, do="start one: fpplm up; or name one in PREFECT_API_URL")
    import httpx
    from prefect.client.orchestration import get_client

    if address == own_address():
        log_in()
    with get_client(sync_client=True) as client:
        if problem := client.api_healthcheck():
            do = "start it, correct PREFECT_API_URL, or unset it and run: fpplm up"
            raise FpplmError("the Prefect server does not answer", where=address, got=str(problem), do=do)
        try:
            if not (is_named and named_may_be_shared):
                require_own(client, address)
            yield client
        except httpx.HTTPError as error:
            got = str(error).splitlines()[0]
            do = f"set PREFECT_API_AUTH_STRING to the {AUTH} of fpplm up" if "401" in got else ""
            raise FpplmError("the Prefect server refused the request", where=address, got=got, do=do) from None


def require_own(client: SyncPrefectClient, address: str) -> None:
    """Raises FpplmError if the server has the deployment of another folder, whose name is the same."""
    from prefect.exceptions import ObjectNotFound

    prefect_yaml = read_yaml(FILE) if FILE.exists() else {}
    if any(part.get("pull") for part in (prefect_yaml, *prefect_yaml.get("deployments", []))):
        return  # its runs work where these steps say
    with suppress(ObjectNotFound):
        folder = folder_of(client.read_deployment_by_name(f"{FLOW}/{NAME}"))
        if folder not in (None, str(Path.cwd())):
            do = "run fpplm up --port 4300 here, with another PREFECT_HOME if it is set (docs/schedule.md)"
            raise FpplmError("this Prefect server is another project's", where=address, got=str(folder), do=do)


def rule_of(cron: str | None, every: str | None, timezone: str) -> CronSchedule | IntervalSchedule:
    """Raises ParamsError if Prefect cannot read it."""
    from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule
    from pydantic import ValidationError

    if cron is not None and every is not None:
        raise ParamsError("use only one of the two", where="--cron, --every", do="omit one")
    do = 'write --cron "0 3 * * 1" (minute, hour, day, month, weekday), --every 1h, --timezone Europe/Berlin'
    if cron is not None and not cron.startswith("@") and len(cron.split()) != FIELDS:
        raise ParamsError("not a schedule: a cron expression has five fields", where="--cron", got=repr(cron), do=do)
    try:
        if every is None:
            return CronSchedule(cron=NIGHTLY if cron is None else cron, timezone=timezone)
        if not (parts := re.fullmatch(r"(\d+)([smhd]?)", every)):
            raise ParamsError("not an interval", where="--every", got=repr(every), do="write 3600, 60m or 1h")
        return IntervalSchedule(interval=timedelta(**{UNITS[parts[2]]: int(parts[1])}), timezone=timezone)
    except (ValidationError, OverflowError) as error:
        wrong = error.errors()[0]["msg"].removeprefix("Value error, ") if isinstance(error, ValidationError) else error
        raise ParamsError("not a schedule", where="fpplm schedule", got=str(wrong), do=do) from None


def dates(rule: CronSchedule | IntervalSchedule) -> list[Any]:
    """Its next three dates. Raises ParamsError if there are none."""
    from prefect.server.schemas import schedules

    try:
        return asyncio.run(getattr(schedules, type(rule).__name__)(**rule.model_dump()).get_dates(3))
    except Exception as error:  # Prefect's cron parser raises many kinds of errors
        raise ParamsError(
            "the schedule never runs", where="--cron", got=f"{getattr(rule, 'cron', rule)!r} ({error})"
        ) from None


def check(parameters: dict[str, Any]) -> None:
    """Checks parameters now that would fail a run at night. Raises ParamsError."""
    from prefect.blocks.core import Block

    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copyfile(PARAMS, Path(folder, PARAMS))
        set_values_of_deployment(copy, parameters.get("overrides", []))
        load(copy)
    if notify := parameters.get("notify"):
        try:
            Block.load(notify)
        except ValueError as error:
            raise ParamsError("no such block on the server", where="--notify", got=str(error).splitlines()[0]) from None


def make_pool(client: SyncPrefectClient) -> None:
    """Creates the work pool of `fpplm up` if it is missing."""
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists
    from prefect.workers.process import ProcessWorker

    template = ProcessWorker.get_default_base_job_template()
    with suppress(ObjectAlreadyExists):
        client.create_work_pool(WorkPoolCreate(name=POOL, type=ProcessWorker.type, base_job_template=template))


def deploy(rule: CronSchedule | IntervalSchedule | None, on_drift: bool, parameters: dict[str, Any]) -> None:
    """Runs `prefect deploy` on prefect.yaml; a given schedule or trigger replaces the earlier ones of its kind.

    Raises FpplmError if it fails, with its last line.
    """
    when: list[str] = []
    if rule:
        when = (
            ["--cron", rule.cron] if hasattr(rule, "cron") else ["--interval", f"{rule.interval.total_seconds():.0f}"]
        )
        when += ["--timezone", str(rule.timezone)]
    if on_drift:
        trigger = {"type": "event", "posture": "Reactive", "expect": [DRIFT], "match": DRIFTED, "threshold": 1}
        when += ["--trigger", json.dumps(trigger)]
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--prefect-file", str(FILE), "--name", NAME]
    done = subprocess.run(
        [*command, *when, "--params", json.dumps(parameters)],
        env={**os.environ, "COLUMNS": "500", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()][-1:]
        raise FpplmError("prefect deploy failed", where=str(FILE), got=" ".join(last), do="correct the file")
