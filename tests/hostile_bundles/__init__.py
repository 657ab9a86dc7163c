"""Hostile and damaged bundles: `python -m tests.hostile_bundles 5000` makes that many, loads each and counts outcomes.

tiny     a whole bundle of a few kilobytes, made without training
graphs   graphs that lie, fail, or never end
kinds    the kinds of bundle, each a function that spoils a copy of the tiny one
worker   loads bundles in a process with limits, and notes what it reads and does
pool     two such processes, restarted after a hang or a crash; the outcomes
"""
