"""The vocabulary of made-up motion: poses of the legs, one arm, trunk and head, and the kinds of motion that use them.

A pose gives each angle it sets a range in degrees, first value to last: a drawn pose lies at one place between the
two for all its angles at once, give or take, so that a deep squat bends hip and knee together. Angles that a pose
does not name stay at ease. Legs are drawn for a left-footed person and mirrored at random.
"""

from typing import NamedTuple

from kinemesh.body.skeleton import SIDES

Ranges = dict[str, tuple[float, float]]


def both(**ranges: tuple[float, float]) -> Ranges:
    """The same ranges of the left and the right."""
    return {f"{side}_{name}": values for side in SIDES for name, values in ranges.items()}


def one(side: str, **ranges: tuple[float, float]) -> Ranges:
    """Ranges of one side."""
    return {f"{side}_{name}": values for name, values in ranges.items()}


LEGS: dict[str, Ranges] = {
    "stand": both(hip_flexion=(-3, 6), hip_abduction=(0, 9), knee_flexion=(0, 10), hip_twist=(0, 16)),
    "wide": both(hip_abduction=(8, 22), hip_twist=(5, 22), knee_flexion=(0, 15), hip_flexion=(0, 10)),
    "straddle": both(hip_abduction=(20, 40), hip_twist=(5, 28), knee_flexion=(0, 25), hip_flexion=(0, 15)),
    "crossed": both(hip_abduction=(-4, -16)) | one("left", hip_flexion=(4, 20)) | one("right", hip_flexion=(0, -12)),
    "one_side": one("left", hip_flexion=(5, 25), knee_flexion=(10, 40), hip_abduction=(4, 20), hip_twist=(5, 25)),
    "stride": one("left", hip_flexion=(12, 42), knee_flexion=(2, 30))
    | one("right", hip_flexion=(-5, -30), knee_flexion=(5, 35), toe_extension=(0, 40)),
    "squat": both(hip_flexion=(20, 85), knee_flexion=(40, 140), hip_abduction=(2, 24), hip_twist=(0, 25)),
    "half_squat": both(hip_flexion=(8, 38), knee_flexion=(15, 75), hip_abduction=(4, 28), hip_twist=(5, 20)),
    "fencing": one("left", hip_flexion=(15, 80), hip_abduction=(8, 40), hip_twist=(0, 40), knee_flexion=(15, 100))
    | one("right", hip_flexion=(15, -28), hip_abduction=(8, 38), hip_twist=(0, 45), knee_flexion=(0, 60)),
    "lunge": one("left", hip_flexion=(35, 85), knee_flexion=(35, 95))
    | one("right", hip_flexion=(-5, -32), knee_flexion=(10, 60), toe_extension=(20, 50)),
    "side_lunge": one("left", hip_abduction=(25, 48), knee_flexion=(0, 15))
    | one("right", hip_flexion=(30, 70), knee_flexion=(50, 110), hip_abduction=(15, 35), hip_twist=(10, 35)),
    "kick_front": one("left", hip_flexion=(40, 110), knee_flexion=(40, 0), ankle_flexion=(0, -35)),
    "kick_high": one(
        "left", hip_flexion=(65, 128), hip_abduction=(0, 50), knee_flexion=(60, 0), ankle_flexion=(0, -35)
    ),
    "kick_side": one("left", hip_abduction=(35, 68), hip_flexion=(0, 45), knee_flexion=(30, 0)),
    "kick_back": one("left", hip_flexion=(-8, -34), knee_flexion=(0, 100), ankle_flexion=(0, -35)),
    "knee_up": one("left", hip_flexion=(45, 115), knee_flexion=(50, 130), ankle_flexion=(10, -20)),
    "tree": one("left", hip_flexion=(30, 70), hip_abduction=(30, 55), hip_twist=(30, 50), knee_flexion=(90, 140)),
    "tuck": both(hip_flexion=(40, 105), knee_flexion=(60, 130), hip_abduction=(0, 15), ankle_flexion=(0, -30)),
    "leap": one("left", hip_flexion=(35, 80), knee_flexion=(10, 70), ankle_flexion=(0, -40))
    | one("right", hip_flexion=(-10, -35), knee_flexion=(10, 80), ankle_flexion=(0, -40)),
    "star": both(hip_abduction=(18, 48), knee_flexion=(0, 15), ankle_flexion=(0, -35)),
    "step_up": one("left", hip_flexion=(45, 95), knee_flexion=(55, 105)) | one("right", hip_flexion=(0, -8)),
    "sit": both(hip_flexion=(72, 98), knee_flexion=(65, 105), hip_abduction=(2, 22), hip_twist=(0, 18)),
    "sit_crossed": both(hip_flexion=(75, 95), knee_flexion=(70, 100))
    | one("left", hip_flexion=(85, 112), knee_flexion=(60, 110), hip_abduction=(-4, -18), hip_twist=(0, 30)),
    "sit_stretched": both(hip_flexion=(60, 80), knee_flexion=(5, 55), hip_abduction=(0, 20)),
    "sit_floor": both(
        hip_flexion=(75, 100),
        hip_abduction=(20, 48),
        hip_twist=(20, 48),
        knee_flexion=(95, 140),
        ankle_flexion=(0, -25),
    ),
    "kneel": both(hip_flexion=(0, 55), knee_flexion=(88, 148), ankle_flexion=(-20, -45), hip_abduction=(2, 16)),
    "kneel_one": one("left", hip_flexion=(75, 100), knee_flexion=(75, 110))
    | one("right", hip_flexion=(5, -18), knee_flexion=(80, 110), ankle_flexion=(-10, -45)),
    "all_fours": both(hip_flexion=(75, 105), knee_flexion=(75, 110), ankle_flexion=(-20, -45), hip_abduction=(0, 12)),
    "lying": both(hip_flexion=(-8, 25), knee_flexion=(0, 40), ankle_flexion=(0, -35), hip_abduction=(0, 18)),
    "lying_bent": both(hip_flexion=(25, 85), knee_flexion=(55, 120), hip_abduction=(0, 20)),
    "rowing": both(hip_flexion=(80, 112), knee_flexion=(90, 130), hip_abduction=(0, 20)),
    "climbing": one("left", hip_flexion=(60, 110), knee_flexion=(70, 125), hip_abduction=(10, 35), hip_twist=(10, 35))
    | one("right", hip_flexion=(0, 25), knee_flexion=(5, 40)),
}
# The right arm is the left one mirrored.
ARMS: dict[str, Ranges] = {
    "hang": {"shoulder_abduction": (2, 22), "shoulder_flexion": (-12, 14), "elbow_flexion": (4, 35)},
    "hang_bent": {"shoulder_flexion": (-25, 20), "shoulder_abduction": (5, 30), "elbow_flexion": (30, 85)},
    "hip": {"shoulder_abduction": (28, 52), "shoulder_flexion": (-5, -28), "shoulder_twist": (35, 75),
            "elbow_flexion": (80, 118), "wrist_flexion": (0, 45)},
    "forward": {"shoulder_flexion": (45, 105), "shoulder_abduction": (-12, 25), "elbow_flexion": (45, 2)},
    "down_forward": {"shoulder_flexion": (20, 60), "shoulder_abduction": (-10, 20), "elbow_flexion": (35, 5)},
    "sideways": {"shoulder_abduction": (50, 105), "shoulder_flexion": (-15, 30), "elbow_flexion": (40, 2),
                 "collar_elevation": (0, 8)},
    "overhead": {"shoulder_abduction": (60, 130), "shoulder_flexion": (70, 100), "elbow_flexion": (60, 4),
                 "shoulder_twist": (10, -40), "collar_elevation": (0, 16)},
    "overhead_side": {"shoulder_abduction": (105, 172), "shoulder_flexion": (0, 40), "elbow_flexion": (50, 3),
                      "shoulder_twist": (0, -60), "collar_elevation": (0, 18)},
    "overhead_front": {"shoulder_flexion": (105, 172), "shoulder_abduction": (-5, 30), "elbow_flexion": (60, 3),
                       "shoulder_twist": (20, -30), "collar_elevation": (0, 12)},
    "behind_head": {"shoulder_abduction": (85, 125), "shoulder_flexion": (20, 75), "elbow_flexion": (95, 145),
                    "shoulder_twist": (-25, -80)},
    "waving": {"shoulder_abduction": (55, 115), "shoulder_flexion": (5, 55), "shoulder_twist": (-45, -98),
               "elbow_flexion": (40, 125), "wrist_flexion": (-15, 20)},
    "waving_low": {"shoulder_abduction": (10, 45), "shoulder_flexion": (5, 45), "shoulder_twist": (-10, -60),
                   "elbow_flexion": (80, 140), "forearm_twist": (0, 60)},
    "goalpost": {"shoulder_abduction": (70, 102), "shoulder_flexion": (0, 25), "shoulder_twist": (-60, -98),
                 "elbow_flexion": (70, 105)},
    "across": {"shoulder_flexion": (40, 95), "shoulder_abduction": (-8, -42), "elbow_flexion": (20, 130),
               "shoulder_twist": (10, 60)},
    "folded": {"shoulder_flexion": (18, 45), "shoulder_abduction": (12, -10), "elbow_flexion": (85, 118),
               "shoulder_twist": (50, 85)},
    "face": {"shoulder_flexion": (45, 95), "shoulder_abduction": (25, -12), "elbow_flexion": (105, 148),
             "shoulder_twist": (30, -10)},
    "phone": {"shoulder_abduction": (15, 65), "shoulder_flexion": (15, 60), "elbow_flexion": (118, 149),
              "shoulder_twist": (10, -45)},
    "pocket": {"shoulder_abduction": (12, 32), "shoulder_flexion": (-5, -26), "elbow_flexion": (35, 75),
               "shoulder_twist": (0, 35)},
    "behind_back": {"shoulder_abduction": (2, 28), "shoulder_flexion": (-20, -52), "elbow_flexion": (30, 105),
                    "shoulder_twist": (45, 88)},
    "guard": {"shoulder_flexion": (25, 65), "shoulder_abduction": (25, -5), "elbow_flexion": (105, 142),
              "shoulder_twist": (-10, 30)},
    "punch": {"shoulder_flexion": (65, 102), "shoulder_abduction": (12, -25), "elbow_flexion": (30, 2),
              "collar_protraction": (0, 18), "forearm_twist": (0, 60)},
    "hook": {"shoulder_flexion": (40, 70), "shoulder_abduction": (40, 75), "elbow_flexion": (70, 105),
             "shoulder_twist": (30, 80)},
    "carry": {"shoulder_flexion": (5, 42), "shoulder_abduction": (-5, 22), "elbow_flexion": (62, 112),
              "forearm_twist": (-70, 20)},
    "elbow_out": {"shoulder_abduction": (45, 95), "shoulder_flexion": (0, 50), "elbow_flexion": (70, 135),
                  "shoulder_twist": (15, 80)},
    "backwards": {"shoulder_flexion": (-15, -58), "shoulder_abduction": (2, 32), "elbow_flexion": (40, 3)},
    "lap": {"shoulder_flexion": (8, 45), "shoulder_abduction": (0, 22), "elbow_flexion": (35, 95),
            "shoulder_twist": (0, 45), "forearm_twist": (0, 60)},
    "table": {"shoulder_flexion": (25, 70), "shoulder_abduction": (5, 35), "elbow_flexion": (40, 100),
              "forearm_twist": (20, 75)},
    "support": {"shoulder_flexion": (70, 105), "shoulder_abduction": (0, 25), "elbow_flexion": (35, 2),
                "wrist_flexion": (-20, -60), "forearm_twist": (20, 70)},
    "cocked": {"shoulder_abduction": (80, 118), "shoulder_flexion": (-5, -40), "shoulder_twist": (-60, -98),
               "elbow_flexion": (60, 118)},
    "released": {"shoulder_flexion": (60, 110), "shoulder_abduction": (20, -30), "elbow_flexion": (40, 5),
                 "shoulder_twist": (-20, 50)},
    "grip_high": {"shoulder_flexion": (110, 160), "shoulder_abduction": (0, 50), "elbow_flexion": (90, 10)},
    "grip_low": {"shoulder_flexion": (40, 95), "shoulder_abduction": (10, 45), "elbow_flexion": (130, 60)},
}  # fmt: skip
TRUNKS: dict[str, Ranges] = {
    "upright": {"trunk_flexion": (-6, 10), "pelvis_lean": (-4, 5)},
    "slouched": {"trunk_flexion": (8, 38), "pelvis_lean": (2, -18), "head_flexion": (0, 28)},
    "forward": {"trunk_flexion": (4, 30), "pelvis_lean": (5, 40), "head_flexion": (0, -18)},
    "bowed": {"trunk_flexion": (15, 60), "pelvis_lean": (30, 88), "head_flexion": (15, -30)},
    "back": {"trunk_flexion": (-8, -32), "pelvis_lean": (0, -18), "head_flexion": (0, -30)},
    "side": {"trunk_side": (8, 36), "pelvis_side": (0, 16), "head_side": (-10, 15)},
    "turned": {"trunk_twist": (8, 48), "pelvis_twist": (0, 30), "head_twist": (0, 45)},
    "wound": {"trunk_twist": (12, 45), "pelvis_twist": (5, 35), "trunk_flexion": (5, 35), "pelvis_lean": (0, 30),
              "trunk_side": (-12, 18)},
    "flat_back": {"trunk_flexion": (-5, 15), "pelvis_lean": (0, 12), "head_flexion": (0, -35)},
}  # fmt: skip
HEADS: dict[str, Ranges] = {
    "ahead": {},
    "down": {"head_flexion": (8, 42)},
    "up": {"head_flexion": (-8, -38)},
    "aside": {"head_twist": (10, 65), "head_flexion": (-10, 18)},
    "tilted": {"head_side": (6, 30), "head_twist": (-20, 20)},
}


