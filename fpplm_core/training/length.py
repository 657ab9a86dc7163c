"""The length of a run where params.yaml says `auto`: it follows from the number of steps (decision 24).

With too few steps and no warm-up, fine-tuning on small data fails (Mosbach 2021, 2006.04884; Zhang 2021, 2006.05987).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fpplm_core.training.settings import TrainSettings

STEPS = 750  # of a run, approximately
EPOCHS = (6, 40)  # least and most
WARM_SHARE = 1 / 3  # of these epochs after a warm start; not chosen by measurement (decision 39)
WARMUP_STEPS = 60
WARMUP = (0.1, 0.3)  # least and most, as shares of all steps
PATIENCE = 4  # least epochs
PATIENCE_SHARE = 1 / 3  # of all epochs: dev F1 may rise late, when the learning rate has fallen


def epochs_of(settings: TrainSettings, steps: int, warm: bool) -> int:
    """The epochs of a run, given the steps of one epoch; `warm` if it continues from an earlier run's model."""
    if settings.epochs != "auto":
        return settings.epochs
    least, most = EPOCHS
    epochs = min(most, max(least, round(STEPS / steps)))
    return max(1, round(WARM_SHARE * epochs)) if warm else epochs


def warmup_of(settings: TrainSettings, steps: int) -> float:
    """The share of all steps in which the learning rate rises, given their number."""
    if settings.warmup != "auto":
        return settings.warmup
    least, most = WARMUP
    return min(most, max(least, WARMUP_STEPS / steps))


def patience_of(settings: TrainSettings, epochs: int) -> int:
    """The number of epochs without a better dev F1 after which a run of `epochs` epochs ends."""
    return max(PATIENCE, math.ceil(PATIENCE_SHARE * epochs)) if settings.patience == "auto" else settings.patience
