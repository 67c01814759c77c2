"""Makes the demo's data folder: the stand-in body and three synthetic datasets in the released formats.

Motion, bodies, cameras, detector and estimator are all simulated (the other modules of this package), always from
the same seeds, so the same files come out every time. Formats: behaviour contract section 1. The figures that
models reach on this data compare with nothing published.
"""

import json
import logging
import pickle
import time
from pathlib import Path

import numpy as np

from kinemesh.body.skeleton import SMPL_JOINT_COUNT
from kinemesh.data.reading import CAMERA_IMAGE_SIZES
from kinemesh.demo.body import write_body_files
from kinemesh.demo.camera import View
from kinemesh.demo.splits import DemoDataset, DemoSplit, StandIn, make_split
from kinemesh.files.writing import write_atomically
from kinemesh.motion.poses import KINDS

logger = logging.getLogger(__name__)

VERSION = 9
# Not the version: where only sizes change, the people of the other splits stay who they were.
_SEED = 6
MARKER_FILE = "demo.json"
BODY_FILES = ("SMPL_NEUTRAL.pkl", "J_regressor_h36m_correct.npy", "J_regressor_extra.npy", "smpl_mean_params.npz")
_DEMO_ROOT = ("data", "demo")

# Enough for the refiner's files, and less disk space.
_FEW = 0.125
# How often a kind of motion comes, where not once.
# What 3DPW mostly shows: people on their feet, walking, standing, climbing stairs, and a little of all else.
_EVERYDAY = dict.fromkeys(KINDS, 0.08) | {
    "walk": 18, "walk_carry": 3.5, "walk_turn": 7, "walk_back": 1.5, "run": 2, "stairs": 4, "stand_talk": 2.5, "idle": 4, "phone": 2.5,
    "sit": 0.7, "sit_down": 0.7, "sidestep": 1, "reach": 0.4, "pick_up": 0.4, "wave": 0.4, "march": 0.2,
    "crawl": 0, "lie": 0, "lie_front": 0, "push_up": 0,
}  # fmt: skip
_BROAD = {
    "walk": 4, "run": 2, "dance": 3, "any_pose": 2, "sport": 2, "exercise": 2, "sit": 2, "stand_talk": 2, "jumping_jack": 2,
    "crawl": 0.4, "lie": 0.2, "lie_front": 0.2, "push_up": 0.3,
}  # fmt: skip

# Half of each.
_MIXED = {
    kind: 0.5 * _EVERYDAY[kind] / sum(_EVERYDAY.values()) + 0.5 * _BROAD.get(kind, 1.0) / len(KINDS) for kind in KINDS
}

DATASETS = (
    DemoDataset(
        "h36m",
        fps=50.0,
        view=View((1140.0, 1150.0), (3.1, 6.2), ((370.0, 400.0, 630.0, 600.0),), ((500.0, 500.0),)),
        image_hw=(1000, 1000),
        train=DemoSplit(960, 16, _BROAD),
        test=DemoSplit(40, 64, _BROAD, held_out_count=20),
        cameras={name: (int(height), int(width)) for name, (width, height) in CAMERA_IMAGE_SIZES.items()},
    ),
    DemoDataset(
        "coco",
        fps=30.0,
        # One frame costs a network an eighth of a clip of eight: the cheapest way to show it many poses.
        view=View(
            (600.0, 820.0),
            (2.7, 7.5),
            (*[(240.0, 250.0, 400.0, 390.0)] * 3, (140.0, 140.0, 500.0, 500.0)),
            ((320.0, 320.0),) * 4,
            any_attitude=0.02,
        ),
        image_hw=(640, 640),
        train=DemoSplit(240000, 1, _MIXED, estimated_share=_FEW),
        test=DemoSplit(500, 1, _MIXED),
    ),
    DemoDataset(
        "pw3d",
        fps=30.0,
        # Mostly square pictures; some of film held across or upright, padded to the square at its end.
        view=View(
            (1900.0, 2200.0),
            (2.8, 6.5),
            (*[(750.0, 820.0, 1170.0, 1100.0)] * 8, (760.0, 460.0, 1160.0, 620.0), (440.0, 820.0, 640.0, 1100.0)),
            (*[(960.0, 960.0)] * 8, (960.0, 540.0), (540.0, 960.0)),
            is_held=True,
        ),
        image_hw=(1920, 1920),
        # Many people for a moment each: what is learnt, and how surely it is measured, goes by people, not by frames.
        train=DemoSplit(20000, 16, _EVERYDAY, estimated_share=_FEW),
        test=DemoSplit(400, 16, _EVERYDAY),
    ),
)


def file_name(dataset: str, with_estimates: bool = False) -> str:
    """Name of a dataset's file, without or with an estimator's predictions."""
    return f"mesh_det_{dataset}_w_hybrik_pred.pkl" if with_estimates else f"mesh_det_{dataset}.pkl"


_FILES = (*BODY_FILES, *(file_name(dataset.name, flag) for dataset in DATASETS for flag in (False, True)))


