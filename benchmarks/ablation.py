"""What each choice of synthesis and model is worth: networks trained alike but for one thing, on the same made-up motion.

A row's name is its command: `python -m benchmarks.ablation --rows half` trains and scores that row and the base. What is finished is
not trained again. Scored are people of kinds and errors that no row trains on, clip by clip the same, without and with the fit.
"""

import contextlib
import logging
import sys
import time
from pathlib import Path
from unittest import mock

import numpy as np

from benchmarks import setting
from benchmarks.builtin import GROUPS, score
from benchmarks.fit_quality import Clips, Scorer, interval, kinds_of
from benchmarks.timing import describe, parser, report, table
from kinemesh.demo.splits import StandIn
from kinemesh.infer import MeshPredictor
from kinemesh.synthesis.recipe import DEFAULT
from tools.make_builtin import CONFIG, make_motions

# The embedded default's size: minutes a row.
_BASE = {
    "maxlen": 243, "dim_feat": 48, "dim_rep": 16, "num_heads": 3, "hidden_dim": 256, "checkpoint_minutes": 0,
    "mean_pose_baseline": False, "clip_len": 16, "data_stride": 16,
}  # fmt: skip
_MOTIONS, _TESTED, _EPOCHS = 1600, 64, 8
_NO_RARE_ERRORS = {
    "legs_gone_chance": 0, "swap_chance": 0, "occluder_chance": 0, "definition_share": [0, 0], "definition_std_m": 0,
    "level": [1, 1],
}  # fmt: skip
# What drifts so slowly stays for the clip, as WHAM's bias does.
_WHAM = _NO_RARE_ERRORS | {"sure_chance": 1, "bias_share": 0, "drift_s": [25, 50]}
_MOTIONBERT = _NO_RARE_ERRORS | {"sure_chance": 0, "bias_share": 0, "peak_chance": 0, "drift_s": [0.15, 0.15]}
_NO_DRIFT = dict.fromkeys(dict(DEFAULT.noise.drift_m), 0)
_NO_NOISE = _WHAM | {"jitter_m": 0, "peak_chance": 0, "drop_chance": 0, "drift_m": _NO_DRIFT}
_STILL_CAMERA = {
    "kinds": [1, 0, 0], "pitch_deg": [0, 0], "roll_std_deg": 0, "close_chance": 0, "focal_35mm": [43, 43],
}  # fmt: skip
# Row -> what it says of itself, and the keys that differ from the base's.
ROWS = {
    "base": ("joined noise, every camera, 16 frames, cropped input, anew each epoch", {}),
    "wham_noise": (
        "WHAM's noise alone: bias, jitter, peaks, lost joints, no confidence", {"recipe": {"noise": _WHAM}},
    ),
    "motionbert_noise": (
        "MotionBERT's noise alone: drift, jitter, lost joints, confidence", {"recipe": {"noise": _MOTIONBERT}},
    ),
    "no_noise": ("no noise", {"recipe": {"noise": _NO_NOISE}}),
    "level_camera": ("one lens, level, on a tripod", {"recipe": {"camera": _STILL_CAMERA}}),
    "made_once": ("cameras and noise made once, as by a file of projections", {}),
    "clip_8": ("clips of 8 frames, as many frames a batch", {"clip_len": 8, "data_stride": 8, "batch_size": 64}),
    # Two overlapping clips a motion, not three: fewer epochs are as many steps.
    "clip_32": ("clips of 32 frames, as many frames a batch", {"clip_len": 32, "batch_size": 16, "epochs": 6}),
    "half": ("half as wide", {"dim_feat": 24, "dim_rep": 8, "hidden_dim": 128}),
    "double": ("twice as wide", {"dim_feat": 96, "dim_rep": 32, "num_heads": 6, "hidden_dim": 512}),
    "whole_picture": ("the whole picture instead of a crop", {"crop_input": False}),
}  # fmt: skip
_REFINER = "feedback refiner on top"
_GROUPS = ("upright, another kind of error", "floor", "never trained on by either")


