"""Walking, running, climbing stairs and their relatives, from joint-angle curves over the gait cycle.

The curves are smooth lines through a few points a cycle read off textbook figures (Perry and Burnfield, Gait
Analysis; Novacheck, The biomechanics of running), then varied from person to person.
"""

import functools
from typing import NamedTuple

import numpy as np

from kinemesh.body.skeleton import SIDES
from kinemesh.motion.anatomy import ANGLE_COUNT, ANGLE_INDEX
from kinemesh.motion.signals import smooth_noise

_PHASES = np.array([0.0, 0.08, 0.16, 0.3, 0.42, 0.52, 0.62, 0.72, 0.82, 0.92, 1.0])
_SAMPLES = 200


class Gait(NamedTuple):
    """One leg's flexion, degrees, at `_PHASES` of the cycle that starts when its foot lands, and how it is done."""

    hip: tuple[float, ...]
    knee: tuple[float, ...]
    ankle: tuple[float, ...]
    steps_hz: tuple[float, float]  # full cycles a second
    vigour: tuple[float, float]  # scales the curves
    arm_swing: tuple[float, float]  # degrees
    elbow: tuple[float, float]  # degrees
    lean: tuple[float, float]  # degrees
    stance: float  # part of the cycle in which a foot is on the floor
    turn: float = 20.0  # typical degrees a second
    sideways: tuple[float, float] = (0.0, 0.0)  # degrees of hip abduction
    backwards: bool = False
    flight_m: float = 0.0


_WALK = {
    "hip": (27, 26, 22, 9, -3, -9, -4, 14, 27, 29),
    "knee": (4, 13, 17, 10, 5, 10, 34, 58, 44, 12),
    "ankle": (0, -5, 0, 6, 10, 7, -13, -8, 0, 2),
}
GAITS: dict[str, Gait] = {
    "walk": Gait(**_WALK, steps_hz=(0.65, 1.1), vigour=(0.55, 1.3), arm_swing=(3, 32), elbow=(8, 40), lean=(-4, 12),
                 stance=0.6),
    "turn": Gait(**_WALK, steps_hz=(0.6, 1.0), vigour=(0.2, 0.9), arm_swing=(2, 20), elbow=(8, 45), lean=(-4, 12),
                 stance=0.6, turn=90.0),
    "back": Gait(**_WALK, steps_hz=(0.55, 0.95), vigour=(0.4, 0.9), arm_swing=(0, 18), elbow=(8, 50), lean=(-6, 10),
                 stance=0.6, backwards=True),
    "run": Gait(hip=(34, 33, 25, 2, -13, -15, 2, 28, 48, 44), knee=(18, 34, 40, 25, 20, 42, 78, 102, 80, 36),
                ankle=(4, 10, 18, 4, -22, -18, -8, 0, 4, 5), steps_hz=(1.15, 1.6), vigour=(0.55, 1.35),
                arm_swing=(15, 50), elbow=(55, 110), lean=(4, 22), stance=0.34, flight_m=0.08),
    "stairs": Gait(hip=(60, 58, 48, 25, 8, 3, 14, 42, 62, 63), knee=(62, 58, 48, 20, 8, 8, 42, 88, 95, 78),
                   ankle=(10, 12, 14, 10, 8, 4, -12, -5, 8, 12), steps_hz=(0.5, 0.85), vigour=(0.6, 1.1),
                   arm_swing=(3, 20), elbow=(10, 60), lean=(2, 18), stance=0.62),
    "march": Gait(hip=(18, 10, 5, 0, -3, -3, 20, 65, 82, 50), knee=(8, 8, 5, 3, 3, 5, 50, 95, 85, 40),
                  ankle=(0, 0, 2, 4, 4, 0, -14, -10, 0, 0), steps_hz=(0.7, 1.3), vigour=(0.6, 1.25),
                  arm_swing=(10, 60), elbow=(5, 90), lean=(-6, 6), stance=0.58),
    "sneak": Gait(hip=(56, 54, 46, 30, 16, 9, 20, 45, 60, 60), knee=(36, 45, 48, 46, 46, 52, 70, 86, 70, 46),
                  ankle=(8, 14, 22, 25, 25, 18, 0, 0, 8, 10), steps_hz=(0.4, 0.8), vigour=(0.5, 1.15),
                  arm_swing=(2, 20), elbow=(20, 90), lean=(5, 40), stance=0.64),
    "side": Gait(hip=(6, 6, 6, 6, 6, 6, 10, 18, 18, 10), knee=(10, 14, 14, 10, 8, 10, 22, 36, 30, 16),
                 ankle=(4, 6, 6, 4, 2, 0, -8, -4, 0, 3), steps_hz=(0.6, 1.3), vigour=(0.5, 1.6), arm_swing=(0, 8),
                 elbow=(10, 80), lean=(-2, 18), stance=0.58, sideways=(8, 24)),
}  # fmt: skip
GAIT_NAMES = tuple(GAITS)


