"""environment: records the code, the libraries and the inputs outside DVC of each stage.

It always runs; stages whose record has changed run again. It reads all of params.yaml and slices.yaml, so that it
reports a mistake in them before any work begins.
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
