"""The corpora with fresh tests: what train, test and text hold, and that they share nothing."""

import subprocess
import sys

import pytest

from benchmarks.studies.fresh import SENTENCES, cut, is_mark, plain, read_units
from tests.conftest import ROOT


def write(folder, documents):
    lines = []
    for number in range(300):
        if documents and number % 5 == 0:
            lines.append("-DOCSTART-\tO\n")
        lines.append(f"word{number}\tB-X\nand\tO\n")
    (folder / "train.conll").write_text("\n".join(lines))
    for split in ("dev", "test"):
        (folder / f"{split}.conll").write_text(f"{split}\tO\n\n")


@pytest.mark.parametrize("documents", [True, False])
def test_train_test_and_text_are_whole_documents_and_share_nothing(tmp_path, documents):
    write(tmp_path, documents)
    units = read_units(tmp_path / "train.conll")
    assert len(units) == (60 if documents else 300)
    train, test, text = cut(units, 42)
    assert (train, test, text) == cut(units, 42)
    words = [{sentence[0] for sentence in plain(part)} for part in (train, test, text)]
    assert len(set.union(*words)) == sum(map(len, words)) == 300
    assert len(words[0]) == (45 if documents else 42) and abs(len(words[1]) - len(words[2])) <= 5
    for part in (train, test, text):
        assert sum(map(is_mark, part)) == (len(list(plain(part))) // 5 if documents else 0)


def test_the_folders_have_a_test_of_their_own(tmp_path):
    for name in SENTENCES:
        (tmp_path / name).mkdir()
        write(tmp_path / name, documents=name == "wikigold")
    command = [sys.executable, "-m", "benchmarks.studies.fresh", str(tmp_path)]
    subprocess.run(command, cwd=tmp_path, check=True, env={"PYTHONPATH": str(ROOT)}, capture_output=True)
    own = tmp_path / "build/fresh/wikigold"
    assert {str(file.relative_to(own)) for file in own.rglob("*.*")} == {
        "train.conll",
        "dev.conll",
        "test/test.conll",
    }
    assert (tmp_path / "build/fresh/wikigold_text/text.txt").read_text()
    assert (own / "dev.conll").read_text().split() == ["dev", "O"]
    whole = tmp_path / "build/fresh/wikigold_whole"
    assert (whole / "train.conll").read_text() == (tmp_path / "wikigold/train.conll").read_text()
    assert (whole / "test/test.conll").read_text() == "test\tO\n\n"
