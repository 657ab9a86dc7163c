"""`fpplm up` and `fpplm schedule` touch nothing of another project on the same Prefect server or database."""

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
from prefect.client import orchestration

from fpplm.schedule import deployment, server
from fpplm_core.errors import FpplmError


class Client:
    """Of a server with one deployment for each folder, and one run of each; None: it fetches the project."""

    def __init__(self, *folders):
        steps = [[{server.FOLDER_STEP: {"directory": str(one)}}] if one else [{"git_clone": {}}] for one in folders]
        self.deployments = [SimpleNamespace(id=number, pull_steps=each) for number, each in enumerate(steps)]
        self.crashed = []

    def api_healthcheck(self):
        return None

    def read_deployments(self):
        return self.deployments

    def read_deployment_by_name(self, name):
        return self.deployments[0]

    def read_flow_runs(self, **filters):
        return [SimpleNamespace(id=one.id, deployment_id=one.id) for one in self.deployments]

    def set_flow_run_state(self, run, state, force):
        self.crashed.append(run)


@pytest.fixture
def connect(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setattr(deployment, "api_url", lambda: server.DEFAULT)

    def to(*folders):
        client = Client(*folders)
        monkeypatch.setattr(orchestration, "get_client", lambda **_: nullcontext(client))
        return client

    return to


def test_only_runs_of_this_folder_are_marked_as_crashed(connect, tmp_path):
    client = connect(tmp_path, tmp_path / "other", None)
    server.mark_crashed("the reason")
    assert client.crashed == [0, 2]


def test_the_server_of_another_project_is_refused(connect, tmp_path, monkeypatch):
    connect(tmp_path / "other")
    for use in (deployment.unschedule, lambda: deployment.server(named_may_be_shared=True).__enter__()):
        with pytest.raises(FpplmError, match=f"another project's, got {tmp_path / 'other'}"):
            use()
    monkeypatch.setenv("PREFECT_API_URL", server.DEFAULT)
    with deployment.server(named_may_be_shared=True):
        pass
    Path("prefect.yaml").write_text("deployments: [{name: retrain, pull: [set_working_directory: {}]}]")
    with deployment.server():
        pass


def test_the_own_deployment_is_no_other_projects(connect, tmp_path):
    connect(tmp_path)
    with deployment.server():
        pass
