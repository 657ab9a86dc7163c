"""Presents a run: the HTML report, Prefect artifacts, terminal output."""
