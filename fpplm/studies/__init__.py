"""Comparisons of training methods, hyperparameter searches, and probable annotation errors."""
