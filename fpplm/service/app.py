"""The routes of the service."""

from __future__ import annotations

import base64
import hashlib
import re
import time
from importlib.resources import files
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fpplm.service import inference, openapi
from fpplm.service.http import Endpoint, answer, counted, read_body, unless_gone
from fpplm.service.limits import Limits, Refused
from fpplm.service.metrics import Metrics
from fpplm.service.model import Model
from fpplm.service.shadow import Shadow
from fpplm.service.texts import Texts, parse_object, texts_of
from fpplm_core import __version__


class Service:
    """The routes for the model in service, which `take` may replace at any time, and for its shadow."""

    def __init__(self, model: Model, limits: Limits, metrics: Metrics, shadow: Shadow | None) -> None:
        self.limits, self.metrics, self.shadow = limits, metrics, shadow
        self.take(model)
        if shadow:
            shadow.model.serve()

    def take(self, model: Model) -> None:
        """Sends all requests from now on to another model."""
        self.model = model
        model.serve()

    def close(self) -> None:
        """Answers the requests that have arrived, then ends the models' threads."""
        self.model.close()
        if self.shadow:
            self.shadow.model.close()

    def routes(self) -> list[Route]:
        get: dict[str, Endpoint] = {
            "/": page("demo.html"),
            "/docs": page("docs.html"),
            "/openapi.json": self.openapi,
            "/metrics": self.page_of_metrics,
            "/v2": self.server,
            "/v2/health/live": self.live,
            "/v2/health/ready": self.ready,
        }
        post: dict[str, Endpoint] = {"/predict": self.predict}
        for place in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
            get |= {place: self.metadata, f"{place}/ready": self.model_ready}
            post |= {f"{place}/infer": self.infer}
        return [
            Route(path, counted(path, endpoint, self.metrics), methods=[method])
            for method, table in (("GET", get), ("POST", post))
            for path, endpoint in table.items()
        ]

    async def tag(self, texts: Texts) -> tuple[Model, list[list[dict[str, Any]]]]:
        """The model that answered, and the entities of each text as JSON objects."""
        model, start = self.model, time.perf_counter()
        found = await model.batcher.answer(texts)
        if self.shadow:
            self.shadow.see(texts, found, time.perf_counter() - start)
        return model, [[entity._asdict() for entity in row] for row in found]

    async def predict(self, request: Request) -> Response:
        values = parse_object(await read_body(request, self.limits))
        model, entities = await unless_gone(request, self.tag(texts_of(values, self.limits)))
        return answer({"model": model.name, "version": model.version, "entities": entities})

    async def infer(self, request: Request) -> Response:
        self.require_model(request)
        asked = inference.parse(parse_object(await read_body(request, self.limits)), self.limits)
        model, entities = await unless_gone(request, self.tag(asked.texts))
        return answer(inference.response(model, asked.id, entities))

    async def metadata(self, request: Request) -> Response:
        return answer(inference.metadata(self.require_model(request)))

    async def model_ready(self, request: Request) -> Response:
        model = self.require_model(request)
        is_ready = model.batcher.is_alive
        return answer({"name": model.name, "ready": is_ready}, 200 if is_ready else 503)

    async def server(self, request: Request) -> Response:
        return answer({"name": "fpplm", "version": __version__, "extensions": []})

    async def live(self, request: Request) -> Response:
        return answer({"live": self.model.batcher.is_alive}, 200 if self.model.batcher.is_alive else 503)

    async def ready(self, request: Request) -> Response:
        return answer({"ready": self.model.batcher.is_alive}, 200 if self.model.batcher.is_alive else 503)

    async def page_of_metrics(self, request: Request) -> Response:
        return Response(self.metrics.page(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def openapi(self, request: Request) -> Response:
        return answer(openapi.document(self.limits))

    def require_model(self, request: Request) -> Model:
        """The model in service. Raises Refused if the path names another model or version."""
        name, version = request.path_params["name"], request.path_params.get("version")
        if name != self.model.name or version not in (None, self.model.version):
            raise Refused(404, f"the only model is {self.model.name}, version {self.model.version}")
        return self.model


def page(name: str) -> Endpoint:
    """An endpoint for a page of this folder, which may run only its own scripts and reach only this server."""
    text = files("fpplm.service").joinpath(name).read_text(encoding="utf-8")
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in scripts)
    policy = f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; connect-src 'self'"
    headers = {
        "Content-Security-Policy": f"{policy}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }

    async def show(request: Request) -> Response:
        return Response(text, headers=headers, media_type="text/html")

    return show
