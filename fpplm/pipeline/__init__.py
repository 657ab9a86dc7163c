"""What every stage shares: files, errors, and what a result depends on."""
