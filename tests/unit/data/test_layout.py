"""Which columns hold the words and the tags: read right, or refused with the columns shown, never silently wrong."""

import json
from pathlib import Path

import pytest

from fpplm_core.data.formats import detect, read_sentences
from fpplm_core.data.formats._layout import ROWS
from fpplm_core.data.options import Options
from fpplm_core.errors import DataError

MIRA = [(("Mira", "Holt", "met", "Otto"), ("B-PER", "I-PER", "O", "B-PER")), (("Nobody", "slept"), ("O", "O"))]


def read(path: Path, content: str, **options) -> tuple[list[tuple], list[str]]:
    path.write_bytes(content.encode())
    given = Options(**options)
    found = [(s.words, s.tags) for s in read_sentences(path, "auto", given)]
    return found, [note for note in given.notes.counts if not note.startswith("read as")]


def layout(*rows: str, end: str = "\n") -> str:
    """Rows for the four words and two words of MIRA, an empty line after the fourth."""
    return end.join([*rows[:4], "", *rows[4:], ""])


NUMBERED = "column 0 numbers the words: column 1 is read as the words"
COMMENTS = "comments are not read"
# name: (content, notes); each holds MIRA
READ = {
    "CoNLL-2003": (
        layout(*["Mira NNP B-NP B-PER", "Holt NNP I-NP I-PER", "met VBD B-VP O", "Otto NNP B-NP B-PER"])
        + "Nobody NN B-NP O\nslept VBD B-VP O\n",
        [],
    ),
    "Label Studio's CoNLL-2003": (
        "-DOCSTART- -X- O\n"
        + layout("Mira -X- _ B-PER", "Holt -X- _ I-PER", "met -X- _ O", "Otto -X- _ B-PER", "Nobody -X- _ O")
        + "slept -X- _ O\n",
        [],
    ),
    "CoNLL-2002 with several blanks and CRLF": (
        layout(
            "Mira   NC  B-PER", " Holt NC I-PER ", "met V O", "Otto NC B-PER", "Nobody P O", "slept V O", end="\r\n"
        ),
        [],
    ),
    "GermEval 2014": (
        "#\thttp://example.org/a1 [2031-02-03]\n"
        + layout("1\tMira\tB-PER\tO", "2\tHolt\tI-PER\tB-LOC", "3\tmet\tO\tO", "4\tOtto\tB-PER\tO")
        + "#\thttp://example.org/a2 [2031-02-03]\n1\tNobody\tO\tO\n2\tslept\tO\tO\n",
        [NUMBERED, "column 3 holds inner tags, which are not read: column 2 is read", COMMENTS],
    ),
    "numbered CoNLL-2003": (
        layout("1 Mira NNP B-NP B-PER", "2 Holt NNP I-NP I-PER", "3 met VBD B-VP O", "4 Otto NNP B-NP B-PER")
        + "1 Nobody NN B-NP O\n2 slept VBD B-VP O\n",
        [NUMBERED],
    ),
    "WikiNEuRal and MultiNERD, from 0": (
        layout(*["0\tMira\tB-PER", "1\tHolt\tI-PER", "2\tmet\tO", "3\tOtto\tB-PER", "0\tNobody\tO", "1\tslept\tO"]),
        [NUMBERED],
    ),
    "numbers that go on through the file": (
        layout(*["1\tMira\tB-PER", "2\tHolt\tI-PER", "3\tmet\tO", "4\tOtto\tB-PER", "5\tNobody\tO", "6\tslept\tO"]),
        [NUMBERED],
    ),
    "numbers and offsets": (
        layout("1 0-4 Mira B-PER", "2 5-9 Holt I-PER", "3 10-13 met O", "4 14-18 Otto B-PER")
        + "1 0-6 Nobody O\n2 7-12 slept O\n",
        ["column 0 numbers the words: column 2 is read as the words"],
    ),
    "MultiCoNER": (
        "# id 0f1e2d3c-aaaa-4bbb-8ccc-000000000001\tdomain=en\n"
        + layout("Mira _ _ B-PER", "Holt _ _ I-PER", "met _ _ O", "Otto _ _ B-PER")
        + "# id 0f1e2d3c-aaaa-4bbb-8ccc-000000000002\tdomain=en\nNobody _ _ O\nslept _ _ O\n",
        [COMMENTS],
    ),
    "JNLPBA's documents": (
        "###MEDLINE:1234\n\n" + layout("Mira\tB-PER", "Holt\tI-PER", "met\tO", "Otto\tB-PER", "Nobody\tO", "slept\tO"),
        [COMMENTS],
    ),
    "a header, blanks": (
        "Word POS NER\n" + layout("Mira N B-PER", "Holt N I-PER", "met V O", "Otto N B-PER", "Nobody P O", "slept V O"),
        ["the header is not read"],
    ),
    "a header that names another order, below a comment": (
        "# exported\nNER\tToken\tPOS\n"
        + layout("B-PER\tMira\tN", "I-PER\tHolt\tN", "O\tmet\tV", "B-PER\tOtto\tN", "O\tNobody\tP", "O\tslept\tV"),
        ["the header is not read", COMMENTS],
    ),
    "an annotator behind the tag": (
        layout(*["Mira\tB-PER\t-", "Holt\tI-PER\t-", "met\tO\t-", "Otto\tB-PER\t-", "Nobody\tO\t-", "slept\tO\t-"]),
        ["column 1 holds tags, and the last one does not: it is read"],
    ),
    "the POS behind the tag": (
        layout(*["Mira B-PER N", "Holt I-PER N", "met O V", "Otto B-PER N", "Nobody O P", "slept O V"]),
        ["column 1 holds tags, and the last one does not: it is read"],
    ),
    "columns of O that hold nothing": (
        layout(*["Mira O O B-PER", "Holt O O I-PER", "met O O O", "Otto O O B-PER", "Nobody O O O", "slept O O O"]),
        [],
    ),
    "key and value comments as wide as a row": (
        "# sent_id = 1\n"
        + layout("Mira N _ B-PER", "Holt N _ I-PER", "met V _ O", "Otto N _ B-PER")
        + "# sent_id = 2\nNobody P _ O\nslept V _ O\n",
        [COMMENTS],
    ),
    "numbered, with a multiword range": (
        layout("1\tMira\tN\tB-PER", "2\tHolt\tN\tI-PER", "3\tmet\tV\tO", "4\tOtto\tN\tB-PER")
        + "1-2\tNobodys\t_\t_\n1\tNobody\tP\tO\n2\tslept\tV\tO\n",
        [NUMBERED, "multiword ranges and empty nodes are not read"],
    ),
    "UNER": (
        "# sent_id = 1\n# text = Mira Holt met Otto\n"
        + layout("1\tMira\tB-PER\t-\tann", "2\tHolt\tI-PER\t-\tann", "3\tmet\tO\t-\tann", "4\tOtto\tB-PER\t-\tann")
        + "1\tNobody\tO\t-\tann\n2\tslept\tO\t-\tann\n",
        [],
    ),
}


