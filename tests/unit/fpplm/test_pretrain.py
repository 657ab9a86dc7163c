"""`fpplm pretrain`: one encoder from several corpora with different labels, as a folder that model.encoder takes."""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from fpplm.cli.main import app
from fpplm.session import pretraining
from fpplm.session.corpora import read_corpora
from fpplm_core.data.corpus import load_corpus
from fpplm_core.errors import DataError, FpplmError
from fpplm_core.files import write_text
from fpplm_core.model import pretrained
from fpplm_core.model.blueprint import Blueprint
from fpplm_core.model.tagger import initialise
from fpplm_core.params import Params
from fpplm_core.tagging.schemes import label_list
from fpplm_core.training.pretraining import BALANCE, draw_steps, tagger_of_corpora

FIRST = ["the", "of", "in", "city", "river", "word", "London", "Paris"]


def sentences(kind: str, count: int, seed: int, extra: str = "") -> str:
    """Sentences of words that depend on the seed, each with a mention of this type."""
    words = random.Random(seed)

    def word() -> str:
        return "".join(words.choices("abcdefgh", k=5))

    rows = []
    for _ in range(count):
        rows.append("\n".join([f"{word()} O", f"{word()} B-{kind}", *(f"{word()} O" for _ in range(6)), extra]).strip())
    return "\n\n".join(rows) + "\n"


