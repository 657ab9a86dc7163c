import json

import pytest

from fpplm_core.data.formats import label_studio
from fpplm_core.data.options import Options
from fpplm_core.data.records import AnnotatedText, Mention
from fpplm_core.errors import DataError
from tests.unit.data.test_span_formats import notes_of, read

POO = "💩This is an annotation."  # text and offsets of an export that its users found off by one


def region(start, end, text=None, label="X", to_name="text", **more):
    value = {"start": start, "end": end, "labels": [label]} | ({} if text is None else {"text": text})
    return {"from_name": "label", "to_name": to_name, "type": "labels", "value": value, **more}


def task(text, *regions, **more):
    return {"data": {"text": text}, "annotations": [{"result": list(regions)}], **more}


@pytest.fixture
def found(tmp_path):
    """The one record of a list with this task, and the notes."""

    def read_task(row):
        (record,) = read("label_studio", tmp_path / "a", json.dumps([row]))
        return record.text, record.mentions, notes_of("label_studio", tmp_path / "a", json.dumps([row]))

    return read_task


CODE_POINTS = {"offsets counted in code points": 1}
UNDECIDED = {"offsets counted in UTF-16 units (assumed)": 1}
AS_TWO = {"offsets counted with a line end (CRLF) as two characters (assumed)": 1}
SPACES = {"texts of regions differ from the text in white space": 1}


@pytest.mark.parametrize(
    ("text", "regions", "places", "noted"),
    [
        (POO, [region(13, 23, "annotation")], [(12, 22)], {}),
        (POO, [region(12, 22, "annotation")], [(12, 22)], CODE_POINTS),
        (POO, [region(13, 23)], [(12, 22)], UNDECIDED),
        (POO, [region(0, 2, "💩")], [(0, 1)], {}),
        (POO, [region(0, 1, "💩")], [(0, 1)], CODE_POINTS),
        (POO, [region(0, 1)], [(0, 1)], CODE_POINTS),  # inside a pair: not a range in UTF-16
        ("aa", [region(1, 2)], [(1, 2)], {}),
        # Where the first could be both, the second decides.
        ("💩aa b", [region(2, 3, "a")], [(1, 2)], UNDECIDED),
        ("💩aa b", [region(2, 3, "a"), region(4, 5, "b")], [(2, 3), (4, 5)], CODE_POINTS),
        ("💩aa b", [region(2, 3, "a"), region(5, 6, "b")], [(1, 2), (4, 5)], {}),
        ("💩aa b", [region(5, 6, "b"), region(2, 3)], [(4, 5), (1, 2)], {}),
        # The editor writes line breaks as \n of two characters, and shows runs of blanks as one.
        ("A\r\nB  C D", [region(0, 7, "A\\n\\nB C")], [(0, 7)], SPACES | AS_TWO),
        ("💩A\nB", [region(1, 4, "A\\nB")], [(1, 4)], SPACES | CODE_POINTS),
    ],
)
def test_offsets_are_utf16_units_or_code_points(found, text, regions, places, noted):
    assert found(task(text, *regions)) == (text, tuple(Mention(*place, "X") for place in places), noted)
    minimal = {"text": text, "label": [region["value"] for region in regions], "annotation_id": 1}
    assert found(minimal) == (text, tuple(Mention(*place, "X") for place in places), noted)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (task("Ann", region(0, 2, "Ann")), "a region's offsets do not match its text.*got 0 to 2 for 'Ann'"),
        (
            task(POO, region(13, 23, "annotation"), region(1, 5, "This")),
            "offsets do not match its text.*got 1 to 5 for",
        ),
        (task("Ann", region(0, 4)), "a region's offsets do not match"),
        (task("Ann", region(-2, -1)), "a region's offsets do not match"),
        (task("Ann", region(2, 2)), "a region's offsets do not match"),
        (task("Ann", region("0", 3)), "'start' must be a whole number, got '0'"),
        (task("Ann", region(0, 3, 3)), "'text' must be a text"),
        (task("Ann", region(0, 3) | {"value": {"start": 0, "end": 3, "labels": ["A", "B"]}}), "must have one label"),
        (task("Ann", region(0, 3) | {"value": {"start": 0, "end": 3, "labels": []}}), "must have one label"),
        (task("Ann", region(0, 3) | {"value": {"start": 0, "end": 3}}), "'labels' must be a list"),
        (task("Ann", region(0, 3) | {"value": {"start": 0, "end": 3, "labels": [3]}}), "must have one label"),
        (task("Ann", region(0, 3) | {"value": None}), "'value' must be an object"),
        (task("Ann", region(0, 3) | {"type": None}), "'type' must be a text"),
        (task("Ann", region(0, 3) | {"type": "labelz"}), "regions that are not over plain text, got labelz"),
        (
            task(
                "<p>Ann</p>",
                {
                    "type": "labels",
                    "value": {
                        "start": "/p[1]/text()[1]",
                        "end": "/p[1]/text()[1]",
                        "startOffset": 0,
                        "endOffset": 3,
                        "labels": ["X"],
                    },
                },
            ),
            "regions that are not over plain text, got hypertext",
        ),
        (
            task("a", {"type": "hypertextlabels", "value": {"hypertextlabels": ["X"]}}),
            "not over plain text, got hypertextlabels",
        ),
        (task("a", {"type": "paragraphlabels", "value": {"paragraphlabels": ["X"]}}), "not over plain text"),
        (
            task("a b", region(0, 1), region(2, 3, to_name="other")),
            r"regions over several texts, got \['other', 'text'\]",
        ),
        (
            task("a") | {"data": {"a": "x", "b": "y"}},
            r"cannot tell which text was annotated, got texts named \['a', 'b'\]",
        ),
        (task("a") | {"data": {"a": 3}}, r"cannot tell which text was annotated, got texts named \[\]"),
        (task("a") | {"data": "a"}, "'data' must be an object"),
        (task("a") | {"annotations": None}, "'annotations' must be a list"),
        (task("a") | {"annotations": [7]}, "'result' must be a list, got 7"),
        ({"data": {"text": "a"}}, "'annotations' must be a list"),
        (
            {"text": "a", "label": [{"start": 0, "end": 1, "rectanglelabels": ["X"]}], "annotation_id": 1},
            "not over plain",
        ),
        ({"text": "a", "label": [{"start": 0, "end": 1, "labels": ["X"]}, 3]}, "'start' must be a whole number, got 3"),
        ({"text": "a", "label": [{"start": 0, "end": 1, "text": "a"}], "annotation_id": 1}, "'labels' must be a list"),
        (
            {"a": "a", "b": "b", "annotation_id": 1},
            r"cannot tell which text was annotated, got texts named \['a', 'b'\]",
        ),
    ],
)
def test_what_cannot_be_kept_is_an_error_with_its_place(tmp_path, row, said):
    content = json.dumps(task("good"), indent=1) + ",\n" + json.dumps(row)
    with pytest.raises(DataError, match=rf"^{tmp_path / 'a'}:11: .*{said}"):
        read("label_studio", tmp_path / "a", "[" + content + "]")


