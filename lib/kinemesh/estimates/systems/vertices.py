"""Vertices of SMPL's mesh and nothing else, to which bodies can be fitted: arrays, and a Wavefront OBJ a person and image.

CameraHMR `mesh_estimator.py` and PMCE write such OBJs, by trimesh or by hand.
"""

from pathlib import Path

import numpy as np

from kinemesh.body.refit import BodyFitter
from kinemesh.body.skeleton import BETA_COUNT, VERTEX_COUNT
from kinemesh.errors import fail
from kinemesh.estimates.table import NotRecognisedError, Table, image_of_person, table_of, video_of
from kinemesh.estimates.values import POSE_SHAPE, to_frames, to_numbers
from kinemesh.files.arrays import read_npz
from kinemesh.files.pickles import faults_as_user_errors

KEYS = ("vertices", "verts")
_WHAT = "vertices of SMPL's mesh"
# Beyond which no part of a body is, nor its camera.
_FARTHEST_M = 1000.0
_MOST_BYTES = 1 << 24  # twenty times what SMPL's mesh takes


def are_vertices(array: np.ndarray) -> bool:
    """Whether an array has the shape of vertices of SMPL's mesh in a video's frames."""
    return array.ndim == 3 and array.shape[1:] == (VERTEX_COUNT, 3) and array.dtype.kind == "f"


def read_vertices(path: Path, array: np.ndarray, frame: np.ndarray | None = None) -> Table:
    """Vertices (F, 6890, 3) of one person, m, before the camera or in a world. Raises UserError."""
    frame = np.arange(len(array)) if frame is None else frame
    return _table(path, array, (video_of(path, KEYS), ""), frame)


def read_vertices_npz(path: Path, key: str) -> Table:
    """The array `key`, and `frame_ids` where the file has them. Raises UserError, NotRecognisedError for another mesh."""
    given = read_npz(path, (key,), ("frame_ids",), what=_WHAT)
    if not are_vertices(given[key]):
        raise _of_another_mesh(path, f"'{key}' of shape {given[key].shape}")
    frame = given.get("frame_ids")
    return read_vertices(path, given[key], frame if frame is None else to_frames(path, "'frame_ids'", frame))


def read_obj(path: Path) -> Table:
    """The lines `v x y z`. Raises UserError, NotRecognisedError for another mesh."""
    with faults_as_user_errors(path, _WHAT):
        if path.stat().st_size > _MOST_BYTES:
            raise _of_another_mesh(path, f"{path.stat().st_size} bytes")
        lines = path.read_bytes().splitlines()
        rows = [line.split()[1:4] for line in lines if line.startswith((b"v ", b"v\t"))]
        if len(rows) != VERTEX_COUNT:
            raise _of_another_mesh(path, f"{len(rows)} lines of vertices")
        vertices_m = np.array(rows, dtype=np.float64)
    video, number = image_of_person(path)
    return _table(path, vertices_m[None], (video, ""), np.array([number or 0]), number)


def _table(
    path: Path, array: np.ndarray, names: tuple[str, str], frame: np.ndarray, first_image: int | None = None
) -> Table:
    count = len(frame)
    few = to_numbers(
        path, "vertices", array[:, :: BodyFitter.stride], (len(range(0, VERTEX_COUNT, BodyFitter.stride)), 3), count
    )
    if np.abs(few).max(initial=0) > _FARTHEST_M:
        fail(path, f"vertices go beyond {_FARTHEST_M:g}", "metres")
    bodies = np.zeros((count, *POSE_SHAPE), np.float32), np.zeros((count, BETA_COUNT), np.float32)
    return table_of(path, "vertices", names, frame, bodies, vertices_m=few, first_image=first_image)


def _of_another_mesh(path: Path, held: str) -> NotRecognisedError:
    return NotRecognisedError(
        f"{path}: not recognised, it holds {held}. Expected the {VERTEX_COUNT} vertices of SMPL's mesh."
    )
