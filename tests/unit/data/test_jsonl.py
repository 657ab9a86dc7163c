import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fpplm_core.data.formats import get, read_sentences
from fpplm_core.data.options import Options, format_names
from fpplm_core.data.records import Sentence
from fpplm_core.errors import DataError

jsonl = get("jsonl")
COLUMNS = Options(word_column=7, tag_column=-9)  # have no meaning here
GOOD = '{"tokens": ["a"], "tags": ["O"]}\n'


def read(path: Path, content: str | bytes) -> list[Sentence]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(jsonl.read(path, COLUMNS))


def test_it_is_a_format_by_being_there():
    assert "jsonl" in format_names()


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("head", ["", "\ufeff"])
def test_sentences_have_file_line_and_document(tmp_path, head, end):
    path = tmp_path / "a.jsonl"
    rows = [
        '{"tokens": ["Ann", "slept"], "tags": ["B-PER", "O"], "document": 3}',
        "",
        ' \t{"tags": ["O"], "tokens": ["\\u2028"]} ',
        '{"tokens": [], "tags": []}',
        '{"document": 0, "tokens": ["x"], "tags": ["O"]}',
    ]
    assert read(path, head + end.join(rows)) == [
        Sentence(("Ann", "slept"), ("B-PER", "O"), str(path), (1, 1), 3),
        Sentence(("\u2028",), ("O",), str(path), (3,)),
        Sentence(("x",), ("O",), str(path), (5,), 0),
    ]


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
pairs = st.lists(st.tuples(texts, texts), min_size=1, max_size=4)
documents = st.none() | st.integers(0, 2**31 - 1)


@st.composite
def sentences(draw):
    """Words with or without a text, in which neighbours may share a place and blanks stand between the others."""
    words, tags = zip(*draw(pairs), strict=True)
    if draw(st.booleans()):
        return words, tags, draw(documents), None, None
    text, offsets = draw(texts), []
    for word in words:
        if not offsets or draw(st.booleans()):
            offsets.append((len(text), len(text) + len(word)))
            text += word + draw(texts)
        else:
            offsets.append(offsets[-1])
    return words, tags, draw(documents), text, tuple(offsets)


@given(st.lists(sentences(), min_size=1, max_size=5))
def test_what_is_written_is_read_back(tmp_path_factory, rows):
    path = tmp_path_factory.getbasetemp() / "round.jsonl"
    made = [
        Sentence(words, tags, str(path), (number,) * len(words), *rest)
        for number, (words, tags, *rest) in enumerate(rows, start=1)
    ]
    jsonl.write(made, path)
    assert list(jsonl.read(path, Options())) == made
    assert path.read_bytes().count(b"\n") == len(made)
    assert jsonl.recognise(path, path.read_text())


