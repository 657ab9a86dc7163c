"""Plans, cells, choices and the ledger of an ablation."""

import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml

from fpplm.session.progress import write_epochs
from fpplm.studies.ablation import by_key, cells_of, content, grid
from fpplm.studies.choices import choose, write_choices
from fpplm.studies.forest import WIDTH, forest
from fpplm.studies.ledger import LedgerRow, append_row, packed, read_ledger, unpacked
from fpplm.studies.outcome import mean_seconds, write_outcome
from fpplm.studies.plan import Plan, read_plan, used_files
from fpplm.studies.runs import counts_by_document, mislabelled, read_curve, spread
from fpplm.studies.scatter import scatter
from fpplm.studies.statistics import Effect
from fpplm_core.data.records import Sentence
from fpplm_core.errors import ParamsError
from fpplm_core.settings import read_yaml
from fpplm_core.training.history import DevScore
from tests.conftest import ROOT

SEARCH = {
    "trials": 4,
    "space": {"train.lr": {"low": 1e-5, "high": 1e-3}, "train.warmup": [0, 0.1, 0.3], "train.epochs": [6, 12]},
}
PLAN = {
    "seeds": [1, 2],
    "common": {"train.epochs": 3, "train.patience": 3},
    "corpora": {
        "small": {"data.path": "data/wikigold", "train_sentences": 7, "dev_sentences": 5, "noise": 0.5},
        "whole": {"data.path": "data/wikigold"},
        "elsewhere": {"data.path": "data/not/here"},
    },
    "arms": {"plain": {"technique.active": []}, "all six": {}, "Trainer": {"trainer": True}},
    "compare": {"all six": ["plain"]},
}
SCORES = {"f1": 0.5, "seen_f1": 0.5, "unseen_f1": 0.25, "illegal_paths": 0.1, "calibration_error": 0.02}


@pytest.fixture
def plan(tmp_path):
    def write(name="plan", **changes):
        file = tmp_path / f"{name}.yaml"
        file.write_text(yaml.safe_dump(PLAN | changes))
        return file

    return write


def cells(final=False, choices=None, **changes):
    return list(grid(Plan.parse(PLAN | changes, "plan"), choices or {}, final))


def row(cell, **facts):
    own = {"key": cell.key, "code": cell.code, "commit": "1234567", "corpus": cell.corpus, "arm": cell.arm}
    own |= {"seed": cell.seed, "trial": cell.trial, "values": cell.values, "curve": [0.5, 0.6], "dev_f1": 0.6}
    return LedgerRow(**{**own, "seconds": 10.0, "peak_mb": 100, **facts})


def final_row(cell, counts, **facts):
    f1 = 2 * counts[0] / (2 * counts[0] + counts[1] + counts[2])
    many = packed(np.array([counts] * 30))
    return row(cell, test=SCORES | {"f1": f1}, counts=many, choices="c" * 40, **facts)


def test_the_grid_is_every_arm_on_every_corpus_with_every_seed():
    runs = cells()
    named = [(run.seed, run.corpus, run.arm) for run in runs]
    assert len(set(named)) == len(named) == 12
    assert named == sorted(named, key=lambda cell: cell[0])  # seed by seed: what is finished is paired
    for run in runs:
        assert run.settings["train"]["seed"] == run.seed
        assert run.settings["train"]["epochs"] == run.settings["train"]["patience"] == 3
        sizes = {"small": (7, 5, 0.5), "whole": (None, None, 0.0)}[run.corpus]
        assert (run.train_sentences, run.dev_sentences, run.noise) == sizes
        assert (run.settings["technique"]["active"] == []) == (run.arm == "plain")
    assert {run.modules for run in runs if run.arm == "Trainer"} == {("benchmarks.peers.trainer",)}


def test_only_final_runs_read_or_score_a_test_split():
    for run in cells(search=SEARCH) + cells():
        assert run.settings["data"]["test"] == run.settings["data"]["dev"] == "dev.conll" and not run.final
        assert "tasks.evaluate" not in run.modules
    finals = cells(final=True)
    assert {run.settings["data"]["test"] for run in finals} == {"test.conll"} and all(run.final for run in finals)
    assert {run.modules for run in finals if run.arm != "Trainer"} == {("tasks.train", "tasks.evaluate")}
    assert not {run.data_key for run in finals} & {run.data_key for run in cells()}