@pytest.mark.parametrize("suffix", [".tsv", ".conll", ".txt"])
@pytest.mark.parametrize("name", READ)
def test_columns_are_told_by_their_content(tmp_path, name, suffix):
    content, notes = READ[name]
    assert read(tmp_path / f"a{suffix}", content) == (MIRA, notes)


@pytest.mark.parametrize(
    ("content", "tags"),
    [
        ("Mira\tperson-actor\nmet\tO\n\nQuarl\tlocation-city\n", ("person-actor", "O")),  # Few-NERD
        ("Mira\tPER-B\nmet\tO\n\nQuarl\tLOC-B\n", ("PER-B", "O")),
        ("Mira N per\nmet V O\n\nQuarl N loc\n", ("per", "O")),
        ("Mira\tPROPN\nmet\tVERB\n\nQuarl\tPROPN\n", ("PROPN", "VERB")),
        ("Mira PROPN\nmet VERB\n\nQuarl PROPN\n", ("PROPN", "VERB")),
    ],
)
def test_other_tags_stay_what_they_are(tmp_path, content, tags):
    found, _ = read(tmp_path / "a.conll", content)
    assert found[0] == (("Mira", "met"), tags)


# name: (content, what is refused)
REFUSED = {
    "nested tags without numbers": ("Mira\tB-PER\tO\nQuarl\tI-PER\tB-LOC\nmet\tO\tO\n", "2 columns hold tags"),
    "three columns of tags": (layout(*["1\tMira\tB-PER\tB-X\tB-Y"] * 4).replace("1", "{}"), "the same in all rows"),
    "numbers that are none": ("3\tMira\tB-PER\n9\tmet\tO\n4\tOtto\tB-PER\n", "the first column holds numbers"),
    "sentences of one numbered word": ("1 N B-PER\n\n1 N O\n", "the first column holds numbers"),
    "WebAnno's ids": ("1-1\t0-4\tMira\tB-PER\n1-2\t5-8\tmet\tO\n", "the first column holds numbers"),
    "numbers and words": ("1\tMira\n2\tmet\n3\tOtto\n", "no column holds tags"),
    "class numbers": ("Mira\t1\nHolt\t2\nmet\t0\n", "the tags are numbers, which have no names"),
    "one-hot": ("Mira 1 0\nHolt 1 0\nmet 0 1\n", "the tags are numbers, which have no names"),
    "nothing behind": ("Mira\tN\t_\nmet\tV\t_\n", "no column holds tags"),
    "tags before words": ("B-PER\tMira\nO\tmet\n", "the first column holds tags"),
    "a document's name in front": ("doc1\tMira\tB-PER\ndoc1\tmet\tO\ndoc1\tOtto\tB-PER\n", "the same in all rows"),
    "two kinds of tags": ("Mira\tB-PER\tstar\nmet\tO\tO\n", "two columns may hold the tags"),
    "texts with numbers": ("17\tMira lives in Quarl\n23\tOtto sleeps\n", "rows appear to hold texts"),
    "a text with a number": ("17\tMira lives in Quarl\n", "the column of the words holds numbers"),
    "names with numbers": ("17\tMira\n23\tOtto\n", "the column of the words holds numbers"),
    "texts that are counted": ("1\tMira lives\tpos\n2\tOtto sleeps\tneg\n", "rows appear to hold texts"),
    "texts with labels": ("Mira lives in Quarl\tpos\nOtto sleeps\tneg\n", "rows appear to hold texts"),
    "a text with a label": ("Mira lives in Quarl\tpos\n", "rows appear to hold texts"),
    "texts below a header": ("text\tlabel\nMira lives in Quarl\tpos\nOtto sleeps\tneg\n", "rows appear to hold texts"),
    "texts with ids": ("id\ttext\na7\tMira lives\nb3\tOtto sleeps\n", "rows appear to hold texts"),
    "texts with ids and labels": ("a7\tMira lives\tpos\nb3\tOtto sleeps\tneg\n", "rows appear to hold texts"),
    "texts with tags in one cell": ("Mira lives\tB-PER O\nOtto sleeps\tB-PER O\n", "rows appear to hold texts"),
}


