"""The event by which `fpplm drift` starts a retraining that `fpplm schedule --when drift` has deployed."""

from __future__ import annotations

from fpplm.schedule.deployment import DRIFT, DRIFTED, server
from fpplm_core.evaluation.drift import Drift


def emit_drift(drift: Drift, digest: str) -> str:
    """Tells Prefect's server what has drifted for the bundle with this digest; returns a line for the terminal.

    The event has the features and their distances, nothing of the texts. Raises FpplmError if there is no server.
    """
    with server(named_may_be_shared=True) as client:
        from prefect.events import Event, Resource

        distances = {one.feature: round(one.distance, 4) for one in drift.matters}
        payload = {"bundle": digest, "texts": drift.texts, "distances": distances}
        event = Event(event=DRIFT, resource=Resource(DRIFTED), payload=payload)
        client.request("POST", "/events", json=[event.model_dump(mode="json")]).raise_for_status()
        return f"event    {DRIFT} {event.id}"
