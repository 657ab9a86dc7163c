"""Decides about a new bundle: compares it with the one in production, and promotes it if it passes the rules."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from fpplm.pipeline.changes import first_names
from fpplm.pipeline.paths import BUNDLE, COMPARISON, CORPUS, DATA_DIFF, METRICS
from fpplm.project.overrides import keep_overrides
from fpplm.promotion import history
from fpplm.promotion.comparison import compare
from fpplm.promotion.data_changes import kept_corpus, write_diff
from fpplm.promotion.floors import open_gate, weak, worst
from fpplm.promotion.overlap import measure_overlap
from fpplm.registry import versions
from fpplm.registry.git import is_repository
from fpplm.registry.lineage import Lineage
from fpplm.registry.repository import fetch, require_promotable, require_registry, require_remote
from fpplm.registry.versions import (
    assign,
    assignments,
    bundle_of,
    commit_of,
    in_production,
    manifest_of,
    metrics_at,
    previous,
    resolve,
)
from fpplm.report.run import Verdict
from fpplm.report.scores import both_f1
from fpplm_core.data.corpus import INFO, CorpusInfo
from fpplm_core.data.reading import LEFT_OUT
from fpplm_core.errors import DataError, RegistryError
from fpplm_core.evaluation.promotion import overlap_rules
from fpplm_core.files import read_json, read_record, write_record
from fpplm_core.params import Params, load
from fpplm_core.serving.bundle import open_bundle

PLACES = 3  # of sentences that were left out
LONGEST_REASON = 1000  # characters, since every listing of tags shows it


def decide(settings: Params, promote: bool) -> Verdict:
    """Decides about ./bundle. With `promote`, a bundle that passes the rules goes into production.

    The last reasons say what was left out of train.

    Raises:
        RegistryError: Git, DVC or a remote has refused; production is as it was.
        BundleError: a bundle is damaged.
    """
    verdict = judge(settings, promote)
    return replace(verdict, reasons=[*verdict.reasons, *left_out_of_train()])


def left_out_of_train() -> list[str]:
    """What read left out of train because dev or test have it, in one line, if anything."""
    if not (CORPUS / INFO).exists():  # a clone with a bundle alone
        return []
    change = read_record(CORPUS / INFO, CorpusInfo).changes.get(LEFT_OUT)
    return [f"{LEFT_OUT}: {change.count} ({', '.join(change.places[:PLACES])})"] if change else []


def judge(settings: Params, promote: bool) -> Verdict:
    """The verdict without what was left out. Raises as `decide` does."""
    bundle = open_bundle(BUNDLE, allow_links=True)
    digest = bundle.manifest["digest"]
    if not is_repository():
        return Verdict("hold", ["no Git repository here: nothing can be registered"], digest)
    if promote:
        fetch()
    incumbent = in_production()
    if earlier := earlier_decision(settings, digest, incumbent, promote):
        return Verdict("unchanged", [earlier], digest, incumbent)
    if left := taken_out(incumbent):
        reason = f"{left} was taken out of production; to put it back: fpplm promote {left}"
        return Verdict("hold", [reason], digest, incumbent)
    verdict = decide_on_bundle(settings, digest, incumbent, bundle.manifest["files"])
    if verdict.verdict == "promote" and promote:
        return replace(verdict, version=put_into_production(settings, verdict))
    return verdict


def earlier_decision(settings: Params, digest: str, incumbent: str | None, promote: bool) -> str | None:
    """The last decision about this same bundle against this incumbent, and its date, if it was by the same rules.

    A project whose flows are older than this package records no rules; they count as the same.
    """
    rules = settings.promotion.model_dump()
    for run in reversed(history.runs()):
        if run.model == digest and run.verdict in history.JUDGED and (run.version or run.against) == incumbent:
            is_same = run.promotion in (None, rules) and (run.promote or not promote)
            return f"already decided at {run.ended}: {run.state} ({run.reasons[0]})" if is_same else None
    return None


def taken_out(incumbent: str | None) -> str | None:
    """The version with this folder's model if it was in production earlier, but no longer is."""
    model = read_json(METRICS / "train.json")["model_sha256"]
    for name in {one.version for one in assignments()} - {incumbent}:
        with suppress(RegistryError, ValueError, KeyError):  # a commit without such metrics: GTO assigns any
            if metrics_at(commit_of(name), "train")["model_sha256"] == model:
                return name
    return None


