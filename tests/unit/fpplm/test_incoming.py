"""New files become part of train or go to quarantine, whatever they hold and whenever the process is killed."""

import errno
import json
import os
import re
import shutil
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest

from fpplm.checks import validation
from fpplm.intake import incoming
from fpplm_core.data import reading
from fpplm_core.data.corpus import CorpusInfo, stream_corpus
from fpplm_core.data.notes import Notes
from fpplm_core.data.reading import LEFT_OUT, add_drops, read_corpus
from fpplm_core.data.splits import write_splits
from fpplm_core.errors import DataError
from fpplm_core.files import read_record
from fpplm_core.quality.checks import BY_NAME
from fpplm_core.quality.report import CheckReport, CheckResult

TRAIN = "Ann\tB-PER\nmet\tO\nBob\tB-PER\n\nin\tO\nNew\tB-LOC\nYork\tI-LOC\n\nshe\tO\nleft\tO\nRome\tB-LOC\n"
DEV = "he\tO\nsaw\tO\nthe\tO\nriver\tO\nin\tO\nParis\tB-LOC\n"
TEST = "they\tO\nlike\tO\nAnn\tB-PER\n"
GOOD = "Eve\tB-PER\nsleeps\tO\n\nin\tO\nLondon\tB-LOC\n"
BAD = "Eve\tI-PER\nsleeps\tO\n\nin\tO\n\u200b\tB-LOC\nLon\x07don\tO\n"
LEAK = GOOD + "\n" + DEV
BIOES = "Eve\tS-PER\nsleeps\tO\n\nin\tO\nNew\tB-LOC\nYork\tE-LOC\n"
FOLDER, QUARANTINE, DROPS = Path("incoming"), Path("incoming/quarantine"), Path("data/drops")


@pytest.fixture
def project(tmp_path, monkeypatch, params):
    """Runs `take_in` in a folder with a small corpus, with some settings changed."""
    monkeypatch.chdir(tmp_path)
    lay_out()

    def take_in(check: dict[str, object] = {}, release: bool = True, **data: object) -> list[incoming.IncomingFile]:  # noqa: B006
        own = {"path": "data", "incoming": "incoming"} | data
        values = {name: value for name, value in check.items() if name not in BY_NAME}
        values["severity"] = {name: value for name, value in check.items() if name in BY_NAME}
        changes = {"data": params.data.model_copy(update=own), "check": params.check.model_copy(update=values)}
        settings = params.model_copy(update=changes)
        found = incoming.take_in(settings)
        if release:
            incoming.release(settings)
        return found

    return take_in


def lay_out() -> None:
    for folder in ("data", "incoming"):
        shutil.rmtree(folder, ignore_errors=True)
        Path(folder).mkdir()
    for split, content in {"train": TRAIN, "dev": DEV, "test": TEST}.items():
        Path(f"data/{split}.conll").write_text(content)


def put(**files: str) -> None:
    """Files of these stems in the folder."""
    for stem, content in files.items():
        (FOLDER / f"{stem}.conll").write_text(content)


def tree() -> dict[str, bytes]:
    """Every file of the project but the corpus's own."""
    return {str(p): p.read_bytes() for folder in (FOLDER, DROPS) for p in sorted(folder.rglob("*")) if p.is_file()}


def reason(name: str) -> list[str]:
    return (QUARANTINE / f"{name}.reason.txt").read_text(encoding="utf-8").splitlines()


def test_without_a_folder_or_a_file_nothing_happens(project):
    assert project() == project(incoming=None) == []
    assert tree() == {} and not DROPS.exists()
    with pytest.raises(DataError, match=r"data.incoming: no such folder, got 'none'"):
        project(incoming="none")


