"""The JSON formats with mentions over characters: jsonl_spans, doccano, prodigy, label_studio, cluener."""

import json
import random
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpplm_core.data.formats import get
from fpplm_core.data.options import Options, format_names
from fpplm_core.data.records import AnnotatedText, Mention
from fpplm_core.errors import DataError

NAMES = ("jsonl_spans", "doccano", "prodigy", "label_studio", "cluener")
KEEP_ORDER = ("jsonl_spans", "doccano", "prodigy", "label_studio")
# Records as the tools export them; each is recognised by one format alone.
REAL = {
    "jsonl": [
        '{"tokens": ["Ann"], "tags": ["B-PER"]}',
        '{"tokens": [], "tags": [], "text": "", "offsets": []}',
    ],
    "jsonl_spans": [
        '{"text": "Ann slept", "entities": [{"text": "Ann", "label": "PER", "start": 0, "end": 3, "score": 0.9}]}',
        '{"text": "", "entities": [], "document": 3}',
        '{"text": "Ann met Bo", "entities": [[0, 3, "PER"]]}',
        '{"text": "Ann", "entities": [{"start": 0, "end": 3, "label": "PER"}], "relations": []}',
    ],
    "doccano": [
        '{"id": 7, "text": "Ann slept", "label": [[0, 3, "PER"]], "Comments": []}',
        '{"id": 7, "data": "Ann slept", "label": [], "meta": {"a": 1}}',
        '{"text": "Ann slept", "labels": [[0, 3, "PER"]], "comments": ["why?"]}',
        '{"text": "Ann slept", "label": null}',
        '{"id": 7, "text": "Ann slept", "Comments": [], "entities": [{"id": 1, "label": "PER", "start_offset": 0, '
        '"end_offset": 3}], "relations": [{"id": 1, "from_id": 1, "to_id": 1, "type": "self"}]}',
        '{"id": 7, "text": "Ann slept", "entities": [], "relations": [], "Comments": []}',
    ],
    "prodigy": [
        '{"text": "Ann slept", "_input_hash": 1, "_task_hash": -2, "_is_binary": false, "tokens": [{"text": "Ann", '
        '"start": 0, "end": 3, "id": 0, "ws": true}, {"text": "slept", "start": 4, "end": 9, "id": 1, "ws": false}], '
        '"spans": [{"start": 0, "end": 3, "token_start": 0, "token_end": 0, "label": "PER"}], "answer": "accept"}',
        '{"text": "Ann slept", "spans": [{"start": 0, "end": 3, "label": "PER"}], "meta": {"score": 0.5}}',
        '{"text": "Ann", "tokens": [{"text": "Ann", "start": 0, "end": 3, "id": 0}], "answer": "accept"}',
    ],
    "label_studio": [
        '[{"id": 1, "data": {"text": "Ann slept"}, "annotations": [{"id": 9, "was_cancelled": false, "result": [{"id": '
        '"x", "from_name": "ner", "to_name": "text", "type": "labels", "origin": "manual", "value": {"start": 0, "end":'
        ' 3, "text": "Ann", "labels": ["PER"]}}]}], "drafts": [], "predictions": [], "meta": {}, "project": 2}]',
        '{"data": {"review": "Ann slept"}, "completions": [{"id": 1, "result": []}]}',
        '[{"text": "Ann slept", "id": 1, "label": [{"start": 0, "end": 3, "text": "Ann", "labels": ["PER"]}], '
        '"annotator": 1, "annotation_id": 1, "created_at": "2021", "updated_at": "2021", "lead_time": 1.5}]',
        '[{"text": "Ann slept", "id": 1, "annotator": 1, "annotation_id": 1, "lead_time": 1.5}]',
    ],
    "cluener": [
        '{"text": "彭小军认为", "label": {"name": {"彭小军": [[0, 2]]}}}',
        '{"text": "彭小军认为", "label": {}}',
    ],
}
SLEPT = Mention(0, 3, "PER")


