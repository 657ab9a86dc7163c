"""What the last run left: page, artifacts, lines."""