@pytest.fixture
def corpora(tmp_path: Path) -> list[Path]:
    """Two corpora of other sizes and labels; the second has no dev and test."""
    for name, split, count, seed in (
        ("large", "train", 60, 1),
        ("large", "dev", 8, 2),
        ("large", "test", 8, 3),
        ("small", "train", 20, 4),
    ):
        kind = "place" if name == "large" else "creative-work"
        write_text(tmp_path / name / f"{split}.conll", sentences(kind, count, seed))
    return [tmp_path / "large", tmp_path / "small"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, params: Params) -> Callable[..., Result]:
    """Runs the command in a project with the tiny encoder."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    values = params.model_dump()
    values["train"] |= {"checkpoint_steps": 5, "batch_pieces": 96}
    values["encode"] |= {"window": 32, "stride": 4}
    values["model"]["shapes"] = "on"
    Path("params.yaml").write_text(json.dumps(values))
    Path("dvc.yaml").write_text("")

    def run(*arguments: str | Path) -> Result:
        return CliRunner().invoke(app, ["pretrain", *map(str, arguments)])

    return run


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(folder / "model.safetensors")


def test_the_encoder_learns_and_its_folder_is_one_that_training_takes(corpora, project, params, tiny_encoder):
    result = project(*corpora, "--out", "new", "--steps", "12")
    assert result.exit_code == 0, result.output
    record = json.loads(Path("new/pretraining.json").read_text())
    assert [row["name"] for row in record["corpora"]] == ["large", "small"]
    assert sum(row["steps"] for row in record["corpora"]) == record["steps"] == 12
    assert set(record["corpora"][0]["files"]) == {"train.conll", "dev.conll", "test.conll"}
    before, after = weights(tiny_encoder), weights(Path("new"))
    changed = [name for name, value in after.items() if not torch.equal(value, before[name])]
    assert any("layer.1" in name for name in changed) and "embeddings.word_embeddings.weight" in changed
    assert after["embeddings.word_embeddings.weight"].shape == before["embeddings.word_embeddings.weight"].shape
    unused = pretrained.load_tokenizer("new").convert_tokens_to_ids("London")
    assert torch.equal(*(one["embeddings.word_embeddings.weight"][unused] for one in (before, after)))
    # It keeps the word shapes that it has learned.
    table = after["embeddings.token_type_embeddings.weight"]
    assert len(table) == 9 and not torch.equal(table[2], table[3])
    tagger = initialise(pretrained.load_encoder("new"), Blueprint(label_list(["X"]), 2, 4), params.model, seed=1)
    assert torch.equal(tagger.encoder.embeddings.token_type_embeddings.weight, table)
    again = project(*corpora, "--out", "new", "--steps", "12")
    assert isinstance(again.exception, DataError) and "already there" in str(again.exception)


def test_a_killed_run_ends_as_an_uncut_one(corpora, project, monkeypatch):
    assert project(*corpora, "--out", "uncut", "--steps", "12").exit_code == 0
    whole = pretraining.train_steps

    def cut(*arguments):
        for report in whole(*arguments):
            if report.step == 8:
                raise KeyboardInterrupt
            yield report

    monkeypatch.setattr(pretraining, "train_steps", cut)
    assert project(*corpora, "--out", "cut", "--steps", "12").exit_code != 0
    assert not Path("cut").exists()
    monkeypatch.setattr(pretraining, "train_steps", whole)
    resumed = project(*corpora, "--out", "cut", "--steps", "12")
    assert resumed.exit_code == 0 and "resumed at step 5 of 12" in resumed.output
    assert Path("cut/model.safetensors").read_bytes() == Path("uncut/model.safetensors").read_bytes()
    assert not list(Path(".fpplm/checkpoints").iterdir())


def test_nothing_is_learned_from_what_is_held_out(corpora, params, tmp_path):
    """Neither a corpus's own dev or test, nor another's, nor given files; also with a changed word."""
    trained = (corpora[0] / "train.conll").read_text().split("\n\n")
    (corpora[1] / "test.conll").write_text("\n\n".join(trained[:3]) + "\n")
    (corpora[0] / "dev.conll").write_text("\n\n".join(trained[3:5]) + "\n")
    words = trained[5].splitlines()
    given = tmp_path / "own.conll"
    given.write_text("\n".join([*words[:-1], "changed O"]) + "\n")
    (tmp_path / "scratch").mkdir()
    found = read_corpora(params.data, corpora, [given], tmp_path / "scratch")
    assert [(one.kept, one.left_out) for one in found] == [(54, 6), (16, 0)]
    learned = {s.words for s in load_corpus("train", found[0].folder)}
    gone = [tuple(line.split()[0] for line in block.splitlines()) for block in trained[:6]]
    assert not learned & set(gone) and len(learned) == 54


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "train.conll").unlink(), "expected one file train.*, got none"),
        (lambda folder: (folder / "dev.tsv").write_text("x\tO\n"), "got dev.conll, dev.tsv"),
        (shutil.rmtree, "expected one file train.*"),
        (lambda folder: shutil.copyfile(folder / "train.conll", folder / "test.conll"), "have every sentence of train"),
    ],
)
def test_what_is_no_corpus_is_refused_in_one_line(corpora, project, change, message):
    change(corpora[0])
    result = project(*corpora, "--out", "new", "--steps", "2")
    assert isinstance(result.exception, FpplmError)
    assert message in str(result.exception).replace(f"{corpora[0]}: ", "") or message in str(result.exception)
    assert "\n" not in str(result.exception) and not Path("new").exists()


def test_a_corpus_moves_its_own_head_alone(tiny_encoder, params):
    blueprints = [Blueprint(label_list(kinds), None, 4) for kinds in (["X"], ["Y", "Z"])]
    tagger = tagger_of_corpora(pretrained.load_encoder(str(tiny_encoder)), blueprints, params.model, 1)
    hidden = torch.ones(2, 3, tagger.width)
    assert tagger.classify(hidden).shape == (2, 3, 5)
    tagger.head.chosen = 1
    tagger.classify(hidden).sum().backward()
    moved = {name for name, parameter in tagger.named_parameters() if parameter.grad is not None}
    assert moved == {"head.heads.1.weight", "head.heads.1.bias"} and tagger.classify(hidden).shape == (2, 3, 9)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=4), st.integers(0, 5))
def test_every_step_has_rows_of_one_corpus_in_rounds(sizes, seed):
    lengths = [[4 + row % 9 for row in range(size)] for size in sizes]
    steps = draw_steps(lengths, 24, 60, seed)
    assert steps == draw_steps(lengths, 24, 60, seed) and len(steps) == 60
    for number, own in enumerate(lengths):
        drawn = Counter(row for step in steps if step.corpus == number for row in step.rows)
        assert set(drawn) <= set(range(len(own)))
        assert max(drawn.values(), default=0) - min((drawn[row] for row in range(len(own))), default=0) <= 1


def test_sizes_are_balanced():
    steps = draw_steps([[8] * 900, [8] * 100], 32, 4000, 1)
    share = np.mean([step.corpus for step in steps])
    assert share == pytest.approx(100**BALANCE / (900**BALANCE + 100**BALANCE), abs=0.03)