def test_good_files_become_drops_that_read_adds_to_train(project, params):
    put(b=GOOD, a=GOOD.replace("Eve", "Zoe"))
    row = {"tokens": ["I", "see", "Kim"], "tags": ["O", "O", "B-PER"]}
    (FOLDER / "c.jsonl").write_text(json.dumps(row))
    (FOLDER / "d.jsonl").write_text(json.dumps({"text": "You see Kim", "label": [[8, 11, "PER"]]}))  # of doccano
    (FOLDER / "e.txt").write_text(GOOD.replace("Eve", "Tom"))
    (FOLDER / "README").write_text(GOOD.replace("Eve", "Liz"))
    assert project() == [
        incoming.IncomingFile("README", True, 2, ""),
        incoming.IncomingFile("a.conll", True, 2, ""),
        incoming.IncomingFile("b.conll", True, 2, ""),
        incoming.IncomingFile("c.jsonl", True, 1, ""),
        incoming.IncomingFile("d.jsonl", True, 1, ""),
        incoming.IncomingFile("e.txt", True, 2, ""),
    ]
    names = sorted(path.name for path in DROPS.iterdir())
    assert sorted(name[9:] for name in names) == ["README", "a.conll", "b.conll", "c.jsonl", "d.jsonl", "e.txt"]
    assert set(tree()) == {f"data/drops/{name}" for name in names}
    assert (DROPS / f"{incoming.digest(DROPS / names[0])}-{names[0][9:]}").exists()
    settings = params.data.model_copy(update={"path": "data"})
    write_splits(settings, Path("corpus"), Notes())
    add_drops(settings, Path("corpus"), Notes())
    words = {s.words[0] for s in stream_corpus("train", Path("corpus"))}
    assert words == {"Ann", "in", "she", "Eve", "Zoe", "I", "You", "Tom", "Liz"}
    assert project() == []


def test_a_bad_file_goes_to_quarantine_with_every_finding(project):
    put(bad=BAD, good=GOOD)
    (bad, good) = project()
    said = "errors: illegal_transition 1, control_character 1; warnings: invisible_word 1"
    assert bad == incoming.IncomingFile("bad.conll", False, 2, said)
    assert good.accepted
    assert (QUARANTINE / "bad.conll").read_text() == BAD and not (FOLDER / "bad.conll").exists()
    assert reason("bad.conll") == [
        said,
        "error illegal_transition: incoming/bad.conll:1: I-PER cannot follow the sentence start in IOB2",
        f"  → {BY_NAME['illegal_transition'].advice}",
        "error control_character: incoming/bad.conll:6: control or replacement character: 'Lon\\x07don'",
        f"  → {BY_NAME['control_character'].advice}",
        "warning invisible_word: incoming/bad.conll:5: only invisible characters: '\\u200b'",
        f"  → {BY_NAME['invisible_word'].advice}",
    ]


def test_severities_are_those_of_the_parameters(project):
    put(bad=BAD)
    (drop,) = project({"illegal_transition": "warning", "control_character": "off", "invisible_word": "off"})
    assert drop == incoming.IncomingFile("bad.conll", True, 2, "", "warnings: illegal_transition 1")


@pytest.mark.parametrize(("mostly", "refused"), [(0.5, ""), (0.9, "errors: control_character 1")])
def test_what_the_projects_expectations_tolerate_refuses_no_drop(project, mostly, refused):
    Path("expectations.yaml").write_text(f"tokens: [{{type: expect_no_control_character, mostly: {mostly}}}]\n")
    put(a=BAD.replace("I-PER", "B-PER"))
    (drop,) = project({"invisible_word": "off"})
    assert (drop.reason, drop.accepted) == (refused, not refused)


def test_the_findings_are_listed_up_to_a_limit(project):
    put(bad=GOOD + "\n" + "\n\n".join(["x\tB-PER\ny\tO\nz\tI-PER"] * 210))
    project(dict.fromkeys(("duplicate", "conflicting_duplicate", "always_present"), "off"))
    lines = reason("bad.conll")
    assert lines[0] == "errors: illegal_transition 210"
    assert [line.split(":")[2] for line in lines[1:-2]] == [str(n) for n in range(9, 809, 4)]
    assert lines[-2:] == ["  … and 10 more rows of illegal_transition", f"  → {BY_NAME['illegal_transition'].advice}"]


