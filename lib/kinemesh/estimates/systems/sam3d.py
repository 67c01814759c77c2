"""SAM 3D Body: a person in an image, as MHR's keypoints, which another body can be fitted to.

Its demo writes no file; users save what `process_one_image` returns, `np.savez(name, **person)` a person, as the samples in
facebookresearch/MHR `tools/mhr_smpl_conversion/data` are: `pred_keypoints_3d` (70, 3) m in camera axes about the person,
`pred_cam_t` (3) m. MHR's own pose and vertices need its rig, and are not read.
"""

from pathlib import Path

import numpy as np

from kinemesh.body.skeleton import BETA_COUNT
from kinemesh.errors import fail
from kinemesh.estimates.table import Table, image_of_person, table_of
from kinemesh.estimates.values import POSE_SHAPE, to_numbers
from kinemesh.files.arrays import read_npz

POINT_COUNT = 70
# Metres from the person's middle, beyond which no part of a body is.
_FARTHEST_M = 10.0


def read_sam3d(path: Path) -> Table:
    """One person's keypoints, or several's (P, 70, 3) of an image; the image's number is in the file's name.

    Raises UserError.
    """
    given = read_npz(path, ("pred_keypoints_3d", "pred_cam_t"), what="SAM 3D Body's result")
    points, place = given["pred_keypoints_3d"], given["pred_cam_t"]
    if points.ndim == 2:
        points, place = points[None], place.reshape(1, -1)
    if points.ndim != 3 or points.shape[1] < POINT_COUNT:
        fail(path, f"'pred_keypoints_3d' is an array of shape {points.shape}", f"({POINT_COUNT}, 3), MHR's keypoints")
    count = len(points)
    points = to_numbers(path, "'pred_keypoints_3d'", points[:, :POINT_COUNT], (POINT_COUNT, 3), count)
    if np.abs(points).max(initial=0) > _FARTHEST_M:
        fail(path, f"'pred_keypoints_3d' goes beyond {_FARTHEST_M:g}", "metres, about the person's middle")
    place = to_numbers(path, "'pred_cam_t'", place, (3,), count)
    video, number = image_of_person(path)
    bodies = np.zeros((count, *POSE_SHAPE), np.float32), np.zeros((count, BETA_COUNT), np.float32)
    more = {"places_m": place, "points_m": points, "first_image": number}
    return table_of(path, "SAM 3D Body", (video, ""), np.full(count, number or 0), bodies, **more)
