"""Records the curves of a training in two tables, and prints a line for each evaluation on dev."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from fpplm.pipeline.paths import EPOCHS, REPORTS, STEPS
from fpplm_core.files import write_text
from fpplm_core.training.history import DevScore, TrainingHistory

CURVES = REPORTS / "training"


class Display:
    """A line for each evaluation on dev, and the tables; `fpplm_core.tracking` shows the steps."""

    def __init__(self, history: TrainingHistory) -> None:
        self.history = history
        shutil.rmtree(CURVES, ignore_errors=True)

    def __enter__(self) -> Display:
        return self

    def __exit__(self, *_: object) -> None:
        self._write_steps()
        write_epochs(self.history.dev_f1)

    def frozen(self, score: DevScore) -> None:
        """Shows an evaluation in the frozen phase."""
        print(f"frozen phase, step {score.step}: dev F1 {score.f1:.4f}", flush=True)

    def epoch(self, speed: float) -> None:
        """Shows the epoch that has just ended."""
        write_epochs(self.history.dev_f1)
        print(f"epoch {self.history.epoch}: dev F1 {self.history.dev_f1[-1].f1:.4f}, {speed:,.0f} words/s", flush=True)

    def _write_steps(self) -> None:
        """Without times, so that equal runs give equal files."""
        names = list(dict.fromkeys(name for losses in self.history.losses for name in losses))
        rows = [",".join(["step", "lr", *names])]
        for row, (lr, losses) in enumerate(zip(self.history.lr, self.history.losses, strict=True)):
            step = 1 + row * self.history.every
            rows.append(
                ",".join([str(step), f"{lr:.8g}", *(f"{losses[name]:.6g}" if name in losses else "" for name in names)])
            )
        write_text(STEPS, "\n".join(rows) + "\n")


def write_epochs(scores: Sequence[DevScore]) -> None:
    """Writes dev F1 by epoch, atomically: a study reads it while the training runs."""
    rows = [f"{step},{epoch},{f1:.6f}\n" for epoch, (step, f1) in enumerate(scores, start=1)]
    write_text(EPOCHS, "".join(["step,epoch,dev_f1\n", *rows]))
