"""Comparisons of ways of training, searches of parameters, and probable annotation errors."""
