"""What becomes of a trained model: promoted, held, taken back; what a run writes down and tells."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fpplm_core.settings import read_yaml
from tests.project import Project, shared


@pytest.fixture(scope="module")
def promoted(trained: Project, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Project:
    """A project whose model is v1.0.0 in production."""

    def make() -> Project:
        project = trained.copy(tmp_path_factory.mktemp("promoted") / "project")
        project.commit()
        output = project.ok("fpplm", "retrain", "--promote")
        assert "verdict  v1.0.0 is in production: the first model" in output
        return project

    return shared(request, make)


@pytest.fixture
def project(promoted: Project, tmp_path: Path) -> Project:
    return promoted.copy(tmp_path / "project")


# As where another version of ONNX Runtime computes something else: the bundle is whole, its answers are not.
WRONG_ANSWERS = """
from fpplm_core.serving import Predictor
from fpplm_core.tagging.spans import Span
Predictor.tag = lambda self, words, documents=None: [[(Span(0, 1, "no type"), 1.0)] for _ in words]
from fpplm.cli.entry import start
start()
"""


def last_run(project: Project) -> dict[str, object]:
    lines = (project.path / ".fpplm/runs.jsonl").read_text().splitlines()
    return dict(json.loads(lines[-1]))


def test_what_a_promotion_leaves(project: Project) -> None:
    assert not project.ok("git", "status", "--porcelain").strip()
    assert project.ok("git", "tag").split() == ["tagger#production#1", "tagger@v1.0.0"]
    models = project.ok("fpplm", "models").splitlines()
    assert len(models) == 2 and models[1].startswith("v1.0.0   production")
    f1 = json.loads((project.path / "metrics/evaluate.json").read_text())["test"]["f1"]
    assert f"{f1:.4f}" in models[1]
    assert "promoted" in project.ok("fpplm", "runs")


def test_nothing_to_do_says_since_when(project: Project) -> None:
    ended = last_run(project)["ended"]
    output = project.ok("fpplm", "retrain", "--promote")
    assert f"verdict  unchanged: already decided at {ended}: promoted" in output
    assert project.ok("git", "tag").split() == ["tagger#production#1", "tagger@v1.0.0"]


def test_a_report_alone_commits_and_registers_nothing(trained: Project, tmp_path: Path) -> None:
    project = trained.copy(tmp_path / "project")
    head = project.ok("git", "rev-parse", "HEAD")
    (project.path / ".fpplm/runs.jsonl").unlink()
    output = project.ok("fpplm", "retrain")
    assert "verdict  promote: the first model" in output and "fpplm retrain --promote registers it" in output
    assert project.ok("git", "rev-parse", "HEAD") == head
    assert not project.ok("git", "tag").strip()
    assert "v1.0.0 is in production" in project.ok("fpplm", "retrain", "--promote"), "what was only said is done now"


def test_values_of_a_run_are_taken_back_where_it_is_not_promoted(project: Project) -> None:
    before = (project.path / "params.yaml").read_bytes()
    done = project.run("fpplm", "retrain", "--promote", "--notify", "custom-webhook/none", "-S", "gate.min_f1=0.99")
    assert done.returncode == 11, "as without a notification that cannot be sent"
    assert "warning: custom-webhook/none cannot be reached" in done.stderr
    assert (project.path / "params.yaml").read_bytes() == before
    run = last_run(project)
    assert run["verdict"] == "failed"
    (reason,) = run["reasons"]  # type: ignore[misc]
    assert "the stage gate failed" in reason and "test F1" in reason and "dvc repro gate" in reason
    page = (project.path / "reports/report.html").read_text()
    assert "gate.min_f1" in page and "0.99" in page, "the report says what changed since the run before"
    assert "the stage gate failed" in page


def test_values_of_a_promoted_run_stay(trained: Project, tmp_path: Path) -> None:
    project = trained.copy(tmp_path / "project")
    project.commit()
    project.ok("fpplm", "retrain", "--promote", "-S", "gate.max_check_warnings=9")
    assert read_yaml(project.path / "params.yaml")["gate"]["max_check_warnings"] == 9
    assert not project.ok("git", "status", "--porcelain").strip(), "the version's commit has them"


@pytest.mark.parametrize(("wrong", "said"), [("train.rl=1", "train.rl"), ("nonsense", "nonsense")])
def test_a_wrong_value_is_one_line(promoted: Project, tmp_path: Path, wrong: str, said: str) -> None:
    project = promoted.copy(tmp_path / "project")
    done = project.run("fpplm", "retrain", "-S", wrong)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr and "Traceback" not in done.stderr
    assert not project.ok("git", "status", "--porcelain").strip()


def test_a_model_that_was_taken_back_does_not_return_by_itself(project: Project) -> None:
    """Not even where the ledger of runs is lost, as on a new machine."""
    project.set(train={"epochs": 3})
    project.commit()
    project.ok("fpplm", "retrain")
    assert "v2.0.0 is in production" in project.ok("fpplm", "promote")
    done = project.run("python", "-c", WRONG_ANSWERS, "rollback", "--to", "v1")
    assert done.returncode == 5 and "does not give the golden spans" in done.stderr and "v1.0.0" in done.stderr
    done = project.run("fpplm", "rollback", "--to", "v2")
    assert done.returncode == 3 and "it is in production, got v2.0.0" in done.stderr
    assert len(project.ok("git", "tag").split()) == 4, "nothing in production has changed"
    said = project.ok("fpplm", "rollback", "--because", "wrong names\n\tin the news")
    assert "v1.0.0 is back in production, instead of v2.0.0" in said
    (project.path / ".fpplm/runs.jsonl").unlink()
    output = project.ok("fpplm", "retrain", "--promote")
    assert "verdict  hold: v2.0.0 was taken out of production; to put it back: fpplm promote v2.0.0" in output
    assert "v2.0.0 is in production" in project.ok("fpplm", "promote", "v2")
    changed = project.ok("fpplm", "diff", "v1", "v2")
    assert "train.epochs" in changed and "F1 difference" in changed
    assert "same sentences and mentions in v1 and v2" in changed
    history = [line.split()[0] for line in project.ok("fpplm", "models").splitlines()]
    assert history == ["version", "v2.0.0", "v1.0.0"]
    who = project.ok("git", "config", "user.name").strip()
    head, *rows = project.ok("fpplm", "models", "--history").splitlines()
    assert head.split() == ["when", "who", "from", "to", "why"] and all(who in row for row in rows)
    assert [row.split(who)[1].split()[:2] for row in rows] == [
        ["v1.0.0", "v2.0.0"],
        ["v2.0.0", "v1.0.0"],
        ["v1.0.0", "v2.0.0"],
        ["-", "v1.0.0"],
    ]
    assert "promoted by hand" in rows[2] and rows[1].endswith("wrong names in the news") and rows[0].endswith("v2.0.0")


def test_a_bundle_of_other_parameters_is_not_promoted(project: Project) -> None:
    project.set(train={"epochs": 9})
    done = project.run("fpplm", "promote")
    assert done.returncode == 3 and "train.epochs" in done.stderr
    assert project.ok("git", "tag").split() == ["tagger#production#1", "tagger@v1.0.0"]


def test_data_edited_between_two_stages_make_no_version(trained: Project, tmp_path: Path) -> None:
    """The manifest would name data that the model was not trained on."""
    project = trained.copy(tmp_path / "project")
    project.commit()
    train = project.path / "data/wikigold/train.conll"
    train.write_text(train.read_text() + "\nNairobi\tI-LOC\n")
    for stage in ("evaluate", "verify"):
        project.ok("dvc", "repro", "-q", "-s", stage)
    done = project.run("fpplm", "promote")
    assert done.returncode == 8 and "data/wikigold: edited between two stages" in done.stderr
    assert not project.ok("git", "tag").strip()


def test_code_that_is_not_committed_holds_a_promotion_up(trained: Project, tmp_path: Path) -> None:
    project = trained.copy(tmp_path / "project")
    project.commit()
    with (project.path / "flows/__init__.py").open("a") as file:
        file.write("# changed\n")
    done = project.run("fpplm", "promote")
    assert done.returncode == 12 and "uncommitted code" in done.stderr and "flows/__init__.py" in done.stderr


def test_code_that_is_not_committed_is_said_before_anything_runs(trained: Project, tmp_path: Path) -> None:
    project = trained.copy(tmp_path / "project")
    project.commit()
    with (project.path / "tasks/read.py").open("a") as file:
        file.write("# changed\n")
    done = project.run("fpplm", "retrain", "--promote")
    assert done.returncode == 12 and "tasks/read.py" in done.stderr
    assert "── read" not in done.stdout


FOREIGN = {"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}


@pytest.mark.parametrize(
    ("options", "variables", "code", "said"),
    [
        (("--promote",), {}, 12, "no branch is checked out (detached HEAD); run: git switch main"),
        (("--promote",), FOREIGN, 12, "git config --global --add safe.directory"),
        ((), FOREIGN, 12, "git config --global --add safe.directory"),
        ((), {"conflict": "params.yaml"}, 2, "params.yaml:3: not valid YAML (a merge conflict)"),
        ((), {"conflict": "dvc.yaml"}, 2, "dvc.yaml:3: not valid YAML (a merge conflict)"),
        ((), {"conflict": "expectations.yaml"}, 2, "expectations.yaml:3: not valid YAML (a merge conflict)"),
    ],
)
def test_what_would_fail_later_is_said_before_prefect_starts(
    trained: Project, tmp_path: Path, options: tuple[str, ...], variables: dict[str, str], code: int, said: str
) -> None:
    project = trained.copy(tmp_path / "project")
    project.commit()
    project.ok("git", "checkout", "-q", "--detach")
    if name := variables.get("conflict"):
        lines = (project.path / name).read_text().splitlines(keepends=True)
        (project.path / name).write_text("".join([*lines[:2], "<<<<<<< HEAD\n", *lines[2:]]))
    done = project.run("fpplm", "retrain", *options, **variables)
    announced, *errors = done.stderr.splitlines()
    assert (done.returncode, announced, len(errors)) == (code, "retraining …", 1) and said in errors[0], done.stderr
    assert done.stdout == ""
    assert last_run(project)["verdict"] == ("refused" if code == 12 else "failed")


def test_a_dvc_lock_with_a_conflict_is_restored_with_a_true_word(promoted: Project, tmp_path: Path) -> None:
    project = promoted.copy(tmp_path / "project")
    lock = project.path / "dvc.lock"
    before = lock.read_text()
    lock.write_text(before.replace("\n", "\n<<<<<<< HEAD\n", 1))
    output = project.ok("fpplm", "promote")
    assert "repaired: dvc.lock was not valid YAML (a merge conflict) at line 2; restored it" in output
    assert lock.read_text() == before


def test_a_bundle_of_an_earlier_model_is_not_promoted(project: Project) -> None:
    """As after a run whose gate said no: metrics are the new model's, the bundle is the old one."""
    trained = project.path / "metrics/train.json"
    trained.write_text(json.dumps(json.loads(trained.read_text()) | {"model_sha256": "0" * 64}))
    done = project.run("fpplm", "promote")
    assert done.returncode == 3 and "the bundle is older than metrics" in done.stderr
    assert project.ok("git", "tag").split() == ["tagger#production#1", "tagger@v1.0.0"]


