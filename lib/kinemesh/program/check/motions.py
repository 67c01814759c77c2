"""Is recorded motion what it should be? Its numbers, piece by piece; its axes, its unit, its jumps and repetitions."""

import hashlib
from collections import Counter
from collections.abc import Iterator

import numpy as np
import torch

from kinemesh.geometry.rotation import axis_angle_to_matrix
from kinemesh.motion.recorded import RecordedMotion, RecordedMotions
from kinemesh.program.check.findings import Finding, judged, some_of

_LARGEST_BETA = 10.0
# Faster than anybody runs; a path in centimetres is faster still.
_FASTEST_M_S = 15.0
# Mean of the pelvis's own up along y. People stand, sit and walk; in another axis's world it is about 0, or below.
_LEAST_UPRIGHT = 0.3
_MOST_STILL = 0.5
_FEW = 200  # frames of a sequence from which its attitude is told
_PIECE_FRAMES = 1 << 15


def motion_findings(motions: RecordedMotions) -> Iterator[Finding]:
    """What is found in a motion folder; values that are not finite are fatal."""
    where, count = str(motions.path), len(motions)
    seconds = float((motions.lengths / motions.fps).sum())
    rates = Counter(f"{rate:g}" for rate in motions.fps.tolist())
    told = ", ".join(rate for rate, _ in rates.most_common(4)) + ", ..." * (len(rates) > 4)
    found = f"{count} sequences, {len(motions.poses)} frames, {seconds / 60:.1f} minutes at {told} frames a second"
    yield Finding("ok" if count else "wrong", "sequences", where, found)
    if broken := next((name for name in ("poses", "trans_m") if not _is_finite(getattr(motions, name))), None):
        yield Finding("wrong", "values", where, f"'{broken}' holds NaN or infinity. Prepare the folder again.")
        return
    shape = float(np.abs(motions.betas).max(initial=0.0))
    doubt = "no body looks so. Are these betas of SMPL's neutral model?" * (shape > _LARGEST_BETA)
    yield judged("shapes", where, f"largest beta {shape:.2f}", doubt)
    yield from _movement(motions, where)
    yield from _repetitions(motions, where)


def _is_finite(array: np.ndarray) -> bool:
    return all(np.isfinite(array[first : first + _PIECE_FRAMES]).all() for first in range(0, len(array), _PIECE_FRAMES))


def _movement(motions: RecordedMotions, where: str) -> Iterator[Finding]:
    fast, still, upright = [], [], []
    for motion in motions:
        speed = np.linalg.norm(np.diff(motion.trans_m, axis=0), axis=1).max(initial=0.0) * motion.fps
        if speed > _FASTEST_M_S:
            fast.append(f"{motion.name} {speed:.0f}")
        if len(motion.poses) > 1 and _still_share(motion) > _MOST_STILL:
            still.append(motion.name)
        few = torch.from_numpy(np.array(motion.poses[:: max(1, len(motion.poses) // _FEW), :3]))
        upright.append(float(axis_angle_to_matrix(few)[:, 1, 1].mean()))
    if fast:
        found = f"{len(fast)} sequences go faster than {_FASTEST_M_S:.0f} m/s: {some_of(fast)}. Are there jumps, or lengths in cm?"
        yield Finding("warning", "paths", where, found)
    else:
        yield Finding("ok", "paths", where, f"nobody goes faster than {_FASTEST_M_S:.0f} m/s")
    mean = float(np.mean(upright))
    found = f"y up in the pelvis's axes: {mean:.2f} on the mean over sequences"
    yield judged("axes", where, found, "is another axis up in the files? Say --up" * (mean < _LEAST_UPRIGHT))
    if still:
        found = f"{len(still)} sequences repeat the frame before in most frames: {some_of(still)}. Is their rate a lower one?"
        yield Finding("warning", "repeated frames", where, found)


def _still_share(motion: RecordedMotion) -> float:
    same = 0
    for first in range(0, len(motion.poses) - 1, _PIECE_FRAMES):
        piece = motion.poses[first : first + _PIECE_FRAMES + 1]
        same += int((piece[1:] == piece[:-1]).all(axis=1).sum())
    return same / (len(motion.poses) - 1)


def _repetitions(motions: RecordedMotions, where: str) -> Iterator[Finding]:
    """Names that come twice, and sequences that are copies of others under another name."""
    first_of: dict[bytes, RecordedMotion] = {}
    copies, across = [], []
    for motion in motions:
        digest = hashlib.sha256(np.ascontiguousarray(motion.poses)).digest()
        if (other := first_of.setdefault(digest, motion)) is not motion:
            (copies if other.split == motion.split else across).append(f"{motion.name} = {other.name}")
    if twice := [name for name, times in Counter(motions.texts["name"]).items() if times > 1]:
        yield Finding("warning", "names", where, f"{len(twice)} names come twice: {some_of(twice)}")
    for what, found in (("copies", copies), ("copies across splits", across)):
        if found:
            yield Finding("warning", what, where, f"{len(found)} sequences are copies of others: {some_of(found)}")
