"""Streams texts in and entities out."""