def read(name: str, path: Path, content: str | bytes, options: Options | None = None) -> list[AnnotatedText]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(get(name).read(path, options or Options()))


def notes_of(name: str, path: Path, content: str) -> dict[str, int]:
    options = Options()
    read(name, path, content, options)
    return dict(options.notes.counts)


@pytest.mark.parametrize(("name", "content"), [(name, content) for name, rows in REAL.items() for content in rows])
def test_an_export_is_recognised_by_its_format_alone(tmp_path, name, content):
    path = tmp_path / "some.json"
    path.write_text(content)
    modules = {found: get(found) for found in format_names()}
    assert [found for found, module in modules.items() if module.recognise(path, content)] == [name]


@pytest.mark.parametrize("name", ["jsonl", *NAMES])
@pytest.mark.parametrize(
    "content",
    [
        *("", "{", "[", "[]", "{}", "[{}]", "[[]]", "null", '"text"', "3", "\0", "\ufffd", "PK\3\4", "[" * 100_000),
        *('{"text": 3, "label": 3}', '{"text": "a"}', '{"text": "a", "label": "pos"}', '["a", {"entities": []}]'),
        *('{"text": "a", "entities": [[0, 1, 2]]}', '{"data": {"text": "a"}}', '{"tokens": 1, "tags": 1}'),
        *("a\tO\n", "<xml>", "text,label\n", '{"paragraphs": []}', '{"text": {"a": []}, "spans": {}}'),
    ],
)
def test_other_content_is_not_recognised(tmp_path, name, content):
    assert get(name).recognise(tmp_path / "none", content) is None
    assert get(name).recognise(tmp_path, content) is None


# All planes; the mentions' places are drawn from what Label Studio, Python and people count differently.
letters = st.characters(exclude_categories=["Cs"]) | st.sampled_from('a \t\r\n\u2028\u0301\u200d\u200f\u05d0😀👩\\"\0')
labels = st.sampled_from(["PER", "", " ", "人", "😀", "a.b", "\n", "O"])


@st.composite
def records(draw):
    text = draw(st.text(letters, max_size=12))
    places = st.lists(st.integers(0, len(text)), min_size=2, max_size=2, unique=True).map(sorted)
    mentions = draw(st.lists(st.tuples(places, labels), max_size=4)) if text else []
    document = draw(st.none() | st.integers(0, 2**31 - 1))
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=6)))
    words = draw(st.none() | st.just(tuple(zip(cuts[::2], cuts[1::2], strict=False))))
    return text, tuple(Mention(*place, label) for place, label in mentions), document, words


@pytest.mark.parametrize("name", NAMES)
@given(rows=st.lists(records(), min_size=1, max_size=4))
def test_what_is_written_is_read_back(tmp_path_factory, name, rows):
    path, module = tmp_path_factory.getbasetemp() / f"{name}.json", get(name)
    first = 2 if name == "label_studio" else 1
    made = [
        AnnotatedText(
            text,
            mentions,
            str(path),
            line,
            document if "documents" in module.HOLDS else None,
            words if "words" in module.HOLDS else None,
        )
        for line, (text, mentions, document, words) in enumerate(rows, start=first)
    ]
    module.write(iter(made), path)
    found = list(module.read(path, Options()))
    if name not in KEEP_ORDER:
        found, made = ([(r.text, sorted(r.mentions), r.line) for r in records] for records in (found, made))
    assert found == made
    head = path.read_text()
    assert [other for other in format_names() if get(other).recognise(path, head)] == [name]


@pytest.mark.parametrize("name", ["label_studio", "cluener"])
def test_a_mention_that_is_no_place_in_the_text_is_not_written(tmp_path, name):
    for mention, place in ((Mention(0, 9, "X"), "src:5"), (Mention(1, 1, "X", "src:7"), "src:7")):
        with pytest.raises(DataError, match=f"^{place}: not a range in a text of 3 characters"):
            get(name).write([AnnotatedText("Ann", (mention,), "src", 5)], tmp_path / "a")
    with pytest.raises(DataError, match=r"^src:5: not a range in a text"):
        get("prodigy").write([AnnotatedText("Ann", (), "src", 5, words=((0, 4),))], tmp_path / "a")
    with pytest.raises(DataError, match=r"^src:5: not a valid document number"):
        get("jsonl_spans").write([AnnotatedText("Ann", (), "src", 5, document=2**31)], tmp_path / "a")


