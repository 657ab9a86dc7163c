"""Production as others see it: through a bare repository and a DVC remote, promoted, rolled back, killed on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from moto.server import ThreadedMotoServer

from fpplm.registry import versions as module
from fpplm.registry.repository import fetch
from fpplm.registry.versions import (
    assign,
    assignments,
    bundle_of,
    in_production,
    previous,
    promote,
    resolve,
    versions,
)
from fpplm_core.errors import BundleError, DataError, RegistryError
from fpplm_core.serving.bundle import open_bundle
from tests.project import BIN, ROOT, write_guard

PROJECT = {
    "stages": {"make": {"cmd": "python make.py", "deps": ["text.txt"], "outs": ["bundle"]}},
    "artifacts": {"tagger": {"path": "bundle", "type": "model"}},
}
MAKE = """
import json, shutil, sys
from pathlib import Path
sys.path.insert(0, ROOT)
from fpplm_core.export.bundle_writer import seal
shutil.rmtree("bundle", ignore_errors=True)
Path("bundle").mkdir()
config = {"labels": ["O"], "transitions": [[0.0] * 2] * 2, "window": 8, "stride": 2, "context": 0, "first_shape": None}
Path("bundle/onnx").mkdir()
config |= {"variants": {"cpu": ["fp32"]}, "graphs": {"fp32": "onnx/model.onnx"}, "lower_case": False}
Path("bundle/config.json").write_text(json.dumps({"fpplm": config}))
for name in ("model.txt", "onnx/model.onnx", "tokenizer.json"):
    shutil.copy("text.txt", f"bundle/{name}")
seal(Path("bundle"), {})
"""


class Place:
    """A project whose bundle is a text, a bare repository and a DVC remote beside it."""

    def __init__(self, root: Path, within: str = "") -> None:
        self.root, self.path, self.within = root, root / "project" / within, within
        self.path.mkdir(parents=True)
        self.python_path = f"{write_guard(root)}{os.pathsep}{ROOT}"
        (self.path / "dvc.yaml").write_text(yaml.safe_dump(PROJECT))
        (self.path / "make.py").write_text(MAKE.replace("ROOT", repr(str(ROOT))))
        (self.path / ".gitignore").write_text("/bundle\n/.fpplm\n")
        (self.path / "params.yaml").write_text("{}\n")
        self("git", "init", "-q", "-b", "main", str(root / "project"))
        self("git", "config", "user.name", "t")
        self("git", "config", "user.email", "t@localhost")
        self("dvc", "init", "-q", *(["--subdir"] if within else []))
        self("dvc", "remote", "add", "-q", "-d", "store", str(root / "store"))
        self("git", "init", "-q", "--bare", "-b", "main", str(root / "bare.git"))
        self("git", "remote", "add", "origin", str(root / "bare.git"))
        self.train("one")
        self("git", "add", "-A")
        self("git", "commit", "-qm", "start")
        self("git", "push", "-q", "-u", "origin", "main")

    def __call__(self, *command: str, where: Path | None = None) -> str:
        environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": self.python_path}
        done = subprocess.run(
            command, cwd=where or self.path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def train(self, text: str) -> None:
        (self.path / "text.txt").write_text(text)
        self("dvc", "repro", "-q")

    def delivered(self, stage: str = "production") -> str:
        """What a service on another machine gets, opened as it would."""
        target = self.root / "service"
        if target.exists():
            self("rm", "-r", str(target))
        self(
            "dvc",
            "artifacts",
            "get",
            str(self.root / "bare.git"),
            f"{self.within}:tagger" if self.within else "tagger",
            "--stage",
            stage,
            "-o",
            str(target),
            where=self.root,
        )
        return (open_bundle(target).path / "model.txt").read_text()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    place = Place(tmp_path)
    monkeypatch.chdir(place.path)
    monkeypatch.setenv("PATH", f"{BIN}{os.pathsep}{os.environ['PATH']}")
    yield place


def test_promoted_versions_are_delivered_and_rolled_back(place: Place) -> None:
    assert in_production() is None
    assert promote("first", ["text.txt"]) == "v1.0.0"
    assert place.delivered() == "one"
    place.train("two")
    assert promote("second", ["text.txt"]) == "v2.0.0"
    assert place.delivered() == "two"
    assign(previous())
    assert (in_production(), place.delivered()) == ("v1.0.0", "one")
    assert previous() == "v2.0.0"
    assign("v2.0.0")
    assert (in_production(), place.delivered()) == ("v2.0.0", "two")
    assert [one.version for one in assignments()] == ["v1.0.0", "v2.0.0", "v1.0.0", "v2.0.0"]
    shown = place("gto", "show", "tagger@v2.0.0", "--json")
    assert json.loads(shown)[0]["stages"][0]["stage"] == "production", "GTO itself reads the tags so"
    assert list(versions()) == ["v1.0.0", "v2.0.0"]
    assert resolve("v1") == resolve("1") == "v1.0.0"
    with pytest.raises(DataError, match=r"no such version.*v1.0.0, v2.0.0"):
        resolve("v3")


def test_a_remote_that_goes_after_it_has_accepted_does_not_undo_a_rollback(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rollback that is reported as failed would be repeated, which puts the bad version back."""
    promote("first", ["text.txt"])
    place.train("two")
    promote("second", ["text.txt"])
    real, gone = module.git, module.try_git

    def breaks(*arguments: str, **options: Any) -> str:
        done = real(*arguments, **options)
        if arguments[0] in ("push", "fetch"):
            raise RegistryError("git failed", got="the remote end hung up unexpectedly")
        return done

    monkeypatch.setattr(module, "git", breaks)
    assign(previous())
    assert (in_production(), place.delivered()) == ("v1.0.0", "one")
    monkeypatch.setattr(module, "try_git", lambda *arguments: None if arguments[0] == "ls-remote" else gone(*arguments))
    with pytest.raises(RegistryError, match="it may have arrived: run fpplm models"):
        assign("v2.0.0")


