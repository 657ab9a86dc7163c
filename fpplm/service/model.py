"""A model in service: a predictor that has passed the check of its golden sentences, and its queue."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from fpplm.service.batcher import Batcher
from fpplm.service.limits import Limits
from fpplm.service.metrics import Metrics, ModelMetrics
from fpplm.service.sketches import SketchFile
from fpplm_core.serving import Predictor
from fpplm_core.serving.golden import require_golden
from fpplm_core.serving.sketch import Sketch


class Model(NamedTuple):
    """`version` is the beginning of the bundle's digest; `sketch_file` is there if the service counts its texts."""

    name: str
    version: str
    predictor: Predictor
    batcher: Batcher
    sketch_file: SketchFile | None = None

    def serve(self) -> None:
        """Publishes this model in the metrics as the one that has its role."""
        variant = self.predictor.variant
        self.batcher.metrics.serve(self.name, self.version, variant, lambda: self.batcher.characters)

    def close(self) -> None:
        """Answers the requests in the queue, then ends all threads and writes the sketch, if it counts any text."""
        self.batcher.close()
        self.predictor.workers.shutdown()
        if self.sketch_file and self.sketch_file.sketch.texts:  # another model may write the file of one without any
            self.sketch_file.write()


def load_model(
    name: str,
    load: Callable[[Path], Predictor],
    role: str,
    path: Path,
    limits: Limits,
    metrics: Metrics,
    sketches: Path | None = None,
) -> Model:
    """Loads a bundle and tags its golden sentences; the sketch of its texts goes to the folder `sketches`.

    Raises BundleError, DataError for a sketch file that is no sketch, and whatever `load` raises.
    """
    predictor = load(path)
    _ = predictor.session, predictor.single_thread_session  # opened now, since the folder may change later
    require_golden(predictor)
    version = predictor.bundle.manifest["digest"][:12]
    file = SketchFile(sketches, Sketch.of(predictor), version) if sketches else None
    batcher = Batcher(predictor, limits, ModelMetrics(metrics, role), file.sketch if file else None)
    return Model(name, version, predictor, batcher, file)