def test_all_planes_survive(tmp_path):
    path = tmp_path / "planes.jsonl"
    words = (*(chr(plane << 16 | 0x1234) for plane in range(17)), "\0", "\x1f", "\x7f", "\x85", "\u2029", "\ufeff")
    jsonl.write([Sentence(words, ("O",) * len(words), "", ())], path)
    assert next(jsonl.read(path, COLUMNS)).words == words


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ((("a", "b"), -1), "not a valid document number"),
        ((("a", "b"), None, "ab", ((0, 1), (1, 3))), "offsets out of order"),
        ((("a", "b"), None, "ab", ((0, 1),)), "lengths differ"),
        (((), None), "a sentence without words"),
    ],
)
def test_what_cannot_be_read_back_is_not_written(tmp_path, rest, said):
    words, *rest = rest
    with pytest.raises(DataError, match=f"^src.conll(:9)?: .*{said}"):
        jsonl.write([Sentence(words, ("O",) * len(words), "src.conll", (9,) * len(words), *rest)], tmp_path / "a.jsonl")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "not valid JSON"),
        (GOOD + GOOD, "not valid JSON"),  # two in a line
        ("[" * 100_000, "not valid JSON"),
        ('{"tokens": ["a"], "tags": ["O"], "document": ' + "9" * 5000 + "}", "not valid JSON"),
        ('{"tokens": ["a"], "tags": ["B-X"], "tags": ["O"]}', "not valid JSON (the key 'tags' occurs twice)"),
        ("[]", "'tags' must be a list, got []; give an object with 'tags'"),
        ("3", "'tags' must be a list, got 3"),
        ('{"tokens": ["a"]}', "'tags' must be a list, got {'tokens': ['a']}"),
        ('{"tokens": ["a"], "ner_tags": ["O"]}', "'tags' must be a list, got {'ner_tags'"),  # the first line had tags
        ('{"tokens": ["a", "b"], "tags": ["O"]}', "lengths differ, got 2 words and 1 tags"),
        ('{"tokens": [], "tags": ["O"]}', "lengths differ, got 0 words and 1 tags"),
        ('{"tokens": "ab", "tags": ["O", "O"]}', "'tokens' must be a list, got 'ab'"),
        (
            '{"tokens": ["a"], "tags": [0]}',
            "tags: the tags are numbers, which have no names, got [0]; put",
        ),
        ('{"tokens": ["a"], "tags": ["O", 1.5]}', "tags: not a list of strings, got ['O', 1.5]"),
        ('{"tokens": ["a"], "tags": [true]}', "tags: not a list of strings, got [true]"),
        ('{"tokens": [null], "tags": ["O"]}', "tokens: not a list of strings, got [null]"),
        ('{"tokens": ["\\ud83d"], "tags": ["O"]}', "half of a surrogate pair"),
        *(
            (f'{{"tokens": ["a", "b"], "tags": ["O", "O"], "text": "a b", "offsets": {offsets}}}', said)
            for offsets, said in [
                ("[[0, 1]]", "lengths differ, got 2 words and 1 offsets"),
                ("[[0, 1], [1, 2]]", "offsets do not fit the words, got 'b', but the text has ' ' from 1 to 2"),
                ("[[0, 1], [2, 4]]", "offsets out of order, got [2, 4] after [0, 1], in a text of 3 characters"),
                ("[[2, 3], [0, 1]]", "offsets out of order"),
                ("[[0, 2], [1, 3]]", "offsets out of order"),
                ("[[-1, 0], [0, 1]]", "offsets out of order"),
                ("[[0, 1], [3, 2]]", "offsets out of order"),
                ("[[0, 1], [2, true]]", "offsets: not [start, end], got [2, true]"),
                ("[[0, 1], [2, 3.0]]", "offsets: not [start, end]"),
                ("[[0, 1], 2]", "offsets: not [start, end]"),
                ("null", "offsets: not [start, end]"),
                ("[[0, 0], [0, 0]]", "offsets do not fit the words, got 'a', but the text has '' from 0 to 0"),
            ]
        ),
        ('{"tokens": ["a"], "tags": ["O"], "text": 1, "offsets": [[0, 1]]}', "text: not a list of strings, got [1]"),
        *(
            (GOOD.replace("}", f', "document": {value}}}'), "not a valid document number")
            for value in ('"1"', "1.0", "-1", "true", "2147483648")
        ),
        (b'{"tokens": ["caf\xe9"], "tags": ["O"]}', "not valid UTF-8, got byte 0xe9"),
    ],
)
def test_a_malformed_line_is_an_error_with_its_place(tmp_path, line, said):
    path = tmp_path / "a.jsonl"
    raw = line if isinstance(line, bytes) else line.rstrip("\n").replace("\n", " ").encode()
    with pytest.raises(DataError) as caught:
        read(path, GOOD.encode() + b"\n" + raw + b"\n")
    message = str(caught.value)
    assert message.startswith(f"{path}:3: {said}")
    assert "\n" not in message and len(message) < len(str(path)) + 300


