"""WHEN it runs: Prefect flows over the stages."""

# First: it sets environment variables before Prefect and DVC read them.
import fpplm as fpplm
