"""A page that plays tracks in a browser without network or server: the mesh is skinned on the graphics card.

Arrays are quantised and stand in the page as base64: rest vertices, normals and quaternions as 16-bit shares of their
range (a vertex is exact to 0.03 mm, a rotation to 0.004 degrees), weights as bytes. As in the other skeleton formats
pose blend shapes are left out.
"""

import base64
import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kinemesh.body.assets import BodyAssets
from kinemesh.body.skeleton import VERTEX_LANDMARKS
from kinemesh.export.rig import Rig, strongest_weights
from kinemesh.export.scene import Footage, Scene
from kinemesh.render.scene import PERSON_COLORS
from kinemesh.render.shading import vertex_normals
from kinemesh.structures import CONTACT_NAMES

_PAGE_FOLDER = Path(__file__).with_name("page")
_LARGEST_INT16 = 32767
_SOLE_M = 0.03  # below the lowest joint, the ball of the foot
# Where the marks of contacts are drawn.
_CONTACT_POINTS = {"toe": "big_toe", "heel": "heel", "hand": "middle"}


class _Packed:
    """Arrays end to end, each at a multiple of four bytes, and where each lies."""

    def __init__(self):
        self.data = bytearray()

    def add(self, array: np.ndarray) -> dict:
        place = {"type": array.dtype.name, "offset": len(self.data), "length": array.size}
        self.data.extend(array.astype(array.dtype.newbyteorder("<")).tobytes())
        self.data.extend(bytes(-len(self.data) % 4))
        return place


def viewer_html(rigs: Sequence[Rig], footage: Footage, scene: Scene, assets: BodyAssets) -> str:
    """The page's text; the same for the same arguments.

    Args:
        rigs: of tracks in the scene's axes.
    """
    packed, camera, timeline = _Packed(), footage.camera, footage.timeline
    places = np.concatenate([scene.rotations, scene.positions_m[..., None]], axis=2)
    skinning = strongest_weights(assets.skinning_weights)
    content = {
        "fps": float(timeline.fps),
        "frameCount": len(timeline.time_s),
        "times": None if timeline.is_constant else timeline.elapsed_s.round(4).tolist(),
        "camera": {
            "focal": float(camera.focal_px),
            "centre": [float(value) for value in camera.centre_px],
            "size": [int(value) for value in camera.image_size],
            "places": packed.add(places.astype(np.float32)),
        },
        "parents": assets.parents,
        "faces": packed.add(assets.faces.astype(np.uint16)),
        "joints": packed.add(skinning.joints),
        "weights": packed.add(_bytes_of_sum_255(skinning.weights)),
        "people": [_person(packed, rig, number) for number, rig in enumerate(rigs)],
        "contactVertices": [_contact_vertex(name) for name in CONTACT_NAMES],
        "floor": _floor_height_m(rigs) if scene.floor_m is None else float(scene.floor_m),
        "isUpright": scene.is_upright,
        "isFloorFound": scene.floor_m is not None,
    }
    content["data"] = base64.b64encode(packed.data).decode()
    # A name may hold "</script>".
    text = json.dumps(content, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    parts = {name: (_PAGE_FOLDER / f"{name}.js").read_text(encoding="utf-8") for name in ("scene", "controls")}
    page = (_PAGE_FOLDER / "page.html").read_text(encoding="utf-8")
    return re.sub(r"{{(\w+)}}", lambda match: (parts | {"content": text})[match[1]], page)


def _person(packed: _Packed, rig: Rig, number: int) -> dict:
    track, vertices = rig.track, rig.rest_vertices
    extent = np.abs(vertices).max()
    # Fourth values keep each vertex at a multiple of four bytes, as graphics cards want it.
    padded = np.zeros((2, len(vertices), 4))
    padded[0, :, :3] = vertices / extent
    padded[1, :, :3] = vertex_normals(vertices, rig.assets.faces)
    contacts = np.zeros(0) if track.world is None else track.world.contacts
    return {
        "name": track.name,
        "color": PERSON_COLORS[number % len(PERSON_COLORS)],
        "extent": extent,
        "vertices": packed.add(_shares(padded[0])),
        "normals": packed.add(_shares(padded[1])),
        "restJoints": packed.add(rig.rest_joints.astype(np.float32)),
        "offsets": packed.add(rig.offsets.astype(np.float32)),
        "frames": packed.add(track.frame_ids.astype(np.int32)),
        "interpolated": packed.add(track.interpolated.astype(np.uint8)),
        "quaternions": packed.add(_shares(rig.quaternions)),
        "roots": packed.add(rig.root_positions.astype(np.float32)),
        "contacts": packed.add(np.rint(255 * contacts).astype(np.uint8)),
    }


def _shares(values: np.ndarray) -> np.ndarray:
    """Numbers in [-1, 1] as 16-bit integers."""
    return np.rint(values * _LARGEST_INT16).astype(np.int16)


def _bytes_of_sum_255(weights: np.ndarray) -> np.ndarray:
    """Weights (V, n) that sum to 1, the largest first, as bytes; what rounding loses goes to the largest."""
    rounded = np.rint(weights * 255).astype(np.int64)
    rounded[:, 0] += 255 - rounded.sum(axis=1)
    return rounded.astype(np.uint8)


def _contact_vertex(name: str) -> int:
    side, part = name.split("_")
    return VERTEX_LANDMARKS[f"{side}_{_CONTACT_POINTS[part]}"]


def _floor_height_m(rigs: Sequence[Rig]) -> float:
    """Where the grid lies on the y axis if no floor was found: at the soles of most frames."""
    heights = [rig.joint_positions[..., 1].min(axis=1) for rig in rigs]
    return float(np.percentile(np.concatenate(heights), 5)) - _SOLE_M if heights else 0.0
