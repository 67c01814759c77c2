"""SMPL fits of COCO's people, one set of them at a time, joined with COCO's own keypoints.

Fits: EFT (Joo et al., 3DV 2021) `COCO2014-*.json`, {"data": [{`parm_pose` (24, 3, 3), `parm_shape`, `parm_cam` [s, tx, ty] of the
box, `bbox_scale` (side / 200), `bbox_center`, `annotId`, `imageName`}]}, as its docs/README_dataformat.md has it. NeuralAnnot
(Moon et al., CVPRW 2022) `MSCOCO_*SMPL_NeuralAnnot*.json`, annotation -> {`smpl_param`: {`pose`, `shape`, `trans`},
`cam_param`: {`focal`, `princpt`}}, as its MSCOCO/demo_smpl.py. CLIFF (Li et al., ECCV 2022) `*cliffGT.npz` and CameraHMR
(Patel and Black, 3DV 2025) `coco-release*.npz`: `imgname`, `pose` or `pose_cam` (N, 72), `shape`, and where they are there
`global_t` with `focal_l`, or `cam_t` with `cam_int`, as mmhuman3d's `cliff.py` and CameraHMR's `dataset_train.py`. SPIN (Kolotouros
et al., ICCV 2019) `coco_fits.npy` (N, 82), row by row those of `coco_2014_train.npz`'s `imgname`, as its `fits_dict.py`.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from kinemesh.body.params import axis_angle_from_rotations
from kinemesh.errors import UserError, fail
from kinemesh.files.arrays import array_names, read_npy, read_npz
from kinemesh.keypoints.formats import to_h36m
from kinemesh.prepare.datasets.json_stream import stream_json
from kinemesh.prepare.datasets.keypoints import joints_m
from kinemesh.prepare.datasets.sequences import Item, PreparedSequence, Workplace, numbers, texts, whole
from kinemesh.prepare.motions.sequences import POSE_COUNT

_FITS = {
    "EFT": "COCO2014*.json", "NeuralAnnot": "*SMPL_NeuralAnnot*.json", "CLIFF": "*cliffGT*.npz",
    "CameraHMR": "coco-release*.npz", "SPIN": "coco_fits.npy",
}  # fmt: skip
_ANNOTATIONS = "person_keypoints_*.json"
_WHERE = "of annotations_trainval2014.zip or 2017 (cocodataset.org)"
_PEOPLE_AT_ONCE = 1024
# Stands for a weak perspective: so far away, nothing is nearer than anything else.
_FAR_FOCAL_PX = 1e7
_TEST_EVERY = 100  # pictures, the last of each hundred by number: a test split that is not trained on


class _Fit(NamedTuple):
    """Somebody's body, and a camera where the fit has one."""

    pose: np.ndarray  # (72,)
    betas: np.ndarray  # (10,)
    annotation: int | None  # COCO's number of the person, or of the picture
    picture: int | None
    trans_m: np.ndarray | None = None  # (3,)
    focal_px: np.ndarray | None = None  # (2,)
    centre_px: np.ndarray | None = None  # (2,); None: the picture's middle
    is_weak: bool = False


class _Person(NamedTuple):
    """One of COCO's annotations."""

    number: int
    picture: int
    keypoints: np.ndarray  # (17, 3) float32, COCO-17


def find_coco(raw: Path) -> list[Item]:
    """The one set of fits below `raw`, with COCO's annotations. Raises UserError for none, several, or missing annotations."""
    found = {name: sorted(raw.rglob(pattern)) for name, pattern in _FITS.items()}
    found = {name: paths for name, paths in found.items() if paths}
    if not found:
        return []
    if len(found) > 1:
        raise UserError(
            f"--raw {raw}: fits of {' and '.join(found)}. Expected one set of them: give a folder of that alone."
        )
    ((name, paths),) = found.items()
    annotations = sorted(raw.rglob(_ANNOTATIONS))
    if not annotations:
        raise UserError(
            f"--raw {raw}: {paths[0].name} is there, COCO's {_ANNOTATIONS} is missing. Expected it, {_WHERE}."
        )
    if name == "SPIN":
        rows = sorted(raw.rglob("coco_2014_train.npz"))
        if not rows:
            raise UserError(
                f"--raw {raw}: coco_fits.npy is there, coco_2014_train.npz is missing, which names its rows. Expected it, of "
                "SPIN's dataset_extras (github.com/nkolot/SPIN, fetch_data.sh)."
            )
        paths = [paths[0], rows[0]]
        return [Item(name, (*paths, *annotations), name)]
    return [Item(f"{name} {path.name}", (path, *annotations), name) for path in paths]


