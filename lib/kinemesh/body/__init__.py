"""The SMPL body: its files, its skeletons, its posing with and without vertices, and its mirror image.

body = load_body("data/mesh")
joints_mm, mesh = body.joints(params), body.mesh(params)
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from kinemesh.body.smpl import Body

__all__ = ["load_body"]


def load_body(folder: "Path | str", device: str = "cpu") -> "Body":
    """The body model of a data_root on a device.

    Raises UserError for files that are missing or wrong.
    """
    # Here, since the skeleton's tables must not wait for PyTorch.
    from kinemesh.body.assets import load_body_assets
    from kinemesh.body.smpl import Body

    return Body.of(load_body_assets(folder), device)
