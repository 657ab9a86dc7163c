"""Versions and stages of models: tags in Git, bytes in DVC."""