@pytest.mark.parametrize("name", NAMES)
def test_a_file_without_a_text_is_an_error(tmp_path, name):
    for content in ("", "\n \n", "[]", "[\n]\n"):
        with pytest.raises(DataError, match=r"a.json: no text in the file"):
            read(name, tmp_path / "a.json", content)


@pytest.mark.parametrize("name", NAMES)
def test_exports_are_read(tmp_path, name):
    for content in REAL[name]:
        (found,) = read(name, tmp_path / "a", content)
        assert found.text in ("Ann slept", "Ann met Bo", "彭小军认为", "Ann", "")
        assert found.mentions in (
            ((SLEPT,), (Mention(0, 3, "name"),)) if "PER" in content or "name" in content else ((),)
        )
        assert (found.file, found.line) == (str(tmp_path / "a"), 1)
        assert read(name, tmp_path / "a", "[\n" + content.strip("[]") + "\n]")[0].line == 2


KEYS = re.findall(
    r"\w+",
    "text data label labels entities start end start_offset end_offset spans tokens token_start token_end answer id "
    "annotations completions result value type to_name was_cancelled document offsets tags score annotation_id",
)
VALUES = [None, True, False, -1, 0, 1, 2.0, 1e999, 10**30, "", "1", "accept", [], [[]], {}, [None], {"a": {"b": []}}]


def cut_up(content: bytes, chance: random.Random) -> bytes:
    """Bytes flipped, inserted and cut, lines swapped and doubled, brackets piled up."""
    lines = content.splitlines(keepends=True)
    line, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    place = chance.randrange(len(lines[line]) + 1)
    before, behind = lines[line][:place], lines[line][place:]
    match chance.randrange(6):
        case 0:
            lines[line] = before + bytes([chance.randrange(256)]) + behind[1:]
        case 1:
            lines[line] = before
        case 2:
            lines[line], lines[other] = lines[other], lines[line]
        case 3:
            lines.insert(line, lines[other])
        case 4:
            lines[line] = chance.choice([b"\xef\xbb\xbf", b"\0", b"\r\n", b"[", b"{", b"\xff"]) + lines[line]
        case 5:
            deep = chance.choice([3, 500, 5000])
            lines[line] = lines[line].replace(b"[", b"[" * deep, 1).replace(b"]", b"]" * deep, 1)
    return b"".join(lines)


def changed(value, chance: random.Random):
    """The value with one of its parts replaced, taken out, doubled, nested, or under another key."""
    if not isinstance(value, list | dict) or not value or chance.random() < 0.1:
        return chance.choice([*VALUES, [value], {"text": value}, value + 1 if type(value) is int else 7])
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key, other = chance.choice(keys), chance.choice([*keys, *KEYS] if isinstance(value, dict) else keys)
    parts = value.copy()
    match chance.randrange(8):
        case 0:
            del parts[key]
        case 1:
            parts[other] = parts[key]
        case 2 if isinstance(parts, dict):
            parts[other] = parts.pop(key)
        case 3 if isinstance(parts, list):
            parts.append(parts[key])
        case _:
            parts[key] = changed(parts[key], chance)
    return parts