class Kind(NamedTuple):
    """A kind of motion: which poses follow one another, how fast, and what carries the person."""

    legs: str = "stand"  # names of LEGS, drawn in turn; `*` any pose, `?` any angles within the limits
    arms: str = "hang"  # names of ARMS; each arm on its own unless `together`
    trunk: str = "upright"
    seconds: tuple[float, float] = (0.5, 1.5)  # from one pose to the next
    repeats: float = 0.3  # chance that two to four poses are repeated over and over
    together: float = 0.5  # chance that both arms do the same
    gait: str = ""  # name of a gait that moves legs, arms and trunk; poses then only move the arms
    busy_arms: float = 0.0  # with a gait: chance that the arms do something else than swing
    recline: tuple[float, float] = (0.0, 0.0)  # degrees, the whole person tipped forwards
    flight_m: float = 0.0  # highest jump
    roll: tuple[float, float] = (0.0, 0.0)  # degrees about the long axis, to either side
    spin: str = ""  # the person's own axis to turn about at times: x somersaults, y twists, z cartwheels, any
    spin_deg: tuple[float, float] = (0.0, 0.0)  # how far at a time
    spin_s: tuple[float, float] = (1.0, 1.0)  # how long that takes
    any_attitude: float = 0.0  # chance of a start turned any way at all
    in_order: bool = False  # legs, arms and trunk go through their lists side by side instead of drawing from them


