import json
from itertools import permutations
from pathlib import Path

import pytest

from fpplm_core.data.conversion import convert, format_of
from fpplm_core.data.formats import detect, get
from fpplm_core.data.options import Options, format_names
from fpplm_core.data.records import AnnotatedText, Mention, Sentence
from fpplm_core.errors import DataError, ParamsError
from fpplm_core.tagging.schemes import SCHEMES, tag_errors
from fpplm_core.tagging.spans import Span, spans_from_tags, tags_from_spans

ENTITIES = [Span(0, 1, "PER"), Span(2, 5, "LOC"), Span(5, 7, "ORG"), Span(8, 9, "LOC")]
WITH_MENTIONS = [name for name in format_names() if "tags" not in get(name).HOLDS]
SPLIT = "# text = Wir gehen zum Haus.\n" + "".join(
    f"{row}\n"
    for row in (
        "1\tWir\t_\t_\t_\t_\t_\t_\t_\tNER=B-PER",
        "2\tgehen\t_\t_\t_\t_\t_\t_\t_\t_",
        "3-4\tzum\t_\t_\t_\t_\t_\t_\t_\t_",
        "3\tzu\t_\t_\t_\t_\t_\t_\t_\t_",
        "4\tdem\t_\t_\t_\t_\t_\t_\t_\tNER=B-LOC",
        "5\tHaus\t_\t_\t_\t_\t_\t_\t_\tNER=I-LOC|SpaceAfter=No",
        "6\t.\t_\t_\t_\t_\t_\t_\t_\t_",
        "",
    )
)


def conll(path: Path, *rows: str) -> Path:
    """Rows as `word/TAG word/TAG`."""
    path.write_text("".join("\n".join(row.replace("/", "\t").split(" ")) + "\n\n" for row in rows))
    return path


def tagged(path: Path) -> list[tuple[str, ...]]:
    return [sentence.tags for sentence in get(detect(path)[0]).read(path, Options())]


def said(options: Options) -> dict[str, int]:
    return {kind: number for kind, number in options.notes.counts.items() if not kind.startswith("read as ")}


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize(("first", "second"), sorted(permutations(SCHEMES.keys() - {"TAGS"}, 2)))
def test_every_scheme_becomes_every_other(tmp_path, first, second):
    tags = tags_from_spans(ENTITIES, 10, first)
    adjoining = [Span(0, 2, "PER"), Span(2, 3, "PER")]
    rows = [tags, ["O"] * 10]
    if "IO" not in (first, second):
        rows.append(tags_from_spans(adjoining, 10, first))
    source = conll(tmp_path / "a.conll", *(" ".join(f"w{i}/{tag}" for i, tag in enumerate(row)) for row in rows))
    options = Options()
    assert convert(source, tmp_path / "b.jsonl", options, scheme=second) == len(rows)
    wanted = [ENTITIES, [], adjoining][: len(rows)]
    found = tagged(tmp_path / "b.jsonl")
    assert not any(tag_errors(row, second) for row in found)
    assert [spans_from_tags(row) for row in found] == wanted
    assert found == [tuple(tags_from_spans(row, 10, second)) for row in wanted]
    (note,) = (kind for kind in options.notes.counts if kind.startswith("tag scheme"))
    alike = "IO" if (first, second) == ("IOB1", "IO") else first  # without neighbours of one type they are the same
    assert note.startswith(f"tag scheme {alike}: ")
    assert convert(tmp_path / "b.jsonl", tmp_path / "c.conll", Options(), scheme=first) == len(rows)
    assert (tmp_path / "c.conll").read_bytes() == source.read_bytes()


def test_what_a_scheme_cannot_say_is_refused_with_its_place(tmp_path):
    source = conll(tmp_path / "a.conll", "a/O", "b/B-PER c/B-PER")
    with pytest.raises(DataError, match=r"a.conll:3: IO cannot express PER over the words 2 to 2"):
        convert(source, tmp_path / "b.conll", Options(), scheme="IO")
    for scheme in ("TAGS", "IOB3"):
        with pytest.raises(ParamsError, match=rf"--scheme: unknown tag scheme, got '{scheme}'; use auto, IOB1, "):
            convert(source, tmp_path / "b.conll", Options(), scheme=scheme)
    assert left(tmp_path) == {"a.conll"}


