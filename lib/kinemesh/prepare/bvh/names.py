"""Which joint of a BVH skeleton is which of SMPL's, by the names that programs give them.

Sources: the skeletons of CMU's motions in Hahne's conversion (cgspeed), Adobe Mixamo, Autodesk HumanIK and Biped, LAFAN1
(Ubisoft), Xsens MVN Animate, Rokoko Studio (its Blender plugin's list of bones), Biovision, SOMA (BONES-SEED), VRM.
"""

import re
from collections.abc import Mapping

from kinemesh.body.skeleton import SIDES, SMPL_JOINT_NAMES
from kinemesh.errors import UserError
from kinemesh.prepare.bvh.text import Bvh

# Namespaces, and what Biped puts in front of everything.
_PREFIX = re.compile(r"^(.*[:|])?((mixamorig\d*|bip0*1|character\d*|model|robot|skeleton\d*|def|valvebiped)[_ ]+)?")
# For a side's joints of SMPL, in this order, what each family of programs calls them, without the side; most have no hand.
# A name may mean another joint in another family, so one family has to fit as a whole.
_JOINTS = ("hip", "knee", "ankle", "foot", "collar", "shoulder", "elbow", "wrist", "hand")
_FAMILIES = {
    "SMPL": _JOINTS,
    "Mixamo, CMU, LAFAN1, HumanIK": ("upleg", "leg", "foot", "toebase toe", "shoulder", "arm", "forearm", "hand"),
    "Rokoko, Blender": ("thigh upleg", "shin", "foot", "toe toebase", "shoulder", "arm upperarm", "forearm", "hand"),
    "Xsens": ("hip", "knee", "ankle", "toe", "collar", "shoulder", "elbow", "wrist"),
    "Biovision": ("upleg hip", "lowleg knee", "foot ankle", "toe", "collar", "uparm shoulder", "lowarm elbow", "hand wrist"),
    "SOMA": ("leg", "shin", "foot", "toebase", "shoulder", "arm", "forearm", "hand"),
    "Biped": ("thigh", "calf", "foot", "toe0 toe", "clavicle", "upperarm", "forearm", "hand"),
    "VRM, Unity": ("upperleg", "lowerleg", "foot", "toes toebase toe", "shoulder", "upperarm", "lowerarm", "hand"),
}  # fmt: skip
_PELVIS = ("hips", "pelvis", "hip")
_HEAD = ("head",)
_NEEDED = ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
_SPINE = ("spine1", "spine2", "spine3")


def plain_name(name: str) -> str:
    """In lower case, without namespace and separators, the side in front: `mixamorig:LeftUpLeg`, `upleg.L` -> leftupleg."""
    name = _PREFIX.sub("", name.lower().strip())
    for side in SIDES:
        letter = side[0]
        name = re.sub(rf"^{letter}[_. -](.+)$", rf"{side}\1", name)
        name = re.sub(rf"^(.+)[_. -]{letter}$", rf"{side}\1", name)
        name = re.sub(rf"^(.+)[_. -]?{side}$", rf"{side}\1", name)
    return re.sub(r"[^a-z0-9]", "", name)


def match_joints(bvh: Bvh, given: Mapping[str, str] | None = None) -> tuple[dict[int, int], str]:
    """SMPL's joint number -> the file's, and which family of names it was.

    `given` maps SMPL's joint names to the file's and goes first. The spine and the neck are found by the tree: what lies
    between the hips and where the arms part, and from there to the head. Raises UserError if no family has what is needed.
    """
    named = {SMPL_JOINT_NAMES.index(joint): _place(bvh, name) for joint, name in (given or {}).items()}
    plain: dict[str, int] = {}
    for place, name in enumerate(bvh.names):
        plain.setdefault(plain_name(name), place)
    candidates = {family: _of_family(words, plain) | named for family, words in _FAMILIES.items()}
    family = max(candidates, key=lambda name: len(candidates[name]))
    matched = candidates[family]
    needed = ["pelvis", "head", *(f"{side}_{joint}" for side in SIDES for joint in _NEEDED)]
    missing = [joint for joint in needed if SMPL_JOINT_NAMES.index(joint) not in matched]
    if missing:
        raise UserError(
            f"no joint is known to be SMPL's {', '.join(missing[:6])} among {', '.join(bvh.names)[:300]}. "
            "Say which in a file for --names, one line each, as left_hip: LeftUpLeg."
        )
    for joint, place in _trunk(bvh, matched).items():
        matched.setdefault(joint, place)
    if len(set(matched.values())) < len(matched):
        raise UserError("one joint of the file stands for two of SMPL's. Give each its own in a file for --names.")
    return matched, family


def _place(bvh: Bvh, name: str) -> int:
    if name not in bvh.names:
        raise UserError(f"--names: no joint {name[:80]!r}, only {', '.join(bvh.names)[:300]}. Give a name of the file.")
    return bvh.names.index(name)


def _of_family(words: tuple[str, ...], plain: dict[str, int]) -> dict[int, int]:
    found = {}
    for joint, names in zip(_JOINTS, words, strict=False):
        for side in SIDES:
            spelled = [f"{start}{name}" for name in names.split() for start in (side, side[0])]
            place = next((plain[name] for name in spelled if name in plain), None)
            if place is not None:
                found[SMPL_JOINT_NAMES.index(f"{side}_{joint}")] = place
    for joint, names in {"pelvis": _PELVIS, "head": _HEAD}.items():
        place = next((plain[name] for name in names if name in plain), None)
        if place is not None:
            found[SMPL_JOINT_NAMES.index(joint)] = place
    return found


def _trunk(bvh: Bvh, matched: dict[int, int]) -> dict[int, int]:
    """Spine and neck by their place in the tree."""

    def above(place: int) -> list[int]:
        chain = []
        while place >= 0:
            chain.append(place)
            place = bvh.parents[place]
        return chain

    number = SMPL_JOINT_NAMES.index
    pelvis, head = matched[number("pelvis")], matched[number("head")]
    arms = [above(matched[number(f"{side}_shoulder")]) for side in SIDES]
    top = next(place for place in arms[0] if place in arms[1])
    to_head, to_chest = above(head), above(top)
    found = {}
    if pelvis in to_chest:
        spine = to_chest[: to_chest.index(pelvis)][::-1]
        chosen = [
            spine[-1:],
            spine[:1] + spine[-1:],
            spine[:1] + spine[len(spine) // 2 : len(spine) // 2 + 1] + spine[-1:],
        ]
        places = chosen[min(len(spine), 3) - 1] if spine else []
        joints = {1: _SPINE[2:], 2: (_SPINE[0], _SPINE[2]), 3: _SPINE}.get(len(places), ())
        found = {number(joint): place for joint, place in zip(joints, places, strict=True)}
    if top in to_head and to_head.index(top) > 1:
        found[number("neck")] = to_head[to_head.index(top) - 1]
    return found
