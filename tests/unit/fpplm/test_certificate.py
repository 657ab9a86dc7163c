"""Certificates: every changed byte of bundle, commit, lock or statement is refused, and what differs is named."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.repo import Repo
from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1 import statement
from typer.testing import CliRunner

from fpplm.cli.main import app
from fpplm.promotion import history
from fpplm.proof.agreement import committed_data, disagreements
from fpplm.proof.certificate import as_bytes, verify_certificate, write_certificate
from fpplm.registry.locked import folder_hash
from fpplm.registry.versions import bundle_of
from fpplm.report.run import Verdict
from fpplm_core.errors import BundleError, DataError, FpplmError, RegistryError
from fpplm_core.export.bundle_writer import seal
from fpplm_core.files import file_sha256
from fpplm_core.params import Params
from fpplm_core.serving import open_bundle
from tests.conftest import ROOT
from tests.unit.fpplm.proof import CHANGES, FACTS, seal_again, write_bundle, write_key

CLAIMS = {"reproduction": {"result": "not run"}, "cost": {"cpuSeconds": {"train": 61.5}, "energy": "not measured"}}
VERSION, FILE = "v1.0.0", Path("v1.intoto.json")


def git(*arguments: str) -> str:
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@localhost", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def of_files() -> dict[str, Any]:
    """The facts of a manifest about files of this folder."""
    data = {name: file_sha256(Path(name)) for name in FACTS["data"]}
    return {"data": data, "lock_sha256": file_sha256(Path("requirements.lock"))}


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a registered version in DVC's cache, its certificate, the same signed, and keys."""
    folder = tmp_path_factory.mktemp("registered")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        git("init", "-q", "-b", "main")
        Path("params.yaml").write_text(yaml.safe_dump(FACTS["parameters"] | {"promotion": {"alpha": 0.05}}))
        Path("requirements.lock").write_bytes(b"numpy==1\r\n")
        for name in FACTS["data"]:
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_text(f"{name}\n", encoding="utf-8")
        bundle = open_bundle(write_bundle(Path("bundle"), **of_files()))
        with Repo.init() as repo:
            (tracked,) = repo.add("bundle")
        assert folder_hash(bundle) == tracked.outs[0].hash_info.value, "DVC itself has this hash"
        outs = [{"path": "bundle", "hash": "md5", "md5": folder_hash(bundle)}]
        Path("dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": {"verify": {"cmd": "x", "outs": outs}}}))
        Path("metrics").mkdir()
        rules = [{"name": "coverage", "value": 1.0}, {"name": "test F1", "value": 0.75}]
        Path("metrics/gate.json").write_text(json.dumps({"passed": True, "rules": rules}))
        git("add", "-A")
        git("commit", "-qm", "model")
        git("tag", "-a", f"tagger@{VERSION}", "-m", VERSION)
        private, _ = write_key(folder, "key")
        write_certificate(FILE, VERSION, CLAIMS, None)
        write_certificate(Path("signed.json"), VERSION, CLAIMS, private)
    return folder


