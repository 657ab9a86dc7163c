"""Texts in, entities out, as streams."""