def test_what_makes_no_sense_for_a_drop_alone_does_not_refuse_it(project):
    put(good=GOOD)
    (drop,) = project(dict.fromkeys(("few_examples", "unknown_type", "empty_split"), "error"))
    assert drop == incoming.IncomingFile("good.conll", True, 2, "")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.conll", "Ann\tB-PER\nmet\n", "incoming/a.conll:2: wrong number of columns"),
        ("a.conll", "", "incoming/a.conll: no sentence in the file"),
        ("a.conll", b"caf\xe9\tO\n", "incoming/a.conll:1: not valid UTF-8"),
        ("a.conll", "PK\0\0", "incoming/a.conll: not a text file"),
        ("a.jsonl", '{"tokens": ["a"], "tags": []}', "incoming/a.jsonl:1: lengths differ"),
        ("a.jsonl", '{"tokens": ["a"], "tags": ["O"', "incoming/a.jsonl:1: not valid JSON"),
        ("a.txt", "The cat sat.\nOn the mat.\n", "incoming/a.txt: unknown format, got 'The cat sat."),
        ("README", "", "incoming/README: unknown format, got ''"),
        (
            "a.dataset.yaml",
            "dataset: x\nsplit: train\n",
            "incoming/a.dataset.yaml: an incoming file must be complete in itself",
        ),
        ("a\nb.conll", GOOD, "unprintable characters in the file's name: 'a\\nb.conll'"),
        ("caf\udce9.conll", GOOD, "unprintable characters in the file's name: 'caf\\udce9.conll'"),
        ("a.conll", "Ann\tO\n", "it has no entity; errors: empty_split 1"),
    ],
)
def test_an_unusable_file_goes_to_quarantine(project, name, content, said):
    (FOLDER / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    (drop,) = project()
    assert (drop.name, drop.accepted) == (name, False)
    assert drop.reason.startswith(said) and "\n" not in drop.reason
    assert reason(name)[0] == drop.reason
    assert not DROPS.exists() and not (FOLDER / name).exists() and (QUARANTINE / name).exists()


def test_a_text_and_its_brat_file_would_be_parted(project):
    """Each by itself in the drops, neither could be read any more."""
    (FOLDER / "a.txt").write_text("Eve sleeps")
    (FOLDER / "a.ann").write_text("T1\tPER 0 3\tEve\n")
    first, second = project()
    assert first.reason.startswith("incoming/a.ann: an incoming file must be complete in itself")
    assert second.reason.startswith("incoming/a.txt: unknown format") and not DROPS.exists()


def test_a_link_goes_to_quarantine_and_its_file_stays(project):
    Path("elsewhere.conll").write_text(GOOD)
    (FOLDER / "a.conll").symlink_to(Path("elsewhere.conll").resolve())
    (drop,) = project()
    assert drop.reason == "a link; expected a file"
    assert Path("elsewhere.conll").read_text() == GOOD and (QUARANTINE / "a.conll").is_symlink()


def test_what_is_still_being_written_is_left_alone(project):
    names = ["a.conll.partial", "b.tmp", ".c.conll", ".d.conll.Xy12"]
    for name in names:
        (FOLDER / name).write_text("half")
    (FOLDER / "folder.conll").mkdir()
    assert project() == []
    assert set(tree()) == {f"incoming/{name}" for name in names}


def test_a_duplicate_goes_to_quarantine_under_whatever_name(project):
    put(a=GOOD, b=GOOD)
    first, second = project()
    (kept,) = DROPS.iterdir()
    assert first.accepted and kept.name[9:] == "a.conll"
    assert second == incoming.IncomingFile(
        "b.conll", False, 2, f"a duplicate: the same content is in the training set as {kept}"
    )
    for _ in range(2):  # quarantine keeps them all
        put(a=GOOD)
        (again,) = project()
        assert not again.accepted and again.reason.startswith("a duplicate")
    assert {p.name for p in QUARANTINE.glob("*.conll")} == {"a.conll", "2-a.conll", "b.conll"}
    assert {p.name[:-11] for p in QUARANTINE.glob("*.reason.txt")} == {"a.conll", "2-a.conll", "b.conll"}
    assert list(DROPS.iterdir()) == [kept]


def test_quarantine_overwrites_nothing(project):
    for content in (BAD, BAD + "\n", BAD + "\n\n"):
        put(a=content)
        project()
    assert {p.name: p.read_text() for p in QUARANTINE.glob("*.conll")} == {
        "a.conll": BAD,
        "2-a.conll": BAD + "\n",
        "3-a.conll": BAD + "\n\n",
    }


IN_BIOES = {TRAIN: BIOES + "\nin\tO\nRome\tS-LOC\n", DEV: DEV.replace("B-", "S-"), TEST: TEST.replace("B-", "S-")}
IN_BIOE = {TRAIN: "Eve\tB-PER\n\nNew\tB-LOC\nYork\tE-LOC\n", DEV: DEV, TEST: TEST}
OTHERS = ("Eve\tB-PER\n", "New\tB-LOC\nYork\tI-LOC\n", "New\tB-LOC\nYork\tE-LOC\n")


@pytest.mark.parametrize("malformed", ["error", "warning", "off"])
@pytest.mark.parametrize("scheme", ["auto", "fixed"])
@pytest.mark.parametrize(
    ("corpus", "own", "drop", "found"),
    [
        ({}, "IOB2", BIOES, "BIOES"),
        ({}, "IOB2", OTHERS[2], "BIOE"),
        (IN_BIOES, "BIOES", GOOD, "IOB2"),
        (IN_BIOES, "BIOES", OTHERS[1], "IOB2"),
        (IN_BIOE, "BIOE", OTHERS[1], "IOB2"),
        (IN_BIOE, "BIOE", BIOES, "BIOES"),
        ({}, "IOB2", OTHERS[0], None),
        (IN_BIOES, "BIOES", BIOES, None),
        (IN_BIOES, "BIOES", OTHERS[2], None),  # has no S, and is BIOES nevertheless
        (IN_BIOE, "BIOE", OTHERS[0], None),
        (IN_BIOE, "BIOE", OTHERS[2], None),
    ],
)
def test_a_drop_in_another_scheme_is_refused_whatever_the_severities(
    project, corpus, own, drop, found, scheme, malformed
):
    for split, content in {"train": TRAIN, "dev": DEV, "test": TEST}.items():
        Path(f"data/{split}.conll").write_text(corpus.get(content, content))
    put(a=drop)
    severities = dict.fromkeys(("malformed_tag", "illegal_transition"), malformed)
    (drop,) = project(severities, scheme=scheme if scheme == "auto" else own)
    assert drop.accepted == (found is None)
    if found:
        evidence, end = drop.reason.split(f") than the corpus's ({own}); convert them")
        assert re.match(rf"tags in another scheme \({found}: \d B-.*; 0 violate it \(other schemes: .*\)$", evidence)
        assert ("malformed_tag" in end or "illegal_transition" in end) == (malformed != "off")


@pytest.mark.parametrize(("malformed", "accepted"), [("error", False), ("warning", True), ("off", True)])
def test_one_foreign_tag_is_no_other_scheme_but_a_malformed_tag(project, params, malformed, accepted):
    """With it in train the corpus still shows IOB2."""
    put(a=OTHERS[1] + "\nRome\tS-LOC\n")
    (drop,) = project({"malformed_tag": malformed})
    assert drop.accepted == accepted
    assert (drop.reason or drop.note) == ("" if malformed == "off" else f"{malformed}s: malformed_tag 1")
    settings = params.data.model_copy(update={"path": "data"})
    Path("corpus").mkdir()
    reading.read_corpus(settings, Path("corpus"))
    assert json.loads(Path("corpus/corpus.json").read_text())["scheme"] == "IOB2"


@pytest.mark.parametrize("malformed", ["error", "off"])
def test_tags_of_no_scheme_are_refused_whatever_the_severities(project, malformed):
    put(a="Eve\tper\nsees\tO\nRome\tloc\n")
    (drop,) = project({"malformed_tag": malformed})
    said = "tags in another scheme (unknown: no entity in 1 tags, and 2 tags such as 'loc', 'per')"
    assert not drop.accepted and drop.reason.startswith(f"{said} than the corpus's (IOB2); convert them")


def test_a_drop_that_begins_entities_with_inside_is_refused(project):
    put(a="Eve\tI-PER\n")
    (drop,) = project({"illegal_transition": "off"})
    assert not drop.accepted and drop.reason.startswith(
        "tags in another scheme (IO: 1 I-; 0 violate it (other schemes: IOB2 1"
    )
    assert drop.reason.endswith(") than the corpus's (IOB2); convert them")


def in_train(settings, **changes: object) -> list[str]:
    """The sentences that read puts into train."""
    settings = settings.model_copy(update={"path": "data"} | changes)
    shutil.rmtree("corpus", ignore_errors=True)
    read_corpus(settings, Path("corpus"))
    return [" ".join(s.words) for s in stream_corpus("train", Path("corpus"))]


@pytest.mark.parametrize("severity", ["error", "warning", "off"])
def test_sentences_of_dev_and_test_do_not_reach_train_whatever_the_severity(project, params, severity):
    put(a="\n\n".join([GOOD.strip(), DEV.replace("Paris", "PARIS").strip(), TEST.replace("B-PER", "O")]))
    (drop,) = project({"leakage": severity, "near_leakage": severity})
    place = "incoming/a.conll"
    noted = f"{LEFT_OUT}: 2 ({place}:7: as data/dev.conll:1, {place}:14: as data/test.conll:1)"
    assert drop == incoming.IncomingFile("a.conll", True, 2, "", noted)
    assert in_train(params.data) == ["Ann met Bob", "in New York", "she left Rome", "Eve sleeps", "in London"]
    info = read_record(Path("corpus/corpus.json"), CorpusInfo)
    assert info.changes[LEFT_OUT].count == 2


def test_what_dev_and_test_have_is_left_out_where_they_are_split_off_from_train(project, params):
    cut = {"dev": None, "held_out": 0.5}
    put(a="\n\n".join([TRAIN.strip(), GOOD]))  # one of train's three is dev
    (drop,) = project(**cut)
    assert (drop.accepted, drop.sentences) == (True, 4) and drop.note.startswith(LEFT_OUT)
    train = set(in_train(params.data, **cut))
    dev = {" ".join(s.words) for s in stream_corpus("dev", Path("corpus"))}
    assert len(dev) == 1 and not dev & train and "Eve sleeps" in train


def test_a_drop_without_anything_new_goes_to_quarantine(project):
    put(copy=TEST + "\n" + DEV)
    (drop,) = project()
    assert not drop.accepted and drop.reason.startswith("dev or test have all of its sentences")


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("per", 'write \'PER\' if that is meant, or admit it with data.types: ["LOC", "PER", "per"]'),
        ("PERS", "write 'PER' if that is meant"),
        ("WEAPON", "correct it, or admit it with data.types"),
        ("O", "the type 'O' is unknown: 1 mention(s), the first at incoming/a.conll:4; correct it"),
    ],
)
def test_a_drop_with_an_unknown_type_goes_to_quarantine(project, kind, said):
    put(a=GOOD + f"\nEve\tB-{kind}\n")
    off = dict.fromkeys(("unknown_type", "malformed_tag", "illegal_transition", "conflicting_mention"), "off")
    (drop,) = project(off)
    assert not drop.accepted and drop.reason.startswith(f"the type {kind!r} is unknown: 1 mention(s), the first at")
    assert said.split(": 1")[0] in drop.reason and reason("a.conll")[0] == drop.reason
    put(a=GOOD + f"\nEve\tB-{kind}\n")
    (drop,) = project(off, types=["PER", "LOC", kind])
    assert drop.accepted
    put(b=GOOD.replace("Eve", "Liz"))
    (drop,) = project(types=["LOC"])
    assert drop.reason.startswith("the type 'PER' is unknown"), "data.types counts, not what the corpus has"


