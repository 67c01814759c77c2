"""Estimates are attached to the same small datasets that the data's own tests use."""

from tests.data.conftest import make_content

__all__ = ["make_content"]
