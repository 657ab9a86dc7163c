import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpplm_core.data.formats import _json
from fpplm_core.data.formats._json import first_value, piece, read_values, write_lines, write_list
from fpplm_core.errors import DataError, shown

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
values = st.recursive(scalars | texts, lambda v: st.lists(v, max_size=3) | st.dictionaries(texts, v, max_size=3))
objects = st.dictionaries(texts, values, max_size=3)


def read(tmp_path_factory, content: str | bytes):
    path = tmp_path_factory.getbasetemp() / "values.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_values(path)


@given(st.lists(objects, max_size=5), st.sampled_from([None, 0, 1, "\t"]), st.sampled_from(["", "\ufeff", " \r\n\n"]))
def test_lists_and_lines_give_the_same_values_with_their_lines(tmp_path_factory, rows, indent, head):
    path = tmp_path_factory.getbasetemp() / "written.json"
    above = head.count("\n")
    for write, offset in ((write_lines, 1), (write_list, 2)):
        write(rows, path)
        found = list(read(tmp_path_factory, head + path.read_text()))
        assert found == [(above + offset + number, row) for number, row in enumerate(rows)]
    assert [value for _, value in read(tmp_path_factory, head + json.dumps(rows, indent=indent) + "\n")] == rows


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_items_over_several_lines_have_the_line_on_which_they_begin(tmp_path_factory, newline):
    content = '\n[\n\n{"a":\n1}\n,\n\n  {"b": [\n\n2]}, 3,\n"x"\n\n]\n\n'.replace("\n", newline)
    assert list(read(tmp_path_factory, content)) == [(4, {"a": 1}), (8, {"b": [2]}), (10, 3), (11, "x")]


def test_an_object_over_several_lines_is_an_error_with_advice(tmp_path_factory):
    with pytest.raises(DataError, match="put an object over several lines in"):
        list(read(tmp_path_factory, '{\n"a": 1\n}\n'))


def test_items_on_one_line_are_counted(tmp_path_factory):
    assert list(read(tmp_path_factory, "[{},\n{}, {},\n\n{}, {}]")) == [(1, {}), (2, {}), (3, {}), (4, {}), (5, {})]


@pytest.mark.parametrize("indent", [None, 1])
def test_a_list_cut_at_any_byte_gives_what_stands_before_and_an_error(tmp_path_factory, indent):
    rows = [{"text": 'é😀"\\', "n": [-1.5e3, True, None]}, {}, {"deep": {"er": [[{"": "\u2028"}]]}}]
    content = json.dumps(rows, indent=indent, ensure_ascii=False).encode()
    for length in range(1, len(content)):
        found = []
        with pytest.raises(DataError) as caught:
            for line, row in read(tmp_path_factory, content[:length]):
                found.append((line, row))
        assert [row for _, row in found] == rows[: len(found)]
        line = int(caught.value.where.rsplit(":", 1)[1])
        assert 1 <= line <= content[:length].count(b"\n") + 1


