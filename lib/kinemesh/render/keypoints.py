"""Draws a 2D skeleton over a picture, with smooth edges; how sure a joint is shows as opacity."""

from collections.abc import Iterator

import numpy as np
from PIL import Image

from kinemesh.body.skeleton import H36M_JOINT_NAMES, LIMBS, SIDES
from kinemesh.render.rasterizer import WeakPerspective
from kinemesh.render.scene import Layer, Mesh, lay, mesh_layers

SIDE_COLORS = {"left": (222, 104, 82), "right": (44, 142, 156), "middle": (88, 96, 114)}
_HOLLOW_COLOR = (250, 250, 252)
_SAMPLES = 4  # a pixel and direction
_FAINTEST = 0.12  # opacity of a joint of confidence 0
_DOT, _HOLLOW = 0.95, 0.45  # radius of a joint and of its hollow, of a limb's thickness
_CORNERS = 16  # of a dot


def _side(joint: int) -> str:
    return next((side for side in SIDES if H36M_JOINT_NAMES[joint].startswith(side)), "middle")


def _opacity(is_seen: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    return np.where(is_seen, _FAINTEST + (1 - _FAINTEST) * np.clip(np.nan_to_num(confidence), 0, 1), 0)


def skeleton_mesh(joints_px: np.ndarray, confidence: np.ndarray, limb_px: float = 4.0) -> Mesh:
    """H36M limbs as flat triangles before a camera whose units are pixels: left and right in their colours.

    Args:
        joints_px: (17, 2) or (people, 17, 2); a joint that is not finite, and its limbs, are left out.
        confidence: (17,) or (people, 17) in [0, 1]; unsure joints and their limbs are fainter and lie beneath.
        limb_px: thickness.

    `lit` (V, 4) is red, green and blue, of 255, and the opacity, in [0, 1].
    """
    joints_px, confidence = joints_px.reshape(-1, *joints_px.shape[-2:]), confidence.reshape(-1, confidence.shape[-1])
    is_seen = np.isfinite(joints_px).all(axis=-1)
    points, opacity = np.where(is_seen[..., None], joints_px, 0), _opacity(is_seen, confidence)
    ends = np.array(LIMBS)
    # A limb is a rectangle around its two joints, a joint a dot and its hollow.
    starts, stops = points[:, ends[:, 0]], points[:, ends[:, 1]]
    along = stops - starts
    across = (
        along[..., ::-1] * [-1, 1] * (limb_px / 2 / np.maximum(np.linalg.norm(along, axis=-1, keepdims=True), 1e-6))
    )
    limbs = np.stack([starts + across, stops + across, stops - across, starts - across], axis=2)
    turn = 2 * np.pi * np.arange(_CORNERS) / _CORNERS
    circle = np.stack([np.cos(turn), np.sin(turn)], axis=-1) * limb_px
    dots, hollows = (points[:, :, None] + radius * circle for radius in (_DOT, _HOLLOW))
    sides = np.array([SIDE_COLORS[_side(joint)] for joint in range(points.shape[1])], dtype=np.float64)
    shapes = (
        (limbs, sides[ends[:, 1]], opacity[:, ends].min(axis=-1)),
        (dots, sides, opacity),
        (hollows, np.broadcast_to(np.array(_HOLLOW_COLOR, dtype=np.float64), sides.shape), opacity),
    )
    vertices, faces, lit, count = [], [], [], 0
    for depth, (outlines, colors, shown) in enumerate(shapes):  # the surest lie above, and of those what comes later
        kept = shown > 0
        outline = outlines[kept]
        number, corners = outline.shape[:2]
        z = np.broadcast_to((9 - 4 * shown[kept] - 0.1 * depth)[:, None, None], (number, corners, 1))
        vertices.append(np.concatenate([outline, z], axis=-1).reshape(-1, 3))
        inner = np.arange(1, corners - 1)
        fan = np.stack([np.zeros_like(inner), inner + 1, inner], axis=1)
        if depth == 0:  # a limb's corners run the other way around
            fan = fan[:, ::-1]
        faces.append((count + corners * np.arange(number)[:, None, None] + fan).reshape(-1, 3))
        color = np.concatenate([np.broadcast_to(colors, (*kept.shape, 3)), shown[..., None]], axis=-1)[kept]
        lit.append(color.repeat(corners, axis=0))
        count += number * corners
    return Mesh(*map(np.concatenate, (vertices, faces, lit)))


def skeleton_layers(skeletons: Mesh, image_size: tuple[int, int], samples: int) -> Iterator[Layer]:
    """Those of `skeleton_mesh` over a picture of this width and height; the rest is as `mesh_layers` has it."""
    colors, opacity = skeletons.lit[:, :3], skeletons.lit[:, 3:]
    mesh = skeletons._replace(lit=np.concatenate([colors * opacity, opacity], axis=1))
    for layer in mesh_layers(mesh, WeakPerspective(1.0, (0.0, 0.0)), image_size, samples):
        yield layer._replace(colors=layer.colors[:3], coverage=layer.colors[3])


def draw_skeleton(
    picture: Image.Image, joints_px: np.ndarray, confidence: np.ndarray, limb_px: float = 4.0
) -> Image.Image:
    """The picture with H36M limbs over it; the rest is as `skeleton_mesh` has it."""
    drawn = np.array(picture.convert("RGB"))
    for layer in skeleton_layers(skeleton_mesh(joints_px, confidence, limb_px), picture.size, _SAMPLES):
        lay(drawn, layer)
    return Image.fromarray(drawn)
