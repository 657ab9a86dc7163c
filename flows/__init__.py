"""When things run: the Prefect flow, and the `fpplm` command."""
