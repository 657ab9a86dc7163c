"""What the checks found in a corpus."""

from __future__ import annotations

from dataclasses import dataclass

from fpplm_core.quality.statistics import SplitStatistics


@dataclass(frozen=True)
class CheckResult:
    """The number of rows that a check, or a project's own expectation, found; `failed` if it is too large."""

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