@pytest.mark.parametrize("texts", [["   "], ["", "\t\n"]])
@pytest.mark.parametrize("target", ["b.conll", "b.jsonl", "b.csv"])
def test_a_source_of_blank_texts_is_named_itself(tmp_path, texts, target):
    source = tmp_path / "a.jsonl"
    source.write_text("".join(json.dumps({"text": text, "entities": []}) + "\n" for text in texts))
    with pytest.raises(DataError, match=r"/a\.jsonl: no sentence to write, as no text has a word; "):
        convert(source, tmp_path / target, Options())
    assert left(tmp_path) == {"a.jsonl"}


def test_illegal_transitions_are_refused_or_mended_and_counted_with_their_lines(tmp_path):
    source = conll(tmp_path / "a.conll", "a/B-PER b/I-PER c/O", "d/O e/I-LOC f/I-LOC", "g/B-PER h/I-LOC i/B-LOC")
    with pytest.raises(DataError) as caught:
        convert(source, tmp_path / "b.jsonl", Options(), scheme="BIOES")
    assert str(caught.value).startswith(f"{source}:6: I-LOC cannot follow O in IOB2; correct it, or choose --repair")
    assert left(tmp_path) == {"a.conll"}

    options = Options()
    convert(source, tmp_path / "c.conll", options, repair="conlleval")
    assert tagged(tmp_path / "c.conll") == [
        ("B-PER", "I-PER", "O"),
        ("O", "B-LOC", "I-LOC"),
        ("B-PER", "B-LOC", "B-LOC"),
    ]
    assert options.notes.counts["tags repaired (conlleval)"] == 2
    places = [f"{source}:6: I-LOC to B-LOC", f"{source}:10: I-LOC to B-LOC"]
    assert options.notes.places["tags repaired (conlleval)"] == places

    options = Options()
    convert(source, tmp_path / "d.jsonl", options, "auto", "jsonl_spans", repair="discard")
    found = [[m.label for m in record.mentions] for record in get("jsonl_spans").read(tmp_path / "d.jsonl", Options())]
    assert found == [["PER"], [], ["PER", "LOC"]]
    assert options.notes.counts["tags repaired (discard)"] == 3


def test_tags_stay_as_they_are_where_nothing_must_read_them(tmp_path):
    source = conll(tmp_path / "a.conll", "a/NOUN b/VERB", "c/I-X d/E-Y")
    options = Options()
    assert convert(source, tmp_path / "b.jsonl", options) == 2
    assert tagged(tmp_path / "b.jsonl") == [("NOUN", "VERB"), ("I-X", "E-Y")]
    assert said(options) == {}


@pytest.mark.parametrize("name", WITH_MENTIONS)
def test_a_tag_a_word_is_no_mention(tmp_path, name):
    source = conll(tmp_path / "a.conll", "a/NOUN b/VERB")
    with pytest.raises(
        DataError, match=r"a.conll: tags of single words are not mentions; choose a format that holds tags"
    ):
        convert(source, tmp_path / "b", Options(), "conll", name)
    with pytest.raises(DataError, match="not mentions"):
        convert(source, tmp_path / "b.jsonl", Options(), "conll", scheme="IOB2")
    assert left(tmp_path) == {"a.conll"}


def test_tags_of_no_scheme_are_refused_with_the_file(tmp_path):
    source = conll(tmp_path / "a.conll", "a/B-PER b/VERB c/NOUN")
    with pytest.raises(DataError, match=r"a.conll: the tags follow no known scheme, got 1 B-, and 2 tags"):
        convert(source, tmp_path / "b", Options(), "conll", "brat")
    conll(source, "a/B-PER b/VERB c/I-PER d/O")
    with pytest.raises(DataError, match=r"a.conll:2: malformed tag: 'VERB' is not O or PREFIX-TYPE"):
        convert(source, tmp_path / "b", Options(), "conll", "brat", repair="conlleval")


