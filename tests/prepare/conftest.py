"""A made-up motion whose joints are known, bodies to prepare it for, and a writer of BVH files of any skeleton."""

import pickle
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from kinemesh.body.chain import joint_positions
from kinemesh.body.params import axis_angle_from_rotations, rotations_from_axis_angle
from kinemesh.demo.body import write_body_files
from kinemesh.motion.motion import make_motion
from kinemesh.prepare.motions.sequences import Bodies, RestBody

BETAS = np.array([0.8, -1.2, 0.4, 0.5, -0.3, 0.2, 1.1, -0.6, 0.1, 0.7])
FPS, FRAME_COUNT = 60.0, 90
Y_TO_Z = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
# Of the female stand-in: a shape of the neutral one, and elsewhere in its own axes.
FEMALE_SHAPE, FEMALE_SHIFT_M = np.array([-1.0, 0.5, 0, 0, 0.8, 0, 0, 0, 0, 0.3]), np.array([0.02, -0.05, 0.03])


class Truth(NamedTuple):
    """One person, y up, who walks and dances."""

    rotations: np.ndarray  # (F, 24, 3, 3), hands as the wrists
    root_m: np.ndarray  # (F, 3) the path, to be added to posed joints

    def joints_m(self, rest_joints_m: np.ndarray) -> np.ndarray:
        """(F, 24, 3) of a body with these rest joints."""
        return joint_positions(self.rotations, rest_joints_m)[0] + self.root_m[:, None]

    @property
    def poses(self) -> np.ndarray:
        return axis_angle_from_rotations(torch.from_numpy(self.rotations)).numpy()

    def turned(self, turn: np.ndarray, rest_joints_m: np.ndarray) -> "Truth":
        """The same person in turned axes, about the world's origin."""
        rotations = self.rotations.copy()
        rotations[:, 0] = turn @ rotations[:, 0]
        return Truth(rotations, (self.root_m + rest_joints_m[0]) @ turn.T - rest_joints_m[0])


@pytest.fixture(scope="session")
def bodies(tmp_path_factory) -> Bodies:
    """The stand-in as the neutral body, and another shape of it as the female one."""
    folder = tmp_path_factory.mktemp("bodies")
    write_body_files(folder)
    content = pickle.loads((folder / "SMPL_NEUTRAL.pkl").read_bytes())
    content["v_template"] = content["v_template"] + content["shapedirs"] @ FEMALE_SHAPE + FEMALE_SHIFT_M
    (folder / "SMPL_FEMALE.pkl").write_bytes(pickle.dumps(content, protocol=2))
    return Bodies(folder)


@pytest.fixture(scope="session")
def body(bodies) -> RestBody:
    return bodies.neutral


@pytest.fixture(scope="session")
def truth(body) -> Truth:
    motion = make_motion(np.random.default_rng(3), ["dance"], FRAME_COUNT, FPS, body.rest_joints_m(BETAS)[None])
    rotations = motion.rotations[0].copy()
    rotations[:, 22:] = np.eye(3)
    return Truth(rotations, motion.root_m[0])


def joints_of(sequence, body: RestBody) -> np.ndarray:
    """(F, 24, 3) m of a prepared sequence, or of a recorded motion."""
    rotations = rotations_from_axis_angle(torch.from_numpy(np.array(sequence.poses, dtype=np.float64))).numpy()
    rest = body.rest_joints_m(np.asarray(sequence.betas, dtype=np.float64))
    return joint_positions(rotations, rest)[0] + np.asarray(sequence.trans_m)[:, None]


class Skeleton(NamedTuple):
    """A BVH skeleton in its own unit; parents come before their children."""

    names: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: np.ndarray  # (n, 3)


def bvh_file(
    path: Path,
    skeleton: Skeleton,
    local: np.ndarray,
    root: np.ndarray,
    *,
    order: str = "ZXY",
    at_rest_first: bool = False,
    positions: str = "root",
) -> Path:
    """Write local rotations (F, n, 3, 3) and the root's path (F, 3), as Meredith and Maddock (2001) describe the format.

    `positions`: only the root has position channels, or every joint has, which repeat its OFFSET or are 0 (`copies`,
    `zeros`); some programs write the one, some the other.
    """
    lines, sequence = ["HIERARCHY"], []
    rotations = " ".join(f"{axis}rotation" for axis in order)
    six, three = f"6 Xposition Yposition Zposition {rotations}", f"3 {rotations}"

    def add(joint: int, indent: str) -> None:
        is_root = skeleton.parents[joint] < 0
        sequence.append(joint)
        offset = " ".join(f"{value:.6f}" for value in skeleton.offsets[joint] * (not is_root))
        lines.extend((f"{indent}{'ROOT' if is_root else 'JOINT'} {skeleton.names[joint]}", indent + "{"))
        lines.append(f"{indent}\tOFFSET {offset}")
        lines.append(f"{indent}\tCHANNELS {six if is_root or positions != 'root' else three}")
        below = [child for child, parent in enumerate(skeleton.parents) if parent == joint]
        for child in below:
            add(child, indent + "\t")
        if not below:
            lines.extend((f"{indent}\tEnd Site", f"{indent}\t{{", f"{indent}\t\tOFFSET 0 0 1", f"{indent}\t}}"))
        lines.append(indent + "}")

    add(0, "")
    if at_rest_first:
        local, root = np.concatenate([np.eye(3)[None, None] + 0 * local[:1], local]), np.concatenate([root[:1], root])
    angles = Rotation.from_matrix(local.reshape(-1, 3, 3)).as_euler(order, degrees=True).reshape(*local.shape[:2], 3)
    places = np.tile(skeleton.offsets * (positions == "copies"), (len(local), 1, 1))
    places[:, 0] = root
    values = np.concatenate([places, angles], axis=2)[:, sequence].reshape(len(local), -1)
    if positions == "root":
        values = np.concatenate([root, angles[:, sequence].reshape(len(local), -1)], axis=1)
    lines += ["MOTION", f"Frames: {len(values)}", f"Frame Time: {1 / FPS:.6f}"]
    path.write_text("\n".join([*lines, *(" ".join(f"{value:.6f}" for value in row) for row in values)]) + "\n")
    return path