@pytest.mark.parametrize(
    ("data", "name", "text"),
    [
        ({"text": "one", "other": "two"}, "other", "two"),
        ({"text": "one", "other": "two"}, "unknown", "one"),
        ({"review": "one", "number": 3}, "text-1", "one"),
    ],
)
def test_the_text_is_found_by_its_name(found, data, name, text):
    row = task("", region(0, 3, text, to_name=name)) | {"data": data}
    assert found(row)[:2] == (text, (Mention(0, 3, "X"),))


TITLED = {"text": "short title", "body": "Mira Holt visited Quarl"}


@pytest.mark.parametrize("minimal", [False, True])
def test_of_several_texts_that_of_the_regions_is_read(tmp_path, minimal):
    """In later tasks, too, whose regions have no texts."""
    rows = [task("", region(0, 9, said, to_name="view")) | {"data": TITLED} for said in ("Mira Holt", None)]
    if minimal:
        rows = [TITLED | {"ner": [row["annotations"][0]["result"][0]["value"]], "annotation_id": 1} for row in rows]
    found = read("label_studio", tmp_path / "a", json.dumps(rows))
    assert [(one.text, one.mentions) for one in found] == [(TITLED["body"], (Mention(0, 9, "X"),))] * 2
    with pytest.raises(DataError, match=r"cannot tell which text was annotated, got texts named \['text', 'body'\]"):
        read("label_studio", tmp_path / "a", json.dumps(rows[1:]))


@pytest.mark.parametrize("regions", [[], [region(0, 5, to_name="view")], [region(6, 11, "title", to_name="view")]])
def test_of_several_texts_the_one_named_text_is_read_where_it_fits(found, regions):
    assert found(task("", *regions) | {"data": TITLED | {"url": "https://example.org"}})[0] == TITLED["text"]