@pytest.mark.parametrize("name", REAL)
def test_any_mutated_file_gives_records_or_an_error_with_its_place(tmp_path, name):
    chance, path, outcomes = random.Random(name), tmp_path / "a.json", []
    rows = [json.loads(content.strip("[]")) for content in REAL[name]]
    for _ in range(250):
        made, indent = chance.sample(rows, chance.randint(1, len(rows))), chance.choice([None, 1])
        for _ in range(chance.randint(0, 3)):
            place = chance.randrange(len(made))
            made[place] = changed(made[place], chance)
        content = (json.dumps(made, indent=indent) if indent else "\n".join(map(json.dumps, made))).encode()
        if chance.random() < 0.3:
            content = cut_up(content, chance)
        try:
            assert read(name, path, content)
            outcomes.append(True)
        except DataError as error:
            outcomes.append(False)
            assert re.fullmatch(re.escape(str(path)) + r"(:\d+(: (tokens|tags|text|offsets))?)?", error.where)
            assert "\n" not in str(error) and len(error.got) <= 150
        for other in REAL:
            get(other).recognise(path, content.decode(errors="replace"))
    assert 25 < sum(outcomes) < 225


@pytest.mark.parametrize(
    ("name", "row", "said"),
    [
        ("jsonl_spans", '{"text": "Ann"}', "'entities' must be a list"),
        ("jsonl_spans", '{"text": "Ann", "entities": [{"start": true, "end": 3, "label": "X"}]}', "'start' must be"),
        ("jsonl_spans", '{"text": "Ann", "entities": [{"start": 0, "end": 3.0, "label": "X"}]}', "'end' must be"),
        ("jsonl_spans", '{"text": "Ann", "entities": [[0, 3]]}', "an entity must be [start, end, label], got [0, 3]"),
        (
            "jsonl_spans",
            '{"text": "Ann", "entities": [{"start": 0, "end": 2, "label": "X", "text": "Ann"}]}',
            "an entity's text is not the text from 0 to 2, which is 'An', got 'Ann'",
        ),
        (
            "jsonl_spans",
            '{"text": "Ann", "entities": [{"start": -3, "end": -1, "label": "X", "text": "An"}]}',
            "not a range in a text of 3 characters, got -3 to -1",
        ),
        ("jsonl_spans", '{"text": "Ann", "entities": [], "document": true}', "not a valid document number, got true"),
        ("doccano", '{"text": "Ann", "label": ["pos"]}', "labels of whole texts (text classification)"),
        ("doccano", '{"text": "Ann", "label": "pos"}', "labels of whole texts"),
        ("doccano", '{"text": "Ann", "labels": [[0, 3]]}', "a label must be [start, end, label], got [0, 3]"),
        ("doccano", '{"text": "Ann", "labels": [[0, true, "X"]]}', "a label must be"),
        ("doccano", '{"text": "Ann", "labels": [[0, 3, 5]]}', "a label must be"),
        ("doccano", '{"text": "Ann"}', "expected one list of labels, got the keys ['text']"),
        ("doccano", '{"text": "Ann", "label": [], "entities": []}', "expected one list of labels"),
        ("doccano", '{"text": "Ann", "entities": [{"start_offset": 0, "label": "X"}]}', "'end_offset' must be"),
        ("prodigy", '{"text": "Ann", "label": "pos", "answer": "accept"}', "'spans' must be a list"),
        ("prodigy", '{"text": "Ann", "tokens": []}', "'spans' must be a list"),
        ("prodigy", '{"text": "Ann", "spans": [], "answer": "maybe"}', "not an answer of Prodigy, got 'maybe'"),
        ("prodigy", '{"text": "Ann", "spans": [], "answer": ["accept"]}', "not an answer of Prodigy"),
        (
            "prodigy",
            '{"text": "Ann", "tokens": [{"text": "An", "start": 0, "end": 3}], "spans": []}',
            "a token's text is not the text from 0 to 3, which is 'Ann', got 'An'",
        ),
        *(
            (
                "prodigy",
                '{"text": "Ann", "tokens": [{"text": "An", "start": 0, "end": 2}, {"text": "n", "start": 2, "end": 3}],'
                f' "spans": [{{"start": 0, "end": 3, {tokens}, "label": "X"}}]}}',
                said,
            )
            for tokens, said in [
                ('"token_start": 0, "token_end": 0', "a span's tokens do not match its characters, got tokens 0 to 0"),
                ('"token_start": 0, "token_end": 2', "a span's tokens do not match its characters"),
                ('"token_start": 0, "token_end": -1', "a span's tokens do not match its characters"),
                ('"token_start": 0', "'token_end' must be a whole number"),
            ]
        ),
        ("cluener", '{"id": 0, "text": "Ann"}', "a text without 'label' is not annotated"),
        ("cluener", '{"text": "Ann", "label": {"X": {"Ann": [[0, 3]]}}}', "not a range in a text of 3 characters"),
        ("cluener", '{"text": "Anna", "label": {"X": {"Ann": [[0, 3]]}}}', "'Ann' is not the text from 0 to 3, got 'A"),
        ("cluener", '{"text": "Ann", "label": {"X": {"n": [[-1, -1]]}}}', "not a range in a text of 3 characters"),
        ("cluener", '{"text": "Ann", "label": {"X": {"": [[1, 0]]}}}', "not a range in a text of 3 characters"),
        ("cluener", '{"text": "Ann", "label": {"X": {"Ann": [0, 2]}}}', "a place must be [first, last], got 0"),
        ("cluener", '{"text": "Ann", "label": {"X": {"Ann": [[0, 2, 3]]}}}', "a place must be [first, last]"),
        ("cluener", '{"text": "Ann", "label": {"X": ["Ann"]}}', "'X' must be an object"),
        ("cluener", '{"text": "A A", "label": {"X": {"A": [[0, 0]], "A": [[2, 2]]}}}', "the key 'A' occurs twice"),
        *((name, "3", "must be a") for name in NAMES),
        *((name, '{"text": null, "data": null}', "must be a") for name in NAMES),
    ],
)
def test_a_malformed_record_is_an_error_with_its_place(tmp_path, name, row, said):
    good = REAL[name][0].strip("[]")
    with pytest.raises(DataError) as caught:
        read(name, tmp_path / "a", f"{good}\n\n{row}\n{good}")
    assert str(caught.value).startswith(f"{tmp_path / 'a'}:3: ") and said in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "noted"),
    [
        ("jsonl_spans", REAL["jsonl_spans"][0], {"scores are not read": 1}),
        (
            "jsonl_spans",
            '{"text": "Ann", "meta": 1, "entities": [{"start": 0, "end": 3, "label": "X", "id": 7}]}',
            {"key 'meta' is not read": 1, "key 'id' is not read": 1},
        ),
        ("doccano", "\n".join(REAL["doccano"][:2]), {"ids are not read": 2, "key 'meta' is not read": 1}),
        ("doccano", REAL["doccano"][2], {"comments are not read": 1}),
        ("doccano", REAL["doccano"][4], {"ids are not read": 1, "relations are not read": 1}),
        ("prodigy", REAL["prodigy"][0], {}),
        (
            "prodigy",
            REAL["prodigy"][0].replace("accept", "reject")
            + "\n"
            + REAL["prodigy"][0].replace("accept", "ignore")
            + "\n"
            '{"text": "a b", "answer": "accept", "relations": [{"head": 0}, {"head": 1}], "_is_binary": true, "spans": '
            '[{"start": 0, "end": 1, "label": "X", "answer": "reject"}], "meta": {}}',
            {
                "records answered with reject are not read": 1,
                "records answered with ignore are not read": 1,
                "spans answered with reject are not read": 1,
                "relations are not read": 2,
                "answers of a binary recipe: the rest of the text may hold mentions too": 1,
                "key 'meta' is not read": 1,
            },
        ),
        ("cluener", '{"id": 3, "text": "Ann", "label": {}}', {"key 'id' is not read": 1}),
    ],
)
def test_what_is_passed_over_is_noted(tmp_path, name, content, noted):
    assert notes_of(name, tmp_path / "a", content) == noted


