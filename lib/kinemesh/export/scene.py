"""Where people and the video's camera stand in what is handed on: y up, metres.

Where a world was found, it is that, with its floor at 0. Else, and where the camera's axes are asked for, it is those
turned by half a turn about x: x right, y up, z towards the camera, which stands at the origin, level with it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kinemesh.body.params import turned
from kinemesh.geometry.camera import CAMERA_TO_Y_UP
from kinemesh.structures import Timeline, Track, VideoCamera, World


class Footage(NamedTuple):
    """The video that tracks are of."""

    camera: VideoCamera
    timeline: Timeline | None  # the frames that outputs cover; None: separate pictures
    path: Path | None = None  # the file, to draw over
    world: World | None = None
    keypoints_px: Mapping[str, np.ndarray] | None = None  # (F, K, 3) of each track by its name, drawn over its body
    is_sound_kept: bool = False  # where the timeline's times are the video's own


class Scene(NamedTuple):
    """x_scene = rotations @ x_camera + positions_m, of each of the N frames that outputs cover, or one for all of them."""

    rotations: np.ndarray  # (N, 3, 3)
    positions_m: np.ndarray  # (N, 3)
    floor_m: float | None  # its height, where one was found
    is_world: bool  # False: the camera's own axes, turned
    is_upright: bool  # False: y is only the camera's vertical

    def rows(self, frame_ids: np.ndarray) -> np.ndarray:
        """Which of the N each frame (F,) has; frames after the last keep it."""
        return np.minimum(frame_ids, len(self.rotations) - 1)


def scene_of(footage: Footage, axes: str) -> Scene:
    """As `axes` of `kinemesh.export.formats.AXES` says; frames count from the timeline's first."""
    world = footage.world
    if world is None or axes == "camera":
        return Scene(CAMERA_TO_Y_UP[None], np.zeros((1, 3)), None, is_world=False, is_upright=False)
    first = footage.timeline.first_frame if footage.timeline and len(world.rotation) > 1 else 0
    first = min(first, len(world.rotation) - 1)
    turns, positions_m = (part[first:].astype(np.float64) for part in (world.rotation, world.position_m))
    return Scene(turns, positions_m, world.ground_m, is_world=True, is_upright=world.up != "unknown")


def placed_in(scene: Scene, track: Track, pelvis_m: np.ndarray) -> Track:
    """The track with poses and places in the scene's axes instead of the camera's.

    Args:
        track: its `frame_ids` count as the scene's frames do.
        pelvis_m: (3,) of its body at rest.
    """
    if scene.is_world and track.world is not None:
        poses, trans_m = np.concatenate([track.world.global_orient, track.poses[:, 3:]], axis=1), track.world.trans_m
    else:
        rows = scene.rows(track.frame_ids)
        poses, trans_m = turned(track.poses, track.trans_m, scene.rotations[rows], pelvis_m, pelvis_m)
        trans_m = trans_m + scene.positions_m[rows]
    return track._replace(poses=poses.astype(np.float32), trans_m=trans_m.astype(np.float32))
