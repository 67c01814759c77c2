"""Restricted readers of every format, and one way to write: files are data, never code."""
