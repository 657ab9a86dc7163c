"""The life of a model, from data to production and back, with a real Prefect server and worker; it prints each step.

    python examples/operations.py DIR

creates DIR with a project (`fpplm init`), a bare Git repository and a DVC remote. It schedules the retraining, sets the
floors that the first model needs, adds better data, then wrongly labelled data, rolls back, and reproduces the first
version from a fresh clone. After each step it checks what a service receives (`dvc artifacts get --stage production`).
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from fpplm.promotion.history import RunRecord, runs
from fpplm_core.serving.bundle import open_bundle

EVERY = 20  # seconds between two scheduled runs
PATIENCE = 900  # seconds that a step may take
PEOPLE = ("Anna", "Berta", "Carla", "Doris", "Erika", "Frida", "Gerda", "Hanna", "Ilona", "Julia")
PLACES = ("London", "Paris")
FIRMS = ("XYZ", "ABC", "KLM", "QRS", "UVW", "BBD", "FGH", "NOP", "TTX", "WWZ")
LETTERS = "abcdefghijklmnopqrstuvwxyz"
FILLERS = tuple(a + b for a in LETTERS for b in LETTERS)  # many, so that no sentence resembles one of test by chance


def sentences(seed: int, number: int, kinds: Sequence[str], wrong: bool = False) -> str:
    """CoNLL text: fillers and one name of every kind in each sentence. `wrong` swaps the labels of the kinds."""
    dice = random.Random(seed)
    names = {"PER": PEOPLE, "LOC": PLACES, "ORG": FIRMS}
    mixed = {"PER": "LOC", "LOC": "ORG", "ORG": "PER"}
    blocks = []
    for _ in range(number):
        rows = [f"{dice.choice(FILLERS)}\tO" for _ in range(dice.randint(2, 7))]
        for kind in kinds:
            label = mixed[kind] if wrong else kind
            rows.insert(dice.randint(0, len(rows)), f"{dice.choice(names[kind])}\tB-{label}")
        blocks.append("\n".join(rows))
    return "\n\n".join(blocks) + "\n\n"


class Place:
    """A folder with the project, its remotes, and the means to run commands there."""

    def __init__(self, root: Path) -> None:
        self.root, self.project = root, root / "project"
        self.bare, self.store = root / "repository.git", root / "store"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        scheduler = {"PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "5", "PREFECT_WORKER_QUERY_SECONDS": "2"}
        self.environment = {**os.environ, **scheduler, "PATH": path}

    def do(self, *command: str | Path, where: Path | None = None) -> str:
        """Runs a command, prints it as a user would type it, and returns its output."""
        place = where or self.project
        print(f"$ {' '.join(map(str, command))}", flush=True)
        done = subprocess.run(
            [*map(str, command)], cwd=place, env=self.environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise SystemExit(f"{done.stdout}{done.stderr}\nfailed in {place}")
        return done.stdout

    def delivered(self) -> str:
        """The digest of the bundle that a service receives."""
        target = self.root / "service"
        shutil.rmtree(target, ignore_errors=True)
        get = ("dvc", "artifacts", "get", self.bare, "tagger", "--stage", "production", "-o", target)
        self.do(*get, where=self.root)
        return str(open_bundle(target, allow_links=True).manifest["digest"])

    def next_run(self, after: int) -> RunRecord:
        """Waits for the first run after that many runs whose verdict is neither `unchanged` nor `skipped`."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            found = runs(self.project / ".fpplm/runs.jsonl")[after:]
            ended = [run for run in found if run.verdict not in (None, "unchanged", "skipped")]
            if ended:
                print(
                    f"  scheduled run of {ended[0].started}: {ended[0].state}: {'; '.join(ended[0].reasons)}",
                    flush=True,
                )
                return ended[0]
            time.sleep(1)
        raise SystemExit("no scheduled run reached a verdict")

    def drop(self, name: str, text: str) -> RunRecord:
        """Delivers a file of new data, under another name until it is complete; the run that takes it in."""
        so_far = len(runs(self.project / ".fpplm/runs.jsonl"))
        partial = self.project / "incoming" / f"{name}.partial"
        partial.write_text(text, encoding="utf-8")
        partial.rename(partial.with_suffix(""))
        return self.next_run(so_far)