def is_demo_root(data_root: Path | str) -> bool:
    """Whether a data_root is the embedded default's, which the program fills itself."""
    return Path(data_root).parts[-2:] == _DEMO_ROOT


def is_made_here(path: Path) -> bool:
    """Whether the program makes this file itself."""
    return is_demo_root(path.parent) and path.name in _FILES


def make_demo_data(data_root: Path | str, scale: float = 1.0) -> bool:
    """Make the demo's data folder unless it is there: seconds, the same bytes every time.

    Body-model files, the three dataset files and the same three with a simulated estimator's output. The marker
    `demo.json` is written last, so that a folder left half made is made again.

    Args:
        data_root: folder, made where missing.
        scale: part of each split's videos to make; below 1 for a quick try.

    Returns:
        True if anything was made.

    Raises:
        UserError: the folder cannot be written, or holds somebody's own body-model files.
    """
    data_root = Path(data_root)
    marker = _read_marker(data_root)
    if _is_complete(data_root, marker, scale):
        return False
    logger.info("making demo data in %s: a stand-in body (not SMPL) and synthetic motion", data_root)
    began = time.perf_counter()
    if marker is not None:
        # The folder is ours: what is left of it must not be taken for somebody's own.
        (data_root / BODY_FILES[-1]).unlink(missing_ok=True)
        (data_root / MARKER_FILE).unlink()
    write_body_files(data_root)
    body = StandIn()
    rotation_sum = np.zeros((SMPL_JOINT_COUNT, 3, 3))
    for number, dataset in enumerate(_scaled(dataset, scale) for dataset in DATASETS):
        plain, with_estimates = {}, {}
        for split_number, split in enumerate(("train", "test")):
            content, predictions = make_split([_SEED, number, split_number], dataset, split, body)
            rows = len(predictions["pred_smpl_pose"])
            plain[split] = content
            with_estimates[split] = {key: values[:rows] for key, values in content.items()} | predictions
        rotation_sum += _summed_rotations(plain["train"]["smpl_pose"])
        _write_pickle(data_root / file_name(dataset.name), plain)
        _write_pickle(data_root / file_name(dataset.name, with_estimates=True), with_estimates)
    write_body_files(data_root, _mean_pose(rotation_sum))
    sizes = {name: (data_root / name).stat().st_size for name in _FILES}
    content = json.dumps({"version": VERSION, "scale": scale, "bytes": sizes}, indent=1) + "\n"
    write_atomically(data_root / MARKER_FILE, lambda file: file.write(content.encode()))
    logger.info("demo data made in %.1f s", time.perf_counter() - began)
    return True


def _read_marker(data_root: Path) -> dict | None:
    try:
        marker = json.loads((data_root / MARKER_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return marker if isinstance(marker, dict) else {}


def _is_complete(data_root: Path, marker: dict | None, scale: float) -> bool:
    if not marker or (marker.get("version"), marker.get("scale")) != (VERSION, scale):
        return False
    sizes = marker.get("bytes", {})
    return all(
        (data_root / name).is_file() and (data_root / name).stat().st_size == size for name, size in sizes.items()
    )


def _scaled(dataset: DemoDataset, scale: float) -> DemoDataset:
    def fewer(plan: DemoSplit) -> DemoSplit:
        counts = (
            max(least, round(scale * count)) for count, least in ((plan.video_count, 2), (plan.held_out_count, 0))
        )
        return plan._replace(**dict(zip(("video_count", "held_out_count"), counts, strict=True)))

    return dataset._replace(train=fewer(dataset.train), test=fewer(dataset.test))


def _summed_rotations(poses: np.ndarray) -> np.ndarray:
    """Axis-angle (frames, 72) -> sum over some thousand of the frames of each joint's matrices (24, 3, 3)."""
    from scipy.spatial.transform import Rotation  # slow to import, and only making the data needs it

    few = poses[:: max(1, len(poses) // 4000)].reshape(-1, 3).astype(np.float64)
    return Rotation.from_rotvec(few).as_matrix().reshape(-1, SMPL_JOINT_COUNT, 3, 3).sum(axis=0)


def _mean_pose(rotation_sum: np.ndarray) -> np.ndarray:
    """(24, 3) axis-angle of the rotations nearest to the mean matrices (the chordal mean)."""
    from scipy.spatial.transform import Rotation  # slow to import

    left, _, right = np.linalg.svd(rotation_sum)
    # Nearest rotation, not reflection.
    left[:, :, 2] *= np.linalg.det(left @ right)[:, None]
    mean = Rotation.from_matrix(left @ right).as_rotvec()
    # People face every way, so the root's mean would be arbitrary: upright, facing a camera whose y axis points down.
    mean[0] = (np.pi, 0.0, 0.0)
    return mean


def _write_pickle(path: Path, content: dict) -> None:
    write_atomically(path, lambda file: pickle.dump(content, file, protocol=4))
