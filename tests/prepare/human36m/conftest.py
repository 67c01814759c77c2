"""The scenes that readers are tested with."""

from tests.prepare.readers.conftest import body_root, gendered, loaded, make_scene, prepare, shown_px

__all__ = ["body_root", "gendered", "loaded", "make_scene", "prepare", "shown_px"]
