"""Motion beyond the everyday: sitting low, floor, crawling, climbing, kicks, flips, fast arms, turned any way.

The same kind of vocabulary as `kinemesh.motion.poses`, added to it, and what its kinds need besides: turns of the whole
person about every axis, wrists, head and chest that move apart from each other, and joint speeds within those published.
"""

import numpy as np

from kinemesh.body.skeleton import SIDES
from kinemesh.motion.anatomy import ANGLE_COUNT, ANGLE_INDEX, ANGLE_NAMES, rotation_matrices
from kinemesh.motion.poses import Kind, Ranges, both, one
from kinemesh.motion.signals import seconds, smooth_noise

LEGS: dict[str, Ranges] = {
    "pike": both(hip_flexion=(80, 125), knee_flexion=(25, 0), ankle_flexion=(0, -40)),
    "tuck_tight": both(hip_flexion=(95, 128), knee_flexion=(105, 148), hip_abduction=(0, 15), ankle_flexion=(0, -35)),
    "split_front": one("left", hip_flexion=(55, 105), knee_flexion=(20, 0), ankle_flexion=(0, -40))
    | one("right", hip_flexion=(-18, -35), knee_flexion=(25, 0), ankle_flexion=(0, -45)),
    "split_side": both(hip_abduction=(40, 69), hip_flexion=(0, 65), knee_flexion=(12, 0), hip_twist=(0, 35)),
    "scissor": one("left", hip_flexion=(20, 75), knee_flexion=(0, 25)) | one("right", hip_flexion=(5, -20)),
    "deep_squat": both(hip_flexion=(95, 126), knee_flexion=(120, 148), hip_abduction=(4, 35), hip_twist=(5, 40),
                       ankle_flexion=(8, 33)),
    "sit_low": both(hip_flexion=(85, 118), knee_flexion=(65, 125), hip_abduction=(0, 30), hip_twist=(-10, 30)),
    "figure_four": one("left", hip_flexion=(75, 100), hip_abduction=(10, 35), hip_twist=(25, 54), knee_flexion=(75, 120))
    | one("right", hip_flexion=(75, 95), knee_flexion=(70, 105)),
    "sit_aside": one("left", hip_flexion=(55, 95), hip_abduction=(10, 38), hip_twist=(20, 52), knee_flexion=(90, 140))
    | one("right", hip_flexion=(55, 90), hip_abduction=(6, -16), hip_twist=(-10, -36), knee_flexion=(90, 140)),
    "seiza": both(hip_flexion=(60, 98), knee_flexion=(128, 149), ankle_flexion=(-28, -48), hip_abduction=(0, 18)),
    "frog": both(hip_flexion=(40, 95), hip_abduction=(32, 66), hip_twist=(20, 52), knee_flexion=(60, 125)),
    "bear": both(hip_flexion=(65, 118), knee_flexion=(15, 65), ankle_flexion=(0, 30), hip_abduction=(0, 18)),
    "crawl_step": one("left", hip_flexion=(95, 126), knee_flexion=(85, 130), ankle_flexion=(-15, -45))
    | one("right", hip_flexion=(40, 78), knee_flexion=(50, 95), ankle_flexion=(-15, -45)),
    "low_crawl": one("left", hip_flexion=(30, 95), hip_abduction=(28, 62), hip_twist=(20, 52), knee_flexion=(55, 115))
    | one("right", hip_flexion=(-12, 12), knee_flexion=(0, 25), ankle_flexion=(-10, -40)),
    "bridge": both(hip_flexion=(0, -33), knee_flexion=(55, 108), ankle_flexion=(0, 20), hip_abduction=(0, 15)),
    "legs_up": both(hip_flexion=(70, 112), knee_flexion=(40, 0), hip_abduction=(0, 30)),
    "bicycle": one("left", hip_flexion=(60, 112), knee_flexion=(55, 120)) | one("right", hip_flexion=(0, 32)),
    "wall_high": one("left", hip_flexion=(85, 126), hip_abduction=(12, 52), hip_twist=(15, 52), knee_flexion=(80, 132))
    | one("right", hip_flexion=(-5, 35), hip_abduction=(0, 25), knee_flexion=(0, 40), ankle_flexion=(0, -35)),
    "wall_wide": both(hip_flexion=(20, 80), hip_abduction=(22, 56), hip_twist=(15, 52), knee_flexion=(35, 105)),
    "hurdle": one("left", hip_flexion=(75, 115), knee_flexion=(35, 0))
    | one("right", hip_flexion=(20, 80), hip_abduction=(35, 66), hip_twist=(-35, 20), knee_flexion=(85, 132)),
    "roundhouse": one("left", hip_flexion=(50, 108), hip_abduction=(30, 66), hip_twist=(5, -38), knee_flexion=(95, 0),
                      ankle_flexion=(0, -40)),
    "attitude": one("left", hip_flexion=(-8, -34), hip_abduction=(4, 36), hip_twist=(8, 52), knee_flexion=(35, 122)),
}  # fmt: skip
# Of the left arm, as there.
ARMS: dict[str, Ranges] = {
    "plant": {"shoulder_flexion": (135, 177), "shoulder_abduction": (-8, 25), "elbow_flexion": (30, 1),
              "wrist_flexion": (-25, -60), "collar_elevation": (4, 26)},
    "bar": {"shoulder_flexion": (115, 177), "shoulder_abduction": (0, 40), "elbow_flexion": (125, 1),
            "forearm_twist": (20, 75), "collar_elevation": (4, 28)},
    "hug_shins": {"shoulder_flexion": (25, 75), "shoulder_abduction": (-8, 18), "elbow_flexion": (25, 90)},
    "prop_back": {"shoulder_flexion": (-20, -58), "shoulder_abduction": (4, 38), "elbow_flexion": (45, 1),
                  "wrist_flexion": (-25, -60)},
    "wheel": {"shoulder_abduction": (105, 176), "shoulder_flexion": (-20, 30), "elbow_flexion": (30, 1),
              "collar_elevation": (4, 26)},
    "swing_wide": {"shoulder_abduction": (50, 120), "shoulder_flexion": (-8, -55), "elbow_flexion": (60, 3),
                   "shoulder_twist": (20, -90)},
    "uppercut": {"shoulder_flexion": (35, 115), "shoulder_abduction": (-10, 25), "elbow_flexion": (75, 125),
                 "forearm_twist": (-20, -78), "wrist_flexion": (0, 50)},
    "elbow_back": {"shoulder_flexion": (-15, -57), "shoulder_abduction": (5, 40), "elbow_flexion": (75, 145)},
    "stroke": {"shoulder_flexion": (15, 80), "shoulder_abduction": (0, 40), "elbow_flexion": (30, 115),
               "shoulder_twist": (30, 88), "wrist_flexion": (-30, 40)},
    "type": {"shoulder_flexion": (8, 45), "shoulder_abduction": (0, 25), "elbow_flexion": (65, 108),
             "shoulder_twist": (10, 62), "forearm_twist": (35, 79), "wrist_flexion": (-45, 25)},
    "palm_up": {"shoulder_flexion": (5, 75), "shoulder_abduction": (0, 60), "elbow_flexion": (20, 115),
                "forearm_twist": (-30, -79), "wrist_flexion": (-55, 25), "wrist_deviation": (-15, 25)},
    "lean_on": {"shoulder_flexion": (20, 85), "shoulder_abduction": (5, 70), "elbow_flexion": (75, 130),
                "shoulder_twist": (-30, 40), "wrist_flexion": (-58, 20)},
}  # fmt: skip
TRUNKS: dict[str, Ranges] = {
    "arched": {"trunk_flexion": (-12, -44), "pelvis_lean": (0, -18), "head_flexion": (0, -44)},
    "curled": {"trunk_flexion": (22, 78), "pelvis_lean": (-5, 30), "head_flexion": (8, 48)},
    "crunch": {"trunk_flexion": (10, 70), "pelvis_lean": (5, 92), "head_flexion": (0, 40)},
    "bent_aside": {"trunk_side": (12, 39), "trunk_twist": (-35, 35), "pelvis_side": (0, 28), "head_side": (-30, 30)},
    "twisted": {"trunk_twist": (20, 59), "pelvis_twist": (-15, 40), "head_twist": (-70, 70), "trunk_flexion": (-10, 30)},
    "dropped": {"trunk_flexion": (20, 78), "pelvis_lean": (35, 98), "head_flexion": (40, -35), "trunk_twist": (-25, 25)},
}  # fmt: skip

