"""The made-up video as pictures: dressed people in a made-up place, for detectors to look at."""

from collections.abc import Iterator

import numpy as np
import torch
from PIL import Image

from kinemesh.body.assets import BodyAssets
from kinemesh.body.params import rotations_from_axis_angle
from kinemesh.body.skeleton import MM_PER_M, SMPL_JOINT_NAMES, VERTEX_LANDMARKS
from kinemesh.body.smpl import PosedBody
from kinemesh.demo.video import DemoVideo
from kinemesh.render.rasterizer import Perspective
from kinemesh.render.scene import render_mesh
from kinemesh.structures import BodyParams

# What each part of the body wears; the rest is skin.
_SHIRT = ("spine", "collar", "shoulder")
_TROUSERS = ("pelvis", "hip", "knee")
_SHOES = ("ankle", "foot")
# Cells of the place's patterns, in pixels, from large to small.
_PATTERNS_PX = (320, 80, 20, 5)
_HORIZON = 0.55
_SAMPLES = 2


def film(video: DemoVideo, assets: BodyAssets, seed: int = 0) -> Iterator[np.ndarray]:
    """Every frame (H, W, 3) uint8, RGB; the same for the same arguments. The nearer person hides the farther."""
    rng = np.random.default_rng([seed, 7])
    background = _place(rng, video.camera.image_size)
    colors = np.concatenate([_clothes(rng, assets) for _ in video.poses])
    people, frames = video.poses.shape[:2]
    faces = np.concatenate([assets.faces + person * len(assets.v_template) for person in range(people)])
    lens, body = Perspective(video.camera.focal_px, video.camera.centre_px), PosedBody(assets)
    betas = torch.tensor(video.betas, dtype=torch.float32)
    for frame in range(frames):
        rotations = rotations_from_axis_angle(torch.tensor(video.poses[:, frame], dtype=torch.float32))
        vertices = body(BodyParams(rotations, betas)).vertices_mm.numpy() / MM_PER_M + video.trans_m[:, frame, None]
        given = vertices.reshape(-1, 3), faces, lens, video.camera.image_size, background
        yield render_mesh(*given, color=colors, samples=_SAMPLES)


def _clothes(rng: np.random.Generator, assets: BodyAssets) -> np.ndarray:
    """(V, 3) colours."""
    skin = np.array((0.85, 0.65, 0.52)) * rng.uniform(0.45, 1.1)
    wears = {part: rng.uniform(0.1, 0.9, 3) for part in ("shirt", "trousers", "shoes")}
    worn = np.empty((len(SMPL_JOINT_NAMES), 3))
    for joint, name in enumerate(SMPL_JOINT_NAMES):
        parts = (("shirt", _SHIRT), ("trousers", _TROUSERS), ("shoes", _SHOES))
        kind = next((kind for kind, names in parts if any(part in name for part in names)), None)
        worn[joint] = skin if kind is None else wears[kind]
    colors = worn[assets.skinning_weights.argmax(axis=1)]
    # Without hair, front and back of a head are alike.
    colors[_hair(assets)] = rng.uniform(0.05, 0.4) * np.array((1.0, 0.8, 0.6))
    for name in ("left_eye", "right_eye"):
        colors[VERTEX_LANDMARKS[name]] = 0.05
    return colors.clip(0, 1)


def _hair(assets: BodyAssets) -> np.ndarray:
    """(V,) bool: top and back of the head, of a body that looks along z."""
    is_head = assets.skinning_weights.argmax(axis=1) == SMPL_JOINT_NAMES.index("head")
    low, high = (bound(assets.v_template[is_head], axis=0) for bound in (np.min, np.max))
    part = (assets.v_template - low) / (high - low)
    return is_head & ((part[:, 2] < 0.45) | (part[:, 1] > 0.85)) & (part[:, 1] > 0.25)


def _place(rng: np.random.Generator, image_size: tuple[int, int]) -> np.ndarray:
    """A wall and a floor with patterns of every size."""
    width, height = image_size
    picture = np.empty((height, width, 3), dtype=np.float32)
    horizon = round(_HORIZON * height)
    picture[:horizon], picture[horizon:] = rng.uniform(60, 190, 3), rng.uniform(60, 190, 3)
    for cell in _PATTERNS_PX:
        cells = rng.normal(0.0, 14.0, (-(-height // cell) + 1, -(-width // cell) + 1)).astype(np.float32)
        picture += np.asarray(Image.fromarray(cells).resize(image_size, Image.Resampling.BICUBIC))[..., None]
    return picture.clip(0, 255).astype(np.uint8)