def test_losses_are_noted_with_places_and_counts(tmp_path):
    source = tmp_path / "a.jsonl"
    get("jsonl").write(
        [
            Sentence(("New", "York-based"), ("B-LOC", "O"), "", (1, 1), 0, "New  York-based", ((0, 3), (5, 15))),
            Sentence(("a", "b"), ("O", "O"), "", (2, 2), 0, "a b", ((0, 1), (2, 3))),
            Sentence(("a", "."), ("O", "O"), "", (3, 3), 1, "a.", ((0, 1), (1, 2))),
        ],
        source,
    )
    borders = "word borders are not kept: readers will cut words by their own rule"
    losses = {
        "conll": {"white space between words is not kept": 2},
        "iob2": {"document borders are not kept": 3},
        "conllu": {},
        "doccano": {"document borders are not kept": 3},
        "jsonl_spans": {},
        "prodigy": {"document borders are not kept": 3},
    }
    for name, wanted in losses.items():
        options = Options()
        convert(source, tmp_path / f"{name}.x", options, "jsonl", name)
        assert {kind: n for kind, n in said(options).items() if not kind.startswith("tag scheme")} == wanted, name
    cut = tmp_path / "b.jsonl"
    words = (("New", "York", "-", "based"), ("B-LOC", "I-LOC", "O", "O"))
    get("jsonl").write([Sentence(*words, "", (1,) * 4)] * 2, cut)
    options = Options()
    convert(cut, tmp_path / "c.jsonl", options, target_format="jsonl_spans")
    assert options.notes.counts[borders] == 0
    get("jsonl").write([Sentence(("New York", "it's"), ("B-LOC", "O"), "", (1, 1))], tmp_path / "d.jsonl")
    convert(tmp_path / "d.jsonl", tmp_path / "e.jsonl", options, target_format="jsonl_spans")
    assert options.notes.places[borders] == [f"{tmp_path}/d.jsonl:1"]


def test_targets_that_exist_and_sources_that_do_not(tmp_path):
    source = conll(tmp_path / "a.conll", "a/B-PER")
    for name in ("b.jsonl", "b.jsonl.partial"):
        (tmp_path / name).write_text("mine")
        with pytest.raises(DataError, match=rf"{name}: already exists; remove it"):
            convert(source, tmp_path / "b.jsonl", Options())
        assert (tmp_path / name).read_text() == "mine"
        (tmp_path / name).unlink()
    with pytest.raises(DataError, match="already exists"):
        convert(source, source, Options(), "conll", "conll")
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match="folder: already exists"):
        convert(source, tmp_path / "folder", Options())
    for name in ("auto", "conll", "docbin", "brat"):
        with pytest.raises(DataError, match=r"none\.conll"):
            convert(tmp_path / "none.conll", tmp_path / "b.jsonl", Options(), name)
    assert left(tmp_path) == {"a.conll", "folder"}


@pytest.mark.parametrize(("name", "wanted"), [("b.docx", "'.docx'"), ("b.conll.gz", "'.gz'"), ("b.json", "'.json'")])
def test_a_suffix_that_says_no_format(tmp_path, name, wanted):
    source = conll(tmp_path / "a.conll", "a/B-PER")
    with pytest.raises(
        ParamsError, match=rf"{name}: no format has this suffix, got {wanted}; name the format with --to"
    ):
        convert(source, tmp_path / name, Options())
    with pytest.raises(ParamsError, match="unknown format"):
        convert(source, tmp_path / name, Options(), "conll", "word")
    convert(source, tmp_path / name, Options(), target_format="jsonl")
    assert format_of(tmp_path / "folder", "auto") == "brat"


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt(), ValueError("bug")])
@pytest.mark.parametrize("name", ["conll", "brat"])
def test_a_writer_that_fails_leaves_nothing(tmp_path, monkeypatch, name, error):
    source = conll(tmp_path / "a.conll", *["a/B-PER b/O"] * 5)
    module = get(name)
    write = module.write

    def failing(records, path):
        def some():
            for number, record in enumerate(records):
                if number == 3:
                    assert path.exists()
                    raise error
                yield record

        write(some(), path)

    monkeypatch.setattr(module, "write", failing)
    with pytest.raises(type(error)):
        convert(source, tmp_path / "b", Options(), "conll", name)
    assert left(tmp_path) == {"a.conll"}