@functools.cache
def _cycle_table(joint: str) -> np.ndarray:
    """(gaits, samples) smooth periodic curve of each gait."""
    from scipy.interpolate import CubicSpline  # slow to import, and only making the data needs it

    phase = np.arange(_SAMPLES) / _SAMPLES
    curves = [
        CubicSpline(_PHASES, (*getattr(g, joint), getattr(g, joint)[0]), bc_type="periodic") for g in GAITS.values()
    ]
    return np.stack([curve(phase) for curve in curves])


def _look_up(table: np.ndarray, gait: np.ndarray, phase: np.ndarray) -> np.ndarray:
    """Values of `table` (gaits, samples) for gaits (videos,) at phases (videos, frames), linear between samples."""
    place = (phase % 1.0) * _SAMPLES
    below = np.minimum(place.astype(int), _SAMPLES - 1)
    rows = gait[:, None]
    fraction = place - below
    return table[rows, below] * (1.0 - fraction) + table[rows, (below + 1) % _SAMPLES] * fraction


class GaitMotion(NamedTuple):
    """Angle tracks of people under way, relative to standing at ease."""

    angles: np.ndarray  # (videos, frames, A) degrees
    stance: np.ndarray  # (videos, frames, 2) weight on the left and right foot, 0 to 1
    flight_m: np.ndarray  # (videos, frames) height above what the feet reach