def test_what_stands_before_a_bad_line_is_streamed(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(GOOD + "{")
    stream = jsonl.read(path, COLUMNS)
    assert next(stream).words == ("a",)
    with pytest.raises(DataError, match=":2: not valid JSON"):
        next(stream)


@pytest.mark.parametrize("content", ["", "\ufeff", "\n \n", '{"tokens": [], "tags": []}\n'])
def test_a_file_without_a_sentence_is_an_error(tmp_path, content):
    with pytest.raises(DataError, match=r"a.jsonl: no sentence in the file"):
        read(tmp_path / "a.jsonl", content)


def test_sentences_without_words_are_noted(tmp_path):
    options, path = Options(), tmp_path / "a.jsonl"
    path.write_text('{"tokens": [], "tags": []}\n' + GOOD)
    assert len(list(jsonl.read(path, options))) == 1
    assert options.notes.places == {"sentences without words are passed over": [f"{path}:1"]}


def test_a_missing_file_a_folder_and_a_binary_are_errors(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        list(jsonl.read(tmp_path / "none.jsonl", COLUMNS))
    with pytest.raises(DataError, match="a folder, expected a file"):
        list(jsonl.read(tmp_path, COLUMNS))
    with pytest.raises(DataError, match="zero bytes"):
        read(tmp_path / "a.jsonl", json.dumps("x").encode("utf-16"))


def test_a_document_may_be_null(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"tokens": ["a"], "tags": ["O"], "document": null}\n')
    assert next(get("jsonl").read(tmp_path / "a.jsonl", Options())).document is None


values = st.sampled_from(["a", "", "B-PER", "\ud800", 0, -1, 1.5, True, None, [], {}, ["a", "b"], ["O"], [0]])
keys = st.sampled_from(["tokens", "tags", "document", "text", "offsets", "other"])
good_lines = st.integers(0, 9).map(lambda number: json.dumps({"tokens": ["a"], "tags": ["O"], "document": number}))
odd_lines = st.builds(lambda key, value: json.dumps({"tokens": ["a"], "tags": ["O"], key: value}), keys, values)
cut_lines = st.tuples(good_lines, st.integers(0, 40)).map(lambda pair: pair[0][: pair[1]])
files = st.tuples(st.lists(good_lines, min_size=1, max_size=2), st.lists(odd_lines | cut_lines, max_size=1))


def test_any_line_gives_sentences_or_an_error_with_a_place(tmp_path):
    """Good rows, most with a damaged one behind them, or any bytes; both answers come often."""
    path, outcomes = tmp_path / "a.jsonl", Counter()

    @settings(max_examples=200)
    @given(files.map(lambda rows: "\n".join(rows[0] + rows[1]).encode()) | st.binary(max_size=60))
    def check(content):
        try:
            assert read(path, content)
            outcomes["read"] += 1
        except DataError as error:
            assert error.where.startswith(str(path))
            outcomes["refused"] += 1

    check()
    assert min(outcomes["read"], outcomes["refused"]) > 20, outcomes


OTHER_KEYS = [
    ('{"id": "0", "tokens": ["Mira", "slept"], "pos_tags": [1, 2], "ner_tags": ["B-PER", "O"]}', ["id", "pos_tags"]),
    ('{"words": ["Mira", "slept"], "labels": ["B-PER", "O"]}', []),
    ('{"sentence": ["Mira", "slept"], "tags": ["B-PER", "O"]}', []),
    ('{"text": "Mira slept", "tokens": ["Mira", "slept"], "label": ["B-PER", "O"]}', ["text"]),
    ('{"tokens": ["Mira", "slept"], "tags": ["B-PER", "O"], "offsets": [[0, 4]]}', ["offsets"]),
]


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ""])
@pytest.mark.parametrize("form", ["{}\n", "[{}]", " [\n{},\n{}\n]"])
@pytest.mark.parametrize(("row", "noted"), OTHER_KEYS)
def test_other_keys_of_words_and_tags_are_read_and_further_ones_noted(tmp_path, row, noted, form, suffix):
    path, options = tmp_path / f"a{suffix}", Options()
    path.write_text(form.replace("{}", row))
    found = {(s.words, s.tags) for s in read_sentences(path, "auto", options)}
    assert found == {(("Mira", "slept"), ("B-PER", "O"))}
    times = form.count("{}")
    wanted = {f"key '{key}' is not read": times for key in noted}
    assert {kind: n for kind, n in options.notes.counts.items() if not kind.startswith("read as")} == wanted