_TRUNK = "upright slouched forward side turned wound back bent_aside twisted curled"
_GRASP = "bar overhead overhead_front sideways plant across"
KINDS: dict[str, Kind] = {
    "lounge": Kind("sit sit_low figure_four sit_crossed sit_stretched", "*", _TRUNK, (0.5, 2.0), 0.2, 0.3),
    "sit_busy": Kind("sit sit_low figure_four", "*", _TRUNK, (0.14, 0.5), 0.5, 0.3),
    "sit_low_down": Kind("sit_floor sit_aside seiza sit_stretched frog deep_squat kneel", "lap prop_back table hug_shins forward "
                         "palm_up type lean_on hang_bent", _TRUNK, (0.6, 2.0), 0.2, 0.5),
    "squat_low": Kind("deep_squat squat half_squat stand", "forward hug_shins lean_on table down_forward palm_up folded",
                      "forward curled upright twisted dropped", (0.5, 1.4), 0.4, 0.6),
    "work_low": Kind("deep_squat seiza kneel kneel_one half_squat", "down_forward forward stroke type across overhead_front palm_up",
                     "dropped bowed forward twisted wound", (0.2, 1.0), 0.4, 0.3),
    "crawl_wide": Kind("crawl_step all_fours bear low_crawl", "support plant forward down_forward lean_on",
                       "flat_back arched curled wound twisted", (0.3, 1.0), 0.5, 0.1, recline=(50, 100)),
    "plank": Kind("lying bear crawl_step scissor", "support plant lean_on guard", "flat_back arched curled twisted", (0.3, 1.2), 0.6,
                  0.7, recline=(55, 95)),
    "lie_on_back": Kind("lying lying_bent legs_up bicycle frog bridge tuck_tight", "*", "upright twisted curled crunch bent_aside arched",
                        (0.4, 2.0), 0.3, 0.4, recline=(-105, -72), roll=(0, 40)),
    "lie_on_side": Kind("lying lying_bent tuck scissor frog", "*", "upright twisted curled bent_aside arched", (0.5, 2.0), 0.2, 0.2,
                        recline=(-100, -78), roll=(50, 130)),
    "lie_on_front": Kind("lying low_crawl frog attitude", "plant support lean_on goalpost folded hang sideways", "arched upright twisted",
                         (0.5, 2.0), 0.2, 0.5, recline=(75, 105), roll=(0, 35)),
    "roll_over": Kind("lying lying_bent tuck tuck_tight scissor", "*", "upright twisted curled arched", (0.4, 1.4), 0.1, 0.3,
                      recline=(-98, -80), spin="y", spin_deg=(90, 360), spin_s=(0.7, 2.0)),
    "sit_up": Kind("lying_bent legs_up lying_bent bicycle", "behind_head forward hug_shins across", "upright crunch upright crunch",
                   (0.4, 1.2), 0.9, 0.9, recline=(-98, -82)),
    "scale": Kind("wall_high wall_wide step_up deep_squat hurdle", _GRASP, "upright back side bent_aside twisted", (0.35, 1.1), 0.5, 0.0,
                  recline=(-25, 30)),
    "hang_from": Kind("tuck legs_up scissor stand pike crossed", "bar plant bar", "upright arched curled twisted", (0.4, 1.2), 0.6, 0.9,
                      recline=(-35, 35)),
    "kick_fast": Kind("roundhouse kick_front kick_high kick_side kick_back stand knee_up hurdle half_squat attitude",
                      "guard sideways hang_bent swing_wide elbow_back hook", "upright back side twisted bent_aside", (0.16, 0.5), 0.5, 0.2,
                      flight_m=0.08),
    "fight": Kind("half_squat stride wide fencing lunge roundhouse", "guard punch hook uppercut elbow_back swing_wide punch",
                  "turned wound forward twisted bent_aside curled", (0.12, 0.4), 0.4, 0.05),
    "arms_fast": Kind("stand half_squat wide stride one_side", "*", "upright turned wound twisted bent_aside", (0.1, 0.35), 0.5, 0.35),
    "hands_talk": Kind("stand one_side sit crossed sit_low", "palm_up type waving_low carry table lap uppercut forward lean_on",
                       "upright slouched turned forward", (0.12, 0.6), 0.4, 0.3),
    "leap_about": Kind("leap split_front split_side hurdle star tuck pike half_squat attitude", "*", "upright back side twisted arched",
                       (0.25, 0.7), 0.3, 0.5, flight_m=0.5),
    "turn_jump": Kind("stand tuck leap half_squat attitude crossed", "guard overhead sideways folded hip", "upright wound twisted",
                      (0.3, 0.8), 0.4, 0.6, flight_m=0.35, spin="y", spin_deg=(180, 540), spin_s=(0.45, 1.0)),
    "flip": Kind("tuck_tight tuck pike leap split_front stand half_squat", "hug_shins overhead sideways backwards wheel guard",
                 "curled upright arched forward", (0.22, 0.7), 0.4, 0.7, flight_m=0.7, spin="x", spin_deg=(360, 360), spin_s=(0.6, 1.1)),
    "somersault": Kind("tuck_tight tuck deep_squat frog", "hug_shins support forward lean_on", "curled curled forward", (0.4, 1.0), 0.4,
                       0.8, spin="x", spin_deg=(180, 360), spin_s=(0.8, 2.0)),
    "cartwheel": Kind("split_side star scissor straddle", "wheel overhead_side plant", "upright bent_aside side", (0.4, 1.0), 0.4, 0.8,
                      spin="z", spin_deg=(180, 360), spin_s=(0.8, 1.8)),
    "handstand": Kind("stand scissor split_front tuck split_side attitude pike", "plant plant bar wheel", "upright arched bent_aside",
                      (0.4, 1.4), 0.3, 0.8, recline=(140, 180)),
    "fall": Kind("? half_squat leap stand tuck lunge", "* ?", "*", (0.25, 0.8), 0.1, 0.3, spin="any", spin_deg=(60, 150),
                 spin_s=(0.5, 1.2)),
    "float": Kind("? *", "? *", "*", (0.3, 1.4), 0.2, 0.3, any_attitude=1.0, spin="any", spin_deg=(20, 200), spin_s=(1.0, 3.0)),
    "contort": Kind("? ? *", "? ? *", "*", (0.3, 1.2), 0.3, 0.2, recline=(-20, 20)),
    # Held out.
    "get_up": Kind("lying_bent sit_aside kneel_one half_squat", "prop_back support lean_on forward", "crunch curled forward twisted",
                   (0.6, 1.4), 0.2, 0.3, recline=(-70, -20)),
    "flip_side": Kind("tuck_tight star leap tuck", "hug_shins wheel guard", "upright bent_aside curled", (0.22, 0.6), 0.4, 0.6,
                      flight_m=0.6, spin="z", spin_deg=(360, 360), spin_s=(0.6, 1.0)),
    "windmill": Kind("split_side scissor frog", "plant lean_on support", "twisted curled bent_aside", (0.3, 0.8), 0.6, 0.2,
                     recline=(-150, -95), spin="y", spin_deg=(180, 360), spin_s=(0.7, 1.4)),
}  # fmt: skip
HELD_OUT_KINDS = ("get_up", "flip_side", "windmill")