def test_an_accepted_drop_admits_no_types_for_the_next(project):
    put(a=GOOD + "\nEve\tB-NEW\n")
    (drop,) = project(types=["PER", "LOC", "NEW"])
    assert drop.accepted
    put(b=GOOD.replace("Eve", "Liz") + "\nLiz\tB-NEW\n")
    (drop,) = project()
    assert drop.reason.startswith("the type 'NEW' is unknown")


def test_without_a_prefix_every_tag_is_a_type(project):
    for split in ("train", "dev", "test"):
        Path(f"data/{split}.conll").write_text(f"my\tDET\n{split}\tNOUN\n")
    put(good="the\tDET\nsea\tNOUN\n", bad="the\tDET\nsea\tNUON\n")
    bad, good = project()
    assert good.accepted and bad.reason.startswith(
        "the type 'NUON' is unknown: 1 mention(s), the first at incoming/bad"
    )
    assert "write 'NOUN' if that is meant" in bad.reason


def test_a_corpus_that_cannot_be_read_is_no_fault_of_the_files(project):
    put(a=GOOD)
    Path("data/dev.conll").write_text("a\tO\nb\n")
    before = tree()
    with pytest.raises(DataError, match=r"data/dev.conll:2"):
        project()
    assert tree() == before


class Kill(BaseException):
    """What no handler catches."""


