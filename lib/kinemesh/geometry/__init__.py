"""Rotations and alignment; plain functions on tensors with any leading shape."""
