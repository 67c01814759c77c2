"""Scores bodies: a pass over a test split, sums by video, intervals, tables, files compared."""
