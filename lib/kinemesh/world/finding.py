"""The world of a video: which way is up, where the floor is, and what people touch; in words, too."""

import logging
from typing import NamedTuple

import numpy as np

from kinemesh.body.params import turned
from kinemesh.structures import Track, TrackWorld, World
from kinemesh.world.cameras import CameraPath, in_metres, up_of_angles, warn_of_movement
from kinemesh.world.contacts import contact_probabilities
from kinemesh.world.figures import Figure
from kinemesh.world.gravity import Ground, find_ground

logger = logging.getLogger(__name__)

# Less sure than that, one standard deviation about each axis, the vertical is not taken for known.
LARGEST_ERROR_DEG = 6.0
_CAMERA_UP = np.array([0.0, -1.0, 0.0])


class Setting(NamedTuple):
    """What is said of a camera."""

    up: str | tuple[float, float] = "auto"  # "auto", "camera", or pitch and roll in degrees (`up_of_angles`)
    path: CameraPath | None = None  # None: it stands


class Surroundings(NamedTuple):
    """What was found."""

    world: World
    ground: Ground  # in the figures' axes
    path: CameraPath | None  # in metres
    is_sure: bool  # False: the vertical is only the camera's, for want of a better

    def figure(self, frame_ids: np.ndarray, points_m: np.ndarray, is_told: np.ndarray) -> Figure:
        """One person's, of points (F, P, 3) in camera axes."""
        return _figure(self.path, frame_ids, points_m, is_told)


def find_surroundings(
    frame_ids: list[np.ndarray],
    points_m: list[np.ndarray],
    is_told: list[np.ndarray],
    clearances_m: np.ndarray,
    fps: float,
    setting: Setting,
) -> Surroundings:
    """Of everybody's points (F, P, 3) in camera axes (`Figure`)."""
    path = setting.path
    if path is not None:
        path, scale = in_metres(path, points_m, frame_ids)
        logger.info("camera path: %.3g m a unit, by feet that rest", scale)
    columns = list(zip(frame_ids, points_m, is_told, strict=True))
    figures = [_figure(path, *column) for column in columns]
    if path is None:
        warn_of_movement(figures, fps)
    turn = np.eye(3) if path is None else path.rotations[min(int(frames[0]) for frames in frame_ids)].T
    said, up = "auto", turn @ _CAMERA_UP
    if setting.up == "camera":
        said = "camera"
    elif not isinstance(setting.up, str):
        said, up = "given", turn @ up_of_angles(*setting.up)
    elif path is not None and path.up is not None:
        said, up = "file", path.up
    ground = find_ground(figures, clearances_m, fps, up, is_known=said != "auto")
    is_sure = said != "auto" or ground.error_deg <= LARGEST_ERROR_DEG
    if said == "auto":
        _tell(ground, up, is_sure)
    error = min(ground.error_deg, 90.0) if said == "auto" else np.nan
    if not is_sure:
        said = "unknown"
        ground = find_ground(figures, clearances_m, fps, up, is_known=True)
        ground = ground._replace(height_m=None, growth=np.zeros(len(figures)))
    return Surroundings(_world(path, ground, turn, said, error), ground, path, is_sure)


def contacts_of(found: Surroundings, figure: Figure, clearances_m: np.ndarray, fps: float) -> np.ndarray:
    """(F, C) float32 of one person's bodies as they are now."""
    return contact_probabilities(figure, found.ground.up, clearances_m, fps).astype(np.float32)


def place_in_world(track: Track, world: World, rest_pelvis_m: np.ndarray, contacts: np.ndarray) -> Track:
    """The track with its bodies in the world; `rest_pelvis_m` (3,) is the joint about which its root turns."""
    frames = track.frame_ids if len(world.rotation) > 1 else np.zeros(len(track.frame_ids), dtype=np.int64)
    turn, moved = world.rotation[frames].astype(np.float64), world.position_m[frames].astype(np.float64)
    poses, trans_m = (array.astype(np.float64) for array in (track.poses, track.trans_m))
    poses, trans_m = turned(poses, trans_m, turn, rest_pelvis_m, rest_pelvis_m)
    arrays = (array.astype(np.float32) for array in (poses[:, :3], trans_m + moved, contacts))
    return track._replace(world=TrackWorld(*arrays))


def describe_world(world: World) -> dict:
    """What `summary.json` says: how the camera stood at first, in degrees and metres, and how that is known."""
    x, y, z = world.rotation[0, 1].astype(float)
    is_floor = world.ground_m is not None
    return {
        "up": world.up,
        "up_error_deg": None if np.isnan(world.up_error_deg) else round(world.up_error_deg, 2),
        "camera_pitch_deg": round(float(np.degrees(np.arcsin(np.clip(-z, -1.0, 1.0)))), 2),
        "camera_roll_deg": round(float(np.degrees(np.arctan2(-x, -y))), 2),
        "camera_height_m": round(float(world.position_m[0, 1]), 3) if is_floor else None,
        "is_camera_moving": len(world.rotation) > 1,
    }


def _figure(path: CameraPath | None, frame_ids: np.ndarray, points_m: np.ndarray, is_told: np.ndarray) -> Figure:
    points_m = np.asarray(points_m, dtype=np.float64)
    if path is None:
        return Figure(frame_ids, points_m, np.zeros((len(points_m), 3)), is_told)
    return Figure(frame_ids, path.still(points_m, frame_ids), path.eyes[frame_ids], is_told)


def _tell(ground: Ground, supposed: np.ndarray, is_sure: bool) -> None:
    off = float(np.degrees(np.arccos(np.clip(ground.up @ supposed, -1.0, 1.0))))
    if not is_sure:
        logger.info(
            "which way is up cannot be told from these people (give or take %.0f degrees): the camera's axes are kept; "
            "give --up PITCH,ROLL, if they are known", min(ground.error_deg, 90.0),
        )  # fmt: skip
        return
    logger.info(
        "the camera is %.1f degrees off level, give or take %.1f, by people's bodies and feet", off, ground.error_deg
    )


def _world(path: CameraPath | None, ground: Ground, turn: np.ndarray, said: str, error_deg: float) -> World:
    """y up, the camera looking along -z at first, above the origin."""
    ahead = turn @ np.array([0.0, 0.0, 1.0])
    ahead = ahead - (ahead @ ground.up) * ground.up
    if np.linalg.norm(ahead) < 1e-3:
        ahead = turn @ np.array([0.0, 1.0, 0.0])
        ahead = ahead - (ahead @ ground.up) * ground.up
    back = -ahead / np.linalg.norm(ahead)
    axes = np.stack((np.cross(ground.up, back), ground.up, back))
    rotations = axes[None] if path is None else axes @ path.rotations.transpose(0, 2, 1)
    eyes = np.zeros((1, 3)) if path is None else path.eyes @ axes.T
    eyes = eyes - (eyes[0, 0], ground.height_m or 0.0, eyes[0, 2])
    floor = None if ground.height_m is None else 0.0
    return World(rotations.astype(np.float32), eyes.astype(np.float32), said, float(error_deg), floor)
