"""Motion as key poses: poses drawn from `kinemesh.motion.poses`, joined by minimum-jerk movements, limbs not quite in step."""

import numpy as np

from kinemesh.body.skeleton import SIDES
from kinemesh.motion.anatomy import ANGLE_COUNT, ANGLE_INDEX, REST, mirror_angles
from kinemesh.motion.poses import ARMS, HEADS, HELD_OUT_POSES, KINDS, LEGS, TRUNKS, Ranges
from kinemesh.motion.signals import seconds, smoothstep

_INDEPENDENCE = 0.35  # how far a pose's angles stray from their common place between the ends of their ranges
_ANY_POSE = "?"
# Any angles, within somewhat less than the limits.
_ANY_ARM = {
    "shoulder_abduction": (-30, 150), "shoulder_flexion": (-45, 150), "shoulder_twist": (-90, 80),
    "elbow_flexion": (0, 145), "forearm_twist": (-70, 70), "wrist_flexion": (-50, 60), "collar_elevation": (-5, 18),
    "collar_protraction": (-12, 15),
}  # fmt: skip
_ANY_LEG = {
    "hip_flexion": (-30, 105), "hip_abduction": (-15, 55), "hip_twist": (-30, 45), "knee_flexion": (0, 125),
    "ankle_flexion": (-40, 25), "ankle_inversion": (-10, 15),
}  # fmt: skip
_LONGEST_LAG_S = 0.12
_LONGEST_START_S = 1.0


def _left(ranges: Ranges) -> Ranges:
    return {f"left_{name}": values for name, values in ranges.items()}


def _both(ranges: Ranges) -> Ranges:
    return {f"{side}_{name}": values for side in SIDES for name, values in ranges.items()}


class _PoseTable:
    """One body part's poses as arrays, and for each kind of motion the poses it draws from."""

    def __init__(
        self, poses: dict[str, Ranges], any_pose: Ranges, names_by_kind: dict[str, str], obeys_order: bool = True
    ):
        self.obeys_order = obeys_order
        names = [*poses, _ANY_POSE]
        ranges = np.zeros((len(names), ANGLE_COUNT, 2))
        for row, pose in enumerate([*poses.values(), any_pose]):
            for name, values in pose.items():
                ranges[row, ANGLE_INDEX[name]] = np.array(values) - REST[ANGLE_INDEX[name]]
        # Only the angles that some pose sets are drawn.
        self.columns = np.flatnonzero(ranges.any(axis=(0, 2)))
        self.low, self.high = np.moveaxis(ranges[:, self.columns], -1, 0)
        everything = [name for name in poses if name not in HELD_OUT_POSES]
        self.rows = {
            kind: np.array([names.index(n) for word in words.split() for n in (everything if word == "*" else [word])])
            for kind, words in names_by_kind.items()
        }

    def draw(self, rng: np.random.Generator, kinds: list[str], key_count: int) -> np.ndarray:
        """(videos, keys, A) one pose for each key of each video, relative to standing at ease."""
        drawn = rng.random((len(kinds), key_count))
        rows = []
        for kind, places in zip(kinds, drawn, strict=True):
            choices = self.rows[kind]
            in_order = self.obeys_order and KINDS[kind].in_order
            rows.append(
                choices[np.arange(key_count) % len(choices) if in_order else (places * len(choices)).astype(int)]
            )
        rows = np.stack(rows)
        low, high = self.low[rows], self.high[rows]
        is_any = rows == len(self.low) - 1
        independence = np.where(is_any, 1.0, _INDEPENDENCE)[..., None]
        common, own = rng.random((*rows.shape, 1)), rng.random(low.shape)
        poses = np.zeros((*rows.shape, ANGLE_COUNT))
        poses[..., self.columns] = low + (high - low) * (common * (1.0 - independence) + own * independence)
        return poses


_LEG_TABLE = _PoseTable(LEGS, _both(_ANY_LEG), {kind: spec.legs for kind, spec in KINDS.items()})
_ARM_TABLE = _PoseTable(
    {name: _left(pose) for name, pose in ARMS.items()},
    _left(_ANY_ARM),
    {kind: spec.arms for kind, spec in KINDS.items()},
)
_TRUNK_TABLE = _PoseTable(TRUNKS, {}, {kind: spec.trunk for kind, spec in KINDS.items()})
_HEAD_TABLE = _PoseTable(
    HEADS, {}, dict.fromkeys(KINDS, "ahead ahead ahead down up aside aside tilted"), obeys_order=False
)


def kind_values(kinds: list[str], field: str) -> np.ndarray:
    """One field of `Kind` for each video, (videos, ...) float64."""
    return np.array([getattr(KINDS[kind], field) for kind in kinds], dtype=np.float64)


def _mirror_some(rng: np.random.Generator, poses: np.ndarray) -> np.ndarray:
    return np.where(rng.random((*poses.shape[:2], 1)) < 0.5, mirror_angles(poses), poses)


