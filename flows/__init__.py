"""WHEN it runs: Prefect flows over the stages."""
