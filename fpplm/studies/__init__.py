"""Ablations of the techniques, and probable annotation errors."""