def test_a_file_of_rejected_records_has_no_text(tmp_path):
    with pytest.raises(DataError, match=r"no text in the file.*accepted"):
        read("prodigy", tmp_path / "a", REAL["prodigy"][0].replace("accept", "reject"))


def test_words_of_prodigy_are_its_tokens(tmp_path):
    (found,) = read("prodigy", tmp_path / "a", REAL["prodigy"][0])
    assert found.words == ((0, 3), (4, 9))
    get("prodigy").write([found], tmp_path / "b")
    written, exported = json.loads((tmp_path / "b").read_text()), json.loads(REAL["prodigy"][0])
    assert written == {key: value for key, value in exported.items() if not key.startswith("_")}


def test_mentions_of_cluener_may_share_their_surface_and_place(tmp_path):
    row = {"text": "A A", "label": {"X": {"A": [[2, 2], [0, 0], [2, 2]]}, "Y": {"A": [[0, 0]]}}}
    (found,) = read("cluener", tmp_path / "a", json.dumps(row))
    assert found.mentions == (Mention(2, 3, "X"), Mention(0, 1, "X"), Mention(2, 3, "X"), Mention(0, 1, "Y"))
    get("cluener").write([found], tmp_path / "b")
    assert json.loads((tmp_path / "b").read_text()) == row


