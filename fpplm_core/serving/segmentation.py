"""How texts become words in serving: as the texts of training did, and without importing what a bundle names."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from fpplm_core.errors import BundleError
from fpplm_core.serving.bundle import Bundle
from fpplm_core.tagging.words import OWN, RULES, Range, Segmenter, segment, segment_with

HAND_IN = "hand it in if you trust it: Predictor.load(…, segmenter=FUNCTION), or --segmenter MODULE:FUNCTION"


def segmentation(bundle: Bundle, segmenter: Segmenter | None) -> Callable[[str], list[Range]]:
    """A text to the (start, end) of its words, by the bundle's rule or by the segmenter that cut the words of training.

    Bundles of earlier releases name that segmenter. It is not imported: whoever writes a bundle could run any code.

    Raises BundleError if the bundle has a rule and a segmenter is given, names code and none is given, or has an
    unknown rule. Where a bundle without a rule is not given a segmenter, what is returned raises it: words, which are
    already cut, can be tagged all the same.
    """
    rule, where = bundle.config.segmentation, str(bundle.path)
    if rule in RULES:
        if segmenter is not None:
            do = "load it without segmenter"
            raise BundleError("its words were cut by a rule, not by a segmenter", where=where, got=rule, do=do)
        return partial(segment, rule=rule)
    if rule != OWN and ":" not in rule:
        do = f"this version knows {', '.join(RULES)}"
        raise BundleError("its words were cut by an unknown rule", where=where, got=repr(rule), do=do)
    if segmenter is not None:
        return partial(segment_with, segmenter=segmenter, where="segmenter")
    if rule != OWN:
        raise BundleError("names code, which serving does not import", where=where, got=repr(rule), do=HAND_IN)

    def refuse(text: str) -> list[Range]:
        raise BundleError("its words were cut by a segmenter that it does not hold", where=where, do=HAND_IN)

    return refuse