def test_every_arm_gets_the_same_draws():
    runs = cells(search=SEARCH, arms=PLAN["arms"] | {"as it is": {"search": False}})
    draws = {}
    for run in runs:
        assert run.seed == 1
        draws.setdefault((run.corpus, run.arm), []).append(run.values)
        for name, value in run.values.items():
            section, last = name.split(".")
            assert run.settings[section][last] == value
    searched = {corpus: {key: own for key, own in draws.items() if key[1] != "as it is"} for corpus in ("small",)}
    (first, *others) = searched["small"].values()
    assert len(first) == 4 and all(own == first for own in others)
    assert draws["small", "as it is"] == [{}]
    assert len({json.dumps(values) for values in first}) == 4
    assert all(1e-5 <= values["train.lr"] <= 1e-3 and values["train.epochs"] in (6, 12) for values in first)
    assert [run.trial for run in runs] == sorted(run.trial for run in runs)  # trial by trial: rivals exist early


def test_two_draws_of_the_same_values_are_one_run():
    twice = cells(arms={"plain": {}}, corpora={"whole": {}}, search={"trials": 6, "space": {"train.epochs": [6, 12]}})
    assert len(twice) == 6 and [cell.values["train.epochs"] for cell in by_key(twice).values()] in ([6, 12], [12, 6])
    assert next(iter(by_key(twice).values())).trial == 0


def test_a_search_may_begin_with_the_arm_as_it_is():
    runs = cells(search=SEARCH | {"present": True}, arms={"now": {}}, corpora={"x": {}})
    assert runs[0].values == {} and len(runs) == 5
    assert [run.values for run in runs][1:] == [
        run.values for run in cells(search=SEARCH, arms={"a": {}}, corpora={"x": {}})
    ]


def test_final_runs_have_the_chosen_values_and_the_corpus_keeps_the_last_word_over_common():
    chosen = {arm: {c: {"values": {"train.lr": 2e-4}} for c in PLAN["corpora"]} for arm in PLAN["arms"]}
    for run in cells(final=True, search=SEARCH, choices=chosen):
        assert run.settings["train"]["lr"] == 2e-4 and run.values == {"train.lr": 2e-4} and run.trial is None
    with pytest.raises(ParamsError, match="no choice for this arm and corpus"):
        cells(final=True, search=SEARCH, choices={"plain": chosen["plain"]})
    chosen["plain"]["whole"]["values"] = {"train.lr": 3e-4, "train.epochs": 24}
    like = cells(choices=chosen, arms={"x": {"like": "plain", "train.head_lr": 0.5}}, corpora={"whole": {}})
    here = cells(choices=chosen, arms={"x": {}}, corpora={"whole": {"arms": {"x": {"like": "plain"}}}})
    assert {c.settings["train"]["lr"] for c in here} == {3e-4}
    assert {(c.settings["train"][n]) for c in like for n in ("lr", "epochs", "head_lr")} == {3e-4, 3, 0.5}


def test_a_corpus_that_is_not_here_needs_no_choice():
    chosen = {arm: {c: {"values": {"train.lr": 2e-4}} for c in ("small", "whole")} for arm in PLAN["arms"]}
    runs = cells(final=True, search=SEARCH, choices=chosen)
    assert {run.corpus for run in runs} == {"small", "whole"}
    plain = cells(final=True, common=PLAN["common"] | {"train.lr": 2e-4})
    assert [run.key for run in runs] == [run.key for run in plain]
    with pytest.raises(ParamsError, match=r"unknown parameter, got 'train.lrr'"):
        cells(corpora={"elsewhere": PLAN["corpora"]["elsewhere"] | {"train.lrr": 1}})


def test_values_may_name_the_corpus():
    (run, *_) = cells(corpora={"wikigold": {"data.path": "data/{corpus}"}}, arms={"x": {}})
    assert run.settings["data"]["path"] == "data/wikigold"


def test_a_key_names_all_that_a_result_depends_on_and_nothing_else():
    keys = [run.key for run in cells()]
    assert len(set(keys)) == len(keys) and [run.key for run in cells()] == keys
    other = cells(arms=PLAN["arms"] | {"plain": {"technique.active": [], "train.lr": 1e-5}})
    assert {run.arm for run, key in zip(other, keys, strict=True) if run.key != key} == {"plain"}
    assert not set(keys) & {run.key for run in cells(final=True)}