CRLF, SMILE = "Mira Holt\r\nvisited Quarl", "😀 Quarl liegt"


def with_places(name, text, places):
    if name == "doccano":
        row = {"text": text, "label": [[*place, "X"] for place in places]}
    elif name == "prodigy":
        row = {"text": text, "spans": [{"start": start, "end": end, "label": "X"} for start, end in places]}
    else:
        row = {"text": text, "entities": [[*place, "X"] for place in places]}
    return json.dumps([[text, {"entities": row["entities"]}]] if name == "spacy_entities" else row)


@pytest.mark.parametrize("name", ["doccano", "prodigy", "jsonl_spans", "spacy_entities"])
@pytest.mark.parametrize(
    ("text", "places", "way"),
    [
        (CRLF, [(0, 9), (18, 23)], "count UTF-16 units, with a line end .CRLF. as one"),
        ("😀" + CRLF, [(1, 10), (19, 24)], "count characters, with a line end .CRLF. as one"),
        (SMILE, [(3, 8)], "count UTF-16 units, but"),
        (SMILE, [(5, 10)], "count bytes of UTF-8, but"),
        ("Größe: Quarl", [(9, 14)], "count bytes of UTF-8, but"),
    ],
)
def test_offsets_that_are_not_counted_in_characters_are_refused(tmp_path, name, text, places, way):
    content = with_places(name, text, places)
    for misaligned in ("refuse", "split"):
        with pytest.raises(DataError, match=rf":1: offsets that fit words if they {way}.*data\.misaligned to expand"):
            read(name, tmp_path / "a", content, Options(misaligned=misaligned))
    (expanded,) = read(name, tmp_path / "a", content, Options(misaligned="expand"))
    assert [mention[:2] for mention in expanded.mentions] == places
    (alone,) = read(name, tmp_path / "a", content, Options(words_only=True))
    assert alone.text == text and not alone.mentions


@pytest.mark.parametrize(
    ("text", "places"),
    [
        (CRLF, [(0, 9), (19, 24)]),
        (SMILE, [(2, 7)]),
        (SMILE, [(1, 8)]),
        ("😀 a Mira b", [(3, 9)]),  # white space at its edges
        ("Größe Quarlstadt liegt", [(6, 11)]),
        ("Größe Quarlstadt liegt", [(11, 16)]),
        ("😀 Quarl liegt", [(2, 4)]),
        ("😀 中国人在这里", [(3, 5)]),
        ("e\u0301a b", [(1, 2)]),
    ],
)
def test_mentions_inside_words_are_not_taken_for_wrong_offsets(tmp_path, text, places):
    (found,) = read("doccano", tmp_path / "a", with_places("doccano", text, places), Options(misaligned="split"))
    assert [mention[:2] for mention in found.mentions] == places
