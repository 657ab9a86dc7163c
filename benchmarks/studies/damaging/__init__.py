"""Damages that annotated corpora come with: functions that do one to three splits, and give the row it is at."""
