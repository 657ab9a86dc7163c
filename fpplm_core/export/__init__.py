"""Exports torch models to ONNX graphs, verifies them, and seals the bundle."""