def test_keys_are_named_by_the_columns(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"tokens": ["a"], "cut": ["Mira"], "tags": ["X"], "ner_tags": ["Y"], "fine": ["B-PER"]}\n')
    options = Options(word_column="cut", tag_column="fine")
    assert [(s.words, s.tags) for s in read_sentences(path, "auto", options)] == [(("Mira",), ("B-PER",))]
    with pytest.raises(DataError, match=r":1: several keys could hold the tags.*data\.tag_column"):
        list(read_sentences(path, "auto", Options()))
    with pytest.raises(DataError, match=r":1: 'none' must be a list"):
        list(read_sentences(path, "auto", Options(word_column="none", tag_column="fine")))


@pytest.mark.parametrize(
    "row",
    [
        '{"sentence": "Mira slept", "tags": ["B-PER", "O"]}',
        '{"tokens": ["Mira"], "entities": [{"type": "PER", "start": 0, "end": 1}]}',
        '{"tokenized_text": ["Mira"], "ner": [[0, 0, "PER"]]}',
        '{"text": "Mira", "spans_of": [[0, 4, "PER"]]}',
        '{"text": "Mira", "keywords": ["Mira"], "labels": ["B-PER"]}',
    ],
)
def test_lines_of_other_keys_are_refused_with_their_keys(tmp_path, row):
    path = tmp_path / "a.jsonl"
    path.write_text(row + "\n")
    with pytest.raises(DataError) as caught:
        list(read_sentences(path, "auto", Options()))
    assert str(caught.value).startswith(f"{path}:") and "give tokens" not in str(caught.value)


NAMES = ["O", "B-PER", "I-PER"]
NUMBERS = '{"tokens": ["Mira", "Holt", "met"], "ner_tags": [1, 2, 0]}\n{"tokens": ["a"], "ner_tags": [0]}\n'


@pytest.mark.parametrize(
    "feature",
    [
        {"feature": {"names": NAMES, "_type": "ClassLabel"}, "_type": "Sequence"},
        {"feature": {"names": NAMES, "_type": "ClassLabel"}, "_type": "List"},
        [{"names": NAMES, "_type": "ClassLabel"}],
    ],
)
def test_numbers_get_their_names_from_the_dataset_beside(tmp_path, feature):
    (tmp_path / "dataset_info.json").write_text(json.dumps({"features": {"ner_tags": feature}}))
    path, options = tmp_path / "train.jsonl", Options()
    path.write_text(NUMBERS)
    assert [s.tags for s in read_sentences(path, "auto", options)] == [("B-PER", "I-PER", "O"), ("O",)]
    assert f"names of the tags from dataset_info.json ({tmp_path / 'dataset_info.json'})" in options.notes.lines()
    path.write_text(NUMBERS.replace("2, 0", "3, 0"))
    with pytest.raises(DataError, match=r":1: ner_tags: not numbers of the 3 names, got \[1, 3, 0\]"):
        list(read_sentences(path, "auto", Options()))


@pytest.mark.parametrize(
    "info", ["{", "[]", "{}", '{"features": 3}', '{"features": {"ner_tags": {"feature": {"names": [1]}}}}', "\xff"]
)
def test_a_dataset_info_without_names_is_an_error_with_its_name(tmp_path, info):
    (tmp_path / "dataset_info.json").write_bytes(info.encode("latin1"))
    (tmp_path / "train.jsonl").write_text(NUMBERS)
    with pytest.raises(DataError, match=f"{tmp_path / 'dataset_info.json'}: (no names of 'ner_tags'|not valid JSON)"):
        list(read_sentences(tmp_path / "train.jsonl", "auto", Options()))