def without_last(record):
    if isinstance(record, Sentence):
        return Sentence(record.words, ("O",) * len(record.tags), record.file, record.lines)
    return AnnotatedText(record.text, record.mentions[:-1], record.file, record.line)


DAMAGES = {
    "a mention lost": lambda records: map(without_last, records),
    "a record lost": lambda records: list(records)[:-1],
    "a record more": lambda records: [*(rows := list(records)), rows[0]],
    "records swapped": lambda records: list(records)[::-1],
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["conll", "doccano", "brat"])
def test_a_writer_that_loses_something_is_caught(tmp_path, monkeypatch, name, damage):
    source = conll(tmp_path / "a.conll", "x/B-PER y/O", "b/B-PER c/O")
    module = get(name)
    write = module.write
    monkeypatch.setattr(module, "write", lambda records, path: write(DAMAGES[damage](records), path))
    with pytest.raises(DataError, match=r"(a.conll:[14]|c.partial): reading it back gives something else"):
        convert(source, tmp_path / "c", Options(), "conll", name)
    assert left(tmp_path) == {"a.conll"}


def test_a_folder_of_brat_is_written_and_read(tmp_path):
    source = conll(tmp_path / "a.conll", "Ann/B-PER slept/O", "New/B-LOC York/I-LOC")
    assert convert(source, tmp_path / "new/brat", Options()) == 2
    assert len(list((tmp_path / "new/brat").glob("*.ann"))) == 2
    options = Options()
    assert convert(tmp_path / "new/brat", tmp_path / "b.conll", options) == 2
    assert tagged(tmp_path / "b.conll") == tagged(source)
    assert next(iter(options.notes.counts)).startswith("read as brat")


MID_WORD = {
    "doccano": '{"text": "Ann lives in NYC-area, ok?", "label": [[0, 3, "PER"], [13, 16, "LOC"]]}\n',
    "prodigy": '{"text": "Ann lives in NYC-area, ok?", "spans": [{"start": 0, "end": 3, "label": "PER"},'
    ' {"start": 13, "end": 16, "label": "LOC"}], "answer": "accept"}\n',
}


@pytest.mark.parametrize("name", MID_WORD)
def test_tools_with_mentions_become_a_docbin_of_whole_words(tmp_path, name):
    pytest.importorskip("spacy")
    source = tmp_path / "a.jsonl"
    source.write_text(MID_WORD[name])
    with pytest.raises(DataError, match=r"a.jsonl:1: a mention begins or ends inside a word, got LOC 'NYC'"):
        convert(source, tmp_path / "b.spacy", Options())
    options = Options(misaligned="split")
    assert convert(source, tmp_path / "b.spacy", options) == 1
    assert options.notes.places["words cut at the border of a mention"] == [f"{source}:1: 'NYC-area'"]
    (found,) = get("docbin").read(tmp_path / "b.spacy", Options())
    assert [found.text[m.start : m.end] for m in found.mentions] == ["Ann", "NYC"]
    assert [found.text[start:end] for start, end in found.words or ()][3:] == ["NYC", "-area", ",", "ok", "?"]
    options = Options(misaligned="expand")
    convert(source, tmp_path / "c.spacy", options)
    (found,) = get("docbin").read(tmp_path / "c.spacy", Options())
    assert [found.text[m.start : m.end] for m in found.mentions] == ["Ann", "NYC-area"]
    assert options.notes.counts["mentions widened to whole words"] == 1


@pytest.mark.parametrize("name", ["jsonl_spans", "prodigy", "docbin", "brat"])
def test_words_of_a_multiword_token_become_the_token(tmp_path, name):
    if name == "docbin":
        pytest.importorskip("spacy")
    source = tmp_path / "a.conllu"
    source.write_text(SPLIT)
    options = Options()
    convert(source, tmp_path / "b", options, "auto", name)
    assert options.notes.places["words of a multiword token become the token"] == [f"{source}:2"]
    (found,) = get(name).read(tmp_path / "b", Options())
    assert found.text == "Wir gehen zum Haus."
    assert [(found.text[m.start : m.end], m.label) for m in found.mentions] == [("Wir", "PER"), ("zum Haus", "LOC")]
    convert(tmp_path / "b", tmp_path / "c.conll", Options(), name)  # whose words are in order
    assert tagged(tmp_path / "c.conll") == [("B-PER", "O", "B-LOC", "I-LOC", "O")]


