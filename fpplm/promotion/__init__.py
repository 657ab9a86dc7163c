"""Decides whether a new bundle replaces the one in production, and records the decisions."""
