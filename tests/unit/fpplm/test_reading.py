"""Errors of the readers name options of the command that was given, not parameters that it does not take."""

from __future__ import annotations

import typing

import pytest
import typer
from typer.testing import CliRunner

from fpplm.cli.main import app
from fpplm.cli.reading import as_column, naming_options
from fpplm_core.errors import DataError, FpplmError, ParamsError


def context(command: str) -> typer.Context:
    group = typing.cast(typing.Any, typer.main.get_command(app))
    return typing.cast(typer.Context, typer.Context(group.commands[command]))


@pytest.mark.parametrize("command", ["convert", "evaluate", "predict"])
@pytest.mark.parametrize("parameter", ["word_column", "tag_column", "separator", "format", "overlap", "misaligned"])
def test_an_advice_names_an_option_that_the_command_takes(command: str, parameter: str) -> None:
    if command == "predict" and parameter in ("overlap", "misaligned"):
        return  # annotations are not read, so no error advises these
    known = {name for one in context(command).command.params for name in one.opts}
    error = DataError("what", where=f"data.{parameter}", got="x", do=f"set data.{parameter} in params.yaml")
    with pytest.raises(DataError) as caught, naming_options(context(command)):
        raise error
    assert (
        caught.value.where in known
        and str(caught.value) == f"{caught.value.where}: what, got x; set {caught.value.where}"
    )


def test_other_words_stay() -> None:
    text = "check the path in params.yaml (data.*), data.jsonl:3 and data.second"
    with (
        pytest.raises(FpplmError, match=r"^check the path, data\.jsonl:3 and data\.second$"),
        naming_options(context("predict")),
    ):
        raise FpplmError(text)


@pytest.mark.parametrize(
    ("given", "column"),
    [(None, None), ("2", 2), ("-1", -1), ("--1", "--1"), ("²", "²"), ("tag", "tag"), ("9" * 99, "9" * 99)],
)
def test_columns_are_numbers_or_names(given: str | None, column: int | str | None) -> None:
    assert as_column(given) == column


@pytest.mark.parametrize(
    "option",
    ["--digest=a", "--segmenter=a:b", "--word-column=1", "--tag-column=1", "--separator=tab", "--on-error=skip"],
)
def test_an_option_that_a_folder_would_ignore_is_refused(option: str) -> None:
    done = CliRunner().invoke(app, ["predict", "bundle", "a.txt", "--folder", "out", option])
    assert isinstance(done.exception, ParamsError) and "--folder" in str(done.exception)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--ray=local"], "--ray: needs --folder"),
        (["--ray=local", "--folder=out", "--segmenter=a:b"], "--segmenter"),
        (["--ray=local", "--folder=out", "--explain"], "--explain"),
    ],
)
def test_an_option_that_a_cluster_would_ignore_is_refused(options: list[str], error: str) -> None:
    done = CliRunner().invoke(app, ["predict", "bundle", "a.txt", *options])
    assert isinstance(done.exception, ParamsError) and error in str(done.exception)
