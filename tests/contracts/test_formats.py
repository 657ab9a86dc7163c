"""Every format in fpplm_core/formats: what it takes in comes out again, or is refused with its place."""

from __future__ import annotations

import random
import re
import tracemalloc
from collections import Counter
from dataclasses import replace
from functools import partial
from itertools import permutations, product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fpplm_core.data.alignment import places_of_joined, to_annotated_text
from fpplm_core.data.conversion import convert
from fpplm_core.data.formats import detect, get, read_sentences
from fpplm_core.data.options import Options, format_names
from fpplm_core.data.records import AnnotatedText, Mention, Sentence
from fpplm_core.errors import DataError
from fpplm_core.tagging.spans import Span, spans_from_tags, tags_from_spans
from fpplm_core.tagging.words import WHITESPACE, segment, visible_range
from tests.contracts.mutations import mutated

ROOT = Path(__file__).resolve().parents[2]
NAMES = format_names()
WITH_TAGS = [name for name in NAMES if "tags" in get(name).HOLDS]
WITH_MENTIONS = [name for name in NAMES if name not in WITH_TAGS]
SUFFIXES = {"csv": ".csv", "parquet": ".parquet", "hugging_face": ".parquet", "docbin": ".spacy", "brat": ""}
OPTIONAL = {"docbin": "spacy"}  # libraries that a format needs and a service may lack
# What a format may refuse of the records below, and says so; any other refusal fails.
REFUSALS = re.compile(
    "a document number that (this format|a table) cannot express"
    "|a (word|text) has .* which this format cannot hold"
    "|a (text|label) that this format cannot hold"
    "|(the|a) text (with|has) (a line end|more than words and white space)"
    "|no sentence to write"
    "|two mentions overlap"
    "|a mention without a visible character"
    "|a mention that does not cover whole tokens, or has no label",
    re.DOTALL,
)
HELD = ("words", "text", "documents", "overlaps")  # columns of the table in docs/data.md

# All planes, combining marks, zero width, right to left, emoji with joiners, other blanks and line ends.
ODD = [
    "e\u0301",
    "\u200b",
    "\u05d0\u05d1",
    "\u0627\u0644",
    "👩‍👩‍👧",
    "🇵🇹",
    "\U00020000",
    "\u00a0",
    "\u2028",
    "\x85",
    "\t",
    "\r\n",
    "\r",
    "\ufeff",
    '"',
    "\\",
    "#",
    "|",
    "-",
    "_",
    "*",
    "(",
]
characters = st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from(ODD))
words = st.one_of(
    st.from_regex(r"[A-Za-z]{1,6}", fullmatch=True), st.lists(characters, min_size=1, max_size=5).map("".join)
)
labels = st.sampled_from(["PER", "creative-work", "Ort_é", "地"])
plain_words = st.from_regex(r"[A-Za-z]{1,6}", fullmatch=True)


@st.composite
def sentences(draw, word=words, documents=True) -> Sentence:
    """A sentence with legal IOB2 tags, with its text or without."""
    own = draw(st.lists(word, min_size=1, max_size=6))
    spans, place = [], 0
    while place < len(own):
        end = place + draw(st.integers(1, 2))
        if draw(st.booleans()) and end <= len(own):
            spans.append(Span(place, end, draw(labels)))
        place = end
    text = offsets = None
    if draw(st.booleans()):
        text, offsets = " ".join(own), tuple(places_of_joined(own))
    document = draw(st.none() | st.integers(0, 3)) if documents else None
    return Sentence(
        tuple(own), tuple(tags_from_spans(spans, len(own), "IOB2")), "made", (1,) * len(own), document, text, offsets
    )


@st.composite
def annotated(draw, word=words, overlaps=True) -> AnnotatedText:
    """A text whose mentions begin and end where they like."""
    text = " ".join(draw(st.lists(word, min_size=1, max_size=6)))
    mentions = []
    places = list(range(len(text) + 1))
    last = 0
    for _ in range(draw(st.integers(0, 3))):
        low = 0 if overlaps else last
        if low >= len(text):
            break
        start = draw(st.sampled_from(places[low:-1]))
        end = draw(st.sampled_from(places[start + 1 :]))
        mentions.append(Mention(start, end, draw(labels)))
        last = end
    return AnnotatedText(text, tuple(mentions), "made", 1)


def records_of(name: str):
    kind = sentences() if name in WITH_TAGS else annotated() | annotated().map(whole_words)
    return st.lists(kind, min_size=1, max_size=4)


def plain_records_of(name: str):
    """What every format holds: plain words, no documents, and mentions that are whole words."""
    kind = (
        sentences(plain_words, documents=False)
        if name in WITH_TAGS
        else annotated(plain_words, overlaps=False).map(whole_words)
    )
    return st.lists(kind, min_size=1, max_size=4)