def read_coco(item: Item, place: Workplace) -> Iterator[PreparedSequence]:
    """Pictures of one person each, a thousand at a time, with COCO's keypoints of that person."""
    annotations = [path for path in item.paths if path.match(_ANNOTATIONS)]
    people, pictures = _read_annotations(annotations)
    by_picture: dict[int, list[_Person]] = {}
    for person in people.values():
        by_picture.setdefault(person.picture, []).append(person)
    batch: list[tuple[_Fit, list[_Person], tuple[str, int, int]]] = []
    for fit in _READERS[item.key](item.paths):
        candidates = [people[fit.annotation]] if fit.annotation in people else by_picture.get(fit.picture, [])
        if fit.annotation is not None and fit.annotation not in people:
            candidates = []
        if not candidates:
            place.drop("people without keypoints in COCO's annotations")
            continue
        batch.append((fit, candidates, pictures[candidates[0].picture]))
        if len(batch) == _PEOPLE_AT_ONCE:
            yield from _sequences(item.key, batch, place)
            batch = []
    if batch:
        yield from _sequences(item.key, batch, place)


def _sequences(name: str, batch: list, place: Workplace) -> Iterator[PreparedSequence]:
    fits = [fit for fit, _, _ in batch]
    poses, betas = np.stack([fit.pose for fit in fits]), np.stack([fit.betas for fit in fits])
    size = np.array([picture[1:] for _, _, picture in batch])
    count = len(batch)
    has_camera = fits[0].trans_m is not None
    K = np.tile(np.eye(3), (count, 1, 1))
    if has_camera:
        K[:, [0, 1], [0, 1]] = np.stack([fit.focal_px for fit in fits])
        K[:, :2, 2] = [
            fit.centre_px if fit.centre_px is not None else wh / 2 for fit, wh in zip(fits, size, strict=True)
        ]
        trans_m = np.stack([fit.trans_m for fit in fits])
    else:
        trans_m = np.zeros((count, 3))
    whole = PreparedSequence(
        name, np.arange(count), size, K, poses, betas, trans_m, "train", None, "coco17",
        pictures=[Path(picture[0]).stem for _, _, picture in batch], has_camera=has_camera and not fits[0].is_weak,
    )  # fmt: skip
    joints = joints_m(whole, place.kinematics)
    keypoints = np.zeros((count, 17, 3))
    for row, (_, candidates, _) in enumerate(batch):
        if has_camera:
            px = joints[row, :, :2] / np.maximum(joints[row, :, 2:], 0.2) * K[row, [0, 1], [0, 1]] + K[row, :2, 2]
            errors = [_apart(px, person.keypoints) for person in candidates]
        else:
            placed = [_weak_camera(joints[row], person.keypoints) for person in candidates]
            errors = [error for _, _, error in placed]
        best = int(np.argmin(errors))
        keypoints[row] = candidates[best].keypoints
        if not has_camera:
            scale, shift, _ = placed[best]
            K[row, [0, 1], [0, 1]], K[row, :2, 2] = _FAR_FOCAL_PX, shift
            trans_m[row, 2] = _FAR_FOCAL_PX / max(scale, 1e-3)
    if not has_camera:
        whole = whole._replace(notes=("fits without a camera: placed by scale and shift",))
    whole = whole._replace(keypoints_px=keypoints, K=K, trans_m=trans_m)
    numbers_of = np.array([candidates[0].picture for _, candidates, _ in batch])
    is_test = numbers_of % _TEST_EVERY == _TEST_EVERY - 1
    for split, chosen in (("train", ~is_test), ("test", is_test)):
        if chosen.any():
            yield whole._replace(split=split).rows(chosen)