@pytest.mark.parametrize("name", [name for name in REFUSED if "text" in name or "names" in name])
def test_texts_are_no_words_to_tag(tmp_path, name):
    with pytest.raises(DataError, match=REFUSED[name][1]):
        read(tmp_path / "a.tsv", REFUSED[name][0], words_only=True)
    found, _ = read(tmp_path / "a.tsv", REFUSED[name][0], words_only=True, word_column=1)
    assert len(found) == 1


# The words of two sentences, whose first column is formatted with the numbers of sentence and word.
IDS = {
    "{1}.": "count the words",
    "T{1}": "count the words",
    "({1})": "count the words",
    "s{0}-{1}": "count the words",
    "{0}:{1}": "numbers, which may count the words",
    "0:0{0}": "numbers, which may count the words",
    "{2}": "begins anew in each sentence",
    "doc{0}": "the same in all rows of a sentence",
}


@pytest.mark.parametrize("separator", ["\t", " "])
@pytest.mark.parametrize("more", ["{0}\tO", "{1}\t{0}\tO", "{0}\tN\tB-LOC", "{0}\tN"])
@pytest.mark.parametrize("form", IDS)
def test_ids_and_counts_are_not_words(tmp_path, form, more, separator):
    sentences = [("Die", "Stadt", "Quarl"), ("Es", "kam")]
    content = "\n".join(
        "".join(
            f"{form.format(s, w, 'abc'[w - 1])}\t{more.format(word, w)}\n".replace("\t", separator)
            for w, word in enumerate(words, start=1)
        )
        for s, words in enumerate(sentences, start=1)
    )
    for words_only in (False, True):
        with pytest.raises(DataError, match=rf"{IDS[form]}.*got columns 0: .*data\.word_column"):
            read(tmp_path / "a.tsv", content, words_only=words_only)
    found, _ = read(tmp_path / "a.tsv", content, word_column=-len(more.split("\t")))
    assert found[0][0] in (sentences[0], ("1", "2", "3"))


