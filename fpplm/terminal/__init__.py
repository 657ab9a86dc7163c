"""What every command and stage shows in the same way: progress and tables; and their output without a reader."""