def killed_at(step: int, after: bool, patch: pytest.MonkeyPatch) -> None:
    """Ends the process at a step: before or after a rename or removal, or at the beginning or the middle of a copy."""
    steps = count()

    def dying(work, half_done=None):
        def call(*paths, **options):
            inside = not options and not str(paths[0]).startswith("/")  # not in temporary folders
            if not inside or next(steps) != step:
                return work(*paths, **options)
            if after:
                with suppress(OSError):
                    (half_done or work)(*paths)
            raise Kill

        return call

    def half(source, target):
        Path(target).write_bytes(Path(source).read_bytes()[:5])

    patch.setattr(os, "replace", dying(os.replace))
    patch.setattr(os, "unlink", dying(os.unlink))
    patch.setattr(shutil, "copyfile", dying(shutil.copyfile, half))


def found(corpus, *_):
    """A data check that takes no time."""
    first = next(s for s in corpus["train"].read(["words"])["words"].to_pylist())
    bad = first == ["bad"]
    return CheckReport(int(bad), 0, {"some": CheckResult("error", "tokens", 1, int(bad), bad, ["here"])}, {})


@pytest.mark.parametrize("after", [False, True])
def test_a_kill_at_any_point_changes_nothing_in_the_end(project, monkeypatch, after):
    monkeypatch.setattr(validation, "check_corpus", found)
    files = {"a": GOOD, "b": "bad\tB-PER\n", "c": GOOD, "d": GOOD + GOOD.replace("Eve", "Zoe")}
    put(**files)
    whole = {drop.name: drop for drop in project()}
    wanted = tree()
    assert len(wanted) == 6 and [drop.accepted for drop in whole.values()] == [True, False, False, True]
    for step in range(100):
        lay_out()
        put(**files)
        with monkeypatch.context() as patch:
            killed_at(step, after, patch)
            try:
                project()
            except Kill:
                died = True
            else:
                died = False
        between = list(tree().values())
        assert all(content.encode() in between for content in files.values())
        rest = {drop.name: drop for drop in project()}
        assert tree() == wanted, step
        assert rest.items() <= whole.items()
        if not died:
            break
    # rename, copy and remove a and d; the reasons and moves of b and c; a file returned after a kill
    assert step == 12 and not rest


