"""The project's folder: made, locked, repaired, with one run's values."""