def test_ids_without_empty_lines_are_not_words(tmp_path):
    content = "s1\tDie\tO\ns1\tStadt\tO\ns1\tQuarl\tB-LOC\ns2\tEs\tO\ns2\tkam\tO\n"
    with pytest.raises(DataError, match="the first column stays the same from row to row"):
        read(tmp_path / "a.tsv", content)


ALIKE = ("Mira\tN\tB-PER\nmet\tV\tO\nOtto\tN\tB-PER\n\n" * 2, "ha\tUH\tO\nha\tUH\tO\n\nno\tUH\tO\nno\tUH\tO\n")


@pytest.mark.parametrize(
    "content",
    [
        *ALIKE,
        "G7\tN\tB-ORG\nG20\tN\tB-ORG\n",
        "12\tB-DATE\n7\tO\n",
        "1996\tCD\n1997\tCD\n",
        "New York\tB-LOC\nOld Quarl\tB-LOC\n",
        "New York\tNNP\nin\tIN\n",
        "Mira\tNeut Nom Sg\tNN\nmet\tPres Ind\tVB\nOtto\tNeut Nom Sg\tNN\n",
        "1.\tO\n2.\tO\n3.\tB-X\n",
        "w1\tPER\nw2\tPER\nw3\tNONE\nw4\tLOC\nw5\tNONE\n",
        "w1\tNOUN\nw2\tVERB\nw3\tPUNCT\n",
        "w1\tN\tO\nw2\tV\tO\nw3\tN\tO\nw4\tN\tB-X\nw5\tN\tO\n",
        "x1\tB-GENE\nx2\tB-GENE\nx3\tO\n",
    ],
)
@pytest.mark.parametrize("words_only", [False, True])
def test_words_that_are_alike_are_words(tmp_path, content, words_only):
    found, _ = read(tmp_path / "a.tsv", content, words_only=words_only)
    words = [line.partition("\t")[0] for line in content.split("\n") if line]
    assert [word for sentence, _ in found for word in sentence] == words


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_ambiguous_is_refused_with_the_columns(tmp_path, name, named):
    content, said = REFUSED[name]
    path = tmp_path / "a.tsv"
    path.write_text(content)
    with pytest.raises(DataError) as caught:
        list(read_sentences(path, "conll" if named else "auto", Options()))
    message = str(caught.value)
    assert message.startswith(f"{path}:1: {said}" if "columns hold" in said else f"{path}:1: ") and said in message
    assert all(word in message for word in ("got columns 0: ", "word_column", "tag_column")), message
    assert "\n" not in message


def test_a_row_without_a_number_among_many_is_an_error_with_its_line(tmp_path):
    rows = "".join(f"{number}\tw{number}\tN\tB-X\n" for number in range(1, 2 * ROWS))
    with pytest.raises(DataError, match=rf":{2 * ROWS}: not a word number, got 'x.tlost"):
        read(tmp_path / "a.tsv", rows + "x\tlost\tN\tB-X\n")


def test_columns_that_are_named_are_taken(tmp_path):
    path = tmp_path / "a.tsv"
    assert read(path, REFUSED["class numbers"][0], tag_column=1)[0] == [(("Mira", "Holt", "met"), ("1", "2", "0"))]
    assert read(path, REFUSED["nested tags without numbers"][0], tag_column=2)[0][0][1] == ("O", "B-LOC", "O")
    germeval = READ["GermEval 2014"][0]
    assert read(path, germeval, tag_column=3) == (
        [(MIRA[0][0], ("O", "B-LOC", "O", "O")), MIRA[1]],
        [NUMBERED, COMMENTS],
    )
    assert read(path, germeval, word_column=0, tag_column=2)[0][0][0] == ("1", "2", "3", "4")


@pytest.mark.parametrize("name", ["numbers and words", "nested tags without numbers"])
def test_words_alone_need_no_tags(tmp_path, name):
    found, _ = read(tmp_path / "a.tsv", REFUSED[name][0], words_only=True)
    assert set(found[0][0]) == set(found[0][1]) and "Mira" in found[0][0]


