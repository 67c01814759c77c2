"""GVHMR's `hmr4d_support` folders, Shen et al., SIGGRAPH Asia 2024: the test sets of 3DPW, EMDB and RICH with ViTPose's keypoints.

Files of torch.save, a dict by sequence. 3DPW: `test_3dpw_gt_labels.pt` with `smpl_params` (`global_orient` (F, 3), `body_pose`
(F, 69), `transl`, `betas`; world), `gender`, `T_w2c` (F, 4, 4), `K_fullimg`, `img_wh`, `mask_wham`, and `preproc_test_kp2d_v0.pt`
of (F, 17, 3), COCO-17. EMDB: `emdb_vit_v4.pt`, the same with `mask` and `kp2d` in it; pictures are 1440 x 1920, of
P0_09_outdoor_walk 720 x 960. RICH: `rich_test_labels.pt` with `gt_smplx_params` (SMPL-X) and `frame_id`,
`rich_test_preproc.pt` with `kp2d` and `img_wh`, and the cameras in `cam2params.pt` by scene and number, as (T_w2c, K), of
GVHMR's repository. As its `hmr4d/dataset/{threedpw,emdb,rich}/*_motion_test.py` and `rich_utils.py` read them.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kinemesh.errors import UserError, fail
from kinemesh.files.torch_files import load_torch_file
from kinemesh.keypoints.formats import to_h36m
from kinemesh.prepare.datasets.bodies import camera_body, shaped_by_pixels, smpl_poses
from kinemesh.prepare.datasets.sequences import (
    Item,
    PreparedSequence,
    Workplace,
    field,
    numbers,
    stretches,
    whole,
    without,
)

_WHAT = "a file of GVHMR's hmr4d_support"
_WHERE = "GVHMR's hmr4d_support folders (github.com/zju3dv/GVHMR, docs/INSTALL.md)"
_FILES = {
    "3dpw": ("test_3dpw_gt_labels.pt", "preproc_test_kp2d_v0.pt"),
    "emdb": ("emdb_vit_v4.pt",),
    "rich": ("rich_test_labels.pt", "rich_test_preproc.pt", "cam2params.pt"),
}
_EMDB_SIZE, _EMDB_SIZES = (1440, 1920), {"P0_09_outdoor_walk": (720, 960)}
# Those of the 17 joints that COCO has not: pelvis, spine, thorax and head top stand for others.
_GUESSED = [0, 7, 8, 10]


def find_gvhmr(raw: Path) -> list[Item]:
    """A part for each of the three sets whose files are below `raw`. Raises UserError for a set that is there in part."""
    items = []
    for name, files in _FILES.items():
        found = [next(iter(sorted(raw.rglob(file))), None) for file in files]
        if found[0] is None:
            continue
        if None in found:
            missing = files[found.index(None)]
            where = "hmr4d/dataset/rich/resource of its repository" if missing == "cam2params.pt" else _WHERE
            raise UserError(f"--raw {raw}: {files[0]} is there, {missing} is missing. Expected it from {where}.")
        items.append(Item(name, tuple(found), name))
    return items


def read_gvhmr(item: Item, place: Workplace) -> Iterator[PreparedSequence]:
    """The sequences of a set, all of them its test split."""
    labels, *others = (_loaded(path) for path in item.paths)
    for name, label in labels.items():
        yield from stretches(_READERS[item.key](item.paths[0], str(name), label, others, place))


def _loaded(path: Path) -> dict:
    content = load_torch_file(path, what=_WHAT)
    if not isinstance(content, dict):
        fail(path, f"holds a {type(content).__name__}", f"{_WHAT}, a dict by sequence")
    return content


def _read_smpl(
    path: Path, name: str, label: Any, keypoints: np.ndarray, size: np.ndarray, place: Workplace
) -> PreparedSequence:
    given, camera = field(path, label, "smpl_params", dict), numbers(path, label, "T_w2c", (None, 4, 4))
    count = len(camera)
    poses = smpl_poses(
        numbers(path, given, "global_orient", (count, 3)), numbers(path, given, "body_pose", (count, 69))
    )
    trans_m = numbers(path, given, "transl", (count, 3))
    gender = field(path, label, "gender", str)
    body = camera_body(place, gender, poses, trans_m, _betas(path, given, count), camera)
    K = numbers(path, label, "K_fullimg", (3, 3))
    return PreparedSequence(
        name, np.arange(count), size, K, body.poses, body.betas, body.trans_m, "test", keypoints, "coco17", notes=body.notes
    )  # fmt: skip


def _read_3dpw(path: Path, name: str, label: Any, others: list[dict], place: Workplace) -> PreparedSequence:
    keypoints = numbers(path, others[0], name, (None, 17, 3))
    size = numbers(path, label, "img_wh", (2,))
    whole = _read_smpl(path, name, label, keypoints, size, place)
    mask = numbers(path, label, "mask_wham", (len(whole.poses),)) > 0
    video = str(label.get("vname", name))
    return without(whole._replace(video=video), mask, "frames that WHAM leaves out (mask_wham)", place)


def _read_emdb(path: Path, name: str, label: Any, others: list[dict], place: Workplace) -> PreparedSequence:
    size = np.array(_EMDB_SIZES.get(name, _EMDB_SIZE))
    whole = _read_smpl(path, name, label, numbers(path, label, "kp2d", (None, 17, 3)), size, place)
    mask = numbers(path, label, "mask", (len(whole.poses),)) > 0
    return without(whole, mask, "frames that EMDB calls no good (mask)", place)


def _read_rich(path: Path, name: str, label: Any, others: list[dict], place: Workplace) -> PreparedSequence:
    preprocessed, cameras = others
    seen = field(path, preprocessed, name, dict)
    _, sequence, camera_name = (
        name.split("/") if name.count("/") == 2 else fail(path, f"{name[:60]!r}", "test/SEQUENCE/cam_00")
    )
    number = whole(path, camera_name.rpartition("_")[2], "a camera")
    key = f"{sequence.partition('_')[0]}_{number}"
    if key not in cameras:
        fail(path, f"camera {key!r} of {name!r} is not in cam2params.pt", "cameras by scene and number")
    camera, K = (
        numbers(path, cameras[key], part, shape, f"camera {key}") for part, shape in ((0, (4, 4)), (1, (3, 3)))
    )
    given, frames = (
        field(path, label, "gt_smplx_params", dict),
        numbers(path, label, "frame_id", (None,)).astype(np.int64),
    )
    count = len(frames)
    poses = smpl_poses(
        numbers(path, given, "global_orient", (count, 3)), numbers(path, given, "body_pose", (count, 63))
    )
    keypoints = numbers(path, seen, "kp2d", (count, 17, 3))
    # Of the neutral body: the pelvis of SMPL-X's own is solved for.
    turned = camera_body(place, "neutral", poses, numbers(path, given, "transl", (count, 3)), np.zeros(10), camera)
    joints_px = to_h36m(keypoints, "coco17")
    joints_px[:, _GUESSED, 2] = 0
    body = shaped_by_pixels(place, turned.poses, turned.trans_m, K, joints_px)
    size = numbers(path, seen, "img_wh", (2,))
    return PreparedSequence(
        name.replace("/", "_"), frames, size, K, body.poses, body.betas, body.trans_m, "test", keypoints, "coco17",
        video=name, notes=body.notes,
    )  # fmt: skip


_READERS = {"3dpw": _read_3dpw, "emdb": _read_emdb, "rich": _read_rich}


def _betas(path: Path, given: dict, count: int) -> np.ndarray:
    betas = given.get("betas")
    if getattr(betas, "ndim", 0) == 2:
        return np.median(numbers(path, given, "betas", (None, None)), axis=0)
    return numbers(path, given, "betas", (None,))
