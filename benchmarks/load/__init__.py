"""`python -m benchmarks.load`: measures `fpplm serve` under load, which Locust generates."""
