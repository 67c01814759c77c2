"""A video of tracked people as shaded meshes: over the source video or a plain ground, and seen from the side."""

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch

from kinemesh.body.assets import BodyAssets
from kinemesh.export.drawn.views import Frame, Views, draw_frame, frames_of
from kinemesh.export.rig import Rig
from kinemesh.export.scene import Footage
from kinemesh.machine.progress import progress
from kinemesh.render.film.canvas import Canvas
from kinemesh.render.film.sound import Sound
from kinemesh.render.video import video_writer
from kinemesh.structures import MeshTrack


def write_mesh_video(
    path: Path,
    people: Sequence[Rig | MeshTrack],
    footage: Footage,
    assets: BodyAssets,
    is_side_view: bool,
    device: torch.device,
) -> None:
    """Write the video; see `kinemesh.export.write.write_outputs` for the arguments and errors.

    Frames are decoded and encoded while others are drawn; a few of them are in memory.

    Args:
        people: in camera axes; their `frame_ids` count from the timeline's first frame.
    """
    timeline, (width, height) = footage.timeline, footage.camera.image_size
    # People stand upright: from the side a square holds most paths.
    views = Views.of(footage, people, assets, (min(width, height), height) if is_side_view else None)
    count = len(timeline.time_s)
    times = None if timeline.is_constant else timeline.elapsed_s
    sound = None
    if footage.path is not None and footage.is_sound_kept:
        sound = Sound(footage.path, timeline.time_s[0], timeline.time_s[-1] + 1 / timeline.fps)
    with video_writer(path, views.size, timeline.fps, times, sound) as write:
        frames = frames_of(views, np.arange(count), device)
        for canvas in progress(_drawn(partial(draw_frame, views), frames), count, path.name, every=500):
            write(canvas.frame)


def _drawn(draw, frames: Iterable[Frame]) -> Iterator[Canvas]:
    """Each frame drawn, in order, as many at once as there are cores."""
    cores = os.cpu_count() or 1
    with ThreadPoolExecutor(cores) as executor:
        pending = deque()
        for frame in frames:
            pending.append(executor.submit(draw, frame))
            if len(pending) > 2 * cores:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
