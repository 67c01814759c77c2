"""BEDLAM2, Tesch et al., NeurIPS 2025, from what is downloaded: scenes' CSV files and motions. No label and no picture is needed.

`<scene>/be_seq.csv` has rows `Body`, `X`, `Y`, `Z` (cm), `Yaw` (degrees), `Comment`: "sequence_name=seq_000000;..." begins a sequence,
"start_frame=12;..." puts a body into it. `<scene>/ground_truth/meta_exr_csv/<sequence>_camera.csv` has a row a picture: `x`, `y`, `z`,
`yaw`, `pitch`, `roll`, `focal_length` (mm). `<body>.npz` of `b2_motions_npz_training.tar`: `poses` (F, 165) of SMPL-X, `trans`, `gender`.
`bedlam2_scene_names.csv`, where it is there, says by the word which scenes are portraits. Conventions are those of BEDLAM's
`data_processing/df_full_body_smplx_bedlam2.py`, which, as published, is no valid Python: Unreal's axes are left-handed, z up.
"""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from kinemesh.body.skeleton import BETA_COUNT
from kinemesh.errors import UserError, fail
from kinemesh.files.arrays import read_npz
from kinemesh.geometry.rotation import axis_angle_to_matrix
from kinemesh.prepare.datasets.bodies import camera_body, smpl_poses
from kinemesh.prepare.datasets.sequences import Item, PreparedSequence, Workplace, file_name, numbers, stretches
from kinemesh.prepare.readers.bedlam import find_bedlam, read_bedlam

_SEQUENCES, _CAMERAS = "be_seq.csv", "ground_truth/meta_exr_csv"
_SIZE, _SENSOR_MM = (1280, 720), 36.0  # of the longer side
_LARGEST_CSV = 1 << 27
# SMPL-X's y and z against the camera's.
_DOWN = np.diag([1.0, -1.0, -1.0])


def find_bedlam2(raw: Path) -> list[Item]:
    """A part for each scene; of labels that somebody made, a part for each file. Raises UserError for what is there in part."""
    scenes = sorted(raw.rglob(_SEQUENCES))
    if not scenes:
        return find_bedlam(raw)
    motions = sorted({path.parent for path in raw.rglob("*.npz")})
    if not motions:
        raise UserError(
            f"--raw {raw}: {_SEQUENCES} is there, no motion is. Expected b2_motions_npz_training.tar beside it, unpacked "
            "(bedlam2.is.tue.mpg.de)."
        )
    portraits = {
        row["folder"]
        for path in raw.rglob("bedlam2_scene_names.csv")
        for row in _rows(path, ("folder", "name"), has_names=False)
        if "portrait" in row["name"]
    }
    items = []
    for path in scenes:
        if not (path.parent / _CAMERAS).is_dir():
            raise UserError(
                f"--raw {raw}: {path} is there, {path.parent / _CAMERAS} is missing. Expected the scene's cameras."
            )
        scene = path.parent.name
        items.append(Item(scene, (path,), (motions, scene in portraits or "portrait" in scene)))
    return items


def read_bedlam2(item: Item, place: Workplace) -> Iterator[PreparedSequence]:
    """Everybody of a scene, sequence by sequence, 30 frames a second."""
    path = item.paths[0]
    if path.suffix == ".npz":
        yield from read_bedlam(item, place)
        return
    motions, is_portrait = item.key
    sequence, camera, number = "", {}, 0
    for row in _rows(path, ("Body", "X", "Y", "Z", "Yaw", "Comment")):
        said = dict(part.split("=", 1) for part in row["Comment"].split(";") if "=" in part)
        if "sequence_name" in said:
            sequence, number = file_name(path, said["sequence_name"], "sequence_name"), 0
            camera = _camera(path.parent / _CAMERAS / f"{sequence}_camera.csv")
        elif "start_frame" in said:
            if not camera:
                fail(path, f"body {row['Body'][:60]!r} comes before a sequence", "a row of sequence_name first")
            name = f"{file_name(path, row['Body'], 'Body')}.npz"
            motion = next((file for folder in motions if (file := folder / name).is_file()), None)
            count = len(camera["x"])
            number += 1
            if motion is None:
                place.drop("bodies of the set's test people, whose motion is not published", count)
                continue
            named = f"{item.name}_{sequence}_{number}"
            yield from stretches(
                _sequence(named, f"{item.name}/{sequence}", row | said, motion, camera, is_portrait, place)
            )