def main() -> None:
    flags = parser(__doc__)
    add = flags.add_argument
    add(
        "--rows",
        nargs="*",
        default=[],
        choices=list(ROWS),
        metavar="ROW",
        help="of " + ", ".join(ROWS) + "; default: all",
    )
    add("--run", default="checkpoint/ablation", metavar="DIR", help="where the runs are (default: %(default)s)")
    add("--data_root", default="data/ablation", metavar="DIR", help="where motion is made (default: %(default)s)")
    add("--refiner", metavar="FILE", help="a refiner, as a row of its own on the base's output")
    add("--clips", type=int, default=24, help="of each group")
    add("--seed", type=int, default=2026, help="of the people who are scored")
    add("--epochs", type=int, default=_EPOCHS)
    add("--motions", type=int, default=_MOTIONS, help="to train on, made once (default: %(default)s)")
    arguments = flags.parse_args()
    make_motions(Path(arguments.data_root), 0, counts=(arguments.motions, _TESTED))
    scores, texts = {}, {}
    for name in dict.fromkeys(("base", *(arguments.rows or ROWS))):
        path = _train(name, arguments)
        predictor = MeshPredictor.load(path, device=arguments.device, assets=StandIn().assets)
        scores[name] = _scores(predictor, arguments)
        texts[name] = ROWS[name][0]
        if name == "base" and arguments.refiner:
            refiner = MeshPredictor.load(arguments.refiner, device=arguments.device, assets=StandIn().assets)
            scores[_REFINER], texts[_REFINER] = _scores(predictor, arguments, refiner), _REFINER
    head = [f"{group}{what}" for group in _GROUPS for what in ("", ", fitted")]
    rows = [("MPJPE, mm [95 % of the difference to the base]", *head)]
    for name, own in scores.items():
        rows.append((texts[name], *(_cell(base, ours) for base, ours in zip(scores["base"], own, strict=True))))
    heading = f"{arguments.motions} motions, {arguments.epochs} epochs a row; {arguments.clips} clips of each group"
    report("ablation", f"{heading}\n{describe(predictor.device)}\n\n{table(rows)}", arguments.keep)


def _train(name: str, arguments) -> Path:
    """The row's best checkpoint, trained unless that is done. Raises UserError where training fails or is stopped."""
    run = Path(arguments.run) / name
    keys = _BASE | {"epochs": arguments.epochs, "data_root": arguments.data_root} | ROWS[name][1]
    began = time.monotonic()
    # A clip's keypoints are one of so many: of one, they are the same in every epoch.
    with mock.patch("kinemesh.data.loader._TAKES", 1) if name == "made_once" else contextlib.nullcontext():
        path = setting.train_run(run, CONFIG, keys, ["--seed", "0"])
    print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    return path


def _scores(predictor: MeshPredictor, arguments, refiner: MeshPredictor | None = None) -> list[np.ndarray]:
    """MPJPE of each clip, by group without and with the fit, the same clips for every network."""
    logging.disable(logging.WARNING)  # What inference says of each clip.
    scorer, found = Scorer(predictor), []
    for number, group in enumerate(_GROUPS):
        clips: Clips = GROUPS[group]
        values = []
        for place, kind in enumerate(kinds_of(clips, arguments.clips)):
            rng = np.random.default_rng([arguments.seed, number, place])
            *_, figures = score(scorer, clips, kind, rng, refiner)
            values.append(figures)
        plain, _, fitted, _ = np.array(values).T
        found += [plain, fitted]
    logging.disable(logging.NOTSET)
    return found


def _cell(base: np.ndarray, own: np.ndarray) -> str:
    if own is base:
        return f"{own.mean():.1f}"
    low, high = interval(own - base)
    return f"{own.mean():.1f} [{low:+.1f}, {high:+.1f}]"


if __name__ == "__main__":
    sys.exit(main())
