"""Records as JSON files: keys in their order, and one error for what is no such record."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from fpplm_core.errors import DataError
from fpplm_core.files import read_record, write_record


@dataclass(frozen=True)
class Inner:
    value: float
    name: str | None = None


@dataclass(frozen=True)
class Outer:
    z: int
    a: dict[str, Inner]
    rows: list[Inner]
    pair: tuple[int, int] = (0, 0)


RECORD = Outer(3, {"b": Inner(1e-17), "a": Inner(0.1 + 0.2, "ü")}, [Inner(2.0)], (1, 2))


def test_a_record_is_read_as_it_was_written_with_keys_in_the_order_of_its_fields(tmp_path: Path):
    path = tmp_path / "new" / "record.json"
    write_record(path, RECORD)
    assert read_record(path, Outer) == RECORD
    values = json.loads(path.read_text(encoding="utf-8"))
    assert list(values) == ["z", "a", "rows", "pair"] and list(values["a"]) == ["b", "a"]
    assert [file.name for file in path.parent.iterdir()] == ["record.json"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"z": "three"}, "z: Input should be a valid integer"),
        ({"rows": [{"value": None}]}, r"rows\.0\.value: Input should be a valid number"),
        ([], "record.json"),
        (None, "record.json"),
    ],
)
def test_what_is_no_such_record_is_an_error_that_names_file_and_key(tmp_path: Path, values, message):
    path = tmp_path / "record.json"
    write_record(path, RECORD)
    content = {**json.loads(path.read_text()), **values} if isinstance(values, dict) else values
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=message) as caught:
        read_record(path, Outer)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_record_is_the_work_of_an_earlier_stage(tmp_path: Path):
    with pytest.raises(DataError, match=r"made by an earlier stage, and missing; run: dvc repro"):
        read_record(tmp_path / "none.json", Outer)
