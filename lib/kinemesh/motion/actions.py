"""Motion as key poses: poses drawn from `kinemesh.motion.poses`, joined by minimum-jerk movements, limbs not quite in step."""

import numpy as np

from kinemesh.body.skeleton import SIDES
from kinemesh.motion import broad
from kinemesh.motion.anatomy import ANGLE_COUNT, ANGLE_INDEX, REST, mirror_angles
from kinemesh.motion.poses import ARMS, HEADS, HELD_OUT_POSES, KINDS, LEGS, TRUNKS, Kind, Ranges
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
        self,
        poses: dict[str, Ranges],
        any_pose: Ranges,
        names_by_kind: dict[str, str],
        in_order: frozenset[str] = frozenset(),
    ):
        self.in_order = in_order
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
            in_turn = np.arange(key_count) % len(choices)
            rows.append(choices[in_turn if kind in self.in_order else (places * len(choices)).astype(int)])
        rows = np.stack(rows)
        low, high = self.low[rows], self.high[rows]
        is_any = rows == len(self.low) - 1
        independence = np.where(is_any, 1.0, _INDEPENDENCE)[..., None]
        common, own = rng.random((*rows.shape, 1)), rng.random(low.shape)
        poses = np.zeros((*rows.shape, ANGLE_COUNT))
        poses[..., self.columns] = low + (high - low) * (common * (1.0 - independence) + own * independence)
        return poses


_HEAD_HABITS = "ahead ahead ahead down up aside aside tilted"


class Vocabulary:
    """Kinds of motion by name, and the poses of legs, left arm, trunk and head that they are made of.

    `is_free`: whole persons turn, parts of them move apart from each other, and speeds are limited; see
    `kinemesh.motion.broad`.
    """

    def __init__(
        self,
        kinds: dict[str, Kind],
        legs: dict[str, Ranges],
        arms: dict[str, Ranges],
        trunks: dict[str, Ranges],
        *,
        is_free: bool = False,
    ):
        self.kinds, self.is_free = kinds, is_free
        in_order = frozenset(kind for kind, spec in kinds.items() if spec.in_order)

        def names(part: str) -> dict[str, str]:
            return {kind: getattr(spec, part) for kind, spec in kinds.items()}

        self.legs = _PoseTable(legs, _both(_ANY_LEG), names("legs"), in_order)
        self.arms = _PoseTable(
            {name: _left(pose) for name, pose in arms.items()}, _left(_ANY_ARM), names("arms"), in_order
        )
        self.trunks = _PoseTable(trunks, {}, names("trunk"), in_order)
        self.heads = _PoseTable(HEADS, {}, dict.fromkeys(kinds, _HEAD_HABITS))

    def values(self, kinds: list[str], field: str) -> np.ndarray:
        """One field of `Kind` for each video, (videos, ...) float64."""
        return np.array([getattr(self.kinds[kind], field) for kind in kinds], dtype=np.float64)


EVERYDAY = Vocabulary(KINDS, LEGS, ARMS, TRUNKS)
BROAD = Vocabulary(KINDS | broad.KINDS, LEGS | broad.LEGS, ARMS | broad.ARMS, TRUNKS | broad.TRUNKS, is_free=True)


def _mirror_some(rng: np.random.Generator, poses: np.ndarray) -> np.ndarray:
    return np.where(rng.random((*poses.shape[:2], 1)) < 0.5, mirror_angles(poses), poses)


class _Timeline:
    """When each video leaves one key pose for the next, and which keys come again."""

    def __init__(
        self, rng: np.random.Generator, kinds: list[str], frame_count: int, fps: float, vocabulary: Vocabulary
    ):
        video_count = len(kinds)
        tempo = vocabulary.values(kinds, "seconds")
        repeats = rng.random(video_count) < vocabulary.values(kinds, "repeats")
        # Videos start anywhere in the first movements: longer would only make key poses that nobody sees.
        latest_start = np.minimum(_LONGEST_START_S, 1.5 * tempo[:, :1])
        length_s = frame_count / fps + latest_start + 2 * _LONGEST_LAG_S
        self.key_count = 2 + int(np.ceil(length_s / (0.8 * tempo[:, :1])).max())
        cycle = rng.choice([2, 2, 2, 3, 4, 4], video_count)
        # Lists gone through in order hold two or four poses.
        cycle = np.where((cycle == 3) & (vocabulary.values(kinds, "in_order") > 0), 4, cycle)
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
    rng: np.random.Generator, kinds: list[str], frame_count: int, fps: float, vocabulary: Vocabulary = EVERYDAY
) -> tuple[np.ndarray, np.ndarray]:
    """Angle tracks of key-pose motion.

    Args:
        kinds: one name of the vocabulary's kinds per video.

    Returns:
        (videos, frames, A) angles relative to standing at ease, degrees, not yet within the limits, and
        (videos, frames) height in metres of jumps above the floor.
    """
    video_count = len(kinds)
    common = _Timeline(rng, kinds, frame_count, fps, vocabulary)
    in_step_chance = 0.55 + 0.45 * vocabulary.values(kinds, "repeats")
    together = (rng.random((video_count, 1)) < vocabulary.values(kinds, "together")[:, None])[..., None]

    left = vocabulary.arms.draw(rng, kinds, common.key_count)
    right = mirror_angles(np.where(together, left, vocabulary.arms.draw(rng, kinds, common.key_count)))
    parts = [
        _mirror_some(rng, vocabulary.legs.draw(rng, kinds, common.key_count)),
        left,
        right,
        _mirror_some(rng, vocabulary.trunks.draw(rng, kinds, common.key_count)),
        _mirror_some(rng, vocabulary.heads.draw(rng, kinds, common.key_count)),
    ]
    tracks = np.zeros((video_count, frame_count, ANGLE_COUNT))
    for number, part in enumerate(parts):
        own = _Timeline(rng, kinds, frame_count, fps, vocabulary)
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
    leaps = np.take_along_axis(leaps, common.keys, axis=1) * vocabulary.values(kinds, "flight_m")[:, None]
    return tracks, (4.0 * way * (1.0 - way) * leaps[:, None]).sum(axis=-1)
