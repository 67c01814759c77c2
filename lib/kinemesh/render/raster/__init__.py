"""Triangles laid on a picture's places, compiled: loops over triangles, rows and pixels."""
