"""New annotated files: accepted or quarantined."""
