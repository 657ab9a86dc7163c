"""What a technique is worth; probable annotation errors."""
