"""AIST++, Li et al., ICCV 2021: dances with SMPL's parameters and what a detector found in nine views.

`motions/<sequence>.pkl`: `smpl_poses` (F, 72), `smpl_scaling` (1,), `smpl_trans` (F, 3) in the cameras' unit, of which the scaling is
a metre of the body. `keypoints2d/<sequence>.pkl`: `keypoints2d` (9, F, 17, 3), COCO-17. `cameras/mapping.txt` gives each sequence's
setting, `cameras/<setting>.json` its cameras: [{`name`, `size`, `matrix`, `rotation` (axis-angle), `translation`, `distortions`}].
`distortions` are OpenCV's k1, k2, p1, p2, k3. `ignore_list.txt` names what went wrong. So google/aistplusplus_api's `aist_plusplus/loader.py` reads them. 60 frames a second.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from kinemesh.body.skeleton import BETA_COUNT
from kinemesh.errors import fail
from kinemesh.files.pickles import load_pickle
from kinemesh.geometry.keypoints import LEAST_KEYPOINTS
from kinemesh.geometry.rotation import axis_angle_to_matrix
from kinemesh.keypoints.json_text import load_json
from kinemesh.prepare.datasets.bodies import camera_body
from kinemesh.prepare.datasets.sequences import (
    Item,
    PreparedSequence,
    Workplace,
    file_name,
    numbers,
    require,
    stretches,
    without,
)
from kinemesh.prepare.motions.sequences import POSE_COUNT

_WHAT = "an annotation of AIST++"
_WHERE = "AIST++'s annotations, unpacked (google.github.io/aistplusplus_dataset)"
_FOLDERS = ("motions", "keypoints2d", "cameras/mapping.txt")
# Its published test sequences are told by choreography and music; here a setting of dancers is tested on, whole.
_TEST_DANCERS = ("d04", "d07")
# Of going back through a lens: how often, and how near its picture of what is found has to be.
_TURNS, _LEAST_PX = 30, 0.01


def find_aist(raw: Path) -> list[Item]:
    """A part for each sequence that is not on the set's list of failures. Raises UserError for folders that are missing."""
    motions, keypoints, mapping = require(raw, _FOLDERS, _WHERE)
    settings = dict(line.split()[:2] for line in _text(mapping).splitlines() if len(line.split()) > 1)
    failures = raw / "ignore_list.txt"
    ignored = set(_text(failures).split()) if failures.is_file() else set()
    items = []
    for path in sorted(motions.glob("*.pkl")):
        if path.stem in ignored:
            continue
        if path.stem not in settings:
            fail(mapping, f"has no line for {path.stem}", "a setting for each sequence")
        setting = file_name(mapping, settings[path.stem], f"the setting of {path.stem}")
        paths = (path, keypoints / path.name, raw / "cameras" / f"{setting}.json")
        items.append(Item(path.stem, paths))
    return items


