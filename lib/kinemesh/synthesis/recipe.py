"""Every number that synthesis draws by, and where it is from; docs/synthesis.md has them as a table.

Sources: WHAM (Shin et al., CVPR 2024) and GVHMR (Shen et al., SIGGRAPH Asia 2024) by their augmentation code, MotionBERT
(Zhu et al., ICCV 2023) by its pretraining code and parameter files. "Assumed" is a range of this project's.

A pair is a range, drawn evenly, or evenly in the logarithm where said. Errors are metres at the person's depth: pixels
follow from focal length and depth, so that somebody small in the picture errs by few of them. MotionBERT's own unit
is 1 / 0.298 m (`ERROR_UNIT_PER_M`).
"""

import difflib
import math
from collections.abc import Mapping
from typing import NamedTuple, TypeVar

from kinemesh.errors import UserError
from kinemesh.files.yaml import number_in, shown

ERROR_UNIT_PER_M = 0.298  # MotionBERT scales AMASS by this
Range = tuple[float, float]


class CameraRecipe(NamedTuple):
    """Where cameras stand and how they move; assumed unless a source is named."""

    aspect: Range = (9 / 21, 21 / 9)  # width / height, in the logarithm
    longer_side_px: Range = (480, 1920)  # in the logarithm
    focal_35mm: Range = (24.0, 100.0)  # mm, in the logarithm
    yaw_deg: Range = (-180.0, 180.0)  # WHAM
    pitch_deg: Range = (-25.0, 45.0)  # looking down is positive; WHAM: normal, mean 5, std 22.5
    roll_std_deg: float = 3.0  # WHAM: 7.5
    stature_m: float = 1.7
    stature_share: Range = (0.25, 0.95)  # of the picture's height that somebody standing would fill, in the logarithm
    close_chance: float = 0.15  # of a camera so near, and pointed so carelessly, that the border cuts people off
    close_stature_share: Range = (0.95, 2.0)
    nearest_m: float = 0.5  # no joint comes nearer; WHAM
    kinds: tuple[float, float, float] = (0.4, 0.3, 0.3)  # chances of a tripod, a hand, walking along
    pan_share: Range = (0.0, 1.0)  # of the person's way that a held camera turns after
    follow_share: Range = (0.6, 1.0)  # of the person's way that who walks along walks too
    reaction_s: float = 0.3  # by this much smoother than the person
    shake_deg: Range = (0.2, 2.0)  # std, about each axis
    sway_m: Range = (0.01, 0.05)  # std, along each axis
    shake_s: Range = (0.15, 1.0)  # time constant, in the logarithm
    orbit_deg_per_s: float = 12.0  # std; WHAM: 45 degrees in 81 frames at 30 a second, 0.75 of the clips


class NoiseRecipe(NamedTuple):
    """What a detector makes of true keypoints."""

    # Std in m of what drifts, by joint: MotionBERT's `synthetic_noise.pth`, mean of x and y, over 0.298. Knee and elbow
    # are assumed to lie between their neighbours, spine and thorax between pelvis and shoulder.
    drift_m: tuple[tuple[str, float], ...] = (
        ("pelvis", 0.012), ("hip", 0.020), ("knee", 0.025), ("ankle", 0.025), ("spine", 0.016), ("thorax", 0.018),
        ("nose", 0.012), ("head_top", 0.012), ("shoulder", 0.025), ("elbow", 0.021), ("wrist", 0.018),
    )  # fmt: skip
    drift_s: Range = (0.05, 0.5)  # time constant, in the logarithm; MotionBERT: key frames 0.15 s apart
    bias_share: float = (
        0.5  # std of what stays for the clip, in parts of the drift's; WHAM has both, its vectors differ
    )
    jitter_m: float = 0.0067  # std, frame by frame: MotionBERT's 0.002
    level: Range = (0.4, 1.6)  # of a clip: all of the above times this, in the logarithm; assumed
    peak_chance: float = 0.005  # a joint and frame; WHAM
    peak_m: Range = (0.05, 0.3)  # WHAM: up to 0.3
    # Confidence a / (d + a) + b d + N(m, s) of error d in MotionBERT's unit, clipped: its `d2c_params.pkl`.
    confidence_a: float = 0.028
    confidence_b: float = 1.1
    confidence_mean: float = -0.004586
    confidence_std: float = 0.14311
    confidence_s: float = 0.15  # a fifth of s changes by frame, the rest at this time constant; assumed
    sure_chance: float = 0.1  # of a clip whose file has no confidences: all 1 where a joint is found; assumed
    drop_chance: float = 0.03  # a joint and frame, and then all of the limb beyond it; WHAM
    legs_gone_chance: float = 0.03  # a clip; GVHMR
    legs_gone_frames: tuple[int, int] = (30, 90)  # GVHMR
    swap_chance: float = 0.001  # that a run begins, a frame, of legs or arms; GVHMR
    swap_frames: tuple[int, int] = (1, 5)  # assumed
    occluder_chance: float = 0.2  # a clip, of a disc that moves with the picture; assumed, and so are the next five
    occluder_m: Range = (0.15, 0.5)  # radius
    occluder_s: Range = (0.2, 1.5)
    hidden_drop_chance: float = 0.6  # a clip, that hidden joints are dropped; else they are guessed
    hidden_guess: float = 4.0  # a guess errs by so many times the drift
    outside_drop_chance: float = 0.8  # a clip, that joints outside are dropped; else they are put at the border
    outside_confidence: float = 0.3  # of what they would have
    # Joint definitions (kinemesh.synthesis.definitions): a clip has one detector's, in this part, and habits of its own.
    definition_share: Range = (0.0, 1.25)
    definition_std_m: float = 0.008  # assumed


