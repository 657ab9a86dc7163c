"""A model for the Python backend of Triton Inference Server: texts in, their entities as JSON out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fpplm_core.serving.predictor import Predictor

TEXT, ENTITIES = "TEXT", "ENTITIES"  # the input and the output, both (batch, 1) strings
BUNDLE = "bundle"  # beside model.py


class TritonPythonModel:
    """The class that Triton looks for in model.py.

    Requests that Triton has batched are tagged in one call.
    """

    def initialize(self, args: Mapping[str, str]) -> None:
        """Loads the bundle on the device of the instance. Raises BundleError and DeviceError, which Triton reports."""
        folder = Path(args["model_repository"], args["model_version"], BUNDLE)
        self.predictor = Predictor.load(folder, "cuda" if args["model_instance_kind"] == "GPU" else "cpu")

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """One response for each request; an error for a request with bytes that are not UTF-8."""
        import triton_python_backend_utils as triton  # type: ignore[import-not-found]  # exists only in Triton's process

        rows: list[list[str] | str] = []
        for request in requests:
            raw = triton.get_input_tensor_by_name(request, TEXT).as_numpy().reshape(-1)
            try:
                rows.append([text.decode("utf-8") for text in raw])
            except UnicodeDecodeError as error:
                rows.append(f"{TEXT} is not UTF-8: {error.reason} at byte {error.start}")
        texts = [text for row in rows if isinstance(row, list) for text in row]
        answers = (
            json.dumps([entity._asdict() for entity in entities], ensure_ascii=False).encode()
            for entities in self.predictor.predict_many(texts)
        )
        responses = []
        for row in rows:
            if isinstance(row, str):
                responses.append(triton.InferenceResponse(error=triton.TritonError(row)))
            else:
                found = np.array([next(answers) for _ in row], dtype=object).reshape(-1, 1)
                responses.append(triton.InferenceResponse(output_tensors=[triton.Tensor(ENTITIES, found)]))
        return responses
