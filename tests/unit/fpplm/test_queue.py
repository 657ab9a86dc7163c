"""What `fpplm queue` picks: uncertain texts that differ from each other and from annotated ones, as tasks of a tool."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from fpplm.cli.main import app
from fpplm.intake.incoming import take_in
from fpplm.queue.candidates import LONGEST, Candidate, Pool, rate, sentence_of
from fpplm.queue.selection import choose, gain
from fpplm.queue.tasks import Tool, write_tasks
from fpplm_core.data.formats import detect, get
from fpplm_core.data.options import Options
from fpplm_core.data.overlap import HeldOut, distinct
from fpplm_core.errors import FpplmError
from fpplm_core.serving.entities import SegmentedText
from fpplm_core.tagging.spans import Span
from fpplm_core.tagging.words import segment
from tests.hostile_bundles.tiny import write_tiny_bundle

TOOLS: tuple[Tool, ...] = get_args(Tool)
LABELS = ["O", "S-PER", "S-LOC"]
WORDS = ["mira", "holt", "saw", "the", "old", "harbour", "of", "quarl", "in", "june"]
HOSTILE = [
    'Otto\nLindau\r\n\tmet </script><b onclick="x(\'y\')">Mira</b> &amp; \\u0041 \\ "',
    "\u202eאנה גרה בתל אביב\u202c ועובדת ב-IBM",
    "👩‍👩‍👧 Zoë ﬁlmed 𝔐𝔦𝔯𝔞 in \u2028 São\u00a0Paulo \u200b!",
    "=cmd|'/c calc'!A1, @SUM(1) \x1b[31m -+ ;",
]


def text_of(text: str) -> SegmentedText:
    return SegmentedText(text, [(text[start:end], start, end) for start, end in segment(text)])


def candidate(text: str, uncertainty: float = 1.0, kind: str = "PER", spans: Sequence[Span] = ()) -> Candidate:
    """A text whose words share its uncertainty."""
    own = text_of(text)
    doubts = {("word", word): 0.0 for word, _, _ in own.words} | {("type", kind): uncertainty}
    for word, _, _ in own.words:
        doubts["word", word] += uncertainty / len(own.words)
    return Candidate(own, [(span, 0.75) for span in spans], 0.5, uncertainty, doubts)


def words_of(texts: Sequence[Candidate]) -> list[str]:
    return [one.text.text for one in texts]


texts = st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=9).map(" ".join), max_size=30)
candidates = texts.flatmap(
    lambda found: st.lists(
        st.tuples(st.sampled_from([0.0, 0.5, 1.0, 2.5]), st.sampled_from(["PER", "LOC"])),
        min_size=len(found),
        max_size=len(found),
    ).map(lambda rows: [candidate(text, *row) for text, row in zip(found, rows, strict=True)])
)


def test_the_rate_of_a_text_is_the_number_of_errors_to_expect() -> None:
    logits = np.log(np.array([[0.6, 0.3, 0.1], [0.2, 0.1, 0.7], [0.9, 0.02, 0.08], [0.5, 0.4, 0.1]], np.float32))
    rated = rate(text_of("Mira in Ulm Ulm"), [(Span(1, 2, "LOC"), 0.7)], logits, LABELS)
    assert rated.score == pytest.approx(0.5)  # of the last word, which may be a missed person
    assert rated.uncertainty == pytest.approx((0.4 + 0.3 + 0.1 + 0.5) / 2)
    per_key = {"mira": 0.4, "in": 0.3, "ulm": 0.6, "PER": 0.9, "LOC": 0.4}
    assert {name: doubt * 2 for (_, name), doubt in rated.doubts.items()} == pytest.approx(per_key)


def test_a_missed_mention_counts_as_much_as_a_doubtful_one() -> None:
    sure, missed = np.log(np.float32([[0.98, 0.01, 0.01]])), np.log(np.float32([[0.55, 0.44, 0.01]]))
    doubtful = rate(text_of("Ulm"), [(Span(0, 1, "PER"), 0.55)], -missed, LABELS)
    assert rate(text_of("Ulm"), [], missed, LABELS).uncertainty == pytest.approx(doubtful.uncertainty)
    assert rate(text_of("Ulm"), [], sure, LABELS).uncertainty == pytest.approx(0.02, abs=1e-6)


@given(candidates, st.integers(1, 40))
def test_the_choice_is_the_greedy_one(found: list[Candidate], number: int) -> None:
    covered: Counter[tuple[str, str]] = Counter()
    wanted, left = [], list(range(len(found)))
    while left and len(wanted) < number:
        best = max(left, key=lambda place: (gain(found[place].doubts, covered), -place))
        left.remove(best)
        wanted.append(best)
        covered.update(found[best].doubts)
    chosen = choose(found, number)
    assert [found.index(one) for one in chosen] == wanted  # candidates are equal to themselves alone
    assert len(chosen) == min(number, len(found))
    assert choose(found, number + 1)[:number] == chosen


def test_types_take_turns_where_all_else_is_equal() -> None:
    rows = [(kind, f"{kind}{number}") for kind, many in (("A", 50), ("B", 5), ("C", 9)) for number in range(many)]
    chosen = choose([candidate(word, 1.0, kind) for kind, word in rows], 12)
    assert Counter(name for one in chosen for kind, name in one.doubts if kind == "type") == dict.fromkeys("ABC", 4)


def test_a_text_whose_doubts_are_covered_waits() -> None:
    same = [candidate("quarl harbour", 2.0), candidate("quarl harbour", 1.9), candidate("otto lindau", 1.2)]
    assert words_of(choose(same, 2)) == ["quarl harbour", "otto lindau"]


@given(texts)
def test_no_two_distinct_sentences_overlap_and_what_is_left_out_overlaps(found: list[str]) -> None:
    sentences = [sentence_of(text_of(text)) for text in found]
    kept = distinct(sentences)
    assert kept == sorted(set(kept))
    for place, sentence in enumerate(sentences):
        before = [sentences[other] for other in kept if other < place]
        same = any(other.words == sentence.words for other in before)
        ((_, like),) = HeldOut([other for other in before if len(other.words) >= 5]).find([sentence])
        assert (place in kept) == (not same and (like is None or len(sentence.words) < 5))


@given(candidates, st.integers(1, 8), st.randoms(use_true_random=False))
def test_a_pool_is_bounded_and_keeps_the_most_uncertain(
    found: list[Candidate], size: int, order: random.Random
) -> None:
    order.shuffle(found)
    pool = Pool(size)
    for one in found:
        pool.add(one)
        assert len(pool._kept) < 2 * size
    best = pool.best()
    assert len(best) <= size
    assert len(distinct([sentence_of(one.text) for one in best])) == len(best)
    rates = [one.uncertainty for one in best]
    assert rates == sorted(rates, reverse=True)
    assert not found or rates[0] == max(one.uncertainty for one in found)


def test_a_flood_of_near_duplicates_does_not_crowd_out_other_texts() -> None:
    pool = Pool(20)
    for number in range(500):
        pool.add(candidate(f"order {number} of mira holt was sent to the old harbour", 5.0 + number))
        pool.add(candidate(f"{number} {number + 1} {number + 2} {number + 3} {number + 4}", number / 500))
    found = words_of(pool.best())
    assert len(found) == 20 and sum(text.startswith("order") for text in found) == 1


def accept(path: Path, tool: Tool) -> None:
    """What the tool exports once an annotator has accepted every task as it is."""
    if tool == "label-studio":
        tasks = json.loads(path.read_text(encoding="utf-8"))
        for number, task in enumerate(tasks):
            (prediction,) = task["predictions"]
            result = [{**region, "origin": "prediction"} for region in prediction["result"]]
            annotation = {"id": number, "result": result, "was_cancelled": False, "ground_truth": False}
            task |= {"id": number, "inner_id": number, "project": 1, "annotations": [annotation]}
        path.write_text(json.dumps(tasks), encoding="utf-8")
    elif tool != "jsonl":
        added: dict[str, Any] = {"answer": "accept", "_input_hash": 1, "_task_hash": 2, "_view_id": "ner_manual"}
        if tool == "doccano":
            added = {"id": 1, "Comments": []}
        rows = [json.loads(line) | added for line in path.read_text(encoding="utf-8").split("\n")[:-1]]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def read_back(path: Path) -> list[tuple[str, list[tuple[int, int, str]]]]:
    options = Options()
    return [(one.text, [m[:3] for m in one.mentions]) for one in get(detect(path)[0]).read(path, options)]


@pytest.mark.parametrize("tool", TOOLS)
def test_what_an_annotator_accepts_is_read_back(tmp_path: Path, tool: Tool) -> None:
    chosen = [
        candidate(text, spans=[Span(0, 1, "PER"), Span(2, 4, "creative-work"), Span(4, 5, 'a "b"')])
        for text in (*HOSTILE, "Mira met Otto in Ulm", "x" * 5000 + " y z a b")
    ]
    path = tmp_path / "tasks.json"
    write_tasks(chosen, path, tool, "v1")
    accept(path, tool)
    wanted = [
        (one.text.text, [(one.text.words[s.start][1], one.text.words[s.end - 1][2], s.type) for s, _ in one.spans])
        for one in chosen
    ]
    assert read_back(path) == wanted


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=30), max_size=4))
def test_any_text_survives_each_tool(tmp_path_factory: pytest.TempPathFactory, found: list[str]) -> None:
    chosen = [candidate(text, spans=[Span(0, 1, "X")]) for text in found if text_of(text).words]
    for tool in TOOLS if chosen else ():
        path = tmp_path_factory.mktemp("any") / "tasks.json"
        write_tasks(chosen, path, tool, "v1")
        accept(path, tool)
        assert [text for text, _ in read_back(path)] == words_of(chosen)


def test_tasks_are_as_the_tools_document_their_imports(tmp_path: Path) -> None:
    chosen = [candidate("Zoë 👩 met Otto", spans=[Span(0, 1, "PER"), Span(3, 4, "PER")]), candidate("none here")]
    files = {tool: tmp_path / tool for tool in TOOLS}
    for tool, path in files.items():
        write_tasks(chosen, path, tool, "v1")
    studio = json.loads(files["label-studio"].read_text(encoding="utf-8"))
    predictions = [task["predictions"][0] for task in studio]
    assert [(p["model_version"], p["score"]) for p in predictions] == [("v1", 0.5), ("v1", 0.5)]
    regions = [region for p in predictions for region in p["result"]]
    assert len({region["id"] for region in regions}) == len(regions) == 2
    assert regions[1] == {
        "id": "0-1",
        "from_name": "label",
        "to_name": "text",
        "type": "labels",
        "score": 0.75,
        "value": {"start": 11, "end": 15, "text": "Otto", "labels": ["PER"]},  # 👩 is two UTF-16 units
    }
    prodigy, doccano, lines = (
        [json.loads(line) for line in files[tool].read_text(encoding="utf-8").splitlines()]
        for tool in ("prodigy", "doccano", "jsonl")
    )
    assert all("answer" not in row for row in prodigy)  # which the annotator gives
    row = prodigy[0]
    assert row["spans"][1] == {
        "start": 10, "end": 14, "token_start": 3, "token_end": 3, "label": "PER", "score": 0.75
    }  # fmt: skip
    assert all(row["text"][t["start"] : t["end"]] == t["text"] for t in row["tokens"])
    assert row["meta"] == {"score": 0.5, "model": "v1"}
    assert doccano[0] == {
        "text": "Zoë 👩 met Otto", "label": [[0, 3, "PER"], [10, 14, "PER"]], "meta": {"score": 0.5, "model": "v1"}
    }  # fmt: skip
    assert lines[1] == {"text": "none here", "entities": [], "score": 0.5}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("queue") / "bundle")


def run(bundle: Path, *arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["queue", "--bundle", str(bundle), *map(str, arguments)])


def queue(bundle: Path, source: Path, *arguments: str | Path) -> list[str]:
    """The texts that are chosen."""
    out = source.with_name("out.jsonl")
    result = run(bundle, source, "--out", out, "--to", "jsonl", *arguments)
    assert result.exit_code == 0, result.output
    return [json.loads(line)["text"] for line in out.read_text(encoding="utf-8").split("\n")[:-1]]


SENTENCES = [
    "Mira Holt saw the old harbour of London in June",
    "A word of the city river",
    "B C D",
    "the word in Paris is not the word of the river",
]


def test_all_texts_are_chosen_once_where_there_are_fewer_than_asked_for(bundle: Path, tmp_path: Path) -> None:
    source = tmp_path / "in.txt"
    near = SENTENCES[0].replace("June", "July").upper()
    source.write_text("\n".join(["", *SENTENCES, " ", *SENTENCES, near, "\u200b", "x" * (LONGEST + 1)]))
    result = run(bundle, source, "--out", tmp_path / "out.json", "--to", "label-studio")
    assert "4 of 200 texts (no other is new) for label-studio" in result.output
    assert "texts of more than 10,000 characters are left out" in result.output
    assert sorted(queue(bundle, source)) == sorted([*SENTENCES[1:], max(SENTENCES[0], near)])
    assert queue(bundle, source, "--n", "2") == queue(bundle, source)[:2]


@pytest.mark.parametrize("content", ["", "\n \n", "\u200b\n"])
def test_no_text_is_no_task(bundle: Path, tmp_path: Path, content: str) -> None:
    (tmp_path / "in.txt").write_text(content)
    assert queue(bundle, tmp_path / "in.txt") == []
    result = run(bundle, tmp_path / "in.txt", "--out", tmp_path / "out.json", "--to", "label-studio")
    assert result.exit_code == 0 and json.loads((tmp_path / "out.json").read_text()) == []


def test_texts_like_annotated_ones_are_left_out(bundle: Path, tmp_path: Path) -> None:
    source, train = tmp_path / "in.txt", tmp_path / "train.conll"
    source.write_text("\n".join(SENTENCES))
    known = SENTENCES[0].replace("June", "July").split()
    train.write_text("".join(f"{word}\tO\n" for word in known) + "\n" + "B\tB-PER\nC\tO\nD\tO\n")
    assert sorted(queue(bundle, source, "--annotated", train)) == sorted([SENTENCES[1], SENTENCES[3]])


def test_in_a_project_the_corpus_is_annotated(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fpplm_core.data.corpus import SPLITS, write_corpus

    (tmp_path / "build/corpus").mkdir(parents=True)
    for split, text in zip(SPLITS, SENTENCES, strict=False):
        write_corpus(tmp_path / f"build/corpus/{split}.parquet", [sentence_of(text_of(text))])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.txt").write_text("\n".join(SENTENCES))
    assert queue(bundle, Path("in.txt")) == SENTENCES[3:]


def test_hostile_lines_are_texts_or_errors_with_their_place(bundle: Path, tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    rows = [json.dumps({"text": text}) for text in (*HOSTILE, "A" * 1_000_001)] + ["{", '{"text": "\\ud800"}']
    source.write_text("\n".join(rows))
    out = tmp_path / "out.json"
    result = run(bundle, source, "--out", out, "--to", "prodigy")
    assert isinstance(result.exception, FpplmError) and ":5: the text is too long" in str(result.exception)
    assert not out.exists()
    result = run(bundle, source, "--out", out, "--to", "prodigy", "--on-error", "skip")
    assert result.exit_code == 0 and "3 text(s) skipped" in result.output
    assert sorted(text for text, _ in read_back(out)) == sorted(HOSTILE)


def test_a_line_of_a_megabyte_does_no_harm(bundle: Path, tmp_path: Path) -> None:
    source = tmp_path / "in.txt"
    source.write_text(("A" * 9_999 + " ") * 100 + "\nB C D\n")
    assert queue(bundle, source) == ["B C D"]


def test_the_order_of_equal_texts_is_that_of_the_input(bundle: Path, tmp_path: Path) -> None:
    source = tmp_path / "in.txt"
    source.write_text("\n".join("ZYXW"))
    first = queue(bundle, source, "--n", "3")
    assert first == queue(bundle, source, "--n", "3")
    assert len(first) == 3


def test_the_output_is_no_input_and_no_folder(bundle: Path, tmp_path: Path) -> None:
    source = tmp_path / "in.txt"
    source.write_text("B C D")
    for out, message in ((source, "the output is an input"), (tmp_path, "no file can be written there")):
        result = run(bundle, source, "--out", out, "--to", "jsonl")
        assert message in str(result.exception)
    assert source.read_text() == "B C D"


def test_it_needs_no_package_that_a_service_lacks(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("B C D")
    missing = ("torch", "transformers", "pyarrow", "pandas", "ruamel", "prefect", "dvc", "scipy", "rensa")
    code = f"import sys; sys.modules |= dict.fromkeys({missing}); from fpplm.cli.entry import start; start()"
    arguments = ["queue", "in.txt", "--to", "doccano", "--out", "out", "--bundle", str(bundle)]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "out: 1 of 200 texts (no other is new) for doccano\n"), done.stderr


def test_what_comes_back_goes_into_train(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, params: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "incoming").mkdir()
    for split, word in (("train", "Ulm"), ("dev", "Bonn"), ("test", "Trier")):
        (tmp_path / f"data/{split}.conll").write_text(f"she\tO\nleft\tO\n{word}\tB-LOC\n\nAnn\tB-PER\nmet\tO\nher\tO\n")
    (tmp_path / "in.txt").write_text("\n".join(["He saw London and PARIS in June", "ANN met OTTO in Paris"]))
    for tool in TOOLS:
        out = tmp_path / "incoming" / f"{tool}.json"
        assert run(bundle, "in.txt", "--out", out, "--to", tool).exit_code == 0
        accept(out, tool)
    changed = params.data.model_copy(update={"path": "data", "incoming": "incoming"})
    taken = take_in(params.model_copy(update={"data": changed}))
    assert [(one.name, one.accepted, one.sentences) for one in taken] == [
        (f"{tool}.json", True, 2) for tool in sorted(TOOLS)
    ]
