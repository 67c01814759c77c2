"""Files of motion, and what `kinemesh prepare` does with one."""

import contextlib
import io
from functools import cache
from pathlib import Path

import numpy as np

from kinemesh.body.skeleton import SMPL_JOINT_NAMES, SMPL_PARENTS
from kinemesh.demo.splits import StandIn
from kinemesh.prepare.bvh.reading import read_motion
from kinemesh.prepare.motions.npz import read_amass as read_motions_of_amass
from kinemesh.prepare.motions.sequences import Bodies, Choices, NotAMotion

_FRAMES = 4


@cache
def _bodies() -> Bodies:
    return Bodies(None)


def bvh_files() -> list[bytes]:
    """SMPL's skeleton in metres, and the same with bones that do not stand, in centimetres."""
    joints = StandIn().rest_joints_m
    offsets = joints - joints[list(SMPL_PARENTS)]
    lying = np.zeros_like(offsets)
    lying[:, 0] = 100 * np.linalg.norm(offsets, axis=1)
    return [_bvh(offsets), _bvh(lying)]


def _bvh(offsets: np.ndarray) -> bytes:
    lines = ["HIERARCHY"]

    def add(joint: int) -> None:
        channels = (
            "3 Zrotation Xrotation Yrotation"
            if joint
            else "6 Xposition Yposition Zposition Zrotation Xrotation Yrotation"
        )
        lines.extend([f"{'JOINT' if joint else 'ROOT'} {SMPL_JOINT_NAMES[joint]}", "{", f"CHANNELS {channels}"])
        lines.append("OFFSET " + " ".join(f"{value:.4f}" for value in offsets[joint]))
        for child, parent in enumerate(SMPL_PARENTS):
            if parent == joint:
                add(child)
        lines.append("}")

    add(0)
    values = np.random.default_rng(0).normal(0, 20, (_FRAMES, 75))
    lines += ["MOTION", f"Frames: {_FRAMES}", "Frame Time: 0.0333"]
    lines += [" ".join(f"{value:.2f}" for value in row) for row in values]
    return "\n".join(lines).encode()


def read_bvh(path: Path) -> None:
    """As the command does, which way up being told: of spoiled bodies it is often not known."""
    with contextlib.suppress(NotAMotion):
        read_motion(path, "motion", _bodies(), Choices(up="y"))


def amass_files() -> list[bytes]:
    """Both releases' layouts."""
    rng = np.random.default_rng(0)
    shared = {"trans": rng.normal(0, 1, (_FRAMES, 3)), "betas": rng.normal(0, 1, 16), "gender": np.array("neutral")}
    files = []
    for width, rate in ((156, "mocap_framerate"), (165, "mocap_frame_rate")):
        buffer = io.BytesIO()
        np.savez(buffer, poses=rng.normal(0, 0.5, (_FRAMES, width)), **shared, **{rate: np.array(120.0)})
        files.append(buffer.getvalue())
    return files


def read_amass(path: Path) -> None:
    """As the command does."""
    with contextlib.suppress(NotAMotion):
        list(read_motions_of_amass(path, "AMASS/CMU/01/walk", _bodies(), Choices()))
