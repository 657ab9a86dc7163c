"""spaCy's JSON formats: spacy_json (tokens with tags) and spacy_entities (texts with mentions)."""

import copy
import json
import random
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpplm_core.data.formats import detect, spacy_entities, spacy_json
from fpplm_core.data.options import Options
from fpplm_core.data.records import AnnotatedText, Mention, Sentence
from fpplm_core.errors import DataError

# As spaCy 2.3's documentation and `docs_to_json` have it.
TRAINING = [
    {
        "id": 42,
        "paragraphs": [
            {
                "raw": "Ann  slept.\nShe woke. ",
                "sentences": [
                    {
                        "tokens": [
                            {"id": 0, "orth": "Ann", "ner": "U-PER", "tag": "NNP", "head": 1, "dep": "nsubj"},
                            {"id": 1, "orth": "slept", "ner": "O", "tag": "VBD", "head": 0, "dep": "ROOT"},
                            {"id": 2, "orth": ".", "ner": "O", "tag": ".", "head": -1, "dep": "punct"},
                        ],
                        "brackets": [],
                    },
                    {"tokens": [{"orth": "She", "ner": "O"}, {"orth": "woke", "ner": "O"}, {"orth": ".", "ner": "O"}]},
                ],
                "cats": [],
                "entities": [[0, 3, "PER"]],
            }
        ],
    },
    {"paragraphs": [{"sentences": [{"tokens": [{"orth": "a", "ner": "B-X"}, {"orth": "b", "ner": "L-X"}]}]}]},
    {"id": "x", "paragraphs": [{"sentences": [{"tokens": []}, {"tokens": [{"orth": "c", "ner": "O"}]}]}]},
]
SIMPLE = [
    ["Ann slept", {"entities": [[0, 3, "PER"]]}],
    ["", {"entities": []}],
    ["New York", {"entities": [[0, 8, "LOC"], [4, 8, "LOC"]], "cats": {"x": 1}}],
]


def read(module, path, content, options=None):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(module.read(path, options or Options()))


def test_training_data_is_read_with_its_text_in_parts(tmp_path):
    path, options = tmp_path / "a.json", Options()
    found = read(spacy_json, path, json.dumps(TRAINING, indent=1), options)
    lines = [2 + json.dumps(TRAINING[:n], indent=1).count("\n") - (n > 0) for n in (0, 1, 2)]
    assert found == [
        Sentence(
            ("Ann", "slept", "."),
            ("U-PER", "O", "O"),
            str(path),
            (lines[0],) * 3,
            0,
            "Ann  slept.\n",
            ((0, 3), (5, 10), (10, 11)),
        ),
        Sentence(
            ("She", "woke", "."), ("O",) * 3, str(path), (lines[0],) * 3, 0, "She woke. ", ((0, 3), (4, 8), (8, 9))
        ),
        Sentence(("a", "b"), ("B-X", "L-X"), str(path), (lines[1],) * 2),
        Sentence(("c",), ("O",), str(path), (lines[2],), 1),
    ]
    keys = ("tag", "head", "dep", "brackets", "cats")
    assert dict(options.notes.counts) == {
        **{f"key '{key}' is not read": 1 for key in keys},
        "sentences without words are passed over": 1,
    }
    assert options.notes.places["key 'dep' is not read"] == [f"{path}:2: paragraph 1, sentence 1"]
    assert detect(path)[0] == "spacy_json"


