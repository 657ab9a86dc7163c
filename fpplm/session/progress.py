"""Records the curves of a training, in dvclive and in two tables, and prints a line for each evaluation on dev."""

from __future__ import annotations

import shutil

from dvclive.live import Live

from fpplm.pipeline.paths import REPORTS
from fpplm_core.files import write_text
from fpplm_core.training.history import DevScore, TrainingHistory

CURVES = REPORTS / "training"


class Display:
    """A line for each evaluation on dev, and curves for DVC; `fpplm_core.tracking` shows the steps."""

    def __init__(self, history: TrainingHistory) -> None:
        self.history, self.shown = history, len(history.losses)
        shutil.rmtree(CURVES, ignore_errors=True)
        self.live = Live(str(CURVES / "dvclive"), save_dvc_exp=False, dvcyaml=None, report=None)

    def __enter__(self) -> Display:
        return self

    def __exit__(self, *_: object) -> None:
        self.live.end()  # type: ignore[no-untyped-call]
        self._write_curves()

    def frozen(self, score: DevScore) -> None:
        """Shows an evaluation in the frozen phase."""
        print(f"frozen phase, step {score.step}: dev F1 {score.f1:.4f}", flush=True)

    def steps(self, speed: float) -> None:
        """Records the steps added to the history since the last call."""
        for losses, lr in zip(self.history.losses[self.shown :], self.history.lr[self.shown :], strict=True):
            step = 1 + self.shown * self.history.every
            self.shown += 1
            values = {f"loss/{name}": value for name, value in losses.items()}
            self.log(step, {**values, "lr": lr, "words_per_s": speed})

    def epoch(self, step: int, epoch: int, score: float, speed: float) -> None:
        self.log(step, {"dev_f1": score})
        print(f"epoch {epoch}: dev F1 {score:.4f}, {speed:,.0f} words/s", flush=True)

    def log(self, step: int, values: dict[str, float]) -> None:
        self.live.step = step
        for name, value in values.items():
            self.live.log_metric(name, value)

    def _write_curves(self) -> None:
        """Writes the curves without times, so that equal runs give equal files."""
        names = list(dict.fromkeys(name for losses in self.history.losses for name in losses))
        rows = [",".join(["step", "lr", *names])]
        for row, (lr, losses) in enumerate(zip(self.history.lr, self.history.losses, strict=True)):
            step = 1 + row * self.history.every
            rows.append(
                ",".join([str(step), f"{lr:.8g}", *(f"{losses[name]:.6g}" if name in losses else "" for name in names)])
            )
        write_text(CURVES / "steps.csv", "\n".join(rows) + "\n")
        scores = ["step,epoch,dev_f1"]
        scores += [f"{step},{n},{score:.6f}" for n, (step, score) in enumerate(self.history.dev_f1, start=1)]
        write_text(CURVES / "epochs.csv", "\n".join(scores) + "\n")