def test_a_technique_does_not_change_the_trainer():
    corpora = {name: where | {"technique.adversarial.epsilon": 0.1} for name, where in PLAN["corpora"].items()}
    pairs = zip(cells(), cells(corpora=corpora), strict=True)
    assert {one.arm for one, other in pairs if one.key == other.key} == {"Trainer"}


def test_a_parameter_that_no_run_reads_changes_no_key(plan):
    unread = {"gate.min_f1": 0.5, "promotion.margin": 0.5, "export.variants": ["fp32"], "verify.max_f1_loss": 0.1}
    common = PLAN["common"]
    assert [run.key for run in cells(common=common | unread)] == [run.key for run in cells()]
    for name, value in {"encode.stride": 32, "model.dropout": 0.2, "train.ema": 0.5, "data.repair": "discard"}.items():
        assert not {run.key for run in cells(common=common | {name: value})} & {run.key for run in cells()}


def test_a_local_encoder_may_lie_outside_the_project(tmp_path):
    encoder = tmp_path / "encoder"
    encoder.mkdir()
    digests = set()
    for text in ("a", "b"):
        (encoder / "config.json").write_text(text)
        content.cache_clear()
        digests.add(content(str(encoder)))
    shutil.copytree(encoder, tmp_path / "elsewhere" / "encoder")
    assert len(digests) == 2 and content(str(tmp_path / "elsewhere" / "encoder")) in digests


def test_a_corpus_may_want_an_arm_otherwise():
    own = {"Trainer": {"train.lr": 2.0e-4}, "plain": {"train.lr": 1.0e-4}}
    runs = cells(corpora=PLAN["corpora"] | {"small": PLAN["corpora"]["small"] | {"arms": own}})
    changed = {(one.corpus, one.arm) for one, other in zip(runs, cells(), strict=True) if one.key != other.key}
    assert changed == {("small", "Trainer"), ("small", "plain")}


@pytest.mark.parametrize(
    ("arms", "message"),
    [
        ({"x": {"train.lrr": 1}}, r"unknown parameter, got 'train.lrr'"),
        ({"x": {"no.such.thing": 1}}, r"unknown parameter, got 'no.such.thing'"),
        ({"x": {"train.lr.low": 1}}, r"unknown parameter, got 'train.lr.low'"),
        ({"x": {"train.lr.low.x": 1}}, r"unknown parameter, got 'train.lr.low.x'"),
        ({"x": {"model.encoder.model": 1}}, r"unknown parameter, got 'model.encoder.model'"),
        ({"x": {"train.lr": 2}}, r"train.lr"),
    ],
)
def test_a_plan_with_a_wrong_parameter_is_an_error_before_anything_runs(arms, message):
    with pytest.raises(ParamsError, match=message):
        cells(arms=arms)


def test_a_plan_that_is_none_is_an_error(tmp_path, plan):
    with pytest.raises(ParamsError, match="no such file"):
        read_plan(tmp_path / "missing.yaml")
    (tmp_path / "odd.yaml").write_text("- 1\n- 2\n")
    with pytest.raises(ParamsError, match=r"odd\.yaml"):
        read_plan(tmp_path / "odd.yaml")
    with pytest.raises(ParamsError, match="unknown key"):
        read_plan(plan(epochs=3))


def test_choices_are_made_of_finished_trials_alone_and_final_runs_need_them(plan, tmp_path):
    file = plan(search=SEARCH, corpora={"whole": {}}, arms={"plain": {}})
    with pytest.raises(ParamsError, match=r"plan.choices.yaml: no choices yet.*fpplm ablate .*plan.yaml"):
        cells_of(file, tmp_path, final=True)
    runs = cells_of(file, tmp_path, final=False)
    scores = [(0.61, False), (0.7, True), (0.65, False), (0.65, False)]
    for cell, (dev_f1, pruned) in zip(runs, scores, strict=True):
        append_row(tmp_path / "runs.jsonl", row(cell, dev_f1=dev_f1, pruned=pruned))
    write_choices(file, tmp_path)
    finals = cells_of(file, tmp_path, final=True)
    assert [cell.seed for cell in finals] == [1, 2] and {cell.key for cell in finals}.isdisjoint(c.key for c in runs)
    assert all(cell.values == runs[2].values for cell in finals)  # the best that was not pruned, of equals the first
    assert used_files(file, tmp_path) == [file, Path("params.yaml"), tmp_path / "plan.choices.yaml"]
    after = plan("after", choices="plan", arms={"x": {"like": "plain"}}, corpora={"whole": {}})
    assert {cell.values["train.lr"] for cell in cells_of(after, tmp_path, final=False)} == {runs[2].values["train.lr"]}
    assert used_files(after, tmp_path)[-1] == tmp_path / "plan.choices.yaml"


