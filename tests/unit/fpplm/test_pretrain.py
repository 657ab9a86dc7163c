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
from fpplm.project.garbage import stale_checkpoints
from fpplm.session import checkpoint, pretraining, training
from fpplm.session.checkpoint import Checkpoint
from fpplm.session.corpora import Corpus, encode_corpora, find_corpora, held_out_files, read_corpora
from fpplm_core.data import windows
from fpplm_core.data.corpus import SPLITS, load_corpus
from fpplm_core.data.reading import read_corpus
from fpplm_core.errors import DataError, FpplmError, TrainingDiverged
from fpplm_core.files import write_text
from fpplm_core.model import pretrained
from fpplm_core.model.blueprint import Blueprint
from fpplm_core.model.tagger import initialise
from fpplm_core.params import Params, load
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
    values["data"] |= {"path": "data", **{split: f"{split}.conll" for split in SPLITS}}
    for seed, (split, count) in enumerate({"train": 20, "dev": 6, "test": 6}.items(), start=5):
        write_text(Path("data", f"{split}.conll"), sentences("PER", count, seed))
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
    assert [row["name"] for row in record["corpora"]] == list(map(str, corpora)) and f"{corpora[1]}: 1" in result.output
    assert sum(row["steps"] for row in record["corpora"]) == record["steps"] == 12
    assert {Path(file).name for file in record["corpora"][0]["files"]} == {f"{split}.conll" for split in SPLITS}
    before, after = weights(tiny_encoder), weights(Path("new"))
    changed = [name for name, value in after.items() if not torch.equal(value, before[name])]
    assert any("layer.1" in name for name in changed) and "embeddings.word_embeddings.weight" in changed
    assert after["embeddings.word_embeddings.weight"].shape == before["embeddings.word_embeddings.weight"].shape
    unused = pretrained.load_tokenizer("new", None).convert_tokens_to_ids("London")
    assert torch.equal(*(one["embeddings.word_embeddings.weight"][unused] for one in (before, after)))
    # It keeps the word shapes that it has learned.
    table = after["embeddings.token_type_embeddings.weight"]
    assert len(table) == 9 and not torch.equal(table[2], table[3])
    tagger = initialise(pretrained.load_encoder("new", None), Blueprint(label_list(["X"]), 2, 4), params.model, seed=1)
    assert torch.equal(tagger.encoder.embeddings.token_type_embeddings.weight, table)
    assert record["precision"] == "float32" and set(record["held_out"]) == {"data/dev.conll", "data/test.conll"}
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


def test_a_loss_that_is_no_number_ends_it_where_the_steps_do_not_read_it(corpora, project, monkeypatch):
    """As on a GPU."""
    whole = pretraining.train_steps

    def diverging(*arguments):
        for report in whole(*arguments):
            yield report._replace(norms={"model": torch.tensor(torch.nan if report.step > 6 else 1.0)})

    monkeypatch.setattr(pretraining, "train_steps", diverging)
    result = project(*corpora, "--out", "new", "--steps", "12")
    assert isinstance(result.exception, TrainingDiverged) and "step 7" in str(result.exception)
    assert not Path("new").exists()


def blocks(file: Path) -> list[str]:
    return file.read_text().strip().split("\n\n")


def read(params: Params, corpora: list[Path], held_out: list[Path], scratch: Path) -> list[Corpus]:
    scratch.mkdir()
    return read_corpora(params, find_corpora(corpora, held_out), held_out, scratch)


def words_of(corpus: Corpus) -> set[tuple[str, ...]]:
    return {s.words for s in load_corpus("train", corpus.folder)}


def test_nothing_is_learned_from_what_is_held_out(corpora, project, tmp_path):
    """Neither a corpus's own dev or test, nor another's, nor the project's, nor given files, nor a changed one."""
    trained = blocks(corpora[0] / "train.conll")
    (corpora[1] / "test.conll").write_text("\n\n".join(trained[:3]) + "\n")
    (corpora[0] / "dev.conll").write_text("\n\n".join(trained[3:5]) + "\n")
    given = tmp_path / "own.conll"
    given.write_text("\n".join([*trained[5].splitlines()[:-1], "changed O"]) + "\n")
    for number, split in ((6, "dev"), (7, "test")):
        Path("data", f"{split}.conll").write_text(trained[number] + "\n")
    found = read(load(), corpora, [given], tmp_path / "scratch")
    assert [(one.kept, one.left_out) for one in found] == [(52, 8), (16, 0)]
    gone = [tuple(line.split()[0] for line in block.splitlines()) for block in trained[:8]]
    assert not words_of(found[0]) & set(gone) and len(words_of(found[0])) == 52


def test_a_corpus_may_have_more_labels_than_a_bundle_holds(corpora, project, tmp_path, monkeypatch):
    monkeypatch.setattr(windows, "MOST_EXPORTED_LABELS", 1)
    found = encode_corpora(load(), read(load(), corpora[:1], [], tmp_path / "scratch"))
    assert len(found[0].blueprint.labels) > 1