@pytest.mark.parametrize("name", ["prodigy", "docbin"])
def test_two_mentions_in_a_multiword_token_are_kept_or_refused_with_their_place(tmp_path, name):
    source = tmp_path / "a.conllu"
    source.write_text(SPLIT.replace("3\tzu\t_\t_\t_\t_\t_\t_\t_\t_", "3\tzu\t_\t_\t_\t_\t_\t_\t_\tNER=B-ORG"))
    if name == "docbin":
        pytest.importorskip("spacy")
        with pytest.raises(DataError, match=r"a.conllu:\d+: two mentions overlap"):
            convert(source, tmp_path / "b", Options(), "auto", name)
        assert left(tmp_path) == {"a.conllu"}
    else:
        convert(source, tmp_path / "b", Options(), "auto", name)
        (found,) = get(name).read(tmp_path / "b", Options())
        assert [m.label for m in found.mentions] == ["PER", "ORG", "LOC"]


def test_texts_without_a_word_are_passed_over_where_tags_are_written(tmp_path):
    source = tmp_path / "a.jsonl"
    source.write_text(
        '{"text": " ", "label": []}\n{"text": "Ann", "label": [[0, 3, "PER"]]}\n{"text": "", "label": []}\n'
    )
    options = Options()
    assert convert(source, tmp_path / "b.conll", options) == 1
    assert options.notes.places["texts without a word are passed over"] == [f"{source}:1", f"{source}:3"]
    assert convert(source, tmp_path / "c.jsonl", Options(), target_format="jsonl_spans") == 3
    source.write_text('{"text": " ", "label": []}\n')
    with pytest.raises(DataError, match="no sentence to write"):
        convert(source, tmp_path / "d.conll", Options())
    assert left(tmp_path) == {"a.jsonl", "b.conll", "c.jsonl"}


@pytest.mark.parametrize("name", format_names())
def test_a_text_of_300_mentions_keeps_all_of_them(tmp_path, name):
    if name == "docbin":
        pytest.importorskip("spacy")
    words = [f"Ann{number} met" for number in range(300)]
    text = " ".join(words)
    places = [text.index(word) for word in words]
    mentions = tuple(Mention(at, at + word.index(" "), "PER") for at, word in zip(places, words, strict=True))
    source, target = tmp_path / "a.jsonl", tmp_path / f"b{'.parquet' if name in ('parquet', 'hugging_face') else ''}"
    get("jsonl_spans").write([AnnotatedText(text, mentions, "", 1)], source)
    assert convert(source, target, Options(), "jsonl_spans", name) == 1
    assert convert(target, tmp_path / "c.jsonl", Options(), name, "jsonl_spans") == 1
    (found,) = get("jsonl_spans").read(tmp_path / "c.jsonl", Options())
    assert [m[:3] for m in found.mentions] == [m[:3] for m in mentions]


@pytest.mark.parametrize("name", ["conllu", "spacy_json", "docbin", "jsonl"])
def test_invisible_characters_outside_the_words_stay_in_the_text(name, tmp_path):
    if name == "docbin":
        pytest.importorskip("spacy")
    source, text = tmp_path / "in.jsonl", "\u200bQuarl\u200b is in Bren\u00adnau\ufeff."
    source.write_text(json.dumps({"text": text, "entities": [{"start": 0, "end": 7, "label": "LOC"}]}) + "\n")
    convert(source, tmp_path / "middle", Options(), target_format=name)
    convert(tmp_path / "middle", tmp_path / "out.jsonl", Options(), name, "jsonl_spans")
    (row,) = map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())
    assert row["text"] == text
    assert [(one["start"], one["end"], one["label"]) for one in row["entities"]] == [(1, 6, "LOC")]
