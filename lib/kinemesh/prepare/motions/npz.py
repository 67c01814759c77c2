"""Files of SMPL parameters as npz: a folder of anybody's, and AMASS in its two releases.

AMASS's layouts, of which only the numbers that are read here: SMPL+H G `<Dataset>/<subject>/<name>_poses.npz`, `poses`
(F, 156) = root 3, body 63, hands 90, `betas` (16), `mocap_framerate`; SMPL-X `<name>_stageii.npz`, `poses` (F, 165) = root,
body 63, jaw, eyes 6, hands 90, `mocap_frame_rate`; both `trans` (F, 3) m with z up, and `gender`. Sources: the data set's
download page and Mahmood et al., AMASS, ICCV 2019; MotionBERT `tools/compress_amass.py`, WHAM `amass_utils.py`; for the
splits human_body_prior's README, for both releases' folder names MotionFix's and Naver's lists.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from kinemesh.body.params import turned
from kinemesh.body.skeleton import BETA_COUNT
from kinemesh.errors import UserError, fail
from kinemesh.estimates.systems.amass import LAYOUTS, PARTS, RATES, gender_of, read_arrays, with_parts_joined
from kinemesh.estimates.values import without_hands
from kinemesh.geometry.camera import UP_TURNS
from kinemesh.prepare.motions.sequences import (
    POSE_COUNT,
    UP_SAID,
    Bodies,
    Choices,
    NotAMotion,
    Sequence,
    checked,
    cut_at_gaps,
    neutral_shape,
    upward_axis,
)

_WHAT = "SMPL parameters"
# Published split -> its sets by the folder's name, with what the other release calls it behind it.
AMASS_SPLITS = {
    "val": "HumanEva MPI_HDM05=HDM05 SFU MPI_mosh=MoSh",
    "test": "Transitions_mocap=Transitions SSM_synced=SSM",
    "train": "CMU MPI_Limits=PosePrior TotalCapture Eyes_Japan_Dataset KIT BioMotionLab_NTroje=BMLrub=BML EKUT "
    "TCD_handMocap=TCDHands ACCAD BMLmovi BMLhandball DanceDB DFaust_67=DFaust",
}
_SETS = {
    names.split("=")[0]: (split, names.split("=")) for split, sets in AMASS_SPLITS.items() for names in sets.split()
}
# What AMASS's folders hold beside motions.
_NO_MOTION = re.compile(r"(^|_)(shape|stagei|calibration\w*|calib)$")


def find_npz(raw: Path) -> list[Path]:
    """Every npz below a folder, by name."""
    return sorted(path for path in raw.rglob("*.npz") if path.is_file() and not path.name.startswith("."))


def read_smpl_npz(path: Path, name: str, bodies: Bodies, choices: Choices) -> Iterator[Sequence]:
    """The motions of one file: one, or where frames are missing (`frame_ids`) one for each stretch without a gap.

    Keys: `poses` (F, 72) or (F, 24, 3), `trans` (F, 3), a rate; `betas` (10 or more) or one row a frame, `gender`. What
    `infer_wild_mesh.py` writes has `camera` too, and camera axes. Raises UserError, NotAMotion.
    """
    given = read_arrays(path, ("poses", "trans", "betas", "gender", "camera", "frame_ids"), _WHAT)
    poses = given.get("poses")
    if poses is None:
        raise NotAMotion("no 'poses' in it")
    if "trans" not in given or given["rate"] is None:
        lacking = f"a rate ({', '.join(RATES)})" if "trans" in given else "'trans'"
        fail(path, f"has poses without {lacking}", f"{_WHAT} with poses (F, 72), trans (F, 3) and a rate")
    if poses.ndim == 3 and poses.shape[1:] == (POSE_COUNT // 3, 3):
        poses = poses.reshape(len(poses), POSE_COUNT)
    if poses.ndim == 2 and poses.shape[1] in LAYOUTS:
        raise UserError(
            f"'poses' has {poses.shape[1]} numbers a frame, which is {LAYOUTS[poses.shape[1]]}: prepare amass."
        )
    betas, notes = given.get("betas"), []
    if betas is None:
        betas, notes = np.zeros(BETA_COUNT), ["no betas: mean shape"]
    elif betas.ndim == 2 and len(betas) == 1:
        betas = betas[0]
    elif betas.ndim == 2 and len(betas) == len(poses) and betas.dtype.kind == "f":
        betas, notes = np.median(betas, axis=0), ["betas of every frame: their median"]
    poses, trans_m, betas = checked(poses, given["trans"], betas, given["rate"])
    gender = gender_of(given.get("gender"))
    neutral, pelvis, said = neutral_shape(bodies, gender, betas, choices.betas)
    up = choices.up
    if up == "auto":
        up = "camera" if "camera" in given else upward_axis(poses, bodies.neutral.joints_m)
    poses, trans_m = turned(poses, trans_m, UP_TURNS[up], pelvis, bodies.neutral.rest_joints_m(neutral)[0])
    notes += [UP_SAID[up], said]
    whole = Sequence(name, poses, trans_m, neutral, given["rate"], gender=gender, notes=tuple(filter(None, notes)))
    frame_ids = given.get("frame_ids")
    if frame_ids is None or frame_ids.shape != (len(poses),) or frame_ids.dtype.kind not in "iu":
        frame_ids = np.arange(len(poses))
    yield from cut_at_gaps(whole, frame_ids.astype(np.int64))


def read_amass(path: Path, name: str, bodies: Bodies, choices: Choices) -> Iterator[Sequence]:
    """The motion of one file of AMASS. Raises UserError; NotAMotion for what its folders hold beside motions."""
    if _NO_MOTION.search(path.stem.lower()):
        raise NotAMotion("a shape or a calibration, no motion")
    given = read_arrays(path, ("poses", "trans", "betas", "gender", *PARTS), _WHAT)
    if not {"trans", "betas"} <= given.keys() or given["rate"] is None:
        raise NotAMotion("no trans, betas or rate in it")
    poses, layout = with_parts_joined(given) or (None, "")
    if layout not in LAYOUTS.values():
        shape = given["poses"].shape if "poses" in given else None
        raise UserError(f"'poses' {shape}: expected (F, 156) as AMASS's SMPL+H has, or (F, 165) as its SMPL-X.")
    poses, trans_m, betas = checked(without_hands(poses), given["trans"], given["betas"].reshape(-1), given["rate"])
    gender, notes = gender_of(given.get("gender")), ["hands dropped"]
    if layout == "SMPL-X":
        # Of another shape space; its pelvis is elsewhere at rest, by the same way in every frame.
        neutral, pelvis, said = neutral_shape(bodies, "neutral", np.zeros(BETA_COUNT), "mean")
        said = "SMPL-X's betas are not SMPL's: mean shape"
    else:
        neutral, pelvis, said = neutral_shape(bodies, gender, betas, choices.betas)
        notes.append("betas 11 to 16 dropped")
    up = "z" if choices.up == "auto" else choices.up
    poses, trans_m = turned(poses, trans_m, UP_TURNS[up], pelvis, bodies.neutral.rest_joints_m(neutral)[0])
    notes += [layout, said, UP_SAID[up]]
    dataset, subject, split = _place_in_amass(name)
    yield Sequence(
        name, poses, trans_m, neutral, given["rate"], f"{dataset}/{subject}".strip("/"), split, gender,
        tuple(filter(None, (*notes, "" if split else "of no published split"))),
    )  # fmt: skip


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


_SET_OF = {_plain(alias): name for name, (_, aliases) in _SETS.items() for alias in aliases}


def _place_in_amass(name: str) -> tuple[str, str, str]:
    """Dataset, subject and published split by the folders in a sequence's name."""
    folders = name.split("/")[:-1]
    for place, folder in enumerate(folders):
        if _plain(folder) in _SET_OF:
            return folder, "/".join(folders[place + 1 :]), _SETS[_SET_OF[_plain(folder)]][0]
    return (folders[0], "/".join(folders[1:]), "") if folders else ("", "", "")


def amass_sets_missing(folders: Iterable[str]) -> list[str]:
    """Of the sets of AMASS's published splits those of which no folder is, by the first release's names."""
    found = {_SET_OF.get(_plain(folder)) for folder in folders}
    return [f"{name} ({split})" for name, (split, _) in _SETS.items() if name not in found]