# Degrees a second. Published: shoulder rotation 7240, elbow extension 2320, pelvis 670 and upper trunk 1190 of pitchers
# (Fleisig et al., 1999, J. Biomechanics), the head 780 (Grossman et al., 1988, Exp. Brain Research); taken over, only the
# head's and the shoulder's were found again in what others say of them. Nothing here is beyond; the rest is assumed.
SPEED_LIMITS = {
    "collar": 500, "shoulder_abduction": 1500, "shoulder_flexion": 1500, "shoulder_twist": 3000, "elbow": 2300,
    "forearm": 2500, "wrist": 2500, "hip": 950, "knee": 1900, "ankle": 1000, "toe": 1000, "heading": 900, "trunk_flexion": 450,
    "trunk_side": 450, "trunk_twist": 800, "head": 750, "pelvis": 650, "recline": 400, "tilt": 400,
}  # fmt: skip
FASTEST = np.array(
    [next(v for word, v in SPEED_LIMITS.items() if n.removeprefix("left_").removeprefix("right_").startswith(word))
     for n in ANGLE_NAMES], dtype=np.float64,
)  # fmt: skip
# The whole person's, assumed.
FASTEST_TURN = 900.0
# What moves apart from everything else, and by how much, degrees.
_APART = {"wrist_flexion": 22.0, "wrist_deviation": 9.0, "forearm_twist": 30.0, "collar_elevation": 5.0,
          "collar_protraction": 5.0, "trunk_flexion": 8.0, "trunk_side": 7.0, "trunk_twist": 11.0, "head_flexion": 13.0,
          "head_side": 10.0, "head_twist": 20.0}  # fmt: skip
