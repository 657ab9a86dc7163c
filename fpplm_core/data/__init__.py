"""Reads annotated files of any format into one corpus, and encodes it as windows."""
