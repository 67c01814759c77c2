"""Joint angles and speeds of made-up motion of every kind, beside their limits: nothing lies beyond."""

import sys

import numpy as np

from benchmarks.timing import parser, report, table
from kinemesh.demo.splits import StandIn
from kinemesh.motion.actions import BROAD
from kinemesh.motion.anatomy import ANGLE_NAMES, HIGHEST, LOWEST
from kinemesh.motion.broad import FASTEST, FASTEST_TURN
from kinemesh.motion.motion import make_motion

_FRAMES, FPS = 90, 30.0


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--videos", type=int, default=10, help="of each kind")
    arguments = flags.parse_args()
    kinds = [kind for kind in BROAD.kinds for _ in range(arguments.videos)]
    rest = np.repeat(StandIn().rest_joints_m[None], len(kinds), axis=0)
    motion = make_motion(np.random.default_rng(2026), kinds, _FRAMES, FPS, rest, BROAD)
    rows = [("degrees, degrees a second", "1 to 99 %", "all", "limits", "speed, 99 %", "fastest", "limit")]
    for number, name in enumerate(ANGLE_NAMES):
        if name.startswith("right_") or not np.isfinite(LOWEST[number]):
            continue
        values = motion.angles[..., number]
        speeds = np.abs(np.diff(values, axis=1)) * FPS
        ranges = (np.quantile(values, (0.01, 0.99)), (values.min(), values.max()), (LOWEST[number], HIGHEST[number]))
        rows.append(
            (
                name.removeprefix("left_").replace("_", " "),
                *(f"{low:.0f} to {high:.0f}" for low, high in ranges),
                *(f"{value:.0f}" for value in (np.quantile(speeds, 0.99), speeds.max(), FASTEST[number])),
            )
        )
    root = motion.rotations[:, :, 0]
    step = root[:, :-1].swapaxes(-1, -2) @ root[:, 1:]
    turn = np.degrees(np.arccos(np.clip((np.trace(step, axis1=-2, axis2=-1) - 1) / 2, -1, 1))) * FPS
    upward = root[..., 1, 1]
    shares = ", ".join(
        f"{100 * (upward < limit).mean():.0f} % {name}"
        for limit, name in ((0.5, "tilted by 60 degrees and more"), (-0.5, "head down"))
    )
    text = (
        f"{len(kinds)} videos of {_FRAMES} frames, {len(BROAD.kinds)} kinds alike; of the frames {shares}\n\n{table(rows)}\n\n"
        f"whole person: 99 % below {np.quantile(turn, 0.99):.0f} degrees a second, fastest {turn.max():.0f} (turns about "
        f"their own axes at most {FASTEST_TURN:.0f}, and the pelvis besides)"
    )
    report("motion", text, arguments.keep)


if __name__ == "__main__":
    sys.exit(main())