class Recipe(NamedTuple):
    """Everything."""

    camera: CameraRecipe = CameraRecipe()
    noise: NoiseRecipe = NoiseRecipe()
    speed: Range = (1 / 1.5, 1.5)  # in the logarithm; WHAM
    betas_std: float = 0.1  # added to a clip's; WHAM


DEFAULT = Recipe()
# What is scored, too, shows the frames that it is named after.
SCORED = Recipe(speed=(1.0, 1.0), betas_std=0.0)

# Numbers are as much as so many times as large as the default's, or as small, so that a clip never takes more memory.
_FARTHEST = 100.0
_ABOVE_0 = ("stature_m", "nearest_m", "reaction_s", "confidence_a", "confidence_s")
_Record = TypeVar("_Record", bound=NamedTuple)


def changed_recipe(recipe: _Record, values: Mapping[str, object], where: str = "recipe") -> _Record:
    """The recipe with some of its numbers as a config gives them, by name, those of camera and noise in mappings.

    Raises `UserError` for an unknown name (with the nearest), and a value that is not one of its kind.
    """
    known = recipe._asdict()
    changes = {}
    for name, value in values.items():
        if name not in known:
            near = difflib.get_close_matches(str(name)[:40], known, n=1)
            advice = f"Did you mean '{near[0]}'?" if near else f"Expected one of {', '.join(known)}."
            raise UserError(f"{where}: unknown name '{str(name)[:40]}'. {advice}")
        changes[name] = _changed(known[name], value, f"{where}: {name}")
    return recipe._replace(**changes)


def _changed(default: object, value: object, where: str) -> object:
    if isinstance(default, int | float):
        name = where.rpartition(" ")[2]
        most = 1 if name.endswith("_chance") else _FARTHEST * abs(default)
        least = default / _FARTHEST if name in _ABOVE_0 else -most if default < 0 else 0.0
        return _number(default, value, least, most, where)
    if hasattr(default, "_asdict") or isinstance(default[0], tuple):
        if not isinstance(value, Mapping):
            raise UserError(f"{where} is {shown(value)}, expected 'name: value' for some of its names.")
        if hasattr(default, "_asdict"):
            return changed_recipe(default, value, where)
        by_name = dict(default)
        for name, given in value.items():
            if name not in by_name:
                raise UserError(f"{where}: unknown joint '{str(name)[:40]}'. Expected one of {', '.join(by_name)}.")
            by_name[name] = _number(by_name[name], given, 0.0, _FARTHEST * by_name[name], f"{where}: {name}")
        return tuple(by_name.items())
    if not isinstance(value, list | tuple) or len(value) != len(default):
        raise UserError(f"{where} is {shown(value)}, expected {len(default)} numbers, such as {list(default)}.")
    are_chances = len(default) == 3
    most = 1.0 if are_chances else _FARTHEST * max(map(abs, default))
    # What is drawn in the logarithm is above 0.
    least = -most if default[0] < 0 else 0.0 if are_chances else default[0] / _FARTHEST
    numbers = tuple(_number(default[0], one, least, most, where) for one in value)
    if len(default) == 2 and numbers[0] > numbers[1]:
        raise UserError(f"{where} is {shown(value)}, expected the smaller number first.")
    if are_chances and not math.isclose(sum(numbers), 1.0, abs_tol=1e-6):
        raise UserError(f"{where} is {shown(value)}, expected chances that add up to 1.")
    return numbers


def _number(default: float, value: object, least: float, most: float, where: str) -> float:
    """The value, whole if the default is."""
    kind = "a whole number" if isinstance(default, int) else "a number"
    number = number_in(value)
    if number is None or not least <= number <= most or (isinstance(default, int) and number != int(number)):
        raise UserError(f"{where} is {shown(value)}, expected {kind}, {least:g} to {most:g}.")
    return type(default)(number)
