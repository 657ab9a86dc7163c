"""When the stages run: Prefect flows."""

# First: it sets environment variables before Prefect and DVC read them.
import fpplm as fpplm
