"""Loads and runs a bundle with numpy, onnxruntime, regex and tokenizers only, without torch."""

from fpplm_core.serving.bundle import Bundle, open_bundle
from fpplm_core.serving.entities import Entity
from fpplm_core.serving.predictor import Predictor

__all__ = ["Bundle", "Entity", "Predictor", "open_bundle"]