def test_arms_and_plans_that_share_a_run_each_have_it_with_their_own_names(plan, tmp_path):
    search = {"trials": 6, "space": {"train.epochs": [6, 12]}}
    file = plan(search=search, corpora={"whole": {}}, arms={"plain": {}, "the same": {}})
    first, second = by_key(cells_of(file, tmp_path, final=False)).values()
    foreign = {"arm": "another", "corpus": "another", "trial": None, "values": {}}
    for cell, facts in ((first, {"dev_f1": 0.7, **foreign}), (second, {"dev_f1": 0.6})):
        append_row(tmp_path / "runs.jsonl", row(cell, **facts))
    write_choices(file, tmp_path)
    choice = {"whole": {"values": first.values, "trial": 0, "dev_f1": 0.7}}
    assert read_yaml(tmp_path / "plan.choices.yaml") == {"plain": choice, "the same": choice}
    text = write_outcome(file, tmp_path)
    for arm in ("plain", "the same"):
        assert f"| whole | {arm} | 2 | 0 | 70.0 | 10 | train.epochs {first.values['train.epochs']} |" in text


def test_the_choices_of_a_corpus_that_is_not_here_stay(plan, tmp_path):
    choices = tmp_path / "plan.choices.yaml"
    earlier = {"plain": {"elsewhere": {"values": {"train.lr": 1e-4}}, "removed": {}}, "removed": {"elsewhere": {}}}
    choices.write_text(yaml.safe_dump(earlier))
    file = plan(search=SEARCH, corpora={"elsewhere": PLAN["corpora"]["elsewhere"]}, arms={"plain": {}})
    write_choices(file, tmp_path)
    assert yaml.safe_load(choices.read_text()) == earlier  # nothing ran, so nothing is chosen
    file = plan(search=SEARCH, corpora={"whole": {}, "elsewhere": PLAN["corpora"]["elsewhere"]}, arms={"plain": {}})
    for cell in cells_of(file, tmp_path, final=False):
        append_row(tmp_path / "runs.jsonl", row(cell, dev_f1=0.5))
    write_choices(file, tmp_path)
    found = yaml.safe_load(choices.read_text())
    assert found.keys() == {"plain"} and found["plain"].keys() == {"whole", "elsewhere"}
    assert found["plain"]["elsewhere"] == earlier["plain"]["elsewhere"]
    choices.write_text("# nothing yet\n")
    write_choices(file, tmp_path)
    assert yaml.safe_load(choices.read_text()) == {"plain": {"whole": found["plain"]["whole"]}}


def test_an_arm_whose_trials_all_diverged_has_its_line_on_dev_and_blocks_final_runs_alone(plan, tmp_path):
    file = plan(search=SEARCH, corpora={"whole": {}}, arms={"plain": {}, "wild": {"train.head_lr": 0.9}})
    for cell in cells_of(file, tmp_path, final=False):
        append_row(tmp_path / "runs.jsonl", row(cell, pruned=cell.arm == "wild"))
    write_choices(file, tmp_path)
    follower = plan(
        "after", choices="plan", arms={name: {"like": name} for name in ("plain", "wild")}, corpora={"whole": {}}
    )
    for runs, final in ((file, True), (follower, False)):
        with pytest.raises(ParamsError, match=r"wild: no choice .* got wild, .*if every trial diverged"):
            cells_of(runs, tmp_path, final)
    for cell in cells_of(file, tmp_path, final=True, only_chosen=True):
        append_row(tmp_path / "runs.jsonl", final_row(cell, (1, 1, 1)))
    text = write_outcome(file, tmp_path)
    assert "| whole | wild | 4 | 4 |  |  |  |" in text and "| plain | 50.0 | 50.0 |" in text
    append_row(tmp_path / "runs.jsonl", row(cells_of(follower, tmp_path, final=False, only_chosen=True)[0]))
    assert "| whole | plain | 1 |" in write_outcome(follower, tmp_path)


def test_a_trial_that_was_pruned_is_never_chosen():
    (cell, *_) = cells(search=SEARCH)
    assert choose([row(cell, pruned=True, dev_f1=0.9)]) == {}


