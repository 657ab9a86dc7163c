"""Versions and stages of models: tags in Git, contents in DVC."""