def _apart(px: np.ndarray, keypoints: np.ndarray) -> float:
    """Mean distance of joints (17, 2) from COCO's keypoints where those are."""
    points = to_h36m(keypoints.astype(np.float64), "coco17")
    is_there = points[:, 2] > 0
    return float(np.linalg.norm(px - points[:, :2], axis=1)[is_there].mean()) if is_there.any() else np.inf


def _weak_camera(joints: np.ndarray, keypoints: np.ndarray) -> tuple[float, np.ndarray, float]:
    """Scale (px a metre) and shift (2,) that bring joints (17, 3) nearest to COCO's keypoints, and how far they stay apart,
    in parts of the person's size: people of another size in the same picture compare."""
    points = to_h36m(keypoints.astype(np.float64), "coco17")
    is_there = points[:, 2] > 0
    if is_there.sum() < 2:
        return 1.0, points[:, :2].mean(axis=0), np.inf
    own, seen = joints[is_there, :2], points[is_there, :2]
    centred = own - own.mean(axis=0)
    scale = max(float((centred * (seen - seen.mean(axis=0))).sum() / max((centred**2).sum(), 1e-9)), 1e-3)
    shift = seen.mean(axis=0) - scale * own.mean(axis=0)
    return (
        scale,
        shift,
        float(np.linalg.norm(scale * own + shift - seen, axis=1).mean()) / max(float(np.ptp(seen, axis=0).max()), 1.0),
    )


def _read_annotations(paths: list[Path]) -> tuple[dict[int, _Person], dict[int, tuple[str, int, int]]]:
    """COCO's people with keypoints by number, and pictures by number: name, width, height."""
    people, pictures = {}, {}
    for path in paths:
        for section, _, entry in stream_json(path, "COCO's person_keypoints annotations"):
            if section == "images":
                name, width, height = (_entry(path, entry, key) for key in ("file_name", "width", "height"))
                size = (whole(path, width, "a width"), whole(path, height, "a height"))
                if min(size) < 1:
                    fail(path, f"{str(name)[:60]!r} is {size[0]} x {size[1]}", "pictures of at least a pixel")
                pictures[whole(path, _entry(path, entry, "id"), "an image")] = (str(name), *size)
            elif section == "annotations" and isinstance(entry, dict) and entry.get("num_keypoints", 1):
                points = numbers(path, entry, "keypoints", (51,)).astype(np.float32).reshape(17, 3)
                points[:, 2] = points[:, 2] > 0
                number, picture = (whole(path, _entry(path, entry, key), key) for key in ("id", "image_id"))
                people[number] = _Person(number, picture, points)
    lost = [person.picture for person in people.values() if person.picture not in pictures]
    if lost or not people:
        fail(
            paths[0],
            f"image {lost[0]} is not in it" if lost else "no people with keypoints",
            "COCO's person_keypoints annotations",
        )
    return people, pictures


def _entry(path: Path, entry: Any, key: str) -> Any:
    if not isinstance(entry, dict) or not isinstance(entry.get(key), int | float | str):
        fail(path, f"an entry has no {key!r}", "COCO's annotations, or fits as published")
    return entry[key]


def _picture_number(name: str) -> int | None:
    """COCO's pictures are called by twelve digits, in either release."""
    found = re.search(r"(\d{12})\.\w+$", name)
    return int(found[1]) if found else None