def test_the_ledger_outlives_a_line_that_was_cut_short(tmp_path):
    ledger, (cell, *_) = tmp_path / "runs.jsonl", cells()
    assert read_ledger(ledger) == []
    append_row(ledger, row(cell))
    whole = ledger.read_bytes()
    ledger.write_bytes(whole + whole[: len(whole) // 2])
    assert read_ledger(ledger) == [row(cell)]
    append_row(ledger, row(cell, seed=7))
    assert [one.seed for one in read_ledger(ledger)] == [1, 7]
    append_row(ledger, row(cell, commit=None))  # without Git
    assert read_ledger(ledger)[-1].commit is None
    assert len(whole) < 700 and b"null" not in whole


def test_packed_counts_are_short_and_come_back():
    counts = np.random.default_rng(0).poisson((2, 0.5, 0.5), (1500, 3))
    assert np.array_equal(unpacked(packed(counts)), counts)
    assert len(packed(counts)) < len(json.dumps(counts.tolist())) / 7
    with pytest.raises(ValueError, match="65,536"):
        packed(np.array([[1 << 16, 0, 0]]))


def test_counts_are_by_document_where_documents_are_marked(tmp_path):
    file = tmp_path / "test.jsonl"
    file.write_text("".join(json.dumps({"tp": n, "fp": 1, "fn": 0}) + "\n" for n in range(4)))
    plain = [Sentence(("a",), ("O",), "f", (n,)) for n in range(4)]
    assert counts_by_document(file, plain).tolist() == [[n, 1, 0] for n in range(4)]
    marked = [Sentence(("a",), ("O",), "f", (n,), n // 3) for n in range(4)]
    assert counts_by_document(file, marked).tolist() == [[3, 3, 0], [3, 1, 0]]
    loose = [replace(sentence, document=None) if n == 3 else sentence for n, sentence in enumerate(marked)]
    assert counts_by_document(file, loose).tolist() == [[n, 1, 0] for n in range(4)]  # None is no document
    three = [replace(marked[n], document=(0, 0, 1, None)[n]) for n in range(4)]
    assert counts_by_document(file, three).tolist() == [[1, 2, 0], [2, 1, 0], [3, 1, 0]]
    single = [replace(sentence, document=0) for sentence in marked]
    assert counts_by_document(file, single).tolist() == [[n, 1, 0] for n in range(4)]  # one document has no spread


def test_a_curve_is_read_while_it_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert read_curve(tmp_path) == []
    for scores in ([], [DevScore(40, 0.5)], [DevScore(40, 0.5), DevScore(80, 0.6234567)]):
        write_epochs(scores)
        assert read_curve(tmp_path) == [round(score.f1, 6) for score in scores]


def test_a_part_of_train_is_spread_over_it():
    sentences = [Sentence((str(n),), ("O",), "f", (n,)) for n in range(10)]
    assert [s.words[0] for s in spread(sentences, 4)] == ["0", "2", "5", "7"]
    assert spread(sentences, None) == spread(sentences, 10) == spread(sentences, 99) == sentences


def test_the_same_mentions_are_mislabelled_each_time_and_no_other_tag_changes():
    tags = ("B-X", "I-X", "O", "B-Y", "O", "B-X")
    sentences = [Sentence(("a",) * 6, tags, "f", (1, 2, 3, 4, 5, 6)) for _ in range(500)]
    changed = mislabelled(sentences, 0.4)
    assert changed == mislabelled(sentences, 0.4)
    assert mislabelled(sentences, 0) == sentences
    outcomes: Counter[str] = Counter()
    for sentence in changed:
        kinds = [sentence.tags[place] for place in (0, 3, 5)]
        assert sentence.words == sentences[0].words and sentence.tags[2] == sentence.tags[4] == "O"
        assert sentence.tags[1] == kinds[0].replace("B-", "I-")
        outcomes.update(f"{one}>{other}" for one, other in zip(("B-X", "B-Y", "B-X"), kinds, strict=True))
    kept = outcomes["B-X>B-X"] + outcomes["B-Y>B-Y"]
    assert kept / 1500 == pytest.approx(0.6, abs=0.04)
    assert outcomes["B-X>B-Y"] / outcomes["B-X>O"] == pytest.approx(1, abs=0.25)
    assert sum(outcomes.values()) == 1500 and len(outcomes) == 6


def test_a_key_is_the_same_in_another_checkout(tmp_path, monkeypatch):
    keys = [run.key for run in cells()]
    for name in ("data", "benchmarks"):
        shutil.copytree(ROOT / name, tmp_path / "other" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, tmp_path / "other")

    def keys_there():
        content.cache_clear()
        monkeypatch.chdir(tmp_path / "other")
        return [run.key for run in cells()]

    assert keys_there() == keys
    (tmp_path / "other/data/wikigold/train.conll").write_text("a\tO\n")
    assert not set(keys_there()) & set(keys)
    content.cache_clear()


def test_the_tables_compare_on_shared_seeds_and_the_stronger_rival_counts(plan, tmp_path):
    arms = {"plain": {}, "six": {"train.lr": 1e-5}, "weak": {"train.lr": 1e-4}}
    corpora = {"a": {"train_sentences": 10}, "b": {"train_sentences": 11}}
    file = plan(arms=arms, corpora=corpora, compare={"six": [["weak", "plain"]], "weak": ["plain", "no such arm"]})
    counts = {"plain": (1, 1, 1), "six": (2, 0, 0), "weak": (1, 2, 2)}
    for cell in cells_of(file, tmp_path, final=True):
        if (cell.arm, cell.seed) != ("six", 2):
            append_row(tmp_path / "runs.jsonl", final_row(cell, counts[cell.arm]))
        append_row(tmp_path / "runs.jsonl", final_row(cell, (0, 9, 9), key="x", corpus="stranger"))
    text = write_outcome(file, tmp_path)
    assert (tmp_path / "plan.md").read_text() == text
    assert "| six | plain | 2 | +50.00 [+50.00, +50.00] |" in text and "six | weak" not in text
    assert text.index("| weak | plain | 2 |") < text.index("| six | plain | 2 |")  # the weakest first
    assert "| weak | plain | a | -16.67 [-16.67, -16.67] | 0.0000 | harm |" in text
    assert "| six | plain | b | +50.00 [+50.00, +50.00] | 0.0000 |  |" in text
    assert "| plain | 50.0 | 50.0 | 50.0 | 0.00 [0.00, 0.00] | 10 |" in text and "stranger" not in text
    assert f"10 of 12 final runs at 1234567; chosen and committed before, at {'c' * 12}." in text
    assert "Missing, by arm and corpus: six (a 1, b 1)." in text
    for name in ("plan.svg", "plan-seconds.svg"):
        ElementTree.fromstring((tmp_path / name).read_text())


def test_a_partial_ledger_compares_only_what_is_shared(plan, tmp_path):
    arms = {"six": {}, "plain": {"train.lr": 1e-5}, "weak": {"train.lr": 1e-4}}
    corpora = {"easy": {"train_sentences": 10}, "hard": {"train_sentences": 11}}
    file = plan(seeds=[1], arms=arms, corpora=corpora, compare={"six": [["weak", "plain"]]})
    counts = {"weak": (8, 4, 4), "plain": (9, 3, 3), "six": (10, 2, 2)}
    for cell in cells_of(file, tmp_path, final=True):
        if (cell.arm, cell.corpus) != ("weak", "hard"):
            easier = (0, 0, 0) if cell.corpus == "hard" else (40, 0, 0)
            own = tuple(a + b for a, b in zip(counts[cell.arm], easier, strict=True))
            append_row(tmp_path / "runs.jsonl", final_row(cell, own, commit="4cae804-dirty"))
    text = write_outcome(file, tmp_path)
    assert "six | plain | 2" in text and "six | weak" not in text  # weak is higher over its own corpora alone
    (line,) = [line for line in text.splitlines() if line.startswith("| weak | 92.3 |")]
    assert line == "| weak | 92.3 |  |  |  |  |"
    assert "5 of 6 final runs at 4cae804-dirty;" in text and "Missing, by arm and corpus: weak (hard 1)." in text


def test_of_several_versions_of_a_run_the_last_counts(plan, tmp_path):
    file = plan(seeds=[1], arms={"plain": {}, "all six": {"train.lr": 1e-5}}, corpora={"whole": {}})
    for six, commit in (((1, 1, 1), "old"), ((2, 0, 0), "new")):
        for cell in cells_of(file, tmp_path, final=True):
            append_row(
                tmp_path / "runs.jsonl", final_row(cell, six if cell.arm != "plain" else (1, 1, 1), commit=commit)
            )
    text = write_outcome(file, tmp_path)
    assert "old" not in text and "| all six | plain | 1 | +50.00" in text and "2 final runs at new;" in text


def test_without_final_runs_there_are_scores_on_dev_alone(plan, tmp_path):
    file = plan(search=SEARCH, corpora={"whole": {}}, arms={"plain": {}})
    for number, cell in enumerate(cells_of(file, tmp_path, final=False)):
        facts = {"pruned": number == 1, "dev_f1": 0.5 + number / 100, "seconds": 10.0 + number}
        append_row(tmp_path / "runs.jsonl", row(cell, **facts))
    text = write_outcome(file, tmp_path)
    assert "| whole | plain | 4 | 1 | 53.0 | 13 | train.epochs 12, train.lr" in text and "Test" not in text


def test_without_a_search_there_are_the_mean_score_and_the_median_seconds(plan, tmp_path):
    file = plan(seeds=[1, 2, 3], corpora={"whole": {}}, arms={"plain": {}})
    for cell, seconds in zip(cells_of(file, tmp_path, final=False), (10.0, 11.0, 90.0), strict=True):
        append_row(tmp_path / "runs.jsonl", row(cell, dev_f1=0.5 + cell.seed / 100, seconds=seconds))
    assert "| whole | plain | 3 | 0 | 52.0 | 11 |" in write_outcome(file, tmp_path)


def test_one_slow_run_hardly_counts_in_the_seconds_of_an_arm():
    (cell, *_) = cells()
    seconds = {"a": (10.0, 11.0, 90.0), "b": (20.0, 21.0, 22.0)}
    runs = {corpus: {n: row(cell, seconds=s) for n, s in enumerate(own)} for corpus, own in seconds.items()}
    assert mean_seconds(runs) == 16


def test_without_a_run_of_the_plan_nothing_is_written(plan, tmp_path):
    (tmp_path / "plan.md").write_text("earlier tables")
    with pytest.raises(ParamsError, match=r"runs\.jsonl: none of the plan's runs is in the ledger.*fpplm ablate"):
        write_outcome(plan(), tmp_path)
    assert (tmp_path / "plan.md").read_text() == "earlier tables"


def test_the_plots_are_xml_with_everything_inside():
    one, other = Effect(0.02, 0.01, 0.03, 0.01), Effect(-0.05, -0.09, 0.01, 0.2)
    root = ElementTree.fromstring(forest({"against <plain>": {"six & more": one}, "again": {"six": other}}))
    words = [node.text for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "six & more" in words and "+2.0 [+1.0, +3.0]" in words and "-5.0 [-9.0, +1.0]" in words
    ends = [float(node.get(key)) for node in root.iter("{http://www.w3.org/2000/svg}line") for key in ("x1", "x2")]
    assert 0 < min(ends) < max(ends) < WIDTH
    assert "NaN" not in forest({})
    root = ElementTree.fromstring(scatter({"a < b": (10.0, 0.5), "c": (20.0, 0.75)}))
    assert "a < b: 50.0, 10 s" in [node.text for node in root.iter("{http://www.w3.org/2000/svg}text")]
    ElementTree.fromstring(scatter({"alone": (1.0, 0.0)}))


BASE = read_yaml(ROOT / "params.yaml")


@pytest.mark.parametrize("name", sorted(file.stem for file in ROOT.glob("benchmarks/studies/*.yaml")))
def test_the_plans_of_the_study_name_known_parameters_and_arms(name):
    plan = read_plan(ROOT / f"benchmarks/studies/{name}.yaml")
    choosing = read_plan(ROOT / f"benchmarks/studies/{plan.choices or name}.yaml")
    chosen = {arm: {corpus: {"values": {"train.lr": 1e-4}} for corpus in plan.corpora} for arm in choosing.arms}
    list(grid(plan, chosen, final=True))  # raises for an unknown parameter
    compared = [
        one
        for others in plan.compare.values()
        for other in others
        for one in ([other] if isinstance(other, str) else other)
    ]
    assert {*compared, *plan.compare} <= plan.arms.keys()


def test_every_technique_is_tried_alone_and_left_out():
    arms = read_plan(ROOT / "benchmarks/studies/techniques.yaml").arms
    for technique in BASE["technique"]["active"]:
        assert arms[f"+ {technique}"]["technique.active"] == [technique]
        assert {technique, *arms[f"− {technique}"]["technique.active"]} == set(BASE["technique"]["active"])
        assert len(arms[f"− {technique}"]["technique.active"]) == len(BASE["technique"]["active"]) - 1
