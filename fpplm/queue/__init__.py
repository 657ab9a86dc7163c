"""Picks the texts to annotate next, and writes them for an annotation tool."""