def target(folder: Path, name: str, stem: str = "made") -> Path:
    for library in filter(None, [OPTIONAL.get(name)]):
        pytest.importorskip(library)
    return folder / f"{stem}{SUFFIXES.get(name, '.txt')}"


def fresh(factory, name: str) -> Path:
    return target(factory.mktemp("formats"), name)


def content(record, holds) -> tuple:
    document = record.document if "documents" in holds else None
    if isinstance(record, Sentence):
        return record.words, record.tags, document, *((record.text, record.offsets) if "text" in holds else ())
    return record.text, sorted((m.start, m.end, m.label) for m in record.mentions), document


@pytest.mark.parametrize("name", NAMES)
def test_what_is_written_is_read_back_or_refused(name, tmp_path_factory):
    module = get(name)
    outcomes: Counter[str] = Counter()

    # Half of them plain: how many of the odd ones are refused depends on the strings that Hypothesis finds in our code.
    @given(plain_records_of(name) | records_of(name))
    def check(records):
        path = fresh(tmp_path_factory, name)
        try:
            module.write(records, path)
        except DataError as error:
            assert "made:1" in str(error) and REFUSALS.search(str(error)), error
            outcomes["refused"] += 1
            return
        found = list(module.read(path, Options()))
        assert [content(r, module.HOLDS) for r in found] == [content(r, module.HOLDS) for r in records]
        outcomes["compared"] += 1

    check()
    assert 3 * outcomes["compared"] >= outcomes.total(), outcomes


@pytest.mark.parametrize("name", NAMES)
def test_plain_text_is_never_refused_and_recognised_as_what_it_is(name, tmp_path_factory):
    module = get(name)

    @settings(max_examples=15)
    @given(plain_records_of(name))
    def check(records):
        path = fresh(tmp_path_factory, name)
        module.write(records, path)
        found, words_only = (list(module.read(path, Options(words_only=only))) for only in (False, True))
        assert len(found) == len(records)
        assert [without_annotations(record) for record in words_only] == [without_annotations(r) for r in found]
        assert detect(path)[0] == name

    check()


def without_annotations(record):
    return replace(record, tags=()) if isinstance(record, Sentence) else replace(record, mentions=())


def whole_words(record: AnnotatedText) -> AnnotatedText:
    """Every word a mention: what formats of whole words can hold."""
    places = [match.span() for match in re.finditer(r"\S+", record.text)]
    return replace(record, mentions=tuple(Mention(*place, "PER") for place in places))


HUBS = {"conll", "jsonl_spans"}  # formats that every other one is converted to and from without --full
PAIRS = [
    pytest.param(*pair, marks=[] if HUBS & set(pair) else pytest.mark.full, id="-".join(pair))
    for pair in permutations(NAMES, 2)
]


def assert_there_and_back_again(records, first: str, second: str, folder: Path) -> None:
    paths = [target(folder, name, f"{place}") for place, name in enumerate((first, second, first))]
    get(first).write(records, paths[0])
    convert(paths[0], paths[1], options(), first, second)
    convert(paths[1], paths[2], options(), second, first)
    before, after = (mentions_in(path, first) for path in (paths[0], paths[2]))
    assert after == before


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_plain_text_goes_there_and_back_again(first, second, tmp_path_factory):
    """Words and mentions come back through any other format."""

    @settings(max_examples=3)
    @given(plain_records_of(first))
    def check(records):
        assert_there_and_back_again(records, first, second, tmp_path_factory.mktemp("pairs"))

    check()


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_odd_text_comes_back_or_a_conversion_is_refused(first, second, tmp_path_factory):
    @settings(max_examples=3)
    @given(records_of(first))
    def check(records):
        try:
            assert_there_and_back_again(records, first, second, tmp_path_factory.mktemp("pairs"))
        except DataError as error:
            assert REFUSALS.search(str(error)), error
            assert re.search(r"(made|\d)(\.\w+)?(/\S+)?:\d+|no sentence to write", str(error)), error

    check()


def options() -> Options:
    return Options(segment=partial(segment, rule=WHITESPACE), misaligned="split")


def surface(text: str, mention: Mention) -> str:
    return "".join(text[slice(*visible_range(text, mention.start, mention.end))].split())


def mentions_in(path: Path, name: str) -> Counter:
    """Each mention by its record, surface without white space and invisible edges, and label."""
    found: Counter = Counter()
    for number, record in enumerate(get(name).read(path, Options())):
        whole = to_annotated_text(record) if isinstance(record, Sentence) else record
        found.update((number, surface(whole.text, m), m.label) for m in whole.mentions)
    return found