def test_the_projects_own_files_are_read_with_its_own_columns(corpora, project, tmp_path):
    """The first of their columns would count as the words of a file that is read by itself."""
    trained = blocks(corpora[0] / "train.conll")

    def in_columns(*chosen: str) -> str:
        lines = (f"w{n} {line}" if line else "" for n, line in enumerate("\n\n".join(chosen).split("\n")))
        return "\n".join(lines) + "\n"

    columns = {"format": "conll", "word_column": 1, "tag_column": 2, "separator": "blank"}
    values = load().model_dump()
    Path("params.yaml").write_text(json.dumps(values | {"data": values["data"] | columns}))
    for split, chosen in {"train": trained[20:30], "dev": trained[:2], "test": trained[2:4]}.items():
        Path("data", f"{split}.conll").write_text(in_columns(*chosen))
    (tmp_path / "more.conll").write_text(in_columns(*trained[4:7]))
    found = read(load(), corpora, [tmp_path / "more.conll"], tmp_path / "scratch")
    assert [(one.kept, one.left_out) for one in found] == [(53, 7), (13, 0)]


def test_dev_and_test_that_the_project_cuts_from_train_are_held_out(corpora, project, tmp_path):
    shutil.copyfile(corpora[0] / "train.conll", "data/train.conll")
    values = load().model_dump()
    values["data"] |= {"dev": None, "test": None}
    Path("params.yaml").write_text(json.dumps(values))
    Path("build").mkdir()
    read_corpus(load().data, Path("build"))
    cut = {s.words for split in ("dev", "test") for s in load_corpus(split, Path("build"))}
    [found] = read(load(), corpora[:1], [], tmp_path / "scratch")
    assert found.left_out == len(cut) > 15 and not words_of(found) & cut
    assert [*map(str, held_out_files(load().data, []))] == ["data/train.conll"]


def test_train_refuses_the_encoder_once_dev_or_test_have_what_it_learned(corpora, project):
    """So does a further pretraining. An encoder that was made from it is refused too."""
    assert project(*corpora, "--out", "new", "--steps", "2").exit_code == 0
    model = load().model.model_copy(update={"encoder": "new"})
    Path("build/corpus").mkdir(parents=True)
    read_corpus(load().data, Path("build/corpus"))
    with pytest.raises(DataError, match="build/encoded"):  # all that is missing
        training.start(model, load().train, load().technique, False, torch.device("cpu"))
    values = load().model_dump()
    Path("params.yaml").write_text(json.dumps(values | {"model": model.model_dump()}))
    assert project(corpora[1], "--out", "newer", "--steps", "2").exit_code == 0
    shutil.copyfile(corpora[0] / "train.conll", "data/test.conll")
    read_corpus(load().data, Path("build/corpus"))
    for encoder in ("new", "newer"):
        model = model.model_copy(update={"encoder": encoder})
        with pytest.raises(
            DataError, match=f"model.encoder: it was trained on sentences of dev or test, got {encoder}: 60"
        ):
            training.start(model, load().train, load().technique, False, torch.device("cpu"))
    again = project(corpora[1], "--out", "newest", "--steps", "2")
    assert "it was trained on sentences of dev or test, got new: 60" in str(again.exception)


def test_plain_text_with_gazetteers_is_one_more_corpus_without_what_is_held_out(corpora, project):
    write_text(Path("more.conll"), sentences("LOC", 20, 30))
    both = [block.splitlines() for file in ("data/test.conll", "more.conll") for block in blocks(Path(file))]
    rows = [[line.split() for line in lines] for lines in both]
    write_text(Path("texts/a.txt"), "\n".join([*(" ".join(word for word, _ in row) for row in rows), "no name here"]))
    write_text(Path("places"), "\n".join(word for row in rows for word, tag in row if tag != "O"))
    arguments = ["--gazetteer", "LOC=places", "--text", "texts", "--steps", "12"]
    result = project(corpora[1], "--out", "new", *arguments)
    assert result.exit_code == 0, result.output
    row = json.loads(Path("new/pretraining.json").read_text())["corpora"][1]
    assert row["name"] == "texts" and set(row["files"]) == {"texts/a.txt", "places"}
    assert 0 < row["left_out"] <= 6 and row["sentences"] + row["left_out"] == 17 and row["steps"] > 0
    for wrong, message in (
        (["--text", "texts"], "--text: text and gazetteers go together"),
        (["--gazetteer", "LOC=places"], "--text: text and gazetteers go together"),
        (["--gazetteer", "LOC=place", "--text", "texts"], "--gazetteer: not the type and the file of a gazetteer"),
        (["--gazetteer", "LOC=params.yaml", "--text", "texts"], "--text: no sentence has an entry"),
    ):
        assert message in str(project(corpora[1], "--out", "newer", *wrong).exception)


