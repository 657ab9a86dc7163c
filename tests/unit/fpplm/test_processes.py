"""How many processes a training starts on each machine."""

from __future__ import annotations

import pytest

from fpplm.session.processes import run_in_processes
from fpplm_core.errors import ParamsError


@pytest.mark.parametrize("machines", ["0", "-1", "1:4", "", "two", "1.5", "\u0662"])
def test_what_is_no_number_of_machines_is_refused_by_its_variable(
    monkeypatch: pytest.MonkeyPatch, machines: str
) -> None:
    monkeypatch.setenv("PET_NNODES", machines)
    with pytest.raises(ParamsError, match=r"PET_NNODES: not a number of machines, got .* elastic ranges"):
        run_in_processes(4)


def test_machines_share_the_processes_equally(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PET_NNODES", "3")
    with pytest.raises(ParamsError, match=r"train.processes: not divisible by the number of machines, got 4, PET_NN"):
        run_in_processes(4)


def test_one_process_on_one_machine_needs_no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PET_NNODES", "1")
    assert not run_in_processes(1)
