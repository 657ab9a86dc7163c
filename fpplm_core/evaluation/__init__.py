"""Scores, and the rules that judge them: the gate, and the comparison with production."""