@pytest.mark.parametrize("raw", ["Ann sleeps. She woke.", "Ann slept. She woke. So", "x Ann slept.She woke."])
def test_a_text_that_is_not_that_of_the_tokens_is_noted(tmp_path, raw):
    rows, options = copy.deepcopy(TRAINING[:1]), Options()
    rows[0]["paragraphs"][0]["raw"] = raw
    first, _ = read(spacy_json, tmp_path / "a", json.dumps(rows), options)
    assert first.words == ("Ann", "slept", ".") and first.text is None and first.offsets is None
    noted = {"raw text is not read, as it is not that of the tokens": [f"{tmp_path / 'a'}:1: paragraph 1"]}
    assert noted.items() <= options.notes.places.items()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"ner": "U-PER"', '"ner": "-"', "a token whose tag is missing"),
        ('"ner": "U-PER"', '"ner": ""', "a token whose tag is missing"),
        ('"ner": "U-PER"', '"NER": "U-PER"', "a token whose tag is missing"),
        ('"ner": "U-PER"', '"ner": null', "a token whose tag is missing"),
        ('"ner": "U-PER"', '"ner": ["U-PER"]', "'ner' must be a text"),
        ('"orth": "Ann"', '"orth": 3', "'orth' must be a text, got 3"),
        ('"raw": "Ann', '"raw": ["Ann"], "x": "', "'raw' must be a text"),
        ('"sentences"', '"sents"', "'sentences' must be a list"),
        ('"tokens"', '"words"', "'tokens' must be a list"),
        ('"paragraphs"', '"p"', "'paragraphs' must be a list"),
        ('[[0, 3, "PER"]]', '[[0, 3, "LOC"]]', "entities that do not match the tokens' tags, which have 1"),
        ('[[0, 3, "PER"]]', '[[0, 3, "PER"], [5, 10, "X"]]', "entities that do not match"),
        ('[[0, 3, "PER"]]', '{"PER": [0, 3]}', "entities that do not match"),
        ('"ner": "U-PER"', '"ner": "O"', "entities that do not match the tokens' tags, which have 0"),
    ],
)
def test_malformed_training_data_is_an_error_with_its_place(tmp_path, old, new, said):
    bad = json.dumps(TRAINING[0]).replace(old, new)
    assert bad != json.dumps(TRAINING[0])
    with pytest.raises(DataError) as caught:
        read(spacy_json, tmp_path / "a", f"[{json.dumps(TRAINING[1])},\n\n{bad}]")
    assert re.match(re.escape(f"{tmp_path / 'a'}:3: ") + r"(paragraph 1(, sentence 1)?: )?" + said, str(caught.value))


@pytest.mark.parametrize(
    ("module", "content"),
    [
        *((spacy_json, c) for c in ("", "[]", '[{"paragraphs": []}]', '{"paragraphs": [{"sentences": []}]}')),
        *((spacy_entities, c) for c in ("", "[]", "\n")),
    ],
)
def test_a_file_without_records_is_an_error(tmp_path, module, content):
    with pytest.raises(DataError, match=r"a: no (sentence|text) in the file"):
        read(module, tmp_path / "a", content)


letters = st.characters(exclude_categories=["Cs"]) | st.sampled_from(' a\t\n"\\\u2028😀')
texts = st.text(letters, max_size=5)
tags = st.text(letters, min_size=1, max_size=4).filter(lambda tag: tag != "-")
gaps = st.text(" \n\u3000", max_size=2)


@st.composite
def sentences(draw):
    pairs = draw(st.lists(st.tuples(texts, tags), min_size=1, max_size=4))
    words, marks = zip(*pairs, strict=True)
    if draw(st.booleans()):
        return words, marks, None, None
    text, offsets = draw(gaps), []
    for word in words:
        offsets.append((len(text), len(text) + len(word)))
        text += word + draw(gaps)
    return words, marks, text, tuple(offsets)


HELD = ("words", "tags", "document", "text", "offsets")


@given(st.lists(st.tuples(sentences(), st.integers(0, 2)), min_size=1, max_size=5), st.booleans())
def test_training_data_that_is_written_is_read_back(tmp_path_factory, rows, counted):
    path, document, made, kept = tmp_path_factory.getbasetemp() / "round.json", None, [], []
    for (words, marks, text, offsets), step in rows:
        if counted or made:
            document = step if document is None else document + step
        made.append(Sentence(words, marks, "src", (1,) * len(words), document, text, offsets))
    for sentence in made:  # words with white space at their edges may be found where they do not stand
        try:
            spacy_json.write([replace(sentence, document=None)], path)
            kept.append(sentence)
        except DataError as error:
            assert "words that do not follow one another" in str(error)
            assert any(word != word.strip() or not word for word in sentence.words)
    if kept:
        spacy_json.write(iter(kept), path)
        found = list(spacy_json.read(path, Options()))
        assert [[getattr(s, f) for f in HELD] for s in found] == [[getattr(s, f) for f in HELD] for s in kept]
        assert detect(path)[0] == "spacy_json"


