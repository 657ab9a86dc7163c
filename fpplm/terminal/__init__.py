"""What every command and stage shows in the same way: progress and tables."""