def decide_on_bundle(settings: Params, digest: str, incumbent: str | None, files: dict[str, Any]) -> Verdict:
    """Whether ./bundle should replace the incumbent; reports/comparison.json says why, reports/data_diff.json what
    changed in the data. Raises as `decide` does.
    """
    if incumbent is None:
        COMPARISON.unlink(missing_ok=True)
        DATA_DIFF.unlink(missing_ok=True)
        return judge_first(settings, digest)
    if manifest_of(incumbent)["files"] == files:
        return Verdict("unchanged", [f"every file is the same as in {incumbent}"], digest, incumbent)
    with kept_corpus(incumbent) as corpus:
        comparison = compare(BUNDLE, bundle_of(incumbent), settings, measure_overlap(corpus))
        write_diff(corpus, incumbent, digest)
    comparison = replace(comparison, candidate=digest, incumbent=incumbent)
    write_record(COMPARISON, comparison)
    return Verdict(comparison.verdict, comparison.reasons, digest, incumbent)


def judge_first(settings: Params, digest: str) -> Verdict:
    """Whether the first model may go into production: the gate has floors, and train has little of test."""
    rules = overlap_rules(measure_overlap(None), 0.0, settings.promotion)
    against = [*open_gate(settings.gate), *(reason for rule, reason in rules if rule.outcome != "pass")]
    reasons = against or ["the first model, with none to compare it with"]
    return Verdict("hold" if against else "promote", [*reasons, *weak(), *worst()], digest)


def put_into_production(settings: Params, verdict: Verdict) -> str:
    """Registers ./bundle and puts it into production; returns its version.

    Raises:
        DataError: this folder's parameters or data differ from those of the bundle.
        InputsChanged: its stages were run with different states of them.
        RegistryError: Git, DVC or a remote has refused, or as `dvc_import.tracked` does.
    """
    from fpplm.intake import dvc_import  # imports DVC
    from fpplm.project.stages import require_one_state  # likewise

    require_one_state()
    manifest = open_bundle(BUNDLE, allow_links=True).manifest
    if manifest["model_sha256"] != read_json(METRICS / "train.json")["model_sha256"]:
        do = "the run after it produced no bundle; see the report"
        raise DataError("the bundle is older than metrics/", where=str(BUNDLE), do=do)
    message, data = f"{both_f1()}; {verdict.reasons[0]}", dvc_import.tracked(settings)
    version = versions.promote(message, data, partial(require_unchanged, Lineage.from_manifest(manifest)))
    keep_overrides()  # the version includes this run's values
    return version


def require_unchanged(made_of: Lineage) -> None:
    """Raises DataError if this folder's parameters or data, as they are now, are not those of a bundle."""
    changes = made_of.diff(Lineage.of(load()))
    if other := [change.name for change in changes if change.kind in ("parameters", "data", "start")]:
        do = "restore them (fpplm diff shows them), run fpplm retrain, then fpplm promote"
        raise DataError("changed since the bundle was made", where=first_names(other), do=do)


def promote_by_hand(settings: Params, version: str | None, why: str) -> str:
    """Puts a registered version, or ./bundle, into production whatever its verdict was; returns the version."""
    require_short(why)
    if version is not None:
        require_registry()
        fetch()
        return put_back(resolve(version), why)
    with history.Run.recorded(promote=True) as run:
        require_promotable()
        require_remote()
        fetch()
        digest = open_bundle(BUNDLE, allow_links=True).manifest["digest"]
        reason = f"promoted by hand: {why}" if why else "promoted by hand"
        verdict = Verdict("promote", [reason], digest, in_production())
        promoted = put_into_production(settings, verdict)
        run.end(replace(verdict, version=promoted))
    return promoted


def roll_back(to: str | None, why: str) -> tuple[str, str]:
    """Puts a version, or the previous one for None, into production; returns (new, replaced).

    Raises DataError if there is none, or if it is in production.
    """
    require_short(why)
    require_registry()
    fetch()
    before, version = in_production(), previous() if to is None else resolve(to)
    if before is None:
        raise RegistryError("nothing is in production", do="see: fpplm models")
    return put_back(version, why), before


def require_short(why: str) -> None:
    """Raises DataError for a reason that no line of a table can show."""
    if len(why) > LONGEST_REASON:
        do = f"say it in {LONGEST_REASON:,}, or link to the rest"
        raise DataError("the reason is too long", got=f"{len(why):,} characters", do=do)


def put_back(version: str, why: str) -> str:
    """Puts a registered version into production if it still gives its golden spans here; returns the version.

    Raises DataError if it is in production, RegistryError and BundleError.
    """
    from fpplm_core.serving import Predictor
    from fpplm_core.serving.golden import require_golden

    if version == in_production():
        raise DataError("it is in production", got=version, do="see: fpplm models")
    require_golden(Predictor.load(bundle_of(version), "cpu", allow_links=True))
    assign(version, why)
    return version
