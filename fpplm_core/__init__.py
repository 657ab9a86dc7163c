"""What fpplm computes: data in, tensors, a trained tagger, scores, an ONNX bundle.

Nothing in here knows Prefect, DVC, Great Expectations, the network, the clock or environment variables.
"""

__version__ = "0.2.0"
