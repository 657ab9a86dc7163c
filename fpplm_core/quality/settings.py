"""The `check` section of params.yaml."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from fpplm_core.quality.checks import BY_NAME, CHECKS, Severity
from fpplm_core.settings import Settings, guess


class CheckSettings(Settings):
    severity: dict[str, Severity]
    leakage_words: Annotated[int, Field(ge=1)]
    near: Annotated[float, Field(gt=0, le=1)]
    min_examples: Annotated[int, Field(ge=0)]
    min_sentences: Annotated[int, Field(ge=0)]
    drift: Annotated[float, Field(gt=0, le=1)]

    @field_validator("severity")
    @classmethod
    def _known(cls, severity: dict[str, Severity]) -> dict[str, Severity]:
        if unknown := sorted(severity.keys() - BY_NAME.keys()):
            guessed = guess(unknown[0], BY_NAME)
            raise ValueError(f"no such check: {', '.join(unknown)}; {guessed}known: {', '.join(BY_NAME)}")
        return severity

    def severities(self) -> dict[str, Severity]:
        """The severity of every check by its name."""
        return {check.name: self.severity.get(check.name, check.severity) for check in CHECKS}
