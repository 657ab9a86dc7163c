"""A reader that closes the pipe, as `| head` does, changes neither what a program does nor its exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hostile_bundles.tiny import write_tiny_bundle

FOUND = """
from rich.console import Console
from fpplm_core.errors import CheckFailed

def check() -> None:
    Console().print("a table")
    print("rows", flush=True)
    raise CheckFailed("errors in the data")
"""
STAGE = f"{FOUND}\nfrom fpplm.pipeline import stage\nstage.run(check)"
PREDICT = "from fpplm.cli.entry import start\nstart()"
COMMAND = f"{FOUND}\nfrom fpplm.cli.main import app\napp.command('fail')(check)\n{PREDICT}"
ELSEWHERE = """
from fpplm.pipeline.failures import exit_on_error

with exit_on_error():
    raise BrokenPipeError(32, "of a socket")
"""


def run_unread(code: str, *arguments: object, folder: Path, unread_errors: bool = False) -> subprocess.Popen[str]:
    """Runs code whose stdout, and stderr if wanted, is a pipe that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    errors = writer if unread_errors else subprocess.PIPE
    command = [sys.executable, "-c", code, *map(str, arguments)]
    with os.fdopen(writer):
        return subprocess.Popen(command, cwd=folder, stdout=writer, stderr=errors, text=True)


@pytest.mark.parametrize("unread_errors", [False, True])
@pytest.mark.parametrize(("code", "arguments"), [(STAGE, []), (COMMAND, ["fail"])])
def test_a_verdict_keeps_its_exit_code(tmp_path: Path, code: str, arguments: list[str], unread_errors: bool) -> None:
    (tmp_path / "params.yaml").write_text("a: 1\n")
    done = run_unread(code, *arguments, folder=tmp_path, unread_errors=unread_errors)
    _, errors = done.communicate()
    assert done.returncode == 10
    assert errors is None or errors == "error: errors in the data\n"


def test_unbuffered_output_arrives_although_the_process_is_killed(tmp_path: Path) -> None:
    code = "from fpplm.terminal.output import outlive_readers as o; import os; o(); print('so far'); os._exit(9)"
    command = [sys.executable, "-u", "-c", code]
    assert subprocess.run(command, cwd=tmp_path, stdout=subprocess.PIPE, check=False).stdout == b"so far\n"


def test_another_closed_pipe_is_an_error(tmp_path: Path) -> None:
    assert run_unread(ELSEWHERE, folder=tmp_path).wait() == 1


@pytest.mark.parametrize("lines", [1, 10_000])  # one stays in the buffer of the output
def test_predict_says_that_the_reader_of_another_pipe_has_gone(tmp_path: Path, lines: int) -> None:
    bundle = write_tiny_bundle(tmp_path / "bundle", label_lm=None)
    (tmp_path / "in.txt").write_text("London\n" * lines)
    done = run_unread(PREDICT, "predict", bundle, "in.txt", "--output", "/dev/stdout", folder=tmp_path)
    _, errors = done.communicate()
    assert done.returncode == 1 and "error: /dev/stdout: the reader of the output has gone\n" in errors


def test_predict_ends_with_the_reader_of_its_output(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "bundle", label_lm=None)
    (tmp_path / "in.txt").write_text("London\n" * 10_000)
    done = run_unread(PREDICT, "predict", bundle, "in.txt", folder=tmp_path)
    _, errors = done.communicate()
    assert done.returncode == 0, errors
    assert "Traceback" not in errors and "error" not in errors
    assert int(errors.rpartition("\n")[0].rpartition("\n")[2].split()[0].replace(",", "")) < 10_000


def run_closed(closed: str, code: str, *arguments: object, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs code with closed streams, such as `>&-`."""
    command = ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("code", "arguments", "closed"),
    [(STAGE, [], ">&-"), (COMMAND, ["fail"], "2>&-"), (COMMAND, ["fail"], "<&- >&- 2>&-")],
)
def test_a_verdict_keeps_its_exit_code_where_outputs_are_closed(
    tmp_path: Path, code: str, arguments: list[str], closed: str
) -> None:
    (tmp_path / "params.yaml").write_text("a: 1\n")
    done = run_closed(closed, code, *arguments, folder=tmp_path)
    assert done.returncode == 10
    assert done.stdout == ("a table\nrows\n" if closed == "2>&-" else "")
    assert done.stderr == ("error: errors in the data\n" if closed == ">&-" else "")


def test_predict_finds_the_same_where_outputs_are_closed(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "bundle", label_lm=None)
    (tmp_path / "in.txt").write_text("London\n")
    done = run_closed("<&- >&-", PREDICT, "predict", bundle, "in.txt", "-o", "out", folder=tmp_path)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    done = run_closed("2>&-", PREDICT, "predict", bundle, "in.txt", folder=tmp_path)
    assert done.stdout == (tmp_path / "out").read_text() != "", "and nothing else between the records"
    done = run_closed(">&-", PREDICT, "predict", bundle, "in.txt", folder=tmp_path)
    assert done.returncode == 1 and "error: --output: standard output is closed; name a file\n" in done.stderr


def test_nothing_takes_the_place_of_a_closed_descriptor(tmp_path: Path) -> None:
    """Here and in a program that is started; to read from a closed input stays an error."""
    started = "import os; print([os.readlink(f'/proc/self/fd/{n}') for n in range(3)], file=open('fds', 'w')); "
    started += "os.read(0, 1)"
    code = "from fpplm.terminal.output import outlive_readers as o; import subprocess, sys; o(); "
    code += f"sys.exit(subprocess.run([sys.executable, '-c', {started!r}]).returncode + 1)"
    assert run_closed("<&- >&- 2>&-", code, folder=tmp_path).returncode == 2
    assert (tmp_path / "fds").read_text() == "['/dev/null', '/dev/null', '/dev/null']\n"
