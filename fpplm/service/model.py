"""A model in service: a predictor that has passed its golden sentences, and its queue."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from fpplm.service.batcher import Batcher
from fpplm.service.golden import require_golden
from fpplm.service.limits import Limits
from fpplm.service.metrics import Metrics, ModelMetrics
from fpplm_core.serving import Predictor


class Model(NamedTuple):
    """`version` is the beginning of the bundle's digest."""

    name: str
    version: str
    predictor: Predictor
    batcher: Batcher


def load_model(
    name: str, path: Path, load: Callable[[Path], Predictor], limits: Limits, metrics: Metrics, role: str
) -> Model:
    """Loads a bundle and tags its golden sentences. Raises BundleError, and what `load` raises."""
    predictor = load(path)
    require_golden(predictor)
    version = predictor.bundle.manifest["digest"][:12]
    own = ModelMetrics(metrics, role)
    own.loaded(name, version, predictor.variant)
    return Model(name, version, predictor, Batcher(predictor, limits, own))
