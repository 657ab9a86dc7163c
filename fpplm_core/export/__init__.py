"""torch to ONNX to a sealed bundle."""