_APART_SPREAD = np.zeros(ANGLE_COUNT)
for _name, _degrees in _APART.items():
    for _full in (f"{side}_{_name}" for side in SIDES) if f"left_{_name}" in ANGLE_INDEX else (_name,):
        _APART_SPREAD[ANGLE_INDEX[_full]] = _degrees
_TILT_DEG = 5.0


def move_apart(rng: np.random.Generator, video_count: int, frame_count: int, fps: float) -> np.ndarray:
    """What to add to angle tracks (videos, frames, A), degrees, for wrists, chest and head that go their own ways."""
    columns = np.flatnonzero(_APART_SPREAD)
    amount = np.abs(rng.standard_normal((video_count, 1, len(columns)))) * _APART_SPREAD[columns]
    own = smooth_noise(rng, (video_count, frame_count, len(columns)), fps, rng.uniform(0.4, 3.5, video_count))
    habit = rng.standard_normal((video_count, 1, len(columns)))
    out = np.zeros((video_count, frame_count, ANGLE_COUNT))
    out[..., columns] = amount * (0.7 * own + 0.7 * habit)
    return out


def slow_down(angles: np.ndarray, fps: float) -> np.ndarray:
    """Angle tracks (videos, frames, A) that lag where an angle would change faster than `FASTEST`."""
    out, most = angles.copy(), FASTEST / fps
    for frame in range(1, angles.shape[1]):
        before = out[:, frame - 1]
        out[:, frame] = before + np.clip(angles[:, frame] - before, -most, most)
    return out


