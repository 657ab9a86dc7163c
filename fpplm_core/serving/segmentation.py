"""Splits texts into words in serving as in training, without importing any code that a bundle names."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from fpplm_core.errors import BundleError
from fpplm_core.serving.bundle import Bundle
from fpplm_core.tagging.words import OWN, RULES, Range, Segmenter, segment, segment_with

HAND_IN = "pass it if you trust it: Predictor.load(…, segmenter=FUNCTION), or --segmenter MODULE:FUNCTION"


def segmentation(bundle: Bundle, segmenter: Segmenter | None) -> Callable[[str], list[Range]]:
    """The function from a text to the (start, end) of its words, by the bundle's rule or by the segmenter of training.

    Bundles of earlier releases name that segmenter. It is not imported, because a bundle's author could run any code.

    Raises BundleError if the bundle has a rule and a segmenter is given, if it names code and no segmenter is given,
    or if its rule is unknown. For a bundle trained with a segmenter, if none is given, the returned function raises
    BundleError: such a bundle can still tag words.
    """
    rule, where = bundle.config.segmentation, str(bundle.path)
    if rule in RULES:
        if segmenter is not None:
            do = "load it without a segmenter"
            raise BundleError(
                "the bundle was trained with a segmentation rule, not with a segmenter", where=where, got=rule, do=do
            )
        return partial(segment, rule=rule)
    if rule != OWN and ":" not in rule:
        do = f"this version knows {', '.join(RULES)}"
        raise BundleError("unknown segmentation rule", where=where, got=repr(rule), do=do)
    if segmenter is not None:
        return partial(segment_with, segmenter=segmenter, where="segmenter")
    if rule != OWN:
        raise BundleError(
            "the bundle names code, which serving does not import", where=where, got=repr(rule), do=HAND_IN
        )

    def refuse(text: str) -> list[Range]:
        raise BundleError(
            "the bundle was trained with a segmenter of your own, which it does not contain", where=where, do=HAND_IN
        )

    return refuse