class _Timeline:
    """When each video leaves one key pose for the next, and which keys come again."""

    def __init__(self, rng: np.random.Generator, kinds: list[str], frame_count: int, fps: float):
        video_count = len(kinds)
        tempo = kind_values(kinds, "seconds")
        repeats = rng.random(video_count) < kind_values(kinds, "repeats")
        # Videos start anywhere in the first movements: longer would only make key poses that nobody sees.
        latest_start = np.minimum(_LONGEST_START_S, 1.5 * tempo[:, :1])
        length_s = frame_count / fps + latest_start + 2 * _LONGEST_LAG_S
        self.key_count = 2 + int(np.ceil(length_s / (0.8 * tempo[:, :1])).max())
        cycle = rng.choice([2, 2, 2, 3, 4, 4], video_count)
        # Lists gone through in order hold two or four poses.
        cycle = np.where((cycle == 3) & (kind_values(kinds, "in_order") > 0), 4, cycle)
        cycle = np.where(repeats, cycle, self.key_count)
        self.keys = np.arange(self.key_count) % cycle[:, None]  # (videos, keys)
        low, high = tempo[:, :1], tempo[:, 1:]
        # A video keeps to its own pace; the movements of a repeated exercise take equally long.
        pace = low * (high / low) ** rng.random((video_count, 1))
        spread = np.where(repeats, rng.uniform(0.0, 0.12, video_count), 0.45)[:, None]
        own = pace * np.exp(spread * rng.standard_normal((video_count, self.key_count)))
        self.durations = np.clip(np.take_along_axis(own, self.keys, axis=1), 0.8 * low, 1.3 * high)
        self.hold = rng.uniform(0.0, 0.5, (video_count, 1)) ** 1.5
        self.start = latest_start * rng.random((video_count, 1))
        self.time = seconds(frame_count, fps)

    def progress(self, lag_s: np.ndarray) -> np.ndarray:
        """(videos, frames, keys) how far along, 0 to 1, the way to each key is. `lag_s` (videos, 1)."""
        ends = np.cumsum(self.durations, axis=1)
        begins = ends - self.durations
        clock = self.time + self.start + _LONGEST_LAG_S - lag_s
        return np.clip((clock[..., None] - begins[:, None]) / self.durations[:, None], 0.0, 1.0)

    def weights(self, lag_s: np.ndarray) -> np.ndarray:
        """(videos, frames, keys) share of each key pose, summing to one."""
        hold = self.hold[..., None]
        reached = smoothstep((self.progress(lag_s) - hold / 2.0) / (1.0 - hold))
        reached[..., 0] = 1.0
        reached[..., :-1] -= reached[..., 1:]
        return reached


def key_pose_motion(
    rng: np.random.Generator, kinds: list[str], frame_count: int, fps: float
) -> tuple[np.ndarray, np.ndarray]:
    """Angle tracks of key-pose motion.

    Args:
        kinds: one name of `KINDS` per video.

    Returns:
        (videos, frames, A) angles relative to standing at ease, degrees, not yet within the limits, and
        (videos, frames) height in metres of jumps above the floor.
    """
    video_count = len(kinds)
    common = _Timeline(rng, kinds, frame_count, fps)
    in_step_chance = 0.55 + 0.45 * kind_values(kinds, "repeats")
    together = (rng.random((video_count, 1)) < kind_values(kinds, "together")[:, None])[..., None]

    left = _ARM_TABLE.draw(rng, kinds, common.key_count)
    right = mirror_angles(np.where(together, left, _ARM_TABLE.draw(rng, kinds, common.key_count)))
    parts = [
        _mirror_some(rng, _LEG_TABLE.draw(rng, kinds, common.key_count)),
        left,
        right,
        _mirror_some(rng, _TRUNK_TABLE.draw(rng, kinds, common.key_count)),
        _mirror_some(rng, _HEAD_TABLE.draw(rng, kinds, common.key_count)),
    ]
    tracks = np.zeros((video_count, frame_count, ANGLE_COUNT))
    for number, part in enumerate(parts):
        own = _Timeline(rng, kinds, frame_count, fps)
        in_step = (rng.random(video_count) < in_step_chance)[:, None, None]
        if number in (1, 2):
            in_step = in_step | together
        lag_s = rng.uniform(-_LONGEST_LAG_S, _LONGEST_LAG_S, (video_count, 1))
        in_step_weights, own_weights = (
            common.weights(np.where(together[..., 0], 0.4 * lag_s, lag_s)),
            own.weights(lag_s),
        )
        in_step_keys = np.take_along_axis(part, common.keys[..., None], axis=1)
        own_keys = np.take_along_axis(part, np.minimum(own.keys, part.shape[1] - 1)[..., None], axis=1)
        tracks += np.where(in_step, in_step_weights @ in_step_keys, own_weights @ own_keys)

    way = common.progress(np.zeros((video_count, 1)))
    leaps = (rng.random((video_count, common.key_count)) < 0.5) * rng.uniform(0.3, 1.0, (video_count, common.key_count))
    leaps = np.take_along_axis(leaps, common.keys, axis=1) * kind_values(kinds, "flight_m")[:, None]
    return tracks, (4.0 * way * (1.0 - way) * leaps[:, None]).sum(axis=-1)