def _sequence(
    name: str, video: str, row: dict, motion: Path, camera: dict, is_portrait: bool, place: Workplace
) -> PreparedSequence:
    given = read_npz(motion, ("poses", "trans"), what="a motion of BEDLAM2")
    poses = numbers(motion, given, "poses", (None, 165))
    trans_m = numbers(motion, given, "trans", (len(poses), 3))
    body_cm, body_yaw = np.full((1, 3), np.nan), np.nan
    try:
        start = int(row["start_frame"])
        body_cm, body_yaw = np.array([[float(row[key]) for key in "XYZ"]]), float(row["Yaw"])
    except ValueError:
        start = -1
    if start < 0 or not np.isfinite([*body_cm[0], body_yaw]).all():
        fail(motion, f"its row has start_frame {row['start_frame'][:20]!r}, or no place", "numbers in be_seq.csv")
    count = max(0, min(len(camera["x"]), len(poses) - start))
    shown = {key: values[:count] for key, values in camera.items()}
    rows = slice(start, start + count)
    lens = _about(2, -shown["roll"] + 90 * is_portrait) @ _about(0, -shown["pitch"])
    place_m = _axes(body_cm) - _axes(np.stack([shown[key] for key in "xyz"], axis=1))
    world_to_camera = np.tile(np.eye(4), (count, 1, 1))
    world_to_camera[:, :3, :3] = lens @ _about(1, body_yaw - 90 - shown["yaw"]) @ _DOWN
    world_to_camera[:, :3, 3] = (lens @ _about(1, -shown["yaw"]) @ place_m[..., None])[..., 0]
    size = np.array(_SIZE[::-1] if is_portrait else _SIZE)
    K = np.tile(np.eye(3), (count, 1, 1))
    K[:, 0, 0] = K[:, 1, 1] = shown["focal_length"] / _SENSOR_MM * max(_SIZE)
    K[:, :2, 2] = size / 2
    frames = np.arange(count)
    if not count:
        place.drop("bodies whose motion ends before they are shown", len(camera["x"]))
        return PreparedSequence(name, frames, size, K, poses[:0, :72], np.zeros(BETA_COUNT), trans_m[:0], "train")
    own = smpl_poses(poses[rows, :3], poses[rows, 3:])
    body = camera_body(place, "neutral", own, trans_m[rows], np.zeros(BETA_COUNT), world_to_camera)
    return PreparedSequence(
        name, frames, size, K, body.poses, body.betas, body.trans_m, "train", video=video,
        notes=("SMPL-X's rotations, in the mean shape; its pelvis where SMPL's is",),
    )  # fmt: skip


def _camera(path: Path) -> dict[str, np.ndarray]:
    """Each column (F,) of a sequence's cameras."""
    keys = ("x", "y", "z", "yaw", "pitch", "roll", "focal_length")
    rows = list(_rows(path, keys))
    try:
        columns = {key: np.array([float(row[key]) for row in rows]) for key in keys}
    except ValueError:
        fail(path, "holds what is no number", f"columns {', '.join(keys)}")
    if (
        not rows
        or not all(np.isfinite(column).all() for column in columns.values())
        or columns["focal_length"].min() <= 0
    ):
        fail(path, "holds no cameras", f"finite numbers in {', '.join(keys)}, one row a picture")
    return columns


def _rows(path: Path, names: tuple[str, ...], has_names: bool = True) -> Iterator[dict[str, str]]:
    """The rows of a CSV file that has these columns; without names of its own, behind its first line, these are the first ones."""
    if not path.is_file() or path.stat().st_size > _LARGEST_CSV:
        fail(
            path,
            "is no file of a likely size" if path.is_file() else "is missing",
            f"a CSV file with {', '.join(names)}",
        )
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, fieldnames=None if has_names else names)
            if not has_names:
                next(reader, None)
            lacking = [name for name in names if name not in (reader.fieldnames or ())]
            if lacking:
                fail(path, f"has no column {', '.join(lacking)}", f"a CSV file with {', '.join(names)}")
            for row in reader:
                yield {name: row[name] or "" for name in names}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        fail(path, f"cannot be read ({str(error)[:80]})", f"a CSV file with {', '.join(names)}")


def _about(axis: int, degrees: np.ndarray | float) -> np.ndarray:
    """(..., 3, 3) turns about one of the camera's axes."""
    vectors = np.zeros((*np.shape(degrees), 3))
    vectors[..., axis] = np.radians(degrees)
    return axis_angle_to_matrix(torch.from_numpy(vectors)).numpy()


def _axes(points_cm: np.ndarray) -> np.ndarray:
    """Points (F, 3) of Unreal, x forward, y right, z up, cm -> x right, y down, z forward, m."""
    return points_cm[:, [1, 2, 0]] * [1.0, -1.0, 1.0] / 100.0