def test_offsets_without_texts_are_counted_as_words_or_earlier_tasks_say(tmp_path):
    quarl, either = "💩 Quarl liegt", "💩 aa aa"
    first = [task(quarl, region(2, 7, "Quarl")), task(quarl, region(2, 7)), task("💩💩💩", region(1, 2))]
    for rows, place in ((first[:2], (2, 7)), (first[1:2], (2, 7)), ([task(quarl, region(3, 8))], (2, 7))):
        found = read("label_studio", tmp_path / "a", json.dumps(rows))
        assert all(one.mentions == (Mention(*place, "X"),) for one in found)
    rows = [first[0], task(either, region(2, 3, "a"))]
    notes = notes_of("label_studio", tmp_path / "a", json.dumps(rows))
    assert notes == {"offsets counted in code points": 2}
    assert read("label_studio", tmp_path / "a", json.dumps(rows))[1].mentions == (Mention(2, 3, "X"),)


def test_the_first_annotation_that_was_not_cancelled_is_read(tmp_path, found):
    taken, other = {"result": [region(0, 1, "a")], "was_cancelled": False}, {"result": [region(2, 3, "b")]}
    choice = {"type": "choices", "from_name": "c", "to_name": "text", "value": {"choices": ["good"]}}
    taken["result"] += [choice, {"type": "relation", "from_id": "x", "to_id": "y"}]
    row = {
        "id": 1,
        "meta": {"source": "web"},
        "data": {"text": "a b"},
        "annotations": [{"was_cancelled": True, "result": [region(0, 3)]}, taken, other, other],
        "predictions": [{"result": []}],
        "drafts": [],
    }
    text, mentions, noted = found(row)
    assert (text, mentions) == ("a b", (Mention(0, 1, "X"),))
    assert noted == {
        "predictions are not read": 1,
        "key 'meta' is not read": 1,
        "cancelled annotations are not read": 1,
        "further annotations of a task are not read": 2,
        "results of type 'choices' are not read": 1,
        "results of type 'relation' are not read": 1,
    }
    unread = [task("c") | {"annotations": part} for part in ([], [{"was_cancelled": True, "result": []}])]
    lines = "\n".join(json.dumps(part) for part in (row, *unread))
    assert len(read("label_studio", tmp_path / "a", lines)) == 1
    assert notes_of("label_studio", tmp_path / "a", lines)["tasks without an annotation are not read"] == 2
    with pytest.raises(DataError, match="no text in the file"):
        read("label_studio", tmp_path / "a", json.dumps(unread))


def test_a_task_of_json_min_has_an_item_an_annotation(tmp_path):
    items = [
        {"id": 1, "text": "a", "ner": [{"start": 0, "end": 1, "text": "a", "labels": ["X"]}], "sentiment": "Positive"},
        {"id": 1, "text": "a", "annotation_id": 2, "created_at": "2021", "boxes": [{"choices": ["x"]}]},
        {"id": 2, "text": "a", "annotation_id": 3},
        {"id": 2, "text": "of another project", "annotation_id": 4},
    ]
    content = json.dumps(items)
    path = tmp_path / "a"
    assert read("label_studio", path, content) == [
        AnnotatedText("a", (Mention(0, 1, "X"),), str(path), 1),
        AnnotatedText("a", (), str(path), 3),
        AnnotatedText("of another project", (), str(path), 4),
    ]
    assert notes_of("label_studio", path, content) == {
        "key 'sentiment' is not read": 1,
        "key 'boxes' is not read": 1,
        "further annotations of a task are not read": 1,
    }


def test_offsets_are_written_in_utf16_units(tmp_path):
    label_studio.write([AnnotatedText(POO, (Mention(12, 22, "X"),), "", 1)], tmp_path / "a")
    ((row,),) = [json.loads((tmp_path / "a").read_text())]
    assert row == task(POO, region(13, 23, "annotation", id="0"))


CRLF = "Notes.\r\nMira Holt visited Quarl.\r\nOtto slept."
AS_ONE = {"offsets counted with a line end (CRLF) as one character, as browsers count": 1}


