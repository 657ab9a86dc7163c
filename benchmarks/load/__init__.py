"""`python -m benchmarks.load`: what `fpplm serve` holds, with Locust as the generator of load."""
