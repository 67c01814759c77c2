"""How near two checkpoints come to made-up people, without and with the fit, by what they do; clip by clip the same ones.

Cameras, detector and errors are like the embedded default's, or as a row's name says; what is new to which model, docs/builtin.md
says. The body is the stand-in: nothing published compares.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from benchmarks.fit_quality import EVERYDAY_KINDS, FPS, VIEW, Clips, Scorer, difference, kinds_of
from benchmarks.refine_any import refine
from benchmarks.timing import describe, parser, report, table
from kinemesh.body.kinematics import regress_joints_m
from kinemesh.body.skeleton import LIMBS
from kinemesh.demo.body import CHECKPOINT_PATH
from kinemesh.demo.splits import StandIn
from kinemesh.fit.tracks import fit_tracks
from kinemesh.infer import MeshPredictor
from kinemesh.motion import broad
from kinemesh.motion.actions import BROAD
from kinemesh.motion.poses import HELD_OUT_KINDS
from kinemesh.structures import Track

_LOW = ("sit", "sit_down", "lounge", "kneel", "sit_floor", "sit_low_down", "squat_low", "work_low")
_FLOOR = ("crawl", "lie", "push_up", "crawl_wide", "lie_on_back", "lie_on_side", "lie_on_front", "roll_over")
_LIVELY = ("dance", "sport", "kick", "kick_fast", "fight", "jump", "leap_about", "scale")
_TURNED = ("flip", "somersault", "cartwheel", "handstand", "fall", "float", "turn_jump", "hang_from")
HELD = VIEW._replace(is_held=True)
_NEAR, _FAR = (
    VIEW._replace(focal_px=(900, 1200), distance_m=(1.7, 3)),
    VIEW._replace(focal_px=(4000, 6000), distance_m=(9, 20)),
)
GROUPS = {
    "upright": Clips(EVERYDAY_KINDS, HELD),
    "sitting, kneeling": Clips(_LOW, HELD, vocabulary=BROAD),
    "floor": Clips(_FLOOR, vocabulary=BROAD),
    "lively": Clips(_LIVELY, vocabulary=BROAD),
    "turned over": Clips(_TURNED, vocabulary=BROAD),
    "upright, another kind of error": Clips(EVERYDAY_KINDS, is_biased=True),
    "never trained on by either": Clips(HELD_OUT_KINDS, HELD),
    "never trained on, broad": Clips(broad.HELD_OUT_KINDS, vocabulary=BROAD),
    "upright, near and wide, another kind of error": Clips(EVERYDAY_KINDS, _NEAR, is_biased=True),
    "upright, far and long, another kind of error": Clips(EVERYDAY_KINDS, _FAR, is_biased=True),
}
_METRICS = ("MPJPE", "PA-MPJPE", "MPJPE, fitted", "PA-MPJPE, fitted")
_WORST, _SIDE = 20, 150


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--clips", type=int, default=16, help="of each group")
    flags.add_argument("--seed", type=int, default=2026)
    flags.add_argument("--old", default=str(CHECKPOINT_PATH), metavar="FILE")
    flags.add_argument("--new", required=True, metavar="FILE")
    flags.add_argument("--sheet", metavar="FILE.png", help="draw the new one's worst clips, fitted: front and side")
    arguments = flags.parse_args()
    scorers = [
        Scorer(MeshPredictor.load(path, device=arguments.device, assets=StandIn().assets))
        for path in (arguments.old, arguments.new)
    ]
    rows, drawn = [("mm, old -> new [95 % of the difference]", *_METRICS)], []
    for number, (name, clips) in enumerate(GROUPS.items()):
        scores = [[], []]
        for place, kind in enumerate(kinds_of(clips, arguments.clips)):
            for scorer, own in zip(scorers, scores, strict=True):
                rng = np.random.default_rng([arguments.seed, number, place])
                truth, fitted, values = score(scorer, clips, kind, rng)
                own.append(values)
            drawn.append((values[2], kind, truth, fitted))
        rows.append((name, *(difference(*columns) for columns in np.array(scores).transpose(2, 0, 1))))
    if arguments.sheet:
        drawn.sort(key=lambda one: -one[0])
        _draw(scorers[1], drawn[:_WORST], Path(arguments.sheet))
    text = f"{arguments.clips} clips of each group\n{describe(scorers[0].predictor.device)}\n\n{table(rows)}"
    report("builtin", text, arguments.keep)


def score(
    scorer: Scorer, clips: Clips, kind: str, rng: np.random.Generator, refiner: MeshPredictor | None = None
) -> tuple[Track, Track, list[float]]:
    """The truth, the fitted body, and the figures of `_METRICS`, of what `refiner` makes of the body where there is one."""
    truth, keypoints, camera, start = scorer.make(clips, kind, rng)
    if refiner is not None:
        start = refine(refiner, start, keypoints, camera)
    (fitted,), _ = fit_tracks(scorer.points, [start], [keypoints], camera, FPS, are_lifted=True)
    target = scorer.mesh(truth)
    return truth, fitted, [value for track in (start, fitted) for value in scorer.metrics(track, truth, target)[:2]]


def _draw(scorer: Scorer, clips: list[tuple[float, str, Track, Track]], path: Path) -> None:
    """A row a clip: three moments, each from the front and from the side; truth grey, the new model's body red."""
    sheet = Image.new("RGB", (6 * _SIDE + _SIDE, len(clips) * _SIDE), "white")
    pen = ImageDraw.Draw(sheet)
    for row, (error, kind, truth, fitted) in enumerate(clips):
        pen.text((4, row * _SIDE + 4), f"{kind}\n{error:.0f} mm", fill="black")
        for moment, frame in enumerate(np.linspace(0, len(truth.poses) - 1, 5).astype(int)[1:4]):
            for track, colour in ((truth, "grey"), (fitted, "red")):
                joints = regress_joints_m(scorer.predictor.kinematics, track.poses[frame : frame + 1], track.betas)[0]
                joints = (joints - joints[0]) * 0.42 * _SIDE + _SIDE / 2
                for view, axis in enumerate((0, 2)):
                    corner = ((1 + 2 * moment + view) * _SIDE, row * _SIDE)
                    for bone in LIMBS:
                        ends = [(corner[0] + joints[end, axis], corner[1] + joints[end, 1]) for end in bone]
                        pen.line(ends, fill=colour, width=2)
    sheet.save(path)


if __name__ == "__main__":
    sys.exit(main())
