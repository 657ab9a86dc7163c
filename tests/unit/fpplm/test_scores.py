"""The two F1 of a model, trained and served, in every place that shows them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from prefect.blocks.core import Block

from fpplm.cli import tables
from fpplm.promotion.notification import notify
from fpplm.report.run import RunSummary, Verdict, as_markdown
from fpplm.report.scores import both_f1
from fpplm_core.data.records import Sentence
from fpplm_core.escaping import markdown
from fpplm_core.export.card import card
from fpplm_core.export.parity import served_f1, try_label_lm
from fpplm_core.tagging.spans import Span

TRAINED = {"f1": 0.7398, "f1_low": 0.70, "f1_high": 0.78}
SERVED = {"graph": "int8", "f1": 0.7317, "f1_low": 0.69, "f1_high": 0.77}
BOTH = "test F1 served 0.7317 [0.6900, 0.7700] (int8), trained 0.7398 [0.7000, 0.7800]"


@pytest.fixture(autouse=True)
def metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "metrics"
    folder.mkdir()
    (folder / "evaluate.json").write_text(json.dumps({"test": TRAINED}))
    (folder / "verify.json").write_text(json.dumps({"variants": {}, "served": SERVED}))
    return folder


def test_both_are_named(metrics: Path) -> None:
    assert both_f1() == BOTH
    (metrics / "verify.json").write_text(json.dumps({"variants": {}}))
    assert both_f1() == "test F1 served –, trained 0.7398 [0.7000, 0.7800]", "an earlier version's metrics"


def test_the_artifact_has_both_if_a_model_was_judged() -> None:
    summary = RunSummary(verdict="hold", reasons=["so"], run="a", started="", ran={}, seconds={})
    assert f"- so\n- {markdown(BOTH)}\n" in as_markdown(summary, both_f1())
    assert "F1" not in as_markdown(summary, "")


def test_a_notification_has_both_if_a_model_was_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    sink = type("Sink", (), {"notify": lambda self, body, subject: told.append(body)})
    monkeypatch.setattr(Block, "load", lambda name: sink())
    notify(Verdict("hold", ["so"], "digest"), "slack/ops")
    notify(Verdict("failed", ["gate"]), "slack/ops")
    assert told == [f"so\n{BOTH}", "gate"]


def test_the_address_of_a_webhook_stays_secret(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    request = httpx.Request("POST", "https://hooks.example.org/secret")

    def refuse(body: str, subject: str) -> None:
        httpx.Response(404, request=request).raise_for_status()

    monkeypatch.setattr(Block, "load", lambda name: SimpleNamespace(notify=refuse))
    notify(Verdict("failed", ["gate"]), "slack/ops")
    said = "cannot be reached: HTTPStatusError 404; see: prefect block ls"
    assert capsys.readouterr().err == f"warning: slack/ops {said}\n"


def test_the_table_of_versions_has_a_column_for_each(metrics: Path) -> None:
    for command in (["init", "-q"], ["add", "-A"], ["-c", "user.name=t", "-c", "user.email=t@l", "commit", "-qm", "x"]):
        subprocess.run(["git", *command], check=True)
    assert tables.scores_at("HEAD") == ("0.7317 [0.6900, 0.7700] (int8)", "0.7398 [0.7000, 0.7800]")


def test_the_card_names_both() -> None:
    test = {
        **TRAINED,
        "precision": 0.7,
        "recall": 0.8,
        "types": {"PER": {**TRAINED, "precision": 1, "recall": 1, "support": 3}},
    }
    lineage = {"fpplm": "0", "scores": {"test": test}, "parameters": {"data": {"path": "d"}, "model": {"encoder": "e"}}}
    assert "of the trained model" in card(lineage, True) and "which serves" not in card(lineage, True)
    text = card(lineage | {"served": SERVED}, True)
    assert "The graph `int8`, which serves on a CPU, has micro F1 0.7317 [0.6900, 0.7700]." in text
    assert "single" not in text
    served = SERVED | {"f1_without_documents": 0.7012}
    assert "the micro F1 of this graph is 0.7012." in card(lineage | {"served": served}, True)


SENTENCES = [Sentence(("Ann", "ran"), ("B-PER", "O"), "f", (1, 2)), Sentence(("Bob",), ("B-PER",), "f", (4,))]


class Stub:
    """Finds the first mention, and both with the label language model."""

    variant, use_label_lm = "int8", False
    bundle = SimpleNamespace(config=SimpleNamespace(context=0))

    def tag(self, sentences: list[list[str]], documents: list[object]) -> list[list[tuple[Span, float]]]:
        found = [[(Span(0, 1, "PER"), 1.0)], [(Span(0, 1, "PER"), 1.0)] if self.use_label_lm else []]
        return found[: len(sentences)]


def test_the_served_f1_is_that_of_the_predictor_as_it_will_serve() -> None:
    stub = Stub()
    found = served_f1(stub, [SENTENCES])  # type: ignore[arg-type]
    assert (found.graph, found.f1) == ("int8", pytest.approx(2 / 3)) and found.f1_low < found.f1 < found.f1_high
    trial = try_label_lm(stub, [SENTENCES])  # type: ignore[arg-type]
    assert trial.used and stub.use_label_lm
    assert served_f1(stub, [SENTENCES]).f1 == 1.0, "with the label language model, if it is used"  # type: ignore[arg-type]
    stub.use_label_lm = True
    assert not try_label_lm(stub, [SENTENCES[:1]]).used and not stub.use_label_lm  # type: ignore[arg-type]
