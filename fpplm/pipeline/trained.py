"""The trained tagger, build/model, for the stages after training."""

from __future__ import annotations

from safetensors import SafetensorError

from fpplm.pipeline.paths import METRICS, MODEL
from fpplm_core.errors import DataError
from fpplm_core.files import read_json
from fpplm_core.model.blueprint import WEIGHTS, Blueprint, read_blueprint
from fpplm_core.model.digest import weights_sha256
from fpplm_core.model.settings import ModelSettings
from fpplm_core.model.tagger import Tagger, load_trained


def load_model(settings: ModelSettings) -> tuple[Blueprint, Tagger]:
    """The tagger with the weights that train wrote, checked by their digest.

    DVC trusts files from its cache, or with an old modification time, without reading them.
    Raises DataError, EncoderError.
    """
    file = MODEL / WEIGHTS
    blueprint = read_blueprint(MODEL)
    do = f"delete {MODEL}, then: fpplm retrain"
    try:
        model = load_trained(file, blueprint, settings)
    except (SafetensorError, RuntimeError) as error:  # truncated, or its header is damaged
        raise DataError("cannot be read", where=str(file), got=str(error).splitlines()[0], do=do) from None
    if weights_sha256(model) != read_json(METRICS / "train.json")["model_sha256"]:
        raise DataError("not the weights that train wrote", where=str(file), do=do)
    return blueprint, model