def test_files_that_were_added_to_a_corpus_are_in_the_record_and_the_checkpoint(corpora, project, monkeypatch):
    write_text(corpora[1] / "drops/new.conll", sentences("creative-work", 4, 9))
    monkeypatch.setattr(Checkpoint, "remove", lambda _: None)
    assert project(*corpora, "--out", "new", "--steps", "2").exit_code == 0
    record = json.loads(Path("new/pretraining.json").read_text())
    assert set(record["corpora"][1]["files"]) == {f"{corpora[1]}/{name}.conll" for name in ("train", "drops/new")}
    write_text(corpora[1] / "drops/new.conll", sentences("creative-work", 4, 10))
    assert "resumed" not in project(*corpora, "--out", "other", "--steps", "2").output
    assert "resumed" in project(*corpora, "--out", "same", "--steps", "2").output


def without_entities(folder: Path) -> None:
    for split in SPLITS:
        file = folder / f"{split}.conll"
        file.write_text(file.read_text().replace("B-place", "O"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "train.conll").unlink(), "expected one file train.*, got none"),
        (lambda folder: (folder / "dev.tsv").write_text("x\tO\n"), "got dev.conll, dev.tsv"),
        (shutil.rmtree, "expected one file train.*"),
        (lambda folder: shutil.copyfile(folder / "train.conll", folder / "test.conll"), "have every sentence of train"),
        (without_entities, "train has no entity to learn from"),
        (lambda _: shutil.rmtree("data"), "data.path: no such folder"),
        (lambda folder: write_text(folder / "dev.conll", ""), "dev"),
    ],
)
def test_what_is_no_corpus_is_refused_in_one_line(corpora, project, change, message):
    change(corpora[0])
    result = project(*corpora, "--out", "new", "--steps", "2")
    assert isinstance(result.exception, FpplmError)
    assert message in str(result.exception).replace(f"{corpora[0]}: ", "") or message in str(result.exception)
    assert "\n" not in str(result.exception) and not Path("new").exists()


def test_what_the_command_cannot_do_is_said_before_anything_is_read(corpora, project, tmp_path, monkeypatch):
    def never(*_: object) -> None:
        pytest.fail("read something")

    monkeypatch.setattr(pretraining, "read_corpora", never)
    monkeypatch.setattr(pretraining.pretrained, "load_encoder", never)
    (tmp_path / "link").symlink_to(corpora[1])
    for link, goal in (("loop", "loop"), ("broken", "nowhere")):
        Path(link).symlink_to(goal)
    for arguments, message in (
        ([*corpora, "--held-out", "tset.conll", "--out", "new"], "--held-out: no such file, got tset.conll"),
        ([*corpora, tmp_path / "link", "--out", "new"], f"link: the same corpus twice, got {corpora[1]}"),
        ([*corpora, "--out", "params.yaml"], "params.yaml: already there"),
        ([*corpora, "--out", "params.yaml/new"], "params.yaml: already there"),
        ([*corpora, "--out", "data"], "data: already there"),
        ([*corpora, "--out", "loop"], "loop: already there"),
        ([*corpora, "--out", "broken/new"], "broken: already there"),
    ):
        assert message in str(project(*arguments).exception)


def test_a_link_to_an_empty_folder_is_filled(corpora, project, tmp_path):
    (tmp_path / "large disk").mkdir()
    Path("new").symlink_to(tmp_path / "large disk")
    assert project(*corpora, "--out", "new", "--steps", "2").exit_code == 0
    assert Path("new").is_symlink() and (tmp_path / "large disk/pretraining.json").exists()


def test_one_training_at_a_time_and_gc_leaves_its_checkpoint(corpora, project, monkeypatch):
    monkeypatch.setattr(checkpoint, "WAIT", 0.1)
    for name in ("older", "newer"):
        Path(".fpplm/checkpoints", name).mkdir(parents=True)
    with checkpoint.training_lock(0):
        assert "another process is training" in str(project(*corpora, "--out", "new", "--steps", "2").exception)
        assert stale_checkpoints() == []
    assert not list(Path().glob("new*"))
    assert len(stale_checkpoints()) == 1


def test_a_damaged_checkpoint_is_said(corpora, project, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(Checkpoint, "remove", lambda _: None)
        assert project(*corpora, "--out", "new", "--steps", "2").exit_code == 0
    [state] = Path(".fpplm/checkpoints").glob("*/state.safetensors")
    state.write_bytes(state.read_bytes()[:-8])
    result = project(*corpora, "--out", "newer", "--steps", "2")
    assert "damaged, so removed" in result.output and "resumed" not in result.output


def test_a_corpus_moves_its_own_head_alone(tiny_encoder, params):
    blueprints = [Blueprint(label_list(kinds), None, 4) for kinds in (["X"], ["Y", "Z"])]
    tagger = tagger_of_corpora(pretrained.load_encoder(str(tiny_encoder), None), blueprints, params.model, 1)
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