def make(place: Place, settings: Sequence[str]) -> None:
    place.root.mkdir(parents=True, exist_ok=True)
    every = ("PER", "LOC", "ORG")
    files = {"train": sentences(1, 60, ("PER", "LOC")) + sentences(2, 1, every), "dev": sentences(3, 40, every)}
    for split, text in {**files, "test": sentences(4, 120, every)}.items():
        (place.root / f"{split}.conll").write_text(text, encoding="utf-8")
    init = ("fpplm", "init", "project", "train.conll", "--dev", "dev.conll", "--test", "test.conll")
    place.do(*init, where=place.root)
    (place.project / "incoming").mkdir()
    place.do("git", "init", "-q", "--bare", "-b", "main", place.bare)
    place.do("git", "branch", "-M", "main")
    place.do("git", "remote", "add", "origin", place.bare)
    place.do("dvc", "remote", "add", "-q", "-d", "store", place.store)
    code = "import sys; from dvc.utils.hydra import apply_overrides; apply_overrides('params.yaml', sys.argv[1:])"
    place.do(sys.executable, "-c", code, "data.incoming=incoming", *settings)
    with (place.project / ".gitignore").open("a") as ignored:
        ignored.write("/incoming/\n")
    place.do("git", "commit", "-qam", "settings, remotes")
    place.do("git", "push", "-q", "-u", "origin", "main")
    place.do("dvc", "push", "-q")


@contextmanager
def server(place: Place) -> Iterator[None]:
    """Runs `fpplm up`, and stops it as Ctrl-C does."""
    print(f"$ fpplm up --port {place.port} &", flush=True)
    log = (place.root / "up.log").open("w")
    command = ["fpplm", "up", "--port", str(place.port)]
    process = subprocess.Popen(
        command, cwd=place.project, env=place.environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        until = time.monotonic() + PATIENCE
        while "Ctrl-C" not in (place.root / "up.log").read_text():
            if process.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"the server did not start: {place.root / 'up.log'}")
            time.sleep(0.5)
        yield
    finally:
        process.send_signal(signal.SIGINT)
        print(f"  fpplm up has stopped with {process.wait(timeout=120)}", flush=True)


def expect(what: str, actual: object, expected: object) -> None:
    if actual != expected:
        raise SystemExit(f"{what}: {actual!r}, expected {expected!r}")
    print(f"  {what}: {actual}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a new folder")
    parser.add_argument("settings", nargs="*", help="values of params.yaml, such as model.encoder=FOLDER")
    given = parser.parse_args()
    place = Place(given.folder.resolve())
    make(place, given.settings)
    with server(place):
        print(place.do("fpplm", "schedule", "--every", str(EVERY)))
        print("── the schedule starts a run, and the first model waits for floors")
        expect("verdict", place.next_run(0).verdict, "hold")
        so_far = len(runs(place.project / ".fpplm/runs.jsonl"))
        print(place.do("fpplm", "gate", "--write"))
        print("── with the floors that its scores propose, the next run puts it into production")
        expect("in production", place.next_run(so_far).version, "v1.0.0")
        first = place.delivered()
        print("── better data arrive")
        run = place.drop("firms.conll", sentences(5, 80, ("PER", "LOC", "ORG")))
        expect("in production", run.version, "v2.0.0")
        second = place.delivered()
        expect("the service has a new bundle", second != first, True)
        print("── wrongly labelled data arrive")
        run = place.drop("wrong.conll", sentences(6, 400, ("PER", "LOC", "ORG"), wrong=True))
        expect("verdict", run.verdict, "failed")  # below the floors of the gate: there is no bundle to compare
        expect("the service has v2", place.delivered() == second, True)
        place.do("fpplm", "schedule", "--off")
    print("── back to the first model")
    print(place.do("fpplm", "rollback"))
    expect("the service has v1", place.delivered() == first, True)
    print(place.do("fpplm", "models"))
    print(place.do("fpplm", "runs"))
    print("── the first version is reproduced from a fresh clone")
    place.do("git", "clone", "-q", place.bare, "clone", where=place.root)
    outcome = place.do("fpplm", "reproduce", "v1", where=place.root / "clone").splitlines()[-1]
    print(f"  {outcome}")
    expect("reproduced", outcome.split(":")[0], "identical")
    print("every step succeeded")


if __name__ == "__main__":
    main()
