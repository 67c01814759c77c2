"""A video of tracked people as shaded meshes: over the source video or a plain ground, and seen from the side."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from kinemesh.body.assets import BodyAssets
from kinemesh.body.smpl import PosedBody
from kinemesh.errors import UserError
from kinemesh.export.rig import Rig, placed_vertices_m
from kinemesh.export.scene import Footage
from kinemesh.machine.progress import progress
from kinemesh.render.rasterizer import Perspective, WeakPerspective
from kinemesh.render.scene import BACKGROUND_COLOR, PERSON_COLORS, render_mesh
from kinemesh.render.video import read_frames, video_writer
from kinemesh.structures import MeshTrack, Timeline, Track, VideoCamera

_FRAMES_AT_ONCE, _BYTES_AT_ONCE = 32, 1 << 28
_SAMPLES = 3  # a pixel and direction, on outlines
_SKIN_M = 0.2  # how far flesh may reach beyond the joints
_SIDE_SHARE = 0.92  # of the side view's panel that everybody's path fills


class _Frame(NamedTuple):
    """What one frame shows."""

    vertices: np.ndarray  # (people here * V, 3) m, camera axes
    colors: np.ndarray  # (people here * V, 3)
    background: np.ndarray  # (H, W, 3) uint8


def write_mesh_video(
    path: Path,
    people: Sequence[Rig | MeshTrack],
    footage: Footage,
    assets: BodyAssets,
    is_side_view: bool,
    device: torch.device,
) -> None:
    """Write the video; see `kinemesh.export.write.write_outputs` for the arguments and errors.

    Args:
        people: in camera axes; their `frame_ids` count from the timeline's first frame.
    """
    camera, timeline = footage.camera, footage.timeline
    width, height = camera.image_size
    lens = Perspective(camera.focal_px, camera.centre_px)
    side = side_camera(people, camera.image_size) if is_side_view and people else None
    tracks = [person.track if isinstance(person, Rig) else person for person in people]

    def draw(frame: _Frame) -> np.ndarray:
        faces = repeated_faces(assets.faces, len(frame.vertices) // len(assets.v_template))
        options = {"color": frame.colors, "samples": _SAMPLES}
        picture = render_mesh(frame.vertices, faces, lens, camera.image_size, frame.background, **options)
        if side is None:
            return picture
        # Whoever faces the camera looks to the left here.
        turned = frame.vertices[:, [2, 1, 0]] * [1, 1, -1]
        beside = render_mesh(turned, faces, side, camera.image_size, BACKGROUND_COLOR, **options)
        return np.concatenate([picture, beside], axis=1)

    size = (width * (1 if side is None else 2), height)
    frame_count = len(timeline.time_s)
    pictures = iter(()) if footage.path is None else _pictures(footage.path, camera.image_size, timeline)
    frames = _frames(tracks, camera, assets, frame_count, pictures, device)
    times = None if timeline.is_constant else timeline.elapsed_s
    with video_writer(path, size, timeline.fps, times) as write, ThreadPoolExecutor(os.cpu_count()) as executor:
        drawn = (picture for block in frames for picture in executor.map(draw, block))
        for picture in progress(drawn, frame_count, "mesh.mp4", every=500):
            write(picture)


def _frames(
    tracks: Sequence[Track | MeshTrack],
    camera: VideoCamera,
    assets: BodyAssets,
    frame_count: int,
    pictures: Iterator[np.ndarray],
    device: torch.device,
) -> Iterator[list[_Frame]]:
    """Blocks of frames in the order of time; where there are fewer pictures than `frame_count`, on the plain ground."""
    body = PosedBody(assets).to(device)
    width, height = camera.image_size
    plain = np.broadcast_to(np.round(255 * np.array(BACKGROUND_COLOR)).astype(np.uint8), (height, width, 3))
    at_once = max(os.cpu_count() or 1, min(_FRAMES_AT_ONCE, _BYTES_AT_ONCE // plain.size))
    for first in range(0, frame_count, at_once):
        numbers = range(first, min(first + at_once, frame_count))
        people: list[list[tuple[np.ndarray, int]]] = [[] for _ in numbers]
        for number, track in enumerate(tracks):
            start, stop = np.searchsorted(track.frame_ids, (numbers.start, numbers.stop))
            if start == stop:
                continue
            rows = slice(int(start), int(stop))
            for frame, placed in zip(track.frame_ids[rows], placed_vertices_m(track, rows, body), strict=True):
                people[frame - first].append((placed, number))
        block = []
        for present in people:
            background = next(pictures, plain)
            colors = [PERSON_COLORS[number % len(PERSON_COLORS)] for _, number in present]
            block.append(
                _Frame(
                    np.concatenate([placed for placed, _ in present]) if present else np.zeros((0, 3), np.float32),
                    np.repeat(np.array(colors).reshape(-1, 3), len(assets.v_template), axis=0),
                    background,
                )
            )
        yield block


def _pictures(video_path: Path, image_size: tuple[int, int], timeline: Timeline) -> Iterator[np.ndarray]:
    """The video's frames of the timeline, as far as there are any."""
    width, height = image_size
    numbers = timeline.pictures
    if numbers is None:
        numbers = range(timeline.first_frame, timeline.first_frame + len(timeline.time_s))
    for picture in read_frames(video_path, numbers):
        if picture.shape != (height, width, 3):
            found = f"{picture.shape[1]}x{picture.shape[0]}"
            raise UserError(f"{video_path} is {found}, expected {width}x{height}, the size the keypoints are for.")
        yield picture


def repeated_faces(faces: np.ndarray, body_count: int) -> np.ndarray:
    """Faces of that many bodies whose vertices lie one after the other."""
    offsets = np.arange(body_count)[:, None, None] * (faces.max() + 1)
    return (faces + offsets).reshape(-1, 3)


def side_camera(people: Sequence[Rig | MeshTrack], image_size: tuple[int, int]) -> WeakPerspective:
    """One that sees everybody's whole path from the side, the same in every frame so that movement is seen."""
    joints = [
        person.joint_positions if isinstance(person, Rig) else person.joints_m + person.trans_m[:, None]
        for person in people
    ]
    places = np.concatenate([points.reshape(-1, 3) for points in joints])[:, [2, 1]]  # depth runs across, height down
    low, high = places.min(axis=0) - _SKIN_M, places.max(axis=0) + _SKIN_M
    scale = _SIDE_SHARE * float(np.min(np.array(image_size) / (high - low)))
    return WeakPerspective(scale, tuple(np.array(image_size) / 2 - scale * (low + high) / 2))
