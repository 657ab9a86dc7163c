"""environment: what each stage's code, its libraries and the inputs outside DVC's sight are; always looked at.

What depends on it runs where it has changed. params.yaml is read as a whole here, and slices.yaml, so that a mistake in
them is reported before any work begins.
"""

from fpplm.pipeline import stage
from fpplm.pipeline.code import write_code
from fpplm.pipeline.inputs import write_inputs
from fpplm_core.evaluation.slices import read_slices
from fpplm_core.params import Params


def environment(params: Params) -> None:
    read_slices().require(params.gate.slice_f1)
    write_code()
    write_inputs(params)


if __name__ == "__main__":
    stage.run(environment)
