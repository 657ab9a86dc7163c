"""The models so far: what runs of this folder judged, and the registered versions, which Git knows from anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from fpplm.registry.versions import Tag, in_production, metrics_at, versions
from fpplm.report.run import TrendPoint
from fpplm.report.scores import ModelScores
from fpplm_core.errors import FpplmError


def with_versions(judged: Sequence[TrendPoint]) -> list[TrendPoint]:
    """The judged models and the versions that are not among them, oldest first; production is marked.

    A model without a date, of a damaged ledger, is left out.
    """
    try:
        registered, production = versions(), in_production()
    except FpplmError:  # no repository, or nothing is registered in it
        registered, production = {}, None
    known = {point.name: point for point in judged}
    points = [point for point in judged if point.name not in registered]
    points += [
        of_version(tag, known.get(name) or TrendPoint(name, tag.date, "registered")) for name, tag in registered.items()
    ]
    points = [replace(point, in_production=point.name == production) for point in points if point.date]
    return sorted(points, key=lambda point: datetime.fromisoformat(point.date))


def of_version(tag: Tag, point: TrendPoint) -> TrendPoint:
    """The point with scores and size from the version's commit where its run did not record them."""
    if point.scores and point.words:
        return point
    try:
        scores = ModelScores.of(metrics_at(tag.commit, "evaluate"), metrics_at(tag.commit, "verify"))
        words = metrics_at(tag.commit, "check")["statistics"]["train"]["words"]
    except (FpplmError, KeyError, ValueError):  # another form of metrics, or none: GTO registers any commit
        return point
    return replace(point, scores=point.scores or scores, words=point.words or words)
