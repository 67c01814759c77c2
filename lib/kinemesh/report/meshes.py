"""Pictures of the worst clips: predicted bodies coloured by the error of each vertex, beside ground truth."""

import base64
import io
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import nn

from kinemesh.body.mirror import mirror_inputs, mirror_params
from kinemesh.body.smpl import PosedBody
from kinemesh.evaluation.evaluate import Evaluation
from kinemesh.evaluation.scoring import PosedSide, Prediction
from kinemesh.render.picture import spread_frames
from kinemesh.render.rasterizer import WeakPerspective
from kinemesh.render.scene import render_mesh

# Colours of an error of 0, and of thirds of the scale, up to its end and beyond.
STOPS = np.array([(0.72, 0.78, 0.87), (0.96, 0.86, 0.58), (0.90, 0.50, 0.26), (0.62, 0.12, 0.18)])
_TARGET_COLOR = (0.69, 0.80, 0.69)
_SIZE = (220, 300)  # pixels of a picture
_SHARE = 0.92  # of it that the largest body fills
_SAMPLES = 2
_SCALE_ENDS_MM = (30, 50, 75, 100, 150, 200, 250, 300, 400, 500)


class ClipPictures(NamedTuple):
    """Some frames of one clip."""

    video: str
    frames: list[int]  # in the video
    errors_mm: list[float]  # MPJPE of each
    pictures: list[tuple[str, str]]  # predicted and true body of each, PNG as text for a page


def worst_clips(clip_of_row: np.ndarray, videos: np.ndarray, errors_mm: np.ndarray, count: int) -> list[int]:
    """The clips (by number) with the highest mean error, at most one a video.

    `clip_of_row` (F,) and `errors_mm` (F,) are those of scored frames, `videos` (N,) is the video of each clip.
    """
    frames = np.bincount(clip_of_row, minlength=len(videos))
    means = np.bincount(clip_of_row, errors_mm, minlength=len(videos)) / np.maximum(frames, 1)
    ranked = [int(clip) for clip in np.argsort(-means, kind="stable") if frames[clip]]
    first_of_video: dict[int, int] = {}
    for clip in ranked:
        first_of_video.setdefault(int(videos[clip]), clip)
    return list(first_of_video.values())[:count]


@torch.inference_mode()
def picture_clips(
    clips: list[int], loader, model: nn.Module, body: PosedBody, faces: np.ndarray, evaluation: Evaluation, columns: int
) -> tuple[list[ClipPictures], float]:
    """At most `columns` frames of each clip, and the error in mm at the end of their common colour scale."""
    protocol, flip = evaluation.protocol, evaluation.flip
    batch = loader.gather(torch.tensor(clips))
    mirrored = mirror_params(model(*mirror_inputs(batch.inputs))) if flip != "none" else None
    pred = PosedSide(*Prediction(model(*batch.inputs), mirrored), body).mesh(flip)
    target = body(batch.target)
    apart = pred.vertices_mm - target.vertices_mm
    shift = protocol.vertex_shift_mm(pred, target)
    errors = (apart if shift is None else apart - shift[..., None, :]).norm(dim=-1).cpu().numpy()  # (N, T, V)
    top = next((end for end in _SCALE_ENDS_MM if np.percentile(errors, 90) <= end), _SCALE_ENDS_MM[-1])
    joints = (protocol.joints_mm(mesh) for mesh in (pred, target))
    mpjpe = (next(joints) - next(joints)).norm(dim=-1)[..., list(protocol.evaluated)].mean(-1).cpu().numpy()
    moved = pred.vertices_mm if shift is None else pred.vertices_mm - shift[..., None, :]
    sides = moved.cpu().numpy(), target.vertices_mm.cpu().numpy()
    rows, counted = batch.frames.cpu().numpy(), batch.counted.cpu().numpy()
    found = []
    for number in range(len(clips)):
        scored = np.flatnonzero(counted[number])
        shown = scored[spread_frames(len(scored), columns)]
        names, frames = loader.split.locate(rows[number, shown])
        camera_extent = _extent([side[number, shown] for side in sides])
        pictures = [
            tuple(
                _picture(side[number, frame], faces, camera_extent, color)
                for side, color in zip(sides, (colors_of(errors[number, frame], top), _TARGET_COLOR), strict=True)
            )
            for frame in shown
        ]
        found.append(ClipPictures(str(names[0]), frames.tolist(), mpjpe[number, shown].tolist(), pictures))
    return found, float(top)


def colors_of(errors_mm: np.ndarray, top_mm: float) -> np.ndarray:
    """(V,) errors -> (V, 3) colours."""
    place = np.clip(errors_mm / top_mm, 0, 1) * (len(STOPS) - 1)
    return np.stack([np.interp(place, np.arange(len(STOPS)), channel) for channel in STOPS.T], axis=-1)


def _extent(bodies: list[np.ndarray]) -> tuple[np.ndarray, float]:
    """Middle (2,) of all bodies (n, V, 3), and the scale in pixels per mm that fits them."""
    points = np.concatenate([part.reshape(-1, 3) for part in bodies])[:, :2]
    low, high = points.min(axis=0), points.max(axis=0)
    return (low + high) / 2, _SHARE * float(np.min(np.array(_SIZE) / np.maximum(high - low, 1e-6)))


def _picture(vertices: np.ndarray, faces: np.ndarray, extent: tuple[np.ndarray, float], color) -> str:
    """A PNG with a clear background: what differs between a picture on black and one on white is how clear it is."""
    middle, scale = extent
    camera = WeakPerspective(scale, tuple(np.array(_SIZE) / 2 - middle * scale))
    on_black, on_white = (
        render_mesh(vertices, faces, camera, _SIZE, (shade,) * 3, color=color, samples=_SAMPLES).astype(int)
        for shade in (0.0, 1.0)
    )
    opacity = np.clip(255 - (on_white - on_black).max(axis=-1, keepdims=True), 0, 255)
    own = np.clip(on_black * 255 // np.maximum(opacity, 1), 0, 255)
    buffer = io.BytesIO()
    Image.fromarray(np.concatenate((own, opacity), axis=-1).astype(np.uint8)).save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
