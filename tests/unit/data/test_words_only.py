"""Files that are read for their words alone: no annotation is needed, none is an error, and no text is left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fpplm_core.data.formats import detect, get, hugging_face
from fpplm_core.data.options import Options
from fpplm_core.data.records import AnnotatedText
from fpplm_core.errors import DataError
from tests.unit.data.test_conllu import rows

MIRA, OTTO = "Mira sings", "Otto sleeps"
REGION = {"start": 0, "end": 4, "labels": ["PER"]}
TWELVE = "x 0 {} {} - - - - - - {} -\n"


def found(path: Path, kind: str, **options: Any) -> list[str]:
    """The texts, and the words of sentences joined by blanks; with annotations the file cannot be read like this."""
    records = list(get(kind).read(path, Options(words_only=True, **options)))
    return [record.text if isinstance(record, AnnotatedText) else " ".join(record.words) for record in records]


def task(text: str = MIRA, *annotations: Any, **keys: Any) -> dict[str, Any]:
    return {"data": {"text": text}, "annotations": list(annotations), **keys}


def result(value: Any, **keys: Any) -> dict[str, Any]:
    return {"result": [{"type": "labels", "to_name": "text", "value": value, **keys}]}


TABLES = {
    "no tags": "sentence,word\n1,Mira\n1,sings\n2,Otto\n2,sleeps\n",
    "no tags and no sentences": "word\nMira\nsings\n\nOtto\nsleeps\n",
    "empty tags": "sentence,word,tag\n1,Mira,\n1,sings,O\n2,Otto,B-PER\n2,sleeps,\n",
    "several tags": "sentence,word,tag,ner\n1,Mira,O,O\n1,sings,O,O\n2,Otto,O,O\n2,sleeps,,\n",
    "a tag over two lines": 'sentence,word,tag\n1,Mira,"O\n,O"\n1,sings,O\n2,Otto,O\n2,sleeps,O\n',
}
COLUMNS = {
    ("conllu", "several columns"): rows(("Mira", "_"), ("sings", "_"), columns=12),
    ("conllu", "brackets"): rows(("Mira", "Entity=(1-person-1)"), ("sings", "_")),
    ("conllu", "several attributes"): rows(("Mira", "NER=B-X|NE=B-X"), ("sings", "ner=O")),
    ("conllu", "a tag without a name"): rows(("Mira", "B-PER"), ("sings", "O")),
    ("conllu", "no tags"): rows(("Mira", "_"), ("sings", "_")),
    ("iob2", "no tags"): "1\tMira\n2\tsings\n",
    ("iob2", "several columns of tags"): "1\tMira\tB-PER\tB-LOC\t-\n2\tsings\tO\tO\t-\n",
    ("conll2012", "nested"): TWELVE.format(0, "Mira", "(PER(LOC*))") + TWELVE.format(1, "sings", "*"),
    ("conll2012", "not closed"): TWELVE.format(0, "Mira", "(PER*") + TWELVE.format(1, "sings", "*"),
    ("conll2012", "no brackets"): TWELVE.format(0, "Mira", "-") + TWELVE.format(1, "sings", "-"),
    ("conll", "no tags"): "Mira\nsings\n",
    ("conll", "tags that are numbers"): "Mira\t3\nsings\t0\n",
}
ITEMS = {
    ("jsonl", "no tags"): {"tokens": ["Mira", "sings"]},
    ("jsonl", "no tag of a word"): {"tokens": ["Mira", "sings"], "tags": ["O"]},
    ("jsonl", "tags without names"): {"tokens": ["Mira", "sings"], "ner_tags": [1, 0]},
    ("jsonl", "several tags"): {"tokens": ["Mira", "sings"], "ner_tags": ["O", "O"], "labels": ["O", "O"]},
    ("spacy_json", "no tags"): {
        "paragraphs": [{"sentences": [{"tokens": [{"orth": "Mira"}, {"orth": "sings", "ner": "-"}]}]}]
    },
    ("spacy_json", "other entities"): {
        "paragraphs": [
            {
                "sentences": [{"tokens": [{"orth": "Mira", "ner": "O"}, {"orth": "sings", "ner": 7}]}],
                "entities": [[0, 4, "PER"]],
            }
        ]
    },
    ("jsonl_spans", "no entities"): {"text": MIRA},
    ("jsonl_spans", "null"): {"text": MIRA, "entities": None},
    ("jsonl_spans", "another text"): {
        "text": MIRA,
        "entities": [{"start": 0, "end": 4, "label": "PER", "text": "Otto"}],
    },
    ("jsonl_spans", "no label"): {"text": MIRA, "entities": [{"start": 0, "end": 4, "entity_group": "PER"}]},
    ("cluener", "no labels"): {"text": MIRA},
    ("cluener", "another text"): {"text": MIRA, "label": {"PER": {"Otto": [[0, 3]]}}},
    ("doccano", "no labels"): {"text": MIRA},
    ("doccano", "several lists"): {"text": MIRA, "label": [], "entities": []},
    ("doccano", "labels of texts"): {"data": MIRA, "label": ["song"]},
    ("doccano", "no label"): {"text": MIRA, "label": [[0, 4]]},
    ("spacy_entities", "no entities"): [MIRA, {}],
    ("spacy_entities", "no label"): [MIRA, {"entities": [[0, 4]]}],
    ("prodigy", "no spans"): {"text": MIRA},
    ("prodigy", "rejected"): {"text": MIRA, "spans": [], "answer": "reject"},
    ("prodigy", "ignored"): {"text": MIRA, "spans": [], "answer": "ignore"},
    ("prodigy", "another answer"): {"text": MIRA, "spans": [], "answer": 7},
    ("prodigy", "no label"): {"text": MIRA, "spans": [{"start": 0, "end": 4}]},
    ("label_studio", "no annotation"): task(),
    ("label_studio", "no key of annotations"): {"data": {"text": MIRA}},
    ("label_studio", "cancelled"): task(MIRA, {"result": [], "was_cancelled": True}),
    ("label_studio", "skipped"): {"data": {"text": MIRA}, "completions": [{"result": [], "skipped": True}]},
    ("label_studio", "predicted"): {"data": {"text": MIRA}, "predictions": [result(REGION)]},
    ("label_studio", "outside the text"): task(MIRA, result({**REGION, "end": 40})),
    ("label_studio", "another text"): task(MIRA, result({**REGION, "text": "Otto"})),
    ("label_studio", "several labels"): task(MIRA, result({**REGION, "labels": ["PER", "LOC"]})),
    ("label_studio", "no result"): task(MIRA, {"result": None}),
    ("label_studio", "no object"): task(MIRA, "Mira"),
    ("label_studio", "an image"): task(MIRA, result({"x": 1}, type="rectanglelabels")),
    ("label_studio", "two controls"): task(
        MIRA, {"result": [{"type": "labels", "from_name": name, "value": REGION} for name in "ab"]}
    ),
    ("label_studio", "two texts"): task(
        MIRA, {"result": [{"type": "labels", "to_name": name, "value": REGION} for name in "ab"]}
    ),
    ("label_studio", "an item"): {"id": 1, "text": MIRA},
    ("label_studio", "an item with several labels"): {"id": 1, "text": MIRA, "label": [{**REGION, "labels": []}]},
    ("label_studio", "an item with two controls"): {"id": 1, "text": MIRA, "a": [REGION], "b": [REGION]},
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_needs_no_tags(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(TABLES[name])
    assert detect(path)[0] == "csv" and found(path, "csv") == [MIRA, OTTO]
    with pytest.raises(DataError):
        list(get("csv").read(path, Options()))


def test_a_table_of_texts_is_refused_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label\nA-flat is a key,1\nOtto sleeps,2\n")
    with pytest.raises(DataError, match="rows of texts, not of words"):
        found(path, "csv")
    assert found(path, "csv", word_column="text") == ["A-flat is a key Otto sleeps"]


@pytest.mark.parametrize("tags", [None, ["", "O", "", None], [1, 2, 3, 4]])
def test_a_parquet_table_needs_no_tags(tmp_path: Path, tags: list[Any] | None) -> None:
    path = tmp_path / "a.parquet"
    columns = {"sentence": [1, 1, 2, 2], "word": ["Mira", "sings", "Otto", "sleeps"]}
    pq.write_table(pa.table(columns if tags is None else {**columns, "ner": tags}), path)
    assert detect(path)[0] == "parquet" and found(path, "parquet") == [MIRA, OTTO]
    with pytest.raises(DataError):
        list(get("parquet").read(path, Options()))


@pytest.mark.parametrize(
    "tags",
    [
        {},
        {"ner_tags": [[1, 0], [1, 0]]},
        {"ner_tags": [None, ["O"]]},
        {"tags": [["O", "O"]] * 2, "labels": [["O", "O"]] * 2},
    ],
)
@pytest.mark.parametrize("saved", [False, True])
def test_a_dataset_needs_no_tags(tmp_path: Path, tags: dict[str, Any], saved: bool) -> None:
    datasets = pytest.importorskip("datasets")
    path = tmp_path / ("saved" if saved else "a.parquet")
    table = pa.table({"words": [["Mira", "sings"], ["Otto", "sleeps"]], **tags})
    if saved:
        datasets.Dataset(table).save_to_disk(str(path))
    else:
        pq.write_table(table, path)
    assert detect(path)[0] == "hugging_face" and found(path, "hugging_face") == [MIRA, OTTO]
    assert found(path, "hugging_face", tag_column="none") == [MIRA, OTTO]
    with pytest.raises(DataError):
        list(hugging_face.read(path, Options()))


@pytest.mark.parametrize(("kind", "name"), COLUMNS)
def test_columns_need_no_tags(tmp_path: Path, kind: str, name: str) -> None:
    path = tmp_path / "a"
    path.write_text(COLUMNS[kind, name] + "\n" + COLUMNS[kind, name].replace("Mira", "Otto"))
    assert found(path, kind) == [MIRA, "Otto sings"]
    with pytest.raises(DataError):
        list(get(kind).read(path, Options()))


@pytest.mark.parametrize(("kind", "name"), ITEMS)
def test_items_need_no_annotation(tmp_path: Path, kind: str, name: str) -> None:
    path = tmp_path / "a"
    lines = [json.dumps(ITEMS[kind, name]), json.dumps(ITEMS[kind, name]).replace("Mira", "Otto")]
    path.write_text("\n".join(lines))
    assert found(path, kind) == [MIRA, "Otto sings"]
    with pytest.raises(DataError):
        list(get(kind).read(path, Options()))
    path.write_text(f"[{','.join(lines)}]")
    assert found(path, kind) == [MIRA, "Otto sings"]


def test_a_text_of_label_studio_is_tagged_once_and_the_annotated_one(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    items = [{"id": 1, "text": MIRA, "label": [label]} for label in (REGION, {**REGION, "labels": []})]
    path.write_text(json.dumps([*items, {"id": 2, "text": OTTO}]))
    assert found(path, "label_studio") == [MIRA, OTTO]
    data = {"title": "A song", "body": MIRA}
    path.write_text(json.dumps([{"data": data, "annotations": [result({}, to_name="body")]}]))
    assert found(path, "label_studio") == [MIRA]
    path.write_text(json.dumps([{"data": data, "annotations": []}]))
    with pytest.raises(DataError, match="cannot tell which text"):
        found(path, "label_studio")


def test_texts_of_brat_need_no_annotations(tmp_path: Path) -> None:
    for name, text in {"a": MIRA, "b": OTTO, "c": "Kim runs"}.items():
        (tmp_path / f"{name}.txt").write_text(text)
    (tmp_path / "a.ann").write_text("T1\tPER 0 40\tMira\nno line of brat\n")
    (tmp_path / "b.ann").write_bytes(b"T1\tPER 0 4\tOtt\xff\n")
    (tmp_path / "lost.ann").write_text("")
    assert found(tmp_path, "brat") == [MIRA, OTTO, "Kim runs"]
    assert found(tmp_path / "a.ann", "brat") == [MIRA]
    for path in (tmp_path, *(tmp_path / f"{name}.txt" for name in "abc")):
        with pytest.raises(DataError):
            list(get("brat").read(path, Options()))


def test_docs_of_spacy_need_no_entities(tmp_path: Path) -> None:
    spacy = pytest.importorskip("spacy")
    docs = [spacy.blank("en")(text) for text in (MIRA, OTTO)]
    docs[0].set_ents([spacy.tokens.Span(docs[0], 0, 1, "PER")], default="missing")
    path, options = tmp_path / "a.spacy", Options(words_only=True)
    spacy.tokens.DocBin(docs=docs).to_disk(path)
    records = list(get("docbin").read(path, options))
    assert [(record.text, record.words) for record in records] == [(MIRA, ((0, 4), (5, 10))), (OTTO, ((0, 4), (5, 11)))]
    assert not options.notes.counts
