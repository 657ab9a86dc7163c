"""The first model of a project: it needs floors of the gate, which its own scores propose."""

from __future__ import annotations

from dataclasses import asdict

from fpplm.pipeline.paths import METRICS, MODEL, PARAMS, PREDICTIONS
from fpplm.project.overrides import write_values
from fpplm_core.errors import GateFailed
from fpplm_core.evaluation.floors import Floors, missing_floors, propose_floors, weak_types
from fpplm_core.evaluation.predictions import read_predictions
from fpplm_core.evaluation.scores import Evaluation, worst_slice
from fpplm_core.evaluation.settings import GateSettings
from fpplm_core.files import read_record
from fpplm_core.model.blueprint import read_blueprint
from fpplm_core.settings import read_yaml
from fpplm_core.tagging.spans import types_of


def known_types() -> list[str]:
    """The types that the trained model knows."""
    return types_of([read_blueprint(MODEL).labels])


def open_gate(gate: GateSettings) -> list[str]:
    """Why the first model must wait: the floors that are missing; empty if all are set."""
    if not (missing := missing_floors(gate, known_types())):
        return []
    do = "fpplm gate proposes floors, fpplm gate --write sets them; then run fpplm retrain --promote"
    return [f"no floor is set for the first model ({', '.join(missing)}), so any model would pass; {do}"]


def weak() -> list[str]:
    """One line for each type that the trained model does not find in test."""
    return weak_types(read_record(METRICS / "evaluate.json", Evaluation).test, known_types())


def worst() -> list[str]:
    """A line about the worst slice of test, if a slice decides."""
    return worst_slice(read_record(METRICS / "evaluate.json", Evaluation).test)


def proposed() -> Floors:
    """The floors that the last run's scores propose.

    Raises:
        DataError: no run has evaluated a model here.
        GateFailed: its F1 is too low for any floor.
    """
    floors = propose_floors(read_predictions(PREDICTIONS / "test.jsonl"), known_types())
    if not floors.min_f1:
        test = read_record(METRICS / "evaluate.json", Evaluation).test
        got = f"test F1 {test.f1:.4f} [{test.f1_low:.4f}, {test.f1_high:.4f}]"
        do = "improve the model or the data, or set gate.min_f1 in params.yaml by hand"
        raise GateFailed("too low to propose floors", where="gate", got=got, do=do)
    return floors


def write_floors(gate: GateSettings) -> dict[str, object]:
    """Writes the proposed floors into params.yaml where none is set; returns what was written. Raises as `proposed`."""
    floors = proposed()
    new = {name: value for name, value in asdict(floors).items() if value and not getattr(gate, name)}
    if not gate.min_type_f1:  # the types that it would not suit; a floor that is set holds for all of them
        new["type_f1"] = {**floors.type_f1, **gate.type_f1}
    values = read_yaml(PARAMS)
    values["gate"] |= new
    write_values(PARAMS, values)
    return new
