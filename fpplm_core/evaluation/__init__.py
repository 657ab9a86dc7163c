"""Scores, and the rules that judge them."""
