"""Runs Great Expectations over the tables of fpplm_core.quality."""