@pytest.mark.parametrize("minimal", [False, True])
@pytest.mark.parametrize("texts", [True, False])
@pytest.mark.parametrize(
    ("text", "places", "noted"),
    [
        (CRLF, [(7, 16), (25, 30), (32, 36)], AS_ONE),
        (CRLF, [(8, 17), (26, 31), (34, 38)], {}),
        ("💩" + CRLF, [(8, 17), (26, 31), (33, 37)], AS_ONE),  # in characters
        ("💩" + CRLF, [(9, 18), (27, 32), (34, 38)], AS_ONE),  # in UTF-16 units
        ("💩" + CRLF, [(10, 19), (28, 33), (36, 40)], {}),
    ],
)
def test_line_ends_may_be_counted_as_one_character(found, text, places, noted, texts, minimal):
    names = ["Mira Holt", "Quarl", "Otto"]
    regions = [region(*place, name if texts else None) for place, name in zip(places, names, strict=True)]
    row = task(text, *regions)
    if minimal:
        row = {"text": text, "label": [region["value"] for region in regions], "annotation_id": 1}
    _, mentions, notes = found(row)
    assert [text[m.start : m.end] for m in mentions] == names
    assert notes.keys() - UNDECIDED.keys() == noted.keys()


@pytest.mark.parametrize(
    ("regions", "said"),
    [
        ([region(8, 17, "Mira Hold")], "do not match its text.* with a line end .CRLF. as one character or as two"),
        ([region(9, 15)], "cannot tell whether offsets count a line end .CRLF. as one character or as two"),
        ([region(0, 5), region(8, 16)], "cannot tell whether"),
    ],
)
def test_line_ends_that_nothing_decides_are_refused(found, regions, said):
    with pytest.raises(DataError, match=said):
        found(task(CRLF, *regions))


def test_regions_before_the_first_line_end_need_no_decision(found):
    assert found(task(CRLF, region(0, 5)))[1:] == ((Mention(0, 5, "X"),), {})
    assert found(task("a\r\na", region(0, 1)))[2] == {}


def test_text_with_line_ends_comes_back(tmp_path):
    """Although, counted with one character a line end, the regions would stand at words, too."""
    made = [AnnotatedText("a\r\nab a", (Mention(3, 4, "X"), Mention(4, 5, "Y")), str(tmp_path / "a"), 2)]
    label_studio.write(made, tmp_path / "a")
    assert read("label_studio", tmp_path / "a", (tmp_path / "a").read_bytes()) == made


def test_the_ground_truth_is_read_before_the_first(found):
    first, truth = ({"result": [region(0, 4, label=label)]} for label in ("ORG", "PER"))
    for annotations in ([first, truth | {"ground_truth": True}], [truth | {"ground_truth": True}, first]):
        row = task("Mira") | {"annotations": annotations}
        assert found(row)[1:] == ((Mention(0, 4, "PER"),), {"further annotations of a task are not read": 1})
    cancelled = truth | {"ground_truth": True, "was_cancelled": True}
    assert found(task("Mira") | {"annotations": [first, cancelled]})[1] == (Mention(0, 4, "ORG"),)


def ner_and_tone(minimal: bool) -> list[dict]:
    regions = [region(0, 4, "Mira", "PER"), region(5, 8, "met", "Good")]
    regions[0]["from_name"], regions[1]["from_name"] = "ner", "tone"
    if minimal:
        return [{"text": "Mira met", "annotation_id": 1, **{r["from_name"]: [r["value"]]}} for r in regions]
    return [task("Mira met", one) for one in regions]


@pytest.mark.parametrize("minimal", [False, True])
def test_one_of_several_controls_is_chosen(tmp_path, minimal):
    """Be they in one task or in two of a file."""
    path, tasks = tmp_path / "a", ner_and_tone(minimal)
    both = tasks[0] | tasks[1] if minimal else task("Mira met", *(one["annotations"][0]["result"][0] for one in tasks))
    for rows in (tasks, [both]):
        with pytest.raises(DataError, match=r"regions of several Labels tags, got \['ner', 'tone'\]; .*tag.column"):
            read("label_studio", path, json.dumps(rows))
        for control, label in (("ner", "PER"), ("tone", "Good")):
            options = Options(tag_column=control)
            found = read("label_studio", path, json.dumps(rows), options)
            assert [m.label for record in found for m in record.mentions] == [label]
            assert options.notes.counts == {f"regions of Labels tags other than '{control}' are not read": 1}
        with pytest.raises(DataError, match=r"no region of the Labels tag 'none', got \['ner', 'tone'\]"):
            read("label_studio", path, json.dumps(rows), Options(tag_column="none"))


def test_tasks_of_predictions_alone_are_no_annotations(tmp_path):
    content = json.dumps([{"data": {"text": "Mira"}, "predictions": [{"result": [region(0, 4)]}]}])
    assert label_studio.recognise(tmp_path / "a.json", content)
    with pytest.raises(DataError, match=r"no text in the file.*export tasks that are annotated"):
        read("label_studio", tmp_path / "a", content)
