"""What a promotion needs of Git, in real repositories: said before any work, with what to do."""

from __future__ import annotations

import subprocess
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from fpplm.cli import tables
from fpplm.promotion import decision, history
from fpplm.registry import git as calls
from fpplm.registry import versions as registry
from fpplm.registry.git import git, identity, is_repository, read_committed, save
from fpplm.registry.lineage import Lineage
from fpplm.registry.repository import (
    artifact,
    artifact_of,
    check_new_project,
    fetch,
    require_promotable,
    require_registry,
    require_remote,
)
from fpplm.report.run import Verdict
from fpplm_core.errors import DataError, FpplmError, RegistryError, WorkspaceBusy

FOREIGN = {"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}


def run(*arguments: str, where: Path = Path()) -> str:
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@localhost", *arguments]
    done = subprocess.run(command, cwd=where, capture_output=True, text=True, check=False)
    return done.stdout.strip()


@pytest.fixture
def project(code: Path) -> Path:
    """A committed project on the branch main, which is the working directory."""
    for name in ("dvc.yaml", "dvc.lock", "params.yaml"):
        (code / name).write_text("a: 1\n")
    (code / "metrics").mkdir()
    (code / "metrics/train.json").write_text("{}")
    (code / ".gitignore").write_text("/.fpplm\n")
    run("init", "-q", "-b", "main")
    run("add", "-A")
    run("commit", "-qm", "start")
    return code


@pytest.fixture
def remote(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bare repository that is the project's origin, with its branch; the project has a DVC remote too."""
    bare = tmp_path_factory.mktemp("remote") / "origin.git"
    (project / ".dvc").mkdir()
    (project / ".dvc/config").write_text("[core]\nremote = store\n['remote \"store\"']\nurl = /nowhere\n")
    run("add", "-A")
    run("commit", "-qm", "the DVC remote")
    run("init", "-q", "--bare", "-b", "main", str(bare))
    run("remote", "add", "origin", str(bare))
    run("push", "-q", "origin", "main")
    return bare


def test_a_clean_project_is_ready_with_and_without_a_remote(project: Path, request: pytest.FixtureRequest) -> None:
    require_promotable()
    require_remote()
    request.getfixturevalue("remote")
    head = run("rev-parse", "HEAD")
    require_promotable()
    require_remote()
    assert run("rev-parse", "HEAD") == head and not run("tag") and not run("status", "--porcelain")


def conflict(command: str) -> None:
    """Leaves a merge, rebase or the like of two branches that do not fit in the middle."""
    for branch, text in (("other", "theirs"), ("main", "ours")):
        run("checkout", "-q", *(["-b"] if branch == "other" else []), branch)
        Path("text.txt").write_text(text)
        run("add", "text.txt")
        run("commit", "-qm", branch)
    run(command, "other")


def stash() -> None:
    for text, command in (("a", "commit"), ("b", "stash"), ("c", "commit")):
        Path("text.txt").write_text(text)
        run("add", "text.txt")
        run(command, "-qm", text) if command == "commit" else run("stash")
    run("stash", "pop")


STATES = {
    "detached": (
        lambda: run("checkout", "-q", "--detach"),
        r"no branch is checked out \(detached HEAD\); run: git switch",
    ),
    "merge": (lambda: conflict("merge"), "a merge is in progress; finish or abort it"),
    "cherry-pick": (lambda: conflict("cherry-pick"), "a cherry-pick is in progress"),
    "rebase": (lambda: conflict("rebase"), "a rebase is in progress"),
    "stash": (stash, r"unresolved merge conflicts, got text.txt; resolve them"),
    "code": (lambda: Path("tasks/read.py").write_text("x = 1\n"), "uncommitted code, got tasks/read.py"),
    "ignored": (
        lambda: (run("rm", "-q", "--cached", "dvc.lock"), Path(".gitignore").write_text("dvc.lock\n")),
        r"dvc.lock: Git ignores files of a version; edit .gitignore",
    ),
    "gone": (lambda: Path(".git").rename("git"), "no Git repository here; run: git init"),
    "moved away": (
        lambda: (Path(".git").rename("git"), Path(".git").write_text("gitdir: /nowhere/else")),
        "not a git repository: /nowhere/else",
    ),
}


@pytest.mark.parametrize(("change", "said"), STATES.values(), ids=STATES)
def test_what_git_would_refuse_later_is_said_now(project: Path, change, said: str) -> None:
    change()
    head = run("rev-parse", "HEAD")
    with pytest.raises(RegistryError, match=said):
        require_promotable()
    assert run("rev-parse", "HEAD") == head, "nothing was committed"


def test_a_repository_of_another_user(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in FOREIGN.items():
        monkeypatch.setenv(name, value)
    advice = "dubious ownership.*git config --global --add safe.directory"
    with pytest.raises(RegistryError, match=advice):
        is_repository()
    for refuse in (require_registry, require_promotable, lambda: decision.roll_back(None, ""), tables.models):
        with pytest.raises(RegistryError, match=advice):
            refuse()
    with pytest.raises(RegistryError, match=advice):
        check_new_project(project / "new")


def test_without_git_there_is_no_repository_and_no_promotion(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert not is_repository()
    with pytest.raises(RegistryError, match="no Git repository here"):
        require_promotable()


def test_gits_messages_are_read_in_any_language(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LANGUAGE", "de")
    assert not is_repository()


@pytest.mark.parametrize("left", ["", "['remote \"store\"']\nurl = /nowhere\n"], ids=["none", "no default"])
def test_without_a_dvc_remote_others_could_not_fetch_the_model(project: Path, remote: Path, left: str) -> None:
    (project / ".dvc/config").write_text(left)
    run("commit", "-qam", "another configuration")
    with pytest.raises(RegistryError, match=r"no default DVC remote.*run: dvc remote default NAME"):
        require_promotable()
    run("remote", "remove", "origin")
    require_promotable()


@pytest.mark.parametrize("name", [".dvc/config", "slices.yaml", "expectations.yaml"])
def test_configuration_that_is_not_committed_is_refused(project: Path, remote: Path, name: str) -> None:
    with (project / name).open("a") as file:
        file.write("# changed\n")
    with pytest.raises(RegistryError, match=f"uncommitted code, got {name}"):
        require_promotable()


def test_a_remote_that_is_gone_ahead_or_forbids(remote: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    run("clone", "-q", str(remote), str(other))
    run("commit", "-q", "--allow-empty", "-m", "theirs", where=other)
    run("push", "-q", where=other)
    with pytest.raises(RegistryError, match=r"origin: cannot push.*rejected.*others have pushed: git pull --rebase"):
        require_remote()
    remote.rename(remote.with_name("gone"))
    with pytest.raises(RegistryError, match=r"origin: cannot push.*does not appear to be a git repository"):
        require_remote()


def test_versions_that_the_remote_lacks_stay_although_git_prunes(remote: Path) -> None:
    for name in ("tagger@v1.0.0", "tagger#production#1"):
        run("tag", "-a", "-m", "before the remote", name)
    run("config", "fetch.prune", "true")
    run("config", "fetch.pruneTags", "true")
    fetch()
    assert list(registry.versions()) == ["v1.0.0"] and registry.in_production() == "v1.0.0"


def test_a_remote_that_never_answers(project: Path, remote: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("remote", "set-url", "origin", "ssh://example.org/tagger")
    monkeypatch.setenv("GIT_SSH_COMMAND", "sleep 3; true")
    monkeypatch.setattr(calls, "PATIENCE", 0.5)
    for reach in (require_remote, fetch):
        with pytest.raises(RegistryError, match=r"no answer in 0\.5 s; see"):
            reach()


def test_another_repository_in_the_environment_is_not_touched(
    project: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a hook of Git."""
    other = tmp_path_factory.mktemp("other")
    run("init", "-q", where=other)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git/index"))
    assert git("rev-parse", "--show-toplevel") == str(project)
    assert read_committed("HEAD", "params.yaml") == b"a: 1\n"
    git("clone", "--quiet", "--no-checkout", str(project), "clone")
    git("-C", "clone", "checkout", "--quiet", "--detach", "HEAD")
    assert Path("clone/params.yaml").exists() and [path.name for path in other.iterdir()] == [".git"]


def test_git_s_first_words_come_first_and_hints_not_at_all(project: Path, remote: Path) -> None:
    hook = remote / "hooks/pre-receive"
    hook.write_text("#!/bin/sh\necho closed on Fridays >&2\nfor i in $(seq 99); do echo line $i >&2; done\nexit 1\n")
    hook.chmod(0o755)
    run("commit", "-q", "--allow-empty", "-m", "new")
    with pytest.raises(RegistryError, match="got remote: closed on Fridays"):
        git("push", "origin", "main")
    hook.unlink()
    run("reset", "-q", "--hard", "HEAD~1")
    run("commit", "-q", "--allow-empty", "-m", "a")
    run("push", "-q", "origin", "main")
    run("reset", "-q", "--hard", "HEAD~1")
    run("commit", "-q", "--allow-empty", "-m", "b")
    with pytest.raises(RegistryError, match="rejected") as caught:
        git("push", "origin", "main")
    assert "hint:" not in str(caught.value)


NAMES = {
    "": True,
    "tagger": True,
    "models/ner-2.v_x": True,
    "tagger.": True,
    "x/-y": True,
    "a" * 200: True,
    "a" * 201: False,
    "mein tagger": False,
    "-x": False,
    "tagger#2": False,
    "müller": False,
    "a=b": False,
    "a@b": False,
    "a:b": False,
    "a~1": False,
    "a^": False,
    "a*": False,
    "a[b": False,
    "a\\b": False,
    "a..b": False,
    "x.lock/ner": False,
    ".hidden": False,
    "a/.b": False,
    "日本": False,
}


@pytest.mark.parametrize(("folder", "fits"), NAMES.items())
def test_a_folder_gives_a_tag_that_git_and_gto_read_or_is_refused(project: Path, folder: str, fits: bool) -> None:
    """What is taken, `gto show` lists and Git takes; the names are tried on both."""
    from gto.constants import tag_re

    if not fits:
        with pytest.raises(DataError, match=r"tags of Git and GTO cannot have this folder's name; rename it: .*ASCII"):
            artifact_of(folder)
        return
    tag = f"{artifact_of(folder)}@v1.0.0"
    run("tag", "-a", "-m", "x", tag)
    assert run("tag") == tag
    found = tag_re.match(tag)
    assert found and found["artifact"] == (f"{folder}=tagger" if folder else "tagger")


@pytest.mark.parametrize("folder", ["mein tagger", "-x", "tagger#2"])
def test_no_project_is_made_where_it_could_never_be_promoted(
    project: Path, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match="rename it"):
        check_new_project(project / folder)
    assert not (project / folder).exists()
    (project / folder).mkdir()
    monkeypatch.chdir(project / folder)
    for refuse in (artifact, require_registry, tables.models, lambda: decision.roll_back(None, "")):
        with pytest.raises(DataError, match="rename it"):
            refuse()


def test_where_a_project_can_be_made(project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    check_new_project(project / "models/ner")
    check_new_project(tmp_path_factory.mktemp("none") / "mein tagger#2")  # it becomes a repository of its own
    (project / ".gitignore").write_text("/build\n")
    with pytest.raises(DataError, match="Git ignores this folder"):
        check_new_project(project / "build/ner")
    conflict("merge")
    with pytest.raises(RegistryError, match="a merge is in progress"):
        check_new_project(project / "models/ner")


@pytest.mark.parametrize("known", [(), ("COMMITTER",), ("AUTHOR",), ("AUTHOR", "COMMITTER")])
def test_a_commit_has_an_author_and_a_committer_whatever_git_knows(
    project: Path, known: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"HOME": "/nowhere", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}.items():
        monkeypatch.setenv(name, value)
    run("config", "user.useConfigOnly", "true")
    for who in known:
        monkeypatch.setenv(f"GIT_{who}_NAME", "ci")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "ci@localhost")
    Path("params.yaml").write_text("a: 2\n")
    save(["params.yaml"], "Model")
    names = ["ci" if who in known else "fpplm" for who in ("AUTHOR", "COMMITTER")]
    assert run("log", "-1", "--format=%an %cn %s") == f"{' '.join(names)} Model"
    assert bool(identity()) == (len(known) < 2)


def test_an_error_names_the_subcommand_not_an_option(project: Path) -> None:
    with pytest.raises(RegistryError, match=r"^git commit failed"):
        git("commit", "--quiet", "-m", "nothing", options=["-c", "user.name=a"])


def test_a_refused_promotion_is_refused_in_the_ledger(project: Path) -> None:
    run("checkout", "-q", "--detach")
    with pytest.raises(RegistryError):
        decision.promote_by_hand(None, None, "")
    (found,) = history.runs()
    assert (found.state, found.promote) == ("refused", True) and "detached HEAD" in found.reasons[0]
    run("checkout", "-q", "main")
    with pytest.raises(FpplmError):  # there is no bundle
        decision.promote_by_hand(None, None, "")
    assert [one.state for one in history.runs()] == ["refused", "failed"]


@pytest.mark.parametrize(
    ("error", "state"),
    [(RegistryError("Git"), "refused"), (DataError("data"), "failed"), (WorkspaceBusy("busy"), "failed")],
)
def test_the_verdict_of_an_error(error: FpplmError, state: str) -> None:
    assert Verdict.of_error(error) == Verdict(state, [str(error)])
    assert Verdict.of_error(KeyboardInterrupt()) == Verdict("failed", ["ended prematurely"])


def test_what_changes_while_the_bytes_are_pushed_is_not_committed(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_of, head = Lineage(parameters={"a": "1"}), run("rev-parse", "HEAD")
    monkeypatch.setattr(registry, "push_bytes", lambda: Path("params.yaml").write_text("a: 2\n"))
    monkeypatch.setattr(decision, "load", lambda: dict([Path("params.yaml").read_text().strip().split(": ")]))
    monkeypatch.setattr(Lineage, "of", lambda parameters: Lineage(parameters=parameters))
    decision.require_unchanged(made_of)
    with pytest.raises(DataError, match="a: changed since the bundle was made"):
        registry.promote("first", [], partial(decision.require_unchanged, made_of))
    assert run("rev-parse", "HEAD") == head and not run("tag")


HOSTILE = "evil\n\ntagger x\n\x1b[31mred\x1b[0m \t\u202e #%s into production: v9 \udcff"


def test_a_lightweight_tag_is_no_version_and_keeps_its_name(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("v1.0.0", "v2.0.0"):
        run("commit", "-q", "--allow-empty", "-m", name)
        run("tag", "-a", f"tagger@{name}", "-m", name)
    run("tag", "-f", "tagger@v2.0.0", "HEAD~1")
    run("tag", "tagger#production#1", "HEAD")
    assert list(registry.versions()) == ["v1.0.0"] and registry.in_production() is None
    monkeypatch.setattr(registry, "push_bytes", lambda: None)
    run("commit", "-q", "--allow-empty", "-m", "new")
    assert registry.promote("third", []) == "v3.0.0"
    assert [point.name for point in history.trend([])] == ["v1.0.0", "v3.0.0"]
    assert registry.in_production() == "v3.0.0"


def test_a_version_without_metrics_is_another_model_and_listed(project: Path) -> None:
    for name, metrics in (("v1.0.0", "{}"), ("v2.0.0", None), ("v3.0.0", '{"model_sha256": "m"}')):
        Path("metrics/train.json").write_text(metrics) if metrics else Path("metrics/train.json").unlink()
        run("add", "-A")
        run("commit", "-q", "--allow-empty", "-m", name)
        for tag in (f"tagger@{name}", f"tagger#production#{name[1]}"):
            run("tag", "-a", "-m", name, tag)
    assert decision.taken_out(None) == "v3.0.0"
    Path("metrics/train.json").write_text('{"model_sha256": "new"}')
    assert decision.taken_out("v3.0.0") is None
    assert [line.split()[0] for line in tables.models().splitlines()] == ["version", "v3.0.0", "v2.0.0", "v1.0.0"]


def test_a_version_that_was_made_anew_is_another_model(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def copy_of(path: Path, version: str, commit: str, target: Path) -> Path:
        target.mkdir()
        (target / "commit").write_text(commit)
        return target

    monkeypatch.setattr(registry, "copy_of", copy_of)
    monkeypatch.setattr(registry, "open_bundle", lambda folder, allow_links: SimpleNamespace(path=folder))
    for _ in range(2):
        run("commit", "-q", "--allow-empty", "-m", "a model")
        run("tag", "-f", "-a", "tagger@v1.0.0", "-m", "v1.0.0")
        assert (registry.bundle_of("v1.0.0") / "commit").read_text() == run("rev-parse", "HEAD")


def test_a_hostile_reason_is_one_harmless_line(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the tag itself too, which Git and GTO show as it is."""
    for name in ("v1.0.0", "v2.0.0"):
        run("commit", "-q", "--allow-empty", "-m", name)
        run("tag", "-a", f"tagger@{name}", "-m", name)
    monkeypatch.setattr(registry, "bundle_of", lambda version: project)
    monkeypatch.setenv("GIT_COMMITTER_NAME", "a\tb")
    monkeypatch.setenv("GIT_COMMITTER_EMAIL", "t@localhost")
    registry.assign("v1.0.0", HOSTILE)
    registry.assign("v2.0.0", "  \n ")
    first, second = registry.assignments()
    said = r"evil tagger x \x1b[31mred\x1b[0m \u202e #%s into production: v9 \udcff"
    assert (first.who, first.before, first.version, first.why) == ("a\tb", None, "v1.0.0", said)
    assert (second.before, second.version, second.why) == ("v1.0.0", "v2.0.0", "")
    message = run("cat-file", "tag", "tagger#production#1").split("\n\n", 1)[1]
    assert message == f"v1.0.0 into production: {said}"
    assert tables.production().replace("\n", "").isprintable()
    with pytest.raises(DataError, match=r"it is in production, got v2\.0\.0"):
        decision.promote_by_hand(None, "v2", "")
    with pytest.raises(DataError, match=r"it is in production, got v2\.0\.0"):
        decision.roll_back("v2", "")
    assert len(registry.assignments()) == 2


def test_a_reason_that_no_table_can_show_is_refused_before_any_work() -> None:
    for act in (lambda why: decision.roll_back(None, why), lambda why: decision.promote_by_hand(None, "v1", why)):
        with pytest.raises(DataError, match="the reason is too long, got 10,000 characters"):
            act("x" * 10_000)
