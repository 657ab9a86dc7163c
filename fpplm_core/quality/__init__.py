"""The data checks: tables of findings, statistics of the splits, and the list of checks."""