@pytest.mark.parametrize(
    ("words", "tags", "rest", "said"),
    [
        (("a", "b"), ("O", "-"), (), "src:4: a tag that means no tag, got '-'"),
        (("a",), ("",), (), "src:3: a tag that means no tag"),
        ((), (), (), "src: a sentence without words"),
        (("de", "el"), ("O", "O"), (None, "del", ((0, 3), (0, 3))), "src:3: words that do not follow one"),
        (("a",), ("O",), (None, "a.", ((0, 1),)), "src:3: words that do not follow"),
        (("a",), ("O",), (None, "a a", ((2, 3),)), "src:3: words that do not follow"),
        (("a",), ("O",), (-1,), "src:3: a document number that this format"),
    ],
)
def test_what_cannot_be_read_back_is_not_written(tmp_path, words, tags, rest, said):
    sentence = Sentence(words, tags, "src", tuple(range(3, 3 + len(words))), *rest)
    with pytest.raises(DataError, match=f"^{said}"):
        spacy_json.write([sentence], tmp_path / "a")


def test_spacy_reads_what_is_written(tmp_path):
    pytest.importorskip("spacy")
    from spacy.training.converters import json_to_docs

    made = [
        Sentence(("Ann", "B", "slept"), ("B-PER", "L-PER", "O"), "", (), 0, "Ann B  slept", ((0, 3), (4, 5), (7, 12))),
        Sentence(("Oslo",), ("U-LOC",), "", (), 1),
    ]
    spacy_json.write(made, tmp_path / "a")
    docs = list(json_to_docs((tmp_path / "a").read_text()))
    assert [[(ent.text, ent.label_) for ent in doc.ents] for doc in docs] == [[("Ann B", "PER")], [("Oslo", "LOC")]]


def test_what_spacy_writes_is_read(tmp_path):
    spacy = pytest.importorskip("spacy")
    from spacy.training import docs_to_json

    doc = spacy.blank("en")("Ann Lee slept in New York. She woke.")
    doc.set_ents([doc.char_span(0, 7, "PER"), doc.char_span(17, 25, "LOC")])
    for token in doc:
        token.is_sent_start = token.text in ("Ann", "She")
    first, second = read(spacy_json, tmp_path / "a", json.dumps([docs_to_json([doc])]))
    assert first.tags == ("B-PER", "L-PER", "O", "O", "B-LOC", "L-LOC", "O")
    assert (first.text, second.text) == ("Ann Lee slept in New York. ", "She woke.")
    with pytest.raises(DataError, match="a token whose tag is missing"):
        read(spacy_json, tmp_path / "a", json.dumps([docs_to_json([spacy.blank("en")("Ann")])]))


