"""New annotated files: accepts or quarantines them."""
