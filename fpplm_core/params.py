"""params.yaml as frozen objects: a class for each section, a field for each parameter. params.yaml documents them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from fpplm_core.data.settings import DataSettings, EncodeSettings
from fpplm_core.errors import ParamsError
from fpplm_core.evaluation.settings import GateSettings, PromotionSettings
from fpplm_core.export.settings import ExportSettings, VerifySettings
from fpplm_core.model.settings import ModelSettings
from fpplm_core.quality.checks import CHECKS
from fpplm_core.quality.settings import CheckSettings
from fpplm_core.settings import Settings, read_yaml, validate
from fpplm_core.training.settings import TechniqueSettings, TrainSettings

# Keys of the previous release, and the new key, or None if the parameter was removed.
MOVED: dict[str, str | None] = {
    "data.words": "data.segmentation",
    "data.dev_fraction": "data.held_out",
    "data.test_fraction": "data.held_out",
    **{f"check.{check.name}": f"check.severity.{check.name}" for check in CHECKS},
    "check.max_word": None,
    "check.conflict_share": None,
    "check.min_test_examples": None,
    "model.attention": None,
    "model.shape_dropout": None,
    "train.clip_norm": None,
    "train.lean": "train.f1_shift",
    "technique.fuzzy_regions.frozen": None,
    "technique.fuzzy_regions.frozen_until": None,
    "technique.fuzzy_regions.probes": None,
    "technique.fuzzy_regions.covered": "technique.fuzzy_regions.open_by",
    "technique.fuzzy_regions.rise": "technique.fuzzy_regions.warmup",
    **{f"technique.resampling.{name}": None for name in ("share", "floor", "dense_until", "dense_from", "guard")},
    "technique.filter_pooling.window": None,
    "technique.adversarial.budget": "technique.adversarial.rival_budget",
    "technique.adversarial.agree": "technique.adversarial.consistency",
    "technique.adversarial.correct": "technique.adversarial.label_correction",
    **{f"technique.label_lm.{name}": None for name in ("begin", "full", "init_steps")},
    "evaluate": None,
    "export.opset": None,
}


class Params(Settings):
    data: DataSettings
    check: CheckSettings
    model: ModelSettings
    encode: EncodeSettings
    train: TrainSettings
    technique: TechniqueSettings
    gate: GateSettings
    export: ExportSettings
    verify: VerifySettings
    promotion: PromotionSettings

    @classmethod
    def parse(cls, values: Any, where: str) -> Self:
        """Parameters from plain values. Raises ParamsError as `load` does."""
        params = validate(cls, values, where, MOVED)
        pieces, window = params.train.batch_pieces, params.encode.window
        if pieces < window:
            raise ParamsError(
                "a step must hold at least one window",
                where=f"{where}: train.batch_pieces",
                got=str(pieces),
                do=f"set it to at least encode.window, {window}",
            )
        return params


def load(path: Path | str = "params.yaml") -> Params:
    """The validated parameters. Raises ParamsError with every error of the file: key, value and what is allowed."""
    return Params.parse(read_yaml(path), str(path))