def gait_motion(rng: np.random.Generator, gaits: list[str], frame_count: int, fps: float) -> GaitMotion:
    """Periodic motion of legs, arms and trunk for each video's gait, one of `GAIT_NAMES`.

    Every person has their own pace, vigour, arm swing and asymmetry; the pace drifts.
    """
    video_count = len(gaits)
    gait = np.array([GAIT_NAMES.index(name) for name in gaits])
    specs = [GAITS[name] for name in gaits]

    def draw(field: str) -> np.ndarray:
        low, high = np.array([getattr(spec, field) for spec in specs], dtype=np.float64).T
        return rng.uniform(low, high)[:, None]

    def fixed(field: str) -> np.ndarray:
        return np.array([getattr(spec, field) for spec in specs], dtype=np.float64)[:, None]

    vigour, lean, arm_swing, elbow = draw("vigour"), draw("lean"), draw("arm_swing"), draw("elbow")
    pace = draw("steps_hz") * (1.0 + 0.08 * smooth_noise(rng, (video_count, frame_count, 1), fps, 0.7)[..., 0])
    direction = 1.0 - 2.0 * fixed("backwards")
    cycle = rng.random((video_count, 1)) + direction * np.cumsum(pace, axis=1) / fps
    angles = np.zeros((video_count, frame_count, ANGLE_COUNT))
    stance = np.zeros((video_count, frame_count, 2))
    sideways = draw("sideways") * rng.choice([-1.0, 1.0], (video_count, 1))

    def add(name: str, values: np.ndarray) -> None:
        angles[..., ANGLE_INDEX[name]] += values

    for number, (side, sign) in enumerate(zip(SIDES, (1.0, -1.0), strict=True)):
        phase = cycle + 0.5 * number + rng.normal(0.0, 0.012, (video_count, 1))
        own_vigour = vigour * (1.0 + 0.06 * rng.standard_normal((video_count, 1)))
        # Joints neither keep exact time with one another nor move exactly alike in two people.
        shift = rng.normal(0.0, 0.015, (3, video_count, 1))
        hip, knee, ankle = (
            own_vigour * (1.0 + 0.12 * rng.standard_normal((video_count, 1))) * _look_up(table, gait, phase + shift[i])
            for i, table in enumerate(map(_cycle_table, ("hip", "knee", "ankle")))
        )
        add(f"{side}_hip_flexion", hip)
        add(f"{side}_knee_flexion", knee)
        add(f"{side}_ankle_flexion", ankle)
        push_off = np.exp(-((((phase - 0.56 + 0.5) % 1.0 - 0.5) / 0.07) ** 2))
        add(f"{side}_toe_extension", 30.0 * own_vigour * push_off)
        # Sideways the leading leg opens while the trailing one closes; the swing leg is the one that travels.
        add(
            f"{side}_hip_abduction",
            np.maximum(sign * sideways, -0.6 * np.abs(sideways)) * np.cos(2 * np.pi * (phase - 0.02)),
        )
        swing = np.cos(2.0 * np.pi * (phase + 0.5 + rng.normal(0.0, 0.02, (video_count, 1))))
        forward_share = rng.uniform(-0.3, 0.5, (video_count, 1))
        add(f"{side}_shoulder_flexion", arm_swing * (swing + forward_share))
        add(f"{side}_shoulder_abduction", rng.uniform(-2.0, 12.0, (video_count, 1)) - 0.15 * arm_swing * swing)
        bend = rng.uniform(0.0, 0.8, (video_count, 1)) * arm_swing
        add(f"{side}_elbow_flexion", elbow - 16.0 + bend * np.maximum(swing, -0.4))
        add(f"{side}_shoulder_twist", rng.uniform(-5.0, 30.0, (video_count, 1)))
        position = phase % 1.0
        length = fixed("stance")
        # Weight shifts over the double support; while both feet are off (running) it stays where it was.
        edge = 0.1
        stance[..., number] = np.clip(np.minimum(position / edge, (length - position) / edge), 0.0, 1.0)

    swing, roll = np.cos(2.0 * np.pi * cycle), np.sin(2.0 * np.pi * (cycle - 0.05))
    counter = vigour * rng.uniform(2.0, 9.0, (video_count, 1))
    # The left leg is forward at `swing` = 1: the pelvis then turns to the right and the shoulders to the left.
    add("pelvis_twist", -counter * swing)
    add("trunk_twist", counter * rng.uniform(1.0, 2.4, (video_count, 1)) * swing)
    add("head_twist", -0.6 * counter * swing)
    add("pelvis_side", vigour * rng.uniform(0.5, 5.0, (video_count, 1)) * -roll)
    add("trunk_side", vigour * rng.uniform(0.5, 5.0, (video_count, 1)) * roll)
    share = rng.random((video_count, 1))
    add("pelvis_lean", lean * share)
    add("trunk_flexion", lean * (1.0 - share) + 2.0 * vigour * np.cos(4.0 * np.pi * cycle))
    add("head_flexion", -0.6 * lean)
    turning = fixed("turn") * rng.standard_normal((video_count, 1))
    wander = 20.0 * smooth_noise(rng, (video_count, frame_count, 1), fps, 0.4)[..., 0]
    add("heading", np.cumsum(turning + wander, axis=1) / fps)
    stance += 1e-3
    bounce = fixed("flight_m") * vigour * np.maximum(np.cos(4.0 * np.pi * (cycle - 0.42)), 0.0)
    return GaitMotion(angles, stance, bounce)