def test_the_simple_list_is_read(tmp_path):
    path, options = tmp_path / "a.json", Options()
    content = "[" + ",\n".join(map(json.dumps, SIMPLE)) + "]"
    assert read(spacy_entities, path, content, options) == [
        AnnotatedText("Ann slept", (Mention(0, 3, "PER"),), str(path), 1),
        AnnotatedText("", (), str(path), 2),
        AnnotatedText("New York", (Mention(0, 8, "LOC"), Mention(4, 8, "LOC")), str(path), 3),
    ]
    assert options.notes.places == {"key 'cats' is not read": [f"{path}:3"]}
    assert detect(path)[0] == "spacy_entities"


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ('["a", {"entities": [[0, 1]]}]', "an entity must be [start, end, label], got [0, 1]"),
        ('["a", {"entities": [[0, true, "X"]]}]', "an entity must be"),
        ('["a", {"entities": [[0, 1.0, "X"]]}]', "an entity must be"),
        ('["a", {"entities": [[0, 1, null]]}]', "an entity must be"),
        ('["a", {"cats": {}}]', "'entities' must be a list"),
        ('["a", []]', "'entities' must be a list"),
        ('["a"]', "an item must be a text and an object"),
        ('[1, {"entities": []}]', "an item must be a text and an object"),
        ("3", "an item must be a text and an object"),
        ('["a", {"entities": [], "entities": []}]', "not valid JSON (the key 'entities' occurs twice)"),
    ],
)
def test_a_malformed_item_is_an_error_with_its_place(tmp_path, item, said):
    with pytest.raises(DataError) as caught:
        read(spacy_entities, tmp_path / "a", f"[{json.dumps(SIMPLE[0])},\n{item}]")
    assert str(caught.value).startswith(f"{tmp_path / 'a'}:2: {said}")


mentions = st.lists(st.tuples(st.integers(-9, 99), st.integers(), texts).map(lambda m: Mention(*m)), max_size=3)


@given(st.lists(st.tuples(texts, mentions), min_size=1, max_size=4))
def test_a_simple_list_that_is_written_is_read_back(tmp_path_factory, rows):
    path = tmp_path_factory.getbasetemp() / "simple.json"
    made = [AnnotatedText(text, tuple(found), str(path), n) for n, (text, found) in enumerate(rows, start=2)]
    spacy_entities.write(iter(made), path)
    assert list(spacy_entities.read(path, Options())) == made
    assert detect(path)[0] == "spacy_entities"


@pytest.mark.parametrize(
    "content",
    ["", "[", "[]", "[[]]", '["a", ["b"]]', "[" * 100_000, "{}", '{"paragraphs": 1}', '[["a", {}]]', "\0"],
)
def test_other_content_is_not_recognised(tmp_path, content):
    for module in (spacy_json, spacy_entities):
        assert module.recognise(tmp_path / "none", content) is None and module.recognise(tmp_path, content) is None


VALUES = [None, True, -1, 2.5, 10**30, "", "-", [], {}, [[]], {"a": 1}]


@pytest.mark.parametrize(("module", "rows"), [(spacy_json, TRAINING), (spacy_entities, SIMPLE)])
def test_mutated_files_give_records_or_an_error_with_a_place(tmp_path, module, rows):
    chance, path, good = random.Random(4), tmp_path / "a", 0
    for _ in range(1000):
        raw = json.dumps(rows, indent=chance.choice([None, 1]))
        for _ in range(chance.randint(1, 2)):
            if chance.random() < 0.5:
                parts = re.findall(r'-?\d+|"[^"]*"|\[\]|null', raw)
                raw = raw.replace(chance.choice(parts), json.dumps(chance.choice(VALUES)), chance.randint(1, 2))
            else:
                place = chance.randrange(len(raw))
                raw = raw[:place] + chance.choice(["", "\0", "\ufeff", "\r\n", "[", "}", '"']) + raw[place + 1 :]
        try:
            assert read(module, path, raw)
            good += 1
        except DataError as error:
            assert re.fullmatch(re.escape(str(path)) + r"(:\d+(: paragraph \d+(, sentence \d+)?)?)?", error.where)
            assert "\n" not in str(error) and len(error.got) <= 150
        module.recognise(path, raw)
    assert 100 < good < 950


def test_tuples_may_stand_on_lines_of_their_own(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('["Mira met Bo", {"entities": [[0, 4, "PER"]]}]\n[ "a \\"b\\"" , {"entities": []}]\n')
    assert detect(path)[0] == "spacy_entities"
    found = list(spacy_entities.read(path, Options()))
    assert [(record.text, record.line) for record in found] == [("Mira met Bo", 1), ('a "b"', 2)]
    assert found[0].mentions == (Mention(0, 4, "PER"),)