@pytest.fixture(scope="module")
def real(tmp_path_factory) -> dict[str, Path]:
    """The beginning of the bundled corpus in every format."""
    folder = tmp_path_factory.mktemp("real")
    lines = (ROOT / "data/wikigold/train.conll").read_text(encoding="utf-8").splitlines(keepends=True)[:400]
    source = folder / "source.conll"
    source.write_text("".join(lines), encoding="utf-8")
    made = {}
    for name in NAMES:
        if name in OPTIONAL and not _there(OPTIONAL[name]):
            continue
        made[name] = folder / f"real-{name}{SUFFIXES.get(name, '.txt')}"
        convert(source, made[name], Options(), "conll", name)
    return made


def _there(library: str) -> bool:
    try:
        __import__(library)
    except ImportError:
        return False
    return True


@pytest.mark.parametrize(("first", "second"), list(product(NAMES, ["conll", "jsonl_spans"])), ids=lambda name: name)
def test_a_real_corpus_keeps_every_mention(real, first, second, tmp_path):
    if first not in real:
        pytest.skip(f"{OPTIONAL[first]} is not installed")
    path = target(tmp_path, second)
    convert(real[first], path, options(), first, second)
    wanted = [entity for s in get("conll").read(real["conll"], Options()) for entity in spans_from_tags(s.tags)]
    found = mentions_in(path, second)
    assert found.total() == len(wanted) > 40
    assert Counter(label for _, _, label in found.elements()) == Counter(span.type for span in wanted)


SEALED = {"docbin"}  # compressed, with a checksum: of a thousand damaged files two are read


@pytest.mark.parametrize("name", NAMES)
def test_a_mutated_file_is_refused_with_its_line_or_read_without_loss(name, real, tmp_path, full):
    """What a mutation does not touch is read as before, where the file is read at all."""
    if name not in real:
        pytest.skip(f"{OPTIONAL[name]} is not installed")
    chance = random.Random(name)
    module = get(name)
    # A damaged mark of a document gives all behind it other numbers; its sentences may share a text and a line.
    holds = module.HOLDS - {"documents", "text"}
    records = list(module.read(real[name], Options()))
    clean = Counter(repr(content(r, holds)) for r in records)
    share = max(Counter(r.place for r in records).values())
    fuzzed = 1000 if full or name in SEALED else 100
    read = 0
    for number in range(fuzzed):
        path = tmp_path / f"{number}{SUFFIXES.get(name, '.txt')}"
        touched = mutated(real[name], path, chance)
        try:
            list(read_sentences(path, name, Options(misaligned="split", overlap="longest")))
            found = Counter(repr(content(r, holds)) for r in module.read(path, Options(overlap="longest")))
        except DataError as error:
            assert path.name in str(error), error
            continue
        read += 1
        lost = (clean - found).total()
        assert lost <= touched * share, (number, lost, touched)
    assert 0 < read < fuzzed


WHOLE = {"docbin"}  # the format itself wants the file in memory


@pytest.mark.parametrize("name", [name for name in NAMES if name not in WHOLE | {"brat"}])  # holds its files' names
def test_a_longer_file_takes_no_more_memory(name, tmp_path):
    module = get(name)

    def peak(number: int) -> int:
        path = target(tmp_path, name, str(number))
        module.write((record(name, place) for place in range(number)), path)
        tracemalloc.start()
        try:
            assert sum(1 for _ in module.read(path, Options())) == number
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(10)  # what is imported and compiled once
    small = peak(3_000)
    assert peak(9_000) < 1.5 * small + 100_000


def record(name: str, number: int) -> Sentence | AnnotatedText:
    """A record of its own, each a document where the format needs them to be few on a line."""
    words = (f"word{number}", "in", "Paris")
    if name in WITH_TAGS:
        document = number if "documents" in get(name).HOLDS else None
        return Sentence(words, ("O", "O", "B-LOC"), "made", (1, 1, 1), document)
    text = " ".join(words)
    return AnnotatedText(text, (Mention(len(text) - 5, len(text), "LOC"),), "made", 1)


def test_the_page_has_every_format_with_what_it_holds():
    page = (ROOT / "docs/data.md").read_text(encoding="utf-8")
    rows = {row[1]: row for row in (line.split("|") for line in page.splitlines()) if len(row) > 7}
    for name in NAMES:
        cells = [cell.strip() for cell in rows[f" `{name}` "]]
        holds = get(name).HOLDS
        wanted = ["words" if "tags" in holds else "characters", *("✓" if h in holds else "" for h in HELD)]
        assert cells[3 : 4 + len(HELD)] == wanted, name
        assert cells[4 + len(HELD)] == ("in memory" if name in WHOLE else "✓"), name
