"""The `check` section of params.yaml."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fpplm_core.settings import Settings

Severity = Literal["error", "warning", "off"]


class CheckSettings(Settings):
    malformed_tag: Severity
    illegal_transition: Severity
    entity_edge: Severity
    empty_word: Severity
    control_character: Severity
    invisible_word: Severity
    zero_width: Severity
    byte_order_mark: Severity
    mojibake: Severity
    not_normalised: Severity
    mixed_script: Severity
    unknown_pieces: Severity
    personal_data: Severity
    long_word: Severity
    duplicate: Severity
    near_duplicate: Severity
    conflicting_duplicate: Severity
    leakage: Severity
    near_leakage: Severity
    document_leakage: Severity
    conflicting_mention: Severity
    untagged_mention: Severity
    foreign_script: Severity
    merged_sentence: Severity
    long_sentence: Severity
    unknown_type: Severity
    few_examples: Severity
    few_test_examples: Severity
    few_sentences: Severity
    always_present: Severity
    label_drift: Severity
    empty_split: Severity
    leakage_words: Annotated[int, Field(ge=1)]
    near: Annotated[float, Field(gt=0, le=1)]
    max_word: Annotated[int, Field(ge=1)]
    conflict_share: Annotated[float, Field(gt=0.5, le=1)]
    min_examples: Annotated[int, Field(ge=0)]
    min_test_examples: Annotated[int, Field(ge=0)]
    min_sentences: Annotated[int, Field(ge=0)]
    drift: Annotated[float, Field(gt=0, le=1)]

    def severities(self) -> dict[str, str]:
        """error, warning or off, by name of the check."""
        return {name: value for name, value in self if isinstance(value, str)}