def test_no_such_version_and_nothing_to_go_back_to(project: Project) -> None:
    done = project.run("fpplm", "promote", "v7")
    assert done.returncode == 3 and "known: v1.0.0" in done.stderr
    done = project.run("fpplm", "rollback")
    assert done.returncode == 3 and "no earlier version to return to" in done.stderr


class Sink(BaseHTTPRequestHandler):
    """Keeps what it is sent."""

    kept: list[str]

    def do_POST(self) -> None:
        self.kept.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def sink() -> Iterator[tuple[str, list[str]]]:
    """The address of a webhook, and what has come to it."""
    kept: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (Sink,), {"kept": kept}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/hook", kept
    server.shutdown()
    server.server_close()


BLOCK = """
from prefect.blocks.notifications import CustomWebhookNotificationBlock as Hook
body = {"title": "{{subject}}", "text": "{{body}}"}
Hook(name="ops", url="ADDRESS", method="POST", json_data=body).save("ops", overwrite=True)
"""


def test_promotions_and_failures_are_told(trained: Project, tmp_path: Path, sink: tuple[str, list[str]]) -> None:
    address, kept = sink
    project = trained.copy(tmp_path / "project")
    project.commit()
    project.ok("python", "-c", BLOCK.replace("ADDRESS", address))
    project.ok("fpplm", "retrain", "--promote", "--notify", "custom-webhook/ops")
    project.ok("fpplm", "retrain", "--promote", "--notify", "custom-webhook/ops")
    assert len(kept) == 1, "that nothing has changed is no news"
    assert json.loads(kept[0])["title"] == "fpplm project: promoted v1.0.0"
    project.run("fpplm", "retrain", "-S", "gate.min_f1=0.99", "--notify", "custom-webhook/ops")
    told = json.loads(kept[1])
    assert told["title"] == "fpplm project: failed" and "the stage gate failed" in told["text"]