@pytest.fixture
def own(registered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = Path(shutil.copytree(registered, tmp_path / "own", symlinks=True))
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def here(registered: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The repository itself, for tests that change nothing in it."""
    monkeypatch.chdir(registered)
    return registered


def verify(file: Path = FILE, bundle: Path | None = Path("bundle"), key: Path | None = None) -> dict[str, Any]:
    return dict(verify_certificate(file, bundle, key)[1])


def refusal(kind: type[FpplmError] = DataError, **options: Any) -> str:
    with pytest.raises(kind) as caught:
        verify(**options)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 3000
    return str(caught.value)


def test_it_is_verified_from_the_repository_and_the_bundle(here: Path) -> None:
    assert verify() == verify(bundle=None) == CLAIMS
    assert verify(file=Path("signed.json"), key=Path("key.pub")) == CLAIMS


def test_it_is_a_statement_of_in_toto_with_provenance_of_slsa(here: Path) -> None:
    values = json.loads(FILE.read_text())
    parsed = statement.Statement([], "", {})
    json_format.ParseDict(values, parsed.pb)
    parsed.validate()
    found = json_format.ParseDict(values["predicate"], provenance_pb2.Provenance())  # refuses unknown fields
    assert found.build_definition.build_type and found.run_details.builder.id == "pkg:pypi/fpplm@0.2.0"
    digests = {one["name"]: one["digest"] for one in values["predicate"]["buildDefinition"]["resolvedDependencies"][:3]}
    assert digests["commit"] == {"gitCommit": git("rev-parse", "HEAD")}
    for name in ("dvc.lock", "requirements.lock"):
        own = subprocess.run(["sha256sum", name], capture_output=True, text=True, check=True).stdout.split()[0]
        assert digests[name] == {"sha256": own}
    files = {str(path.relative_to("bundle")) for path in Path("bundle").rglob("*") if path.is_file()}
    assert {subject["name"] for subject in values["subject"]} == files


def test_the_same_version_has_the_same_certificate(here: Path, tmp_path: Path) -> None:
    write_certificate(tmp_path / "again", VERSION, CLAIMS, None)
    assert (tmp_path / "again").read_bytes() == FILE.read_bytes()


@pytest.mark.parametrize("with_seal", [False, True])
@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_bundle_is_refused(own: Path, change: str, with_seal: bool) -> None:
    CHANGES[change](own / "bundle")
    if with_seal:  # as an attacker would
        seal_again(own / "bundle")
        assert f"another bundle than that of {VERSION} in dvc.lock" in refusal(BundleError)
    else:
        refusal(BundleError)
    assert verify(bundle=None) == CLAIMS, "DVC has the right one"


def dependency(values: Any, name: str) -> Any:
    found = values["predicate"]["buildDefinition"]["resolvedDependencies"]
    return next(one for one in found if one.get("name") == name)


def replace_digest(name: str) -> Callable[[Any], object]:
    return lambda values: dependency(values, name).update(digest={"sha256": "f" * 64})


EDITS: dict[str, tuple[Callable[[Any], object], str]] = {
    "commit": (lambda v: dependency(v, "commit").update(digest={"gitCommit": "f" * 40}), "commit.digest.gitCommit"),
    "dvc.lock": (replace_digest("dvc.lock"), "dvc.lock.digest.sha256"),
    "requirements": (replace_digest("requirements.lock"), "requirements.lock.digest.sha256"),
    "data": (replace_digest("data/w/train.conll"), "data/w/train.conll.digest.sha256"),
    "encoder": (replace_digest("encoder"), "encoder.digest.sha256"),
    "parameter": (
        lambda v: v["predicate"]["buildDefinition"]["externalParameters"]["parameters"].update(lr=2e-3),
        "parameters.lr",
    ),
    "gate": (lambda v: v["predicate"]["runDetails"]["byproducts"][0]["annotations"].update(passed=False), "passed"),
    "another type": (lambda v: v["predicate"]["runDetails"]["byproducts"][0]["annotations"].update(passed=1), "passed"),
    "builder": (lambda v: v["predicate"]["runDetails"]["builder"].update(id="x"), "builder.id"),
    "a digest": (lambda v: v["subject"][0]["digest"].update(sha256="f" * 64), "subject.README.md.digest.sha256"),
    "a subject less": (lambda v: v["subject"].pop(0), "subject.README.md is missing"),
    "a subject more": (lambda v: v["subject"].append({"name": "x"}), "subject.x is added"),
    "a subject twice": (lambda v: v["subject"].append(v["subject"][0]), "is added"),
    "a subject renamed": (lambda v: v["subject"][0].update(name="R"), "subject.README.md is missing"),
    "a key more": (lambda v: v.update(colour="red"), "colour is added"),
    "predicate type": (lambda v: v.update(predicateType="x"), "predicateType"),
    "statement type": (lambda v: v.update(_type=None), "_type"),
    "version": (
        lambda v: v["predicate"]["buildDefinition"]["externalParameters"].update(version="v9"),
        "no such version",
    ),
    "short version": (
        lambda v: v["predicate"]["buildDefinition"]["externalParameters"].update(version="1"),
        "externalParameters.version",
    ),
    "no predicate": (lambda v: v.pop("predicate"), "not a certificate"),
    "a predicate of text": (lambda v: v.update(predicate="x"), "not a certificate"),
    "another order": (lambda v: v["subject"].reverse(), "not written as fpplm certify writes it"),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_statement_is_refused_with_what_differs(here: Path, tmp_path: Path, edit: str) -> None:
    values, (change, said) = json.loads(FILE.read_text()), EDITS[edit]
    change(values)
    (tmp_path / "edited").write_bytes(as_bytes(values))
    assert said in refusal(file=tmp_path / "edited")


def test_any_flipped_byte_is_refused(here: Path, tmp_path: Path) -> None:
    """But in the claims, for which only a signature vouches; there, nothing but the claims can change."""
    raw, chance, accepted = FILE.read_bytes(), random.Random(1), set()
    start, end = raw.index(b'"name": "reproduction"'), len(raw)
    for place in [*chance.sample(range(len(raw)), 100), *range(start, end, 9)]:
        flipped = bytearray(raw)
        flipped[place] ^= 1 << chance.randrange(7)
        (tmp_path / "flipped").write_bytes(flipped)
        try:
            assert verify(file=tmp_path / "flipped") != CLAIMS
            accepted.add(place)
        except FpplmError:
            continue
    assert all(place > start for place in accepted)


def test_what_is_no_certificate_is_refused_in_one_line(here: Path, tmp_path: Path) -> None:
    whole, file = FILE.read_text(), tmp_path / "file"
    twice = whole.replace('"_type"', '"_type": "x", "_type"', 1)
    cuts = [whole[: len(whole) * part // 20] for part in range(20)]
    for text in [*cuts, twice, whole + " ", whole.strip(), "[]", "null", "{}", "[" * 100_000, '{"payload": 1}']:
        file.write_text(text)
        refusal(file=file)
    file.write_text(twice)
    assert "a key is given twice" in refusal(file=file)
    file.unlink()
    refusal(FpplmError, file=file)


def test_another_commit_or_lock_is_refused(own: Path) -> None:
    """The tag of the version was moved, by whoever may push."""
    git("commit", "-qm", "other", "--allow-empty")
    git("tag", "-af", f"tagger@{VERSION}", "-m", VERSION)
    said = refusal()
    assert "commit.digest.gitCommit" in said and ".lock.digest" not in said
    lock = yaml.safe_load(Path("dvc.lock").read_text())
    lock["stages"]["verify"]["outs"][0]["md5"] = "0" * 32 + ".dir"
    Path("dvc.lock").write_text(yaml.safe_dump(lock))
    git("commit", "-qam", "another bundle")
    git("tag", "-af", f"tagger@{VERSION}", "-m", VERSION)
    assert "another bundle than that of v1.0.0 in dvc.lock" in refusal(BundleError)


FALSE_FACTS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "parameter": (lambda m: m["parameters"].update(lr=9.0), "lr is 0.001 there, 9.0 in the manifest"),
    "another parameter": (lambda m: m["parameters"]["model"].update(head="crf"), "model.head is – there, crf"),
    "data": (lambda m: m["data"].update({"data/w/train.conll": "f" * 64}), "data/w/train.conll is "),
    "less data": (lambda m: m["data"].pop("data/w/train.conll"), "there, – in the manifest"),
    "lock": (lambda m: m.update(lock_sha256="f" * 64), "lock_sha256 is "),
    "no lock": (lambda m: m.update(lock_sha256=None), "lock_sha256 is "),
    "score": (lambda m: m["scores"]["test"].update(f1=0.99), "test F1 is 0.75 there, 0.99 in the manifest"),
}


@pytest.mark.parametrize("fact", FALSE_FACTS)
def test_a_manifest_that_disagrees_with_its_commit_is_refused(own: Path, fact: str) -> None:
    """Bundle, dvc.lock and certificate agree with each other, as whoever may push can make them."""
    change, said = FALSE_FACTS[fact]
    lock, before = Path("dvc.lock").read_text(), folder_hash(open_bundle("bundle"))
    change(facts := copy.deepcopy(FACTS | of_files()))
    seal(Path("bundle"), facts)
    Path("dvc.lock").write_text(lock.replace(before, folder_hash(open_bundle("bundle"))))
    git("commit", "-qam", "false")
    git("tag", "-af", f"tagger@{VERSION}", "-m", VERSION)
    assert said in (found := refusal(BundleError)) and "its manifest disagrees with the commit of v1.0.0" in found


CONTENT = "London\tB-LOC\n"
CONVERSIONS = {  # attributes, configuration, and how a checkout has CONTENT
    "no": ("", (), CONTENT.encode()),
    "normalised": ("* text=auto eol=lf", (), CONTENT.encode()),
    "attribute": ("*.conll text eol=crlf", (), CONTENT.replace("\n", "\r\n").encode()),
    "setting": ("", ("core.autocrlf", "true"), CONTENT.replace("\n", "\r\n").encode()),
    "encoding": ("*.conll working-tree-encoding=UTF-16", (), CONTENT.encode("utf-16")),
    "filter": ("*.conll filter=x", ("filter.x.smudge", "tr a-z A-Z"), CONTENT.upper().encode()),
}


@pytest.mark.parametrize("conversion", CONVERSIONS)
def test_files_are_compared_as_git_may_check_them_out(own: Path, conversion: str) -> None:
    """Whether the attributes are those of the commit or not: they hide no other content."""
    attributes, setting, checked_out = CONVERSIONS[conversion]
    Path("data/w/train.conll").write_text(CONTENT)
    git("commit", "-qam", "data")
    Path(".gitattributes").write_text(f"{attributes}\n")
    if setting:
        git("config", *setting)
    manifest = json.loads(json.dumps(FACTS | of_files()))
    for committed in (False, True):
        for content in (checked_out, CONTENT.encode(), CONTENT.replace("\n", "\r\n").encode()):
            manifest["data"]["data/w/train.conll"] = hashlib.sha256(content).hexdigest()
            assert list(disagreements(manifest, "HEAD")) == []
        for content in (checked_out + b"x", b"London\tO\n", b""):
            manifest["data"]["data/w/train.conll"] = hashlib.sha256(content).hexdigest()
            assert [line.partition(" ")[0] for line in disagreements(manifest, "HEAD")] == ["data/w/train.conll"]
        if not committed:
            git("add", ".gitattributes")
            git("commit", "-qm", "attributes")


def test_the_lock_may_have_other_line_ends_too(own: Path) -> None:
    Path("requirements.lock").write_bytes(b"numpy==1\n")
    git("commit", "-qam", "line ends")
    manifest = json.loads(json.dumps(FACTS | of_files()))
    manifest["lock_sha256"] = hashlib.sha256(b"numpy==1\r\n").hexdigest()
    assert list(disagreements(manifest, "HEAD")) == []
    manifest["lock_sha256"] = hashlib.sha256(b"numpy==2\r\n").hexdigest()
    assert [line.partition(" ")[0] for line in disagreements(manifest, "HEAD")] == ["lock_sha256"]


def test_a_pointer_of_git_lfs_names_the_digest(own: Path) -> None:
    text = "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 14\n"
    Path("data/w/train.conll").write_text(text.format(hashlib.sha256(CONTENT.encode()).hexdigest()))
    Path(".gitattributes").write_text("*.conll filter=lfs -text\n")
    git("add", "-A")
    git("commit", "-qm", "data")
    git("config", "filter.lfs.smudge", "curl …")
    git("config", "filter.lfs.required", "true")
    manifest = json.loads(json.dumps(FACTS | of_files()))
    assert list(disagreements(manifest, "HEAD")) == [], "the model was trained on the pointer"
    manifest["data"]["data/w/train.conll"] = hashlib.sha256(CONTENT.encode()).hexdigest()
    assert list(disagreements(manifest, "HEAD")) == []
    manifest["data"]["data/w/train.conll"] = hashlib.sha256(b"other").hexdigest()
    assert [line.partition(" ")[0] for line in disagreements(manifest, "HEAD")] == ["data/w/train.conll"]


def test_a_filter_that_fails_hides_no_other_content(own: Path) -> None:
    Path(".gitattributes").write_text("*.conll filter=x\n")
    git("config", "filter.x.smudge", "false")
    git("config", "filter.x.required", "true")
    manifest = json.loads(json.dumps(FACTS | of_files()))
    assert list(disagreements(manifest, "HEAD")) == []
    manifest["data"]["data/w/train.conll"] = "f" * 64
    assert [line.partition(" ")[0] for line in disagreements(manifest, "HEAD")] == ["data/w/train.conll"]


def test_parameters_are_compared_by_their_values(own: Path) -> None:
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    parameters = Params.parse(yaml.safe_load(text), "params.yaml").model_dump(mode="json", exclude={"promotion"})
    Path("params.yaml").write_text(
        text.replace("  batch_pieces: 256 ", '  batch_pieces: "256" ').replace("data/wikigold", "data/w")
    )
    git("commit", "-qam", "a number in quotes")
    parameters["data"]["path"] = "data/w"
    manifest = json.loads(json.dumps(FACTS | of_files() | {"parameters": parameters}))
    assert list(disagreements(manifest, "HEAD")) == []
    manifest["parameters"]["train"]["batch_pieces"] = 512
    assert list(disagreements(manifest, "HEAD")) == ["train.batch_pieces is 256 there, 512 in the manifest"]


@pytest.mark.parametrize("raw", [b"d\xe9v.conll", b"a\rb\r\nc.conll"])
def test_names_of_files_may_be_any_bytes(own: Path, raw: bytes) -> None:
    name = os.fsdecode(b"data/w/" + raw)
    Path(name).write_text("x")
    git("add", "-A")
    git("commit", "-qm", "an unusual name")
    assert name in committed_data("HEAD", {"path": "data/w"}, {})


def test_a_repository_without_the_version_says_so(own: Path) -> None:
    git("tag", "-d", f"tagger@{VERSION}")
    assert "no such version" in refusal()
    git("tag", "-a", f"tagger@{VERSION}", "-m", VERSION)
    git("rm", "-q", "metrics/gate.json")
    git("commit", "-qm", "no gate")
    git("tag", "-af", f"tagger@{VERSION}", "-m", VERSION)
    said = refusal(RegistryError)
    assert "metrics/gate.json: not in the repository" in said and "does not exist in" in said


def test_a_version_of_an_earlier_fpplm_has_too_few_facts(own: Path) -> None:
    lock = Path("dvc.lock").read_text()
    before = folder_hash(open_bundle("bundle"))
    seal(Path("bundle"), {name: value for name, value in FACTS.items() if name != "packages"})
    Path("dvc.lock").write_text(lock.replace(before, folder_hash(open_bundle("bundle"))))
    git("commit", "-qam", "old")
    git("tag", "-af", f"tagger@{VERSION}", "-m", VERSION)
    assert "too few facts for a certificate, got no packages" in refusal(BundleError)


@pytest.fixture
def envelope(here: Path) -> Any:
    return json.loads(Path("signed.json").read_text())


FORGERIES: dict[str, Callable[[Any], object]] = {
    "claims": lambda v: v.update(payload=payload_with(v["payload"])),
    "no signature": lambda v: v.update(signatures=[]),
    "a signature of nothing": lambda v: v["signatures"][0].update(sig=""),
    "another key's name": lambda v: v["signatures"][0].update(keyid="0" * 64),
    "twice": lambda v: v["signatures"].append(copy.deepcopy(v["signatures"][0])),
    "payload type": lambda v: v.update(payloadType="text/plain"),
    "a key more": lambda v: v.update(colour="red"),
    "a payload of no base64": lambda v: v.update(payload="é"),
    "signatures of text": lambda v: v.update(signatures="x"),
}


def payload_with(payload: str) -> str:
    import base64

    return base64.b64encode(base64.b64decode(payload).replace(b"not run", b"identic")).decode()


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_envelope_is_refused(envelope: Any, tmp_path: Path, forgery: str) -> None:
    FORGERIES[forgery](envelope)
    (tmp_path / "forged").write_bytes(as_bytes(envelope))
    assert "not signed by key.pub" in refusal(file=tmp_path / "forged", key=Path("key.pub"))


def test_a_signature_counts_only_with_its_key(here: Path, tmp_path: Path) -> None:
    private, public = write_key(tmp_path, "other")
    assert "not signed by" in refusal(file=Path("signed.json"), key=public)
    assert "it is signed" in refusal(file=Path("signed.json"))
    assert "it is not signed" in refusal(key=Path("key.pub"))
    write_certificate(tmp_path / "theirs", VERSION, CLAIMS, private)
    assert "not signed by" in refusal(file=tmp_path / "theirs", key=Path("key.pub"))
    with pytest.raises(FpplmError, match="not a public key"):
        verify(file=Path("signed.json"), key=Path("key.pem"))


def test_what_is_signed_is_compared_all_the_same(here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signed certificate of what the repository does not say: the signer erred, or the repository was changed."""
    from fpplm.proof.envelope import seal_envelope

    values = json.loads(FILE.read_text())
    dependency(values, "dvc.lock")["digest"]["sha256"] = "f" * 64
    (tmp_path / "file").write_bytes(as_bytes(seal_envelope(as_bytes(values), Path("key.pem"))))
    assert "dvc.lock.digest.sha256" in refusal(file=tmp_path / "file", key=Path("key.pub"))


def test_the_claims_of_an_unsigned_certificate_are_nobodys(own: Path) -> None:
    """docs/security.md says so, and the command says it each time."""
    FILE.write_text(FILE.read_text().replace("not run", "identical: \\u001b[31m"))
    Path("dvc.yaml").write_text("{}")
    done = CliRunner().invoke(app, ["verify-certificate", str(FILE), "--bundle", "bundle"], catch_exceptions=False)
    assert done.exit_code == 0 and "it is not signed, so nobody vouches for" in done.output
    assert "\x1b" not in done.output
    signed = ["verify-certificate", "signed.json", "--public-key", "key.pub"]
    assert "the holder of key.pub vouches for" in CliRunner().invoke(app, signed, catch_exceptions=False).output


def test_the_cost_of_a_version_is_what_this_folder_measured(own: Path) -> None:
    """Stages count as they last ran before the first decision on the model."""
    Path("dvc.yaml").write_text("{}")
    digest = open_bundle(bundle_of(VERSION)).manifest["digest"]
    assert "not measured" in certified()["cost"]["cpuSeconds"]
    for cpu, ran, verdict in (
        ({"train": 50.0, "read": 2.0}, {"train": True, "read": True}, Verdict("failed", [])),
        ({"train": 61.5, "read": 0.1}, {"train": True, "read": False}, Verdict("promote", [], digest)),
        ({"train": 99.0}, {"train": True}, Verdict("hold", [], "another")),
        ({"train": 0.2}, {"train": False}, Verdict("unchanged", [], digest)),
    ):
        run = history.Run.begin()
        run.cpu_seconds, run.ran = cpu, ran
        run.end(verdict)
    assert certified()["cost"] == {
        "cpuSeconds": {"train": 61.5, "read": 2.0},
        "cpuSecondsPerMillionWords": "not measured",
        "energy": "not measured",
    }
    Path("reports/timings").mkdir(parents=True)
    row = {"device": "cpu", "variant": "int8", "words_per_s": 1.0, "latency_ms": 1.0, "latency_p95_ms": 1.0}
    timings = {"machine": "m", "runs": [row | {"cpu_s_per_million_words": 54.49}]}
    Path("reports/timings/verify.json").write_text(json.dumps(timings))
    assert certified()["cost"]["cpuSecondsPerMillionWords"] == {"int8 on cpu": 54.5}
    Path("reports/timings/verify.json").write_text(json.dumps({"machine": "m", "runs": [row]}))  # an older fpplm's
    assert certified()["cost"]["cpuSecondsPerMillionWords"] == "not measured"


def certified() -> Any:
    done = CliRunner().invoke(app, ["certify", "v1", "--out", "c.json"], catch_exceptions=False)
    assert done.exit_code == 0 and "it is not signed" in done.output
    return verify(file=Path("c.json"))


def test_a_stage_that_works_costs_cpu_seconds_and_one_that_waits_none() -> None:
    run = history.Run("r", 0.0)
    codes = {"works": "while time.process_time() < 1: pass", "waits": "time.sleep(1)"}
    for name, code in codes.items():
        with run.timing(name):
            subprocess.run([sys.executable, "-S", "-c", f"import time\n{code}"], check=True)
    assert run.cpu_seconds["works"] > 2 * run.cpu_seconds["waits"]
