"""Named evaluation protocols: what exactly a figure such as MPJPE was computed from.

The same bodies score centimetres apart under the protocols of different papers. A protocol says which joints are
scored, relative to what, on which frames, and how the two halves of a flip test become one body. docs/protocols.md
holds the table with the sources.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from kinemesh.body.skeleton import EVALUATED_JOINTS, H36M_HIPS, H36M_JOINT_NAMES, H36M_ROOT, SMPL_JOINT_NAMES
from kinemesh.errors import UserError
from kinemesh.structures import BodyMesh

# Points that bodies are moved to before they are compared; "origin": not moved, both stand at the model's own origin.
Root = Literal["joint_0", "mid_hip", "smpl_joint_0", "smpl_root", "origin"]
ClipRule = Literal["released", "all_frames"]
Flip = Literal["released", "rotations", "none"]


@dataclass(frozen=True)
class Protocol:
    """One way to score; `source` is where it was read."""

    name: str
    joints: Literal["h36m", "smpl"]  # 14 of the 17 regressed joints, or the 24 that the body turns
    joint_root: Root  # MPJPE, acceleration and jitter relative to it
    vertex_root: Root  # MPVE relative to it
    clips: ClipRule
    flip: Flip
    source: str
    scores_17_joints: bool = False  # also the released code's figures over all 17 joints
    skips_video_ends: bool = False  # accelerations that need a video's first or last frame do not count
    acceleration: Literal["accel_error", "accel_error_m_s2"] = "accel_error"  # which its papers report

    def clip_rule(self, eval_clips: ClipRule) -> ClipRule:
        """Which clips it is scored on; `eval_clips: all_frames` in the config overrules the released clips."""
        return "all_frames" if eval_clips == "all_frames" else self.clips

    @property
    def joint_names(self) -> tuple[str, ...]:
        """Names of all joints that have an error of their own."""
        return H36M_JOINT_NAMES if self.joints == "h36m" else SMPL_JOINT_NAMES

    @property
    def evaluated(self) -> tuple[int, ...]:
        """The joints that MPJPE and the others are means over."""
        return EVALUATED_JOINTS if self.joints == "h36m" else tuple(range(len(SMPL_JOINT_NAMES)))

    def joints_mm(self, mesh: BodyMesh) -> Tensor:
        """(..., joints, 3) of the protocol's kind, relative to its root."""
        joints = mesh.joints_mm if self.joints == "h36m" else mesh.smpl_joints_mm
        return joints - root_mm(mesh, self.joint_root)[..., None, :]

    def vertex_shift_mm(self, pred: BodyMesh, target: BodyMesh) -> Tensor | None:
        """What to take from `pred - target` of vertices (..., 3); None: nothing."""
        if self.vertex_root == "origin":
            return None
        return root_mm(pred, self.vertex_root) - root_mm(target, self.vertex_root)


DEFAULT = "motionbert"
PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            DEFAULT, "h36m", "joint_0", "joint_0", "released", "released",
            "MotionBERT: train_mesh.py, lib/kinemesh/utils/utils_mesh.py, lib/kinemesh/data/dataset_mesh.py", scores_17_joints=True,
        ),
        Protocol(
            "vibe_tcmr", "h36m", "mid_hip", "origin", "all_frames", "none",
            "VIBE: lib/kinemesh/core/evaluate.py; TCMR: evaluate.py; lib/kinemesh/utils/eval_utils.py of both",
        ),
        Protocol(
            "wham", "h36m", "mid_hip", "mid_hip", "all_frames", "rotations",
            "WHAM: lib/kinemesh/eval/evaluate_3dpw.py, lib/kinemesh/eval/eval_utils.py, lib/kinemesh/utils/imutils.py", skips_video_ends=True, acceleration="accel_error_m_s2",
        ),
        Protocol(
            "pmce", "h36m", "joint_0", "smpl_root", "all_frames", "none", "PMCE: data/PW3D/dataset.py",
        ),
        Protocol(
            "smpl24", "smpl", "smpl_joint_0", "smpl_joint_0", "all_frames", "rotations",
            "this project's, for systems that report SMPL's own joints",
        ),
    )
}  # fmt: skip


def choose_protocols(names: Iterable[str]) -> list[Protocol]:
    """The protocols of these names, each once, the released one where none is named. Raises UserError."""
    chosen = dict.fromkeys(names) or {DEFAULT: None}
    for name in chosen:
        if name not in PROTOCOLS:
            raise UserError(f"--protocol {name}: expected one of {', '.join(PROTOCOLS)} (see docs/protocols.md).")
    return [PROTOCOLS[name] for name in chosen]


def root_mm(mesh: BodyMesh, root: Root) -> Tensor:
    """(..., 3) the point of a body that `root` names."""
    if root == "joint_0":
        return mesh.joints_mm[..., H36M_ROOT, :]
    if root == "mid_hip":
        right, left = H36M_HIPS
        return (mesh.joints_mm[..., right, :] + mesh.joints_mm[..., left, :]) / 2
    if root == "smpl_joint_0":
        return mesh.smpl_joints_mm[..., 0, :]
    if root == "smpl_root":
        return mesh.smpl_root_mm[..., 0, :]
    raise ValueError(f"no point is named {root}")


def by_clip_rule(protocols: Iterable[Protocol], eval_clips: ClipRule) -> dict[ClipRule, list[Protocol]]:
    """The protocols by the clips that they are scored on, with `eval_clips` in the config."""
    found: dict[ClipRule, list[Protocol]] = {}
    for protocol in protocols:
        found.setdefault(protocol.clip_rule(eval_clips), []).append(protocol)
    return found
