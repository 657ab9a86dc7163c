"""The `fpplm` command."""