_TALKING = "hang hang_bent hip carry folded waving_low pocket forward down_forward face across sideways"
_EVERY_LEG = " ".join(
    name for name in LEGS if not name.startswith(("lying", "all_fours", "climbing", "rowing", "sit", "kneel"))
)
KINDS: dict[str, Kind] = {
    "walk": Kind(gait="walk", arms=_TALKING, busy_arms=0.25),
    "walk_carry": Kind(gait="walk", arms="carry phone pocket forward folded behind_back guard", busy_arms=1.0),
    "walk_turn": Kind(gait="turn", arms=_TALKING, busy_arms=0.2),
    "walk_back": Kind(gait="back", arms=_TALKING, busy_arms=0.3),
    "run": Kind(gait="run", arms="guard carry forward overhead", busy_arms=0.08),
    "stairs": Kind(gait="stairs", arms="hang_bent carry forward", busy_arms=0.3),
    "sneak": Kind(gait="sneak", arms="guard carry forward hang_bent", busy_arms=0.5, trunk="forward"),
    "march": Kind(gait="march", arms="overhead_front sideways hip guard", busy_arms=0.25),
    "sidestep": Kind(gait="side", arms=_TALKING + " guard sideways", busy_arms=0.8),
    "stand_talk": Kind("stand wide one_side stride", _TALKING, "upright slouched turned side", (0.4, 1.6), 0.15),
    "idle": Kind("stand one_side crossed", "hang pocket folded hip behind_back hang_bent", "upright slouched", (1, 3), 0),
    "wave": Kind("stand wide", "waving waving waving_low overhead hang goalpost", "upright side", (0.18, 0.7), 0.8, 0.3),
    "phone": Kind("stand one_side stride", "phone face carry hang pocket", "upright slouched turned", (0.8, 2.5), 0, 0),
    "reach": Kind("stand stride half_squat one_side", "overhead overhead_front forward sideways across down_forward hang",
                  "upright forward side turned back", (0.4, 1.3), 0.3, 0.4),
    "pick_up": Kind("stand squat half_squat lunge kneel_one", "down_forward forward hang carry",
                    "bowed upright forward", (0.5, 1.4), 0.3, 0.8),
    "sit": Kind("sit sit sit_crossed sit_stretched", "lap table folded face phone hang_bent carry across forward behind_head",
                "upright slouched forward turned side back", (0.6, 2.0), 0.1, 0.5),
    "sit_down": Kind("sit stand half_squat sit", "lap hang table hang_bent forward", "upright forward slouched",
                     (0.6, 1.5), 0.6, 0.7),
    "kneel": Kind("kneel kneel_one kneel squat", "lap forward down_forward hang table overhead folded",
                  "upright forward slouched turned bowed", (0.6, 1.6), 0.2, 0.5),
    "sit_floor": Kind("sit_floor sit_stretched sit_floor", "lap hang_bent backwards table face forward",
                      "upright slouched forward turned", (0.8, 2.0), 0.1, 0.6),
    "squat": Kind("squat stand half_squat stand", "forward hang behind_head folded", "forward upright",
                  (0.4, 1.2), 0.7, 0.9, in_order=True),
    "lunge": Kind("lunge stand side_lunge", "hip hang forward overhead sideways", "upright forward turned", (0.4, 1.2), 0.6),
    "jumping_jack": Kind("star stand wide stand", "overhead_side hang overhead hang", "upright", (0.2, 0.55), 0.9, 0.95,
                         flight_m=0.12, in_order=True),
    "jump": Kind("half_squat tuck stand leap star squat", "overhead_front backwards hang_bent overhead sideways forward",
                 "upright forward back", (0.25, 0.6), 0.6, 0.8, flight_m=0.45),
    "kick": Kind("kick_front kick_side kick_high stand half_squat knee_up kick_back fencing", "guard sideways hang_bent backwards",
                 "upright back turned side", (0.22, 0.8), 0.5, 0.2),
    "box": Kind("half_squat stride wide fencing", "guard punch guard hook punch", "upright turned wound forward",
                (0.16, 0.5), 0.5, 0.0),
    "stretch": Kind("wide straddle stand lunge side_lunge one_side tree", "overhead overhead_side behind_head across hip down_forward "
                    "sideways backwards", "side bowed back turned upright wound", (0.7, 2.0), 0.4, 0.5),
    "exercise": Kind(_EVERY_LEG, "overhead overhead_side sideways forward goalpost hip behind_head hang elbow_out",
                     "upright side turned forward wound", (0.3, 1.0), 0.8, 0.85),
    "dance": Kind(_EVERY_LEG + " ? ? ? ?", "*", "upright side turned wound back forward", (0.22, 0.8), 0.7, 0.35, flight_m=0.08),
    "ballet": Kind("kick_front kick_side kick_high kick_back tree leap stand crossed", "overhead sideways forward overhead_side hip",
                   "upright side back turned", (0.4, 1.2), 0.3, 0.6, flight_m=0.2),
    "sport": Kind("lunge half_squat stride side_lunge straddle fencing ? leap stand", "*", "wound turned forward side back",
                  (0.25, 0.7), 0.3, 0.2, flight_m=0.15),
    "crawl": Kind("all_fours all_fours tuck", "support support forward", "flat_back", (0.4, 1.0), 0.5, 0.2, recline=(68, 95)),
    "lie": Kind("lying lying_bent", "hang sideways overhead behind_head folded lap", "upright turned", (1.0, 2.5), 0.1,
                0.6, recline=(-95, -80)),
    "lie_front": Kind("lying", "overhead support goalpost folded", "back upright", (1.0, 2.5), 0.1, 0.8, recline=(80, 95)),
    "push_up": Kind("lying", "support guard", "upright", (0.4, 1.2), 0.9, 1.0, recline=(62, 82)),
    "any_pose": Kind("? *", "? *", "*", (0.3, 1.2), 0.4, 0.2),
    # Held out: the H36M-like test split only.
    "throw": Kind("stride lunge", "cocked released", "wound turned", (0.22, 0.7), 0.5, 0.1, in_order=True),
    "climb": Kind("climbing step_up", "grip_high grip_low", "flat_back side", (0.4, 1.0), 0.6, 0.0),
    "bow": Kind("stand", "hang hang folded behind_back", "bowed upright", (0.6, 1.6), 0.9, 1.0, in_order=True),
    "row": Kind("rowing sit_stretched", "forward grip_low", "forward back", (0.4, 0.9), 1.0, 1.0, in_order=True),
}  # fmt: skip
HELD_OUT_KINDS = ("throw", "climb", "bow", "row")
# Poses that only held-out kinds use, so that no other kind may draw them by `*`.
HELD_OUT_POSES = ("cocked", "released", "grip_high", "grip_low", "climbing", "rowing")