def attitudes(rng: np.random.Generator, kinds: list[Kind], frame_count: int, fps: float) -> np.ndarray:
    """(videos, frames, 3, 3) turns of whole persons about their own axes, to be applied before all others."""
    count = len(kinds)
    axes = np.zeros((count, 3))
    for row, kind in enumerate(kinds):
        if kind.spin == "any":
            axes[row] = rng.standard_normal(3)
        elif kind.spin:
            axes[row, "xyz".index(kind.spin)] = 1.0
    axes /= np.maximum(np.linalg.norm(axes, axis=-1, keepdims=True), 1e-9)
    angle = np.zeros((count, frame_count))
    time = seconds(frame_count, fps)
    low_s, high_s = np.array([kind.spin_s for kind in kinds]).T
    low, high = np.array([kind.spin_deg for kind in kinds]).T
    begin = -high_s * rng.random(count)
    direction = rng.choice([-1.0, 1.0], count)
    for _ in range(_most_spins(frame_count / fps)):
        # Half and whole turns where the range allows them, since those end as they began.
        size = rng.uniform(low, high)
        size = np.where(high >= 180, np.maximum(np.round(size / 180.0) * 180.0, np.minimum(low, 180.0)), size)
        lasts = np.maximum(rng.uniform(low_s, high_s), 1.5 * np.abs(size) / FASTEST_TURN)
        way = np.clip((time - begin[:, None]) / lasts[:, None], 0.0, 1.0)
        angle += (direction * size)[:, None] * way * way * (3.0 - 2.0 * way)
        begin = begin + lasts + rng.uniform(0.0, 1.2, count) ** 2
        direction = np.where(rng.random(count) < 0.7, direction, -direction)
    turns = rotation_matrices(np.radians(angle[..., None] * axes[:, None]))
    roll = rng.uniform(*np.array([kind.roll for kind in kinds]).T) * rng.choice([-1.0, 1.0], count)
    lean = _TILT_DEG * rng.standard_normal((count, 3)) * (1.0, 0.0, 1.0)
    start = rotation_matrices(np.radians(np.stack([lean[:, 0], roll, lean[:, 2]], axis=-1)))
    quaternions = rng.standard_normal((count, 4))
    is_any = rng.random(count) < np.array([kind.any_attitude for kind in kinds])
    return np.where(is_any[:, None, None], _of_quaternions(quaternions), start)[:, None] @ turns


def _most_spins(length_s: float) -> int:
    return int(np.ceil(length_s / 0.7)) + 2


def _of_quaternions(quaternions: np.ndarray) -> np.ndarray:
    """(N, 4) normal draws -> (N, 3, 3), evenly over all rotations."""
    quaternions = quaternions / np.linalg.norm(quaternions, axis=-1, keepdims=True)
    sine = np.linalg.norm(quaternions[:, 1:], axis=-1, keepdims=True)
    angle = 2.0 * np.arctan2(sine, quaternions[:, :1])
    return rotation_matrices(angle * quaternions[:, 1:] / sine)