def _read_eft(paths: tuple[Path, ...]) -> Iterator[_Fit]:
    path = paths[0]
    for section, _, entry in stream_json(path, "EFT's fits"):
        if section != "data":
            continue
        rotations = numbers(path, entry, "parm_pose", (24, 3, 3))
        scale, shift_x, shift_y = numbers(path, entry, "parm_cam", (3,))
        side = 200.0 * float(np.ravel(numbers(path, {"bbox_scale": [entry.get("bbox_scale")]}, "bbox_scale", (1,)))[0])
        depth = 2 * _FAR_FOCAL_PX / max(scale * side, 1e-6)
        annotation = entry.get("annotId")
        annotation = annotation[0] if isinstance(annotation, list) and annotation else annotation
        yield _Fit(
            axis_angle_from_rotations(torch.from_numpy(rotations)).numpy(), numbers(path, entry, "parm_shape", (10,)),
            None if annotation is None else whole(path, annotation, "'annotId'"),
            _picture_number(str(entry.get("imageName", ""))), np.array([shift_x, shift_y, depth]),
            np.full(2, _FAR_FOCAL_PX), numbers(path, entry, "bbox_center", (2,)), is_weak=True,
        )  # fmt: skip


def _read_neuralannot(paths: tuple[Path, ...]) -> Iterator[_Fit]:
    path, held = paths[0], {}
    for annotation, key, value in stream_json(path, "NeuralAnnot's fits by annotation"):
        held.setdefault(annotation, {})[key] = value
        parts = held[annotation]
        if not {"smpl_param", "cam_param"} <= parts.keys():
            continue
        body, camera = parts["smpl_param"], parts["cam_param"]
        yield _Fit(
            numbers(path, body, "pose", (POSE_COUNT,)), numbers(path, body, "shape", (10,)), whole(path, annotation, "an annotation"), None,
            numbers(path, body, "trans", (3,)), numbers(path, camera, "focal", (2,)), numbers(path, camera, "princpt", (2,)),
        )  # fmt: skip
        held.clear()


def _read_npz_fits(paths: tuple[Path, ...]) -> Iterator[_Fit]:
    path, what = paths[0], "fits of COCO's people"
    names = array_names(path, what=what)
    pose_key = "pose_cam" if "pose_cam" in names else "pose"
    optional = ("global_t", "focal_l", "cam_t", "trans_cam", "cam_int")
    given = read_npz(path, ("imgname", pose_key, "shape"), optional, what=what)
    images = texts(path, given, "imgname")
    count = len(images)
    poses = numbers(path, given, pose_key, (count, POSE_COUNT))
    betas = numbers(path, given, "shape", (count, None))[:, :10]
    trans_key = next((key for key in ("global_t", "cam_t", "trans_cam") if key in given), None)
    trans = None if trans_key is None else numbers(path, given, trans_key, (count, 3))
    focal = centre = None
    if "cam_int" in given:
        K = numbers(path, given, "cam_int", (count, 3, 3))
        focal, centre = K[:, [0, 1], [0, 1]], K[:, :2, 2]
    elif "focal_l" in given:
        focal = np.repeat(numbers(path, given, "focal_l", (count,))[:, None], 2, axis=1)
    has_camera = trans is not None and focal is not None
    for row, name in enumerate(images.tolist()):
        picture = _picture_number(name)
        fit = _Fit(poses[row], betas[row], None, picture)
        if has_camera:
            fit = fit._replace(
                trans_m=trans[row], focal_px=focal[row], centre_px=None if centre is None else centre[row]
            )
        yield fit


def _read_spin(paths: tuple[Path, ...]) -> Iterator[_Fit]:
    fits = read_npy(paths[0], what="SPIN's fits")
    names = texts(paths[1], read_npz(paths[1], ("imgname",), what="SPIN's COCO people"), "imgname").tolist()
    values = numbers(paths[0], [fits], 0, (len(names), 82), "the array")
    for row, name in zip(values, names, strict=True):
        yield _Fit(row[:POSE_COUNT], row[POSE_COUNT:], None, _picture_number(name))


_READERS = {
    "EFT": _read_eft, "NeuralAnnot": _read_neuralannot, "CLIFF": _read_npz_fits, "CameraHMR": _read_npz_fits,
    "SPIN": _read_spin,
}  # fmt: skip
