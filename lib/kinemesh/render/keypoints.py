"""Draws a 2D skeleton over a picture, with smooth edges; how sure a joint is shows as opacity."""

import numpy as np
from PIL import Image, ImageDraw

from kinemesh.body.skeleton import H36M_JOINT_NAMES, LIMBS, SIDES

SIDE_COLORS = {"left": (222, 104, 82), "right": (44, 142, 156), "middle": (88, 96, 114)}
_HOLLOW_COLOR = (250, 250, 252)
_SAMPLES = 4  # a pixel and direction
_FAINTEST = 0.12  # opacity of a joint of confidence 0


def _side(joint: int) -> str:
    return next((side for side in SIDES if H36M_JOINT_NAMES[joint].startswith(side)), "middle")


def draw_skeleton(
    picture: Image.Image, joints_px: np.ndarray, confidence: np.ndarray, limb_px: float = 4.0
) -> Image.Image:
    """The picture with H36M limbs over it: left and right in their colours, unsure joints and their limbs fainter.

    Args:
        joints_px: (17, 2); a joint that is not finite, and its limbs, are left out.
        confidence: (17,) in [0, 1].
        limb_px: thickness.
    """
    overlay = Image.new("RGBA", (picture.width * _SAMPLES, picture.height * _SAMPLES))
    draw = ImageDraw.Draw(overlay)
    is_seen = np.isfinite(joints_px).all(axis=1)
    points = np.where(is_seen[:, None], joints_px, 0) * _SAMPLES
    opacity = np.where(is_seen, _FAINTEST + (1 - _FAINTEST) * np.clip(np.nan_to_num(confidence), 0, 1), 0)

    def dot(joint: int, radius_px: float, color: tuple[int, int, int]) -> None:
        radius = radius_px * _SAMPLES
        draw.ellipse([*(points[joint] - radius), *(points[joint] + radius)], (*color, round(255 * opacity[joint])))

    # What is drawn later lies above: the surest last.
    for ends in sorted(map(list, LIMBS), key=lambda ends: opacity[ends].min()):
        strength = opacity[ends].min()
        if strength > 0:
            # A limb from the middle belongs to the side that it leads to.
            color = SIDE_COLORS[_side(ends[1])]
            draw.line(points[ends].ravel().tolist(), (*color, round(255 * strength)), round(limb_px * _SAMPLES))
    for joint in np.argsort(opacity, kind="stable"):
        if opacity[joint] > 0:
            dot(joint, 0.95 * limb_px, SIDE_COLORS[_side(joint)])
            dot(joint, 0.45 * limb_px, _HOLLOW_COLOR)
    smooth = overlay.resize(picture.size, Image.Resampling.BOX)
    return Image.alpha_composite(picture.convert("RGBA"), smooth).convert("RGB")
