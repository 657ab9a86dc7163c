"""What the checks found in a corpus."""

from __future__ import annotations

from dataclasses import dataclass

from fpplm_core.quality.statistics import SplitStatistics


@dataclass(frozen=True)
class CheckResult:
    """How many rows of a table a check, or a project's own expectation, found; `failed` if they are too many."""

    severity: str
    table: str
    rows: int
    found: int
    failed: bool
    examples: list[str]


@dataclass(frozen=True)
class CheckReport:
    """The failed checks by severity, every result by its name, and the statistics of each split."""

    errors: int
    warnings: int
    checks: dict[str, CheckResult]
    statistics: dict[str, SplitStatistics]