def test_a_copy_waits_for_the_disk_and_the_file_for_release(project, monkeypatch):
    events = []
    put(a=GOOD)
    monkeypatch.setattr(incoming, "sync", lambda path: events.append((path.suffix, len(list(FOLDER.iterdir())))))
    assert [drop.accepted for drop in project()] == [True]
    assert events == [(".partial", 1), ("", 1)]
    assert [path.read_text() for path in DROPS.iterdir()] == [GOOD] and not list(FOLDER.iterdir())


def test_an_accepted_file_is_taken_in_again_where_its_copy_was_lost(project):
    put(a=GOOD)
    project(release=False)
    (kept,) = FOLDER.iterdir()
    assert kept.read_text() == GOOD and project(release=False) == [] and kept.exists(), "one copy is enough"
    shutil.rmtree(DROPS)  # a clone that is gone
    (again,) = project()
    assert again == incoming.IncomingFile("a.conll", True, 2, "")
    assert [path.read_text() for path in DROPS.iterdir()] == [GOOD] and not list(FOLDER.iterdir())


def test_a_name_like_that_of_an_accepted_file_avoids_no_check(project):
    mark = ".accepted-0123abcd-"
    (FOLDER / f"{mark}type.conll").write_text(GOOD + "\nEve\tB-WEAPON\n")
    (FOLDER / f"{mark}bad.conll").write_text(BAD)
    Path("elsewhere.conll").write_text(GOOD)
    (FOLDER / f"{mark}link.conll").symlink_to(Path("elsewhere.conll").resolve())
    assert {drop.name: drop.accepted for drop in project()} == dict.fromkeys(
        ("bad.conll", "link.conll", "type.conll"), False
    )
    assert not DROPS.exists()


@pytest.mark.parametrize("name", ["n" * 249 + ".conll", "ä" * 124 + ".conll", "\udce9" * 249 + ".conll", "quarantine"])
def test_no_name_ends_the_run(project, name):
    (FOLDER / name).write_text(BAD)
    put(b=GOOD)
    first, second = sorted(project(), key=lambda drop: drop.accepted)
    assert (first.accepted, second.accepted) == (False, True)
    assert name in (first.name, QUARANTINE.name)
    (kept,) = (path for path in QUARANTINE.iterdir() if not path.name.endswith(".reason.txt"))
    assert kept.read_text() == BAD and reason(kept.name)[0] == first.reason


def test_another_error_of_the_disk_is_passed_on(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "a").write_text("x")
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        incoming.copy(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "a").read_text() == "x" and not (tmp_path / "b").exists()