def read_aist(item: Item, place: Workplace) -> Iterator[PreparedSequence]:
    """A dance before each of the cameras, with what was detected there, as it would be without the cameras' lenses."""
    path, seen, cameras_file = item.paths
    content = load_pickle(path, what=_WHAT, encoding="latin1")
    poses = numbers(path, content, "smpl_poses", (None, POSE_COUNT))
    count = len(poses)
    scaling = content.get("smpl_scaling")
    metre = float(
        numbers(path, {"smpl_scaling": np.ravel(scaling) if scaling is not None else None}, "smpl_scaling", (1,))[0]
    )
    if metre <= 0:
        fail(path, f"'smpl_scaling' is {metre:g}", "a scale above 0")
    trans_m = numbers(path, content, "smpl_trans", (count, 3)) / metre
    keypoints = numbers(
        seen, _with_zeros(load_pickle(seen, what=_WHAT, encoding="latin1")), "keypoints2d", (None, None, 17, 3)
    )
    cameras = load_json(cameras_file, _WHAT)
    if not isinstance(cameras, list) or len(cameras) < len(keypoints):
        fail(cameras_file, "has not a camera a view", f"a list of {len(keypoints)} cameras")
    length = min(count, keypoints.shape[1])  # some detections end a frame early
    for number, (camera, points) in enumerate(zip(cameras, keypoints, strict=False)):
        world_to_camera = np.eye(4)
        turn = numbers(cameras_file, camera, "rotation", (3,))
        world_to_camera[:3, :3] = axis_angle_to_matrix(torch.from_numpy(turn)).numpy()
        world_to_camera[:3, 3] = numbers(cameras_file, camera, "translation", (3,)) / metre
        body = camera_body(place, "neutral", poses[:length], trans_m[:length], np.zeros(BETA_COUNT), world_to_camera)
        view = str(camera["name"]) if camera.get("name") else f"c{number + 1:02d}"
        dancer = next((part for part in item.name.split("_") if part.startswith("d") and part[1:].isdigit()), "")
        K = numbers(cameras_file, camera, "matrix", (3, 3))
        if camera.get("distortions") is not None:
            points = _without_lens(points, K, numbers(cameras_file, camera, "distortions", (5,)))
        name = item.name.replace("cAll", view)
        whole = PreparedSequence(
            name, np.arange(length), numbers(cameras_file, camera, "size", (2,)), K, body.poses, body.betas, body.trans_m,
            "test" if dancer in _TEST_DANCERS else "train", points[:length], "coco17", action=item.name.split("_")[0],
            notes=("mean shape, in metres of the dancer's own scale",),
        )  # fmt: skip
        is_seen = (points[:length, :, 2] > 0).sum(axis=1) >= LEAST_KEYPOINTS
        yield from stretches(without(whole, is_seen, "frames in which the detector found nobody", place))


def _without_lens(keypoints_px: np.ndarray, K: np.ndarray, distortions: np.ndarray) -> np.ndarray:
    """Keypoints (F, 17, 3) where the pinhole K alone would see them, by turns; confidence 0 where there is no such place.

    `distortions` are k1, k2, p1, p2, k3 of OpenCV's "Camera Calibration and 3D Reconstruction": from x, y of the pinhole's
    picture, r^2 = x^2 + y^2, to x (1 + k1 r^2 + k2 r^4 + k3 r^6) + 2 p1 x y + p2 (r^2 + 2 x^2), and the like for y.
    """
    k1, k2, p1, p2, k3 = distortions
    focal, centre = K[[0, 1], [0, 1]], K[:2, 2]
    bent = (keypoints_px[..., :2] - centre) / focal

    def lens(straight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What is multiplied, and added."""
        squared = (straight**2).sum(axis=-1, keepdims=True)
        across = straight.prod(axis=-1, keepdims=True)
        factor = 1 + squared * (k1 + squared * (k2 + squared * k3))
        return factor, 2 * across * [p1, p2] + (squared + 2 * straight**2) * [p2, p1]

    straight = bent
    with np.errstate(all="ignore"):  # of what has no such place, the numbers may be anything
        for _ in range(_TURNS):
            factor, added = lens(straight)
            straight = (bent - added) / factor
        factor, added = lens(straight)
        off_px = np.abs((straight * factor + added - bent) * focal).max(axis=-1)
    is_found = (off_px < _LEAST_PX) & (keypoints_px[..., 2] > 0)
    found = np.concatenate((straight * focal + centre, keypoints_px[..., 2:]), axis=-1)
    return np.where(is_found[..., None], found, 0.0)


def _with_zeros(content: object) -> object:
    """The same with 0 for what was not detected, which is nan there."""
    if isinstance(content, dict) and isinstance(content.get("keypoints2d"), np.ndarray):
        points = content["keypoints2d"]
        if points.dtype.kind == "f":
            content = content | {"keypoints2d": np.nan_to_num(points, nan=0.0)}
    return content


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return fail(path, f"cannot be read ({str(error)[:80]})", _WHERE)
