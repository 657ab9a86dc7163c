"""`fpplm serve`: a bundle behind HTTP, with batches across requests."""