def test_a_choice_looks_at_the_beginning_only(tmp_path):
    """The rest is streamed: a later entity in a column that was empty changes nothing, silently or not."""
    rows = ["w\tN\tO"] * (2 * ROWS) + ["w\tN\tB-X"]
    rows[0] = "v\tN\tB-X"
    found, _ = read(tmp_path / "a.tsv", "\n".join(rows))
    assert found[0][1][0] == found[0][1][-1] == "B-X"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("#FORMAT=WebAnno TSV 3.3\n#T_SP=x\n\n#Text=a\n1-1\t0-1\ta\tPER\n", "WebAnno TSV .*export CoNLL 2002"),
        ('{\n  "%TYPES": {}}\n', "UIMA CAS JSON .*export CoNLL 2002"),
        ('<?xml version="1.0"?>\n<xmi:XMI xmlns:xmi="x"/>', "UIMA CAS XMI .*export CoNLL 2002"),
        ("PK\3\4\x14\0", "a compressed or binary file; give the text in it as a text file"),
    ],
)
@pytest.mark.parametrize("suffix", [".tsv", ".json", ""])
def test_formats_that_are_not_read_are_refused_by_name(tmp_path, content, said, suffix):
    with pytest.raises(DataError, match=f"{tmp_path / 'a'}{suffix}: {said}"):
        read(tmp_path / f"a{suffix}", content)


@pytest.mark.parametrize("suffix", [".tsv", ".conll", ".bio", ".csv", ".iob2", ".conllu"])
@pytest.mark.parametrize("content", ['{"text": "Mira"}\n{"text": "Otto"}\n', '<?xml version="1"?>\n<a b="c"/>\n'])
def test_a_suffix_does_not_make_columns_of_json_or_xml(tmp_path, suffix, content):
    with pytest.raises(DataError, match="unknown format"):
        read(tmp_path / f"a{suffix}", content)


ENTITY = {"start": 0, "end": 4}
SPANS = "; jsonl_spans needs a text, and entities with start, end, label"


@pytest.mark.parametrize(
    ("row", "keys", "advice"),
    [
        ({"text": "Mira", "entities": [ENTITY | {"type": "PER"}]}, "the keys ['text', 'entities']; name", SPANS),
        (
            {"text": "Mira", "entities": [ENTITY | {"entity_group": "PER"}]},
            "the keys ['text', 'entities']; name",
            SPANS,
        ),
        ({"text": "Mira", "entities": None}, "the keys ['text', 'entities']; name", SPANS),
        ({"text": None, "entities": []}, "the keys ['text', 'entities']; name", SPANS),
        ({"text": "Mira", "ents": [ENTITY | {"label": "PER"}]}, "the keys ['text', 'ents']; name", SPANS),  # spaCy
        ({"text": "Mira", "answer": "accept"}, "the keys ['text', 'answer']; name", SPANS),  # Prodigy
        ({"content": "Mira", "annotation": [{"label": ["PER"]}]}, "the keys ['content', 'annotation']; name", ""),
        ({"sentences": [["Mira"]], "ner": [[[0, 0, "PER"]]]}, "the keys ['sentences', 'ner']; name", ""),  # DyGIE
        ({"tokens": [], "spans": []}, "the keys ['tokens', 'spans']; name", ""),
        ({}, "the keys []; name", ""),
        ([["Mira", "B-PER"]], "'[", ""),
    ],
)
@pytest.mark.parametrize("suffix", [".jsonl", ".json"])
def test_a_suffix_does_not_make_words_of_other_json(tmp_path, row, keys, advice, suffix):
    line = json.dumps(row)
    with pytest.raises(DataError) as caught:
        read(tmp_path / f"a{suffix}", f"{line}\n{line}\n")
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'a'}{suffix}: unknown format, got {keys}")
    assert message.endswith(f"prodigy, spacy_entities, spacy_json{advice}") and "word_column" not in message


@pytest.mark.parametrize("content", ['{"mots": ["Mira"], "classes": ["O"]}\n', '{"mots": ["Mira"]\n'])
def test_a_suffix_still_decides_what_its_reader_can_say_more_of(tmp_path, content):
    path = tmp_path / "a.jsonl"
    path.write_text(content)
    assert detect(path) == ("jsonl", "the name ends in .jsonl")
