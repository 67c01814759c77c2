"""Says how far off keypoints are by their confidence, and writes it as numbers that keypoints on the fly are made by.

    python -m kinemesh calibrate data/mesh/aist --out recipe.yaml

FILE is a dataset with detected keypoints, bodies and cameras, as `kinemesh prepare` writes it. Errors are metres at the
joint's depth, from where the body's joint is seen; how a detector's joints are defined is part of them. What is written
goes into a config (docs/synthesis.md).
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kinemesh.body.kinematics import JointKinematics
from kinemesh.body.skeleton import H36M_JOINT_NAMES, MM_PER_M
from kinemesh.data.folders import SPLITS, read_content
from kinemesh.errors import UserError, fail
from kinemesh.files.writing import write_text_atomically
from kinemesh.machine.log import set_up_console
from kinemesh.prepare.datasets.keypoints import see
from kinemesh.prepare.datasets.sequences import PreparedSequence, numbers
from kinemesh.prepare.motions.sequences import Bodies
from kinemesh.program.flags.parser import command_parser
from kinemesh.synthesis.calibration import calibrated, errors_by_confidence

logger = logging.getLogger(__name__)

_WHAT = "a dataset with detected keypoints, bodies and cameras, as `kinemesh prepare` writes it"
_ROWS = {"joint_2d": (17, 2), "confidence": (17,), "smpl_pose": (72,), "smpl_shape": (10,), "trans": (3,), "K": (3, 3)}
_MOST_FRAMES = 20_000  # evenly spaced ones of more
# Of most detectors these are made of others, and so are their confidences.
_JOINTS = [
    joint for joint, name in enumerate(H36M_JOINT_NAMES) if name not in ("pelvis", "spine", "thorax", "head_top")
]
_FARTHEST_M = 0.5  # farther off is somebody else
_FEWEST = 1000
_BORDERS = tuple(np.linspace(0, 1, 11).round(1))


def run(argv: Sequence[str]) -> None:
    """What the command does. Raises `UserError` for what the user has to fix."""
    parser = command_parser("kinemesh calibrate", __doc__)
    add = parser.add_argument
    add("file", type=Path, metavar="FILE", help="a folder, or a pickle")
    add("--split", choices=SPLITS, help="train, or where that is empty test (default)")
    add("--data_root", type=Path, default=Path("data/mesh"), metavar="DIR", help="SMPL's files (%(default)s)")
    add("--stand_in", action="store_true", help="the bodies are those of the body that comes with the program")
    add("--out", type=Path, metavar="FILE", help="where the numbers are written, as YAML")
    arguments = parser.parse_args(argv)
    set_up_console()
    if arguments.out is not None and arguments.out.exists():
        raise UserError(f"{arguments.out} is there already. Remove it, or name another.")
    bodies = Bodies(None if arguments.stand_in else arguments.data_root)
    error_m, confidence = _detections(arguments.file, arguments.split, bodies)
    is_own = error_m <= _FARTHEST_M
    if is_own.sum() < _FEWEST or np.ptp(confidence[is_own]) < 0.01:
        fail(arguments.file, f"has {is_own.sum()} keypoints near the bodies, or one confidence for all", _WHAT)
    lines = [f"{'confidence':>12}{'keypoints':>11}{'mean mm':>9}{'median mm':>11}"]
    for part in errors_by_confidence(confidence[is_own], error_m[is_own], _BORDERS):
        mean, median = MM_PER_M * part.mean, MM_PER_M * part.median
        lines.append(f"{part.low:>5.1f} to {part.high:.1f}{part.count:>12,}{mean:>9.1f}{median:>11.1f}")
    solved = calibrated(error_m[is_own], confidence[is_own])
    said = ", ".join(f"{name}: {value:.5g}" for name, value in solved.items())
    text = f"recipe:\n  noise: {{{said}}}\n"
    logger.info("%s", "\n".join(lines))
    if not is_own.all():
        logger.info("%d keypoints more than %g m off were left out", (~is_own).sum(), _FARTHEST_M)
    logger.info("\n%s", text.rstrip())
    if arguments.out is not None:
        write_text_atomically(arguments.out, f"# Of {arguments.file.name} (kinemesh calibrate).\n{text}")
        logger.info("written to %s; it goes into a config", arguments.out)


def _detections(path: Path, name: str | None, bodies: Bodies) -> tuple[np.ndarray, np.ndarray]:
    """Errors (N,) in m and confidences (N,) of all joints that were detected by themselves."""
    content, _ = read_content(path, _WHAT)
    name = name or next((each for each in SPLITS if _count(content.get(each))), SPLITS[0])
    split, count = content.get(name), _count(content.get(name))
    if not count:
        fail(path, f"has no {name} split with keypoints", _WHAT)
    rows = np.linspace(0, count - 1, min(count, _MOST_FRAMES)).astype(int)
    few = {
        key: values[rows] for key in _ROWS if isinstance(values := split.get(key), np.ndarray) and len(values) == count
    }
    held = {key: numbers(path, few, key, (len(rows), *shape)) for key, shape in _ROWS.items()}
    sequence = PreparedSequence(
        name, rows, np.ones(2), held["K"], held["smpl_pose"], held["smpl_shape"], held["trans"], name
    )  # fmt: skip
    seen = see(sequence, JointKinematics(bodies.assets, dtype=torch.float64))
    error_m = np.linalg.norm(held["joint_2d"] - seen.px, axis=-1) / seen.px_per_m
    is_found = held["confidence"][:, _JOINTS] > 0
    return error_m[:, _JOINTS][is_found], held["confidence"][:, _JOINTS][is_found].clip(0, 1)


def _count(split: Any) -> int:
    """Frames with keypoints."""
    keypoints = split.get("joint_2d") if isinstance(split, dict) else None
    return len(keypoints) if isinstance(keypoints, np.ndarray) and keypoints.ndim else 0