def test_many_assignments_in_a_second_and_a_clock_set_back(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """GTO and DVC order by whole seconds, then by name, where #10 stands before #9."""
    promote("first", ["text.txt"])
    place.train("two")
    promote("second", ["text.txt"])
    start = time.time()
    monkeypatch.setattr(module.time, "time", lambda: start - 86_400)
    for turn in range(12):
        wanted = ("v1.0.0", "v2.0.0")[turn % 2]
        assign(wanted)
        assert in_production() == wanted
    assign("v1.0.0")
    assert place.delivered() == "one"


def test_the_same_model_is_registered_once(place: Place) -> None:
    promote("first", ["text.txt"])
    assert promote("again", ["text.txt"]) == "v1.0.0"
    assert list(versions()) == ["v1.0.0"]


def test_others_have_pushed(place: Place) -> None:
    promote("first", ["text.txt"])
    place("git", "clone", "-q", str(place.root / "bare.git"), "other", where=place.root)
    other = place.root / "other"
    (other / "new.txt").write_text("work of others")
    place("git", "add", "-A", where=other)
    place("git", "-c", "user.name=o", "-c", "user.email=o@x", "commit", "-qm", "theirs", where=other)
    place("git", "push", "-q", where=other)
    place.train("two")
    with pytest.raises(RegistryError, match="git push failed"):
        promote("second", ["text.txt"])
    assert in_production() == "v1.0.0", "nothing has moved here either"
    assert place.delivered() == "one"
    place("git", "pull", "-q", "--rebase")
    assert promote("second", ["text.txt"]) == "v2.0.0"
    assert place.delivered() == "two"


def test_a_version_that_is_none_to_gto_is_none(place: Place) -> None:
    """Tags by hand, such as v1 or vfoo, which Git takes."""
    for name in ("v1", "vfoo", "v1.0"):
        place("git", "tag", "-a", "-m", "by hand", f"tagger@{name}", "HEAD")
    assert promote("first", ["text.txt"]) == "v1.0.0"
    assert list(versions()) == ["v1.0.0"]


def test_a_worktree_delivers_what_it_promotes(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    promote("first", ["text.txt"])
    place("git", "worktree", "add", "-q", "-b", "side", str(place.root / "tree"))
    place.path = place.root / "tree"
    monkeypatch.chdir(place.path)
    place("dvc", "pull", "-q")
    place.train("two")
    assert promote("second", ["text.txt"]) == "v2.0.0"
    assert place.delivered() == "two"
    assert (bundle_of(previous()) / "model.txt").read_text() == "one"


def test_a_shallow_clone_promotes_and_reads_versions_before_its_first_commit(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote("first", ["text.txt"])
    place("git", "commit", "-q", "--allow-empty", "-m", "later")
    place("git", "push", "-q")
    place("git", "clone", "-q", "--depth", "1", f"file://{place.root}/bare.git", "clone", where=place.root)
    place.path = place.root / "clone"
    monkeypatch.chdir(place.path)
    place("git", "config", "user.name", "t")
    place("git", "config", "user.email", "t@localhost")
    place("dvc", "pull", "-q")
    place.train("two")
    assert promote("second", ["text.txt"]) == "v2.0.0"
    assert place.delivered() == "two"
    assert (bundle_of(previous()) / "model.txt").read_text() == "one"
    assign(previous())
    assert place.delivered() == "one"


def test_a_submodule_promotes_into_its_own_repository(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    outer = place.root / "outer"
    place("git", "init", "-q", "-b", "main", str(outer))
    add = (
        "git",
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "--quiet",
        "add",
        str(place.root / "bare.git"),
        "ner",
    )
    place(*add, where=outer)
    place.path = outer / "ner"
    monkeypatch.chdir(place.path)
    place("dvc", "pull", "-q", "--allow-missing")
    place.train("two")
    assert promote("first", ["text.txt"]) == "v1.0.0"
    assert place.delivered() == "two"
    assert not place("git", "tag", where=outer)


def test_a_detached_head_is_refused_before_a_commit(place: Place) -> None:
    place("git", "checkout", "-q", "--detach")
    head = place("git", "rev-parse", "HEAD")
    with pytest.raises(RegistryError, match=r"detached HEAD.*git switch"):
        promote("first", ["text.txt"])
    assert place("git", "rev-parse", "HEAD") == head and not place("git", "tag")


def test_code_that_is_not_committed_is_not_promoted(place: Place) -> None:
    (place.path / "dvc.yaml").write_text(yaml.safe_dump(PROJECT) + "# changed\n")
    with pytest.raises(RegistryError, match=r"uncommitted code.*dvc.yaml"):
        promote("first", [])
    assert in_production() is None


def test_a_remote_that_is_away(place: Place) -> None:
    promote("first", ["text.txt"])
    place.train("two")
    (place.root / "store").rename(place.root / "gone")
    (place.root / "store").write_text("a file where the store was")
    with pytest.raises(RegistryError, match=r"dvc push failed.*continues here"):
        promote("second", ["text.txt"])
    assert in_production() == "v1.0.0"
    (place.root / "store").unlink()
    (place.root / "gone").rename(place.root / "store")
    assert place.delivered() == "one"
    promote("second", ["text.txt"])
    assert place.delivered() == "two"


def test_tags_of_other_things_stay_as_they_are(place: Place) -> None:
    place("git", "tag", "release")
    place("git", "push", "-q", "origin", "release")
    promote("first", ["text.txt"])
    place("git", "tag", "-f", "release", "HEAD")
    mine = place("git", "rev-parse", "release")
    fetch()
    assert place("git", "rev-parse", "release") == mine


def test_a_stage_that_gto_has_assigned_to_a_commit_without_a_version(place: Place) -> None:
    promote("first", ["text.txt"])
    place.train("two")
    place("git", "commit", "-qam", "not registered")
    place("git", "tag", "-a", "-m", "by hand", "tagger#production#2", "HEAD")
    head = place("git", "rev-parse", "HEAD").strip()
    assert (bundle_of(head) / "model.txt").read_text() == "two"


def test_a_damaged_copy_is_fetched_anew(place: Place) -> None:
    promote("first", ["text.txt"])
    place.train("two")
    promote("second", ["text.txt"])
    assign("v1.0.0")
    copy = bundle_of("v2.0.0") / "model.txt"
    copy.write_text("damaged")
    assert (bundle_of("v2.0.0") / "model.txt").read_text() == "two", "fetched anew"


STEPS = """
import os, signal, sys
from fpplm.registry import git as calls, repository, versions as registry
count, real, push = 0, registry.git, registry.push_bytes
def step(call, *args, **options):
    global count
    if args and args[0] not in ("fetch", "add", "commit", "mktag", "push", "update-ref"):  # only reads
        return call(*args, **options)
    count += 1
    if count == int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)
    return call(*args, **options)
for module in (registry, repository, calls):
    module.git = lambda *args, **options: step(real, *args, **options)
registry.push_bytes = lambda: step(push)
registry.promote("second", ["text.txt"])
print(count)
"""


def test_killed_between_any_two_steps_production_is_the_old_or_the_new(place: Place) -> None:
    promote("first", ["text.txt"])
    place.train("two")
    outcomes = []
    for number in range(1, 100):
        command = [sys.executable, "-c", STEPS, str(number)]
        environment = os.environ | {"PYTHONPATH": place.python_path}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        outcomes.append(place.delivered())
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
    assert len(outcomes) > 7, "it was killed before each step that writes"
    assert outcomes == sorted(outcomes), "first always the old one, then always the new one"
    assert outcomes[-1] == "two" and in_production() == "v2.0.0"
    assert list(versions()) == ["v1.0.0", "v2.0.0"], "no half versions"
    assert not place("git", "status", "--porcelain").strip()


def test_without_remotes_it_works_in_the_folder_alone(place: Place) -> None:
    place("git", "remote", "remove", "origin")
    place("dvc", "remote", "remove", "store")
    place("git", "commit", "-qam", "no remotes")
    promote("first", ["text.txt"])
    place.train("two")
    promote("second", ["text.txt"])
    assert (bundle_of(previous()) / "model.txt").read_text() == "one"
    assert in_production() == "v2.0.0"


def damage(store: Path) -> None:
    (damaged,) = (file for file in store.rglob("*") if file.is_file() and file.read_bytes() == b"one")
    damaged.chmod(0o644)
    damaged.write_bytes(b"0ne")


def test_what_the_cache_has_damaged_comes_from_the_remote(place: Place) -> None:
    promote("first", ["text.txt"])
    place.train("two")
    promote("second", ["text.txt"])
    damage(place.path / ".dvc/cache")
    assign("v1.0.0")
    assert in_production() == "v1.0.0" and (bundle_of("v1.0.0") / "model.txt").read_text() == "one"


def test_a_bundle_that_dvc_has_damaged_is_refused(place: Place) -> None:
    """A file of the cache and of the remote with other bytes: the manifest tells."""
    promote("first", ["text.txt"])
    place.train("two")
    promote("second", ["text.txt"])
    for store in (place.path / ".dvc/cache", place.root / "store"):
        damage(store)
    with pytest.raises((BundleError, RegistryError)):
        assign("v1.0.0")
    assert in_production() == "v2.0.0"


@pytest.fixture
def bucket(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an S3 server with a bucket, which the project then has as its DVC remote."""
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    moto.start()
    address = "http://{}:{}".format(*moto.get_host_and_port())
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    boto3.client("s3", endpoint_url=address).create_bucket(Bucket="models")
    use_bucket(place, address)
    yield address
    moto.stop()


def use_bucket(place: Place, address: str) -> None:
    place("dvc", "remote", "add", "-q", "-f", "-d", "store", "s3://models/store")
    place("dvc", "remote", "modify", "-q", "store", "endpointurl", address)
    place("git", "commit", "-qam", "the remote")
    place("git", "push", "-q")


def test_an_s3_server_delivers_what_is_in_production(place: Place, bucket: str) -> None:
    promote("first", ["text.txt"])
    place.train("two")
    promote("second", ["text.txt"])
    assert place.delivered() == "two"
    assign(previous())
    assert place.delivered() == "one"


class Refusing(BaseHTTPRequestHandler):
    """A store that is there and answers every question with an error."""

    def refuse(self) -> None:
        self.send_response(503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_PUT = do_HEAD = do_POST = refuse  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


def test_an_s3_server_that_refuses_or_is_gone(place: Place, bucket: str) -> None:
    promote("first", ["text.txt"])
    place.train("two")
    refusing = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=refusing.serve_forever, daemon=True).start()
    use_bucket(place, f"http://127.0.0.1:{refusing.server_port}")
    with pytest.raises(RegistryError, match="dvc push failed"):
        promote("second", ["text.txt"])
    refusing.shutdown()
    refusing.server_close()
    with pytest.raises(RegistryError, match="dvc push failed"):
        promote("second", ["text.txt"])
    assert in_production() == "v1.0.0"
    use_bucket(place, bucket)
    assert place.delivered() == "one"
    promote("second", ["text.txt"])
    assert place.delivered() == "two"


def test_a_project_that_is_a_folder_of_a_larger_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(tmp_path, within="models/ner")
    monkeypatch.chdir(place.path)
    monkeypatch.setenv("PATH", f"{BIN}{os.pathsep}{os.environ['PATH']}")
    promote("first", ["text.txt"])
    assert place("git", "tag").split() == ["models/ner=tagger#production#1", "models/ner=tagger@v1.0.0"]
    place.train("two")
    promote("second", ["text.txt"])
    assert place.delivered() == "two"
    assign(previous())
    assert place.delivered() == "one"