@pytest.mark.parametrize(
    ("content", "line", "said"),
    [
        ('{"a": 1}\n{"a": }', 2, "not valid JSON (Expecting value, column 7)"),
        ('{"a": 1} {"a": 1}', 1, "not valid JSON (Extra data"),
        ('{"a": NaN}', 1, "not valid JSON (NaN is not JSON)"),
        ('{"a": -Infinity}', 1, "not valid JSON (-Infinity is not JSON)"),
        ('{"a": {"b": 1, "c": 2, "b": 3}}', 1, "not valid JSON (the key 'b' occurs twice)"),
        ('{"a": "\\ud83d"}', 1, "half of a surrogate pair"),
        ('{"\\uDE00": "\\ud83d\\ude00"}', 1, "half of a surrogate pair"),
        ('{"a": ' + "9" * 5000 + "}", 1, "not valid JSON (Exceeds the limit"),
        ('{"a":' * 50_000, 1, "not valid JSON (nested too deeply)"),
        ("[" * 50_000, 1, "not valid JSON (nested too deeply)"),
        ('[{"a": 1}\n{"a": 1}]', 2, "a comma is missing between items"),
        ('[{"a": 1},\n]', 2, "not valid JSON (Expecting value)"),
        ('[{"a": 1}\n] {', 2, "text after the list"),
        ('[\n{"a": 1},\n{"a":\nNaN},\n{}]', 3, "not valid JSON (NaN is not JSON)"),
        ('[\n{"a": 1},\n{"a":\n\n1 2},\n{}]', 5, "not valid JSON (Expecting ',' delimiter)"),
        ('[{},\n{"a":\n"b\nc"}]', 3, "not valid JSON (Invalid control character"),
        ('[{},\n\n{"a": "\\ud83d"}]', 3, "half of a surrogate pair"),
    ],
)
def test_what_is_no_json_is_an_error_with_its_line(tmp_path_factory, content, line, said):
    with pytest.raises(DataError) as caught:
        list(read(tmp_path_factory, content))
    assert f"values.json:{line}: {said}" in str(caught.value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_an_escaped_backslash_before_a_u_is_no_surrogate(tmp_path_factory):
    assert list(read(tmp_path_factory, '["\\\\ud83d", "\\ud83d\\ude00"]')) == [(1, "\\ud83d"), (2, "😀")]


class Counting:
    """The decoder, and how many characters it was given in tries that failed."""

    def __init__(self, decoder: json.JSONDecoder) -> None:
        self.decoder, self.failed = decoder, 0

    def raw_decode(self, text: str, place: int):
        try:
            return self.decoder.raw_decode(text, place)
        except ValueError:
            self.failed += len(text) - place
            raise


def test_items_are_decoded_in_linear_time(tmp_path_factory, monkeypatch):
    counting = Counting(_json._decoder)
    monkeypatch.setattr(_json, "_decoder", counting)
    small = [{"n": n} for n in range(20_000)]
    assert [row for _, row in read(tmp_path_factory, json.dumps(small))] == small
    assert counting.failed == 0
    content = json.dumps([small, small], indent=0)
    assert [row for _, row in read(tmp_path_factory, content)] == [small, small]
    assert counting.failed < 2 * len(content)


def test_a_bad_item_is_an_error_before_the_rest_of_the_file_is_read(tmp_path_factory):
    content = b'[{"a": 1},\n{"a" 2},\n' + b'{"a": 3},\n' * 10_000 + b"\xff]"
    with pytest.raises(DataError, match=":2: not valid JSON"):
        list(read(tmp_path_factory, content))


@pytest.mark.parametrize(
    ("head", "value"),
    [
        ('{"a": 1}\nnot json', {"a": 1}),
        (' \n[ {"a": 1}, {', {"a": 1}),
        ("[]", None),
        ("", None),
        ('"a"', None),
        ("[" * 100_000, None),
        ('{"a": ' + "9" * 5000 + "}", None),
    ],
)
def test_the_first_value_of_a_head(tmp_path, head, value):
    assert first_value(head, tmp_path / "none") == value


def test_a_first_value_that_is_longer_than_the_head_is_read_from_the_file(tmp_path):
    for write in (write_lines, write_list):
        write([{"a": "x" * 100, "b": 1}], tmp_path / "long.json")
        head = (tmp_path / "long.json").read_text()[:50]
        assert first_value(head, tmp_path / "long.json") == {"a": "x" * 100, "b": 1}
        assert first_value(head, tmp_path / "none") is None


def test_a_piece_is_a_place_in_the_text():
    assert piece("a😀", 1, 2, "f:1") == "😀"
    for start, end in ((-1, 1), (1, 1), (1, 0), (0, 3), (2, 3), (-2, -1), (0, 10**4300)):
        with pytest.raises(DataError, match="f:1: not a range in a text of 2 characters"):
            piece("a😀", start, end, "f:1")


def test_what_is_shown_of_a_value_is_short(tmp_path_factory):
    ((_, deep),) = read(tmp_path_factory, "[" * 900 + "]" * 900 + "\n") or [(0, None)]
    for value in (deep, "x" * 10**6, ["y" * 100] * 100, {"k" * 99: {}}, 10**5000):
        assert 0 < len(shown(value)) <= 61
