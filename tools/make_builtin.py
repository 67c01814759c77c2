"""Makes a built-in model for every motion (docs/builtin.md): the motion, training on it, and weights in half precision.

    python -m tools.make_builtin --out builtin.bin
    python -m tools.make_builtin --out builtin.bin --from builtin.bin

The second goes on from what the first has stored, with a fresh optimizer. --store only stores a run that is finished.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from kinemesh.body.skeleton import BETA_COUNT
from kinemesh.demo.body import write_body_files
from kinemesh.demo.splits import StandIn, axis_angles
from kinemesh.errors import UserError
from kinemesh.files.array_folder.writing import TEXT, Column, FolderWriter, writing_folder
from kinemesh.machine.progress import progress
from kinemesh.motion import broad, poses
from kinemesh.motion.actions import BROAD
from kinemesh.motion.motion import make_motion
from kinemesh.motion.recorded import FRAME_ARRAYS, KIND, SEQUENCE_ARRAYS, TEXTS
from kinemesh.program.cli import main as train
from kinemesh.program.cli import run_reporting_errors
from kinemesh.program.flags.training import REGRESSOR
from kinemesh.training.names import BEST, LATEST
from tools.make_demo_checkpoint import store

CONFIG = "configs/mesh/MB_builtin.yaml"
NOTE = "Trained on made-up motion for the stand-in body. NOT for SMPL: its figures compare with nothing published."
FPS = 30.0
# A clip of 32 frames at one and a half times its speed is made of 47.
FRAMES = 48
TRAIN_COUNT, TEST_COUNT = 19200, 320
LARGEST_BYTES = 16 << 20
_LARGEST_BETA = 2.5
_AT_ONCE = 64
HELD_OUT = (*poses.HELD_OUT_KINDS, *broad.HELD_OUT_KINDS)
# How often a kind comes, where not once: mostly people on their feet.
_WEIGHTS = {
    "walk": 8, "walk_carry": 3, "walk_turn": 4, "walk_back": 1.5, "run": 3, "stairs": 2.5, "stand_talk": 4, "idle": 3, "phone": 2,
    "reach": 2, "pick_up": 2, "sit": 2, "sit_down": 2, "dance": 4, "sport": 3, "exercise": 3, "any_pose": 3, "stretch": 2,
    "hands_talk": 2, "arms_fast": 2, "fight": 2, "kick_fast": 2, "leap_about": 2, "lounge": 2, "contort": 3, "float": 2, "scale": 2,
    "crawl_wide": 2, "sit_low_down": 2, "work_low": 2, "flip": 1.5, "lie": 0.5, "lie_front": 0.5, "push_up": 0.5, "crawl": 0.5,
}  # fmt: skip
_UPRIGHT = (
    "walk", "walk_carry", "walk_turn", "walk_back", "run", "stairs", "sneak", "march", "sidestep", "stand_talk", "idle", "wave",
    "phone", "reach", "pick_up", "sit", "sit_down", "hands_talk",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--out", required=True, metavar="FILE", help="where to store the weights")
    add("--from", metavar="FILE", dest="start", help="stored weights to go on from")
    add("--run", default="checkpoint/mesh/MB_builtin", metavar="DIR", help="the run's folder (default: %(default)s)")
    add("--data_root", default="data/builtin", metavar="DIR", help="where motion is made (default: %(default)s)")
    add("--seed", type=int, default=0, help="of motion, cameras and errors; another one for another sitting")
    add("--upright", type=float, metavar="SHARE", help="of the motions that are of people on their feet or on chairs")
    add("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides", help="a config key; repeatable")
    add("--store", action="store_true", help="train nothing, store the run that is there")
    arguments = parser.parse_args()
    run = Path(arguments.run)
    if not arguments.store:
        data_root = Path(arguments.data_root)
        make_motions(data_root, arguments.seed, arguments.upright)
        overrides = [f"data_root={data_root}", *arguments.overrides]
        flags = ["--config", CONFIG, "--checkpoint", str(run), "--seed", str(arguments.seed)]
        if arguments.start:
            start = Path(arguments.start)
            overrides.append("finetune=True")
            flags += ["--pretrained", str(start.parent), "--selection", start.name]
        for override in overrides:
            flags += ["--set", override]
        if train(REGRESSOR, flags):
            raise UserError(
                "training failed or was stopped, see above. The same command goes on; --store stores what is there."
            )
    trained = run / (LATEST if arguments.store else BEST)
    store(trained, Path(arguments.out), note=NOTE, largest_bytes=LARGEST_BYTES, is_half=True)


def make_motions(
    data_root: Path, seed: int, upright_share: float | None = None, counts: tuple[int, int] | None = None
) -> None:
    """The stand-in body's files and a motion folder, unless it is there: held-out kinds are its test split.

    `counts`: other numbers of motions to train and test on than the built-in model's.
    """
    write_body_files(data_root)
    if (data_root / "motion").is_dir():
        return
    body = StandIn()
    usual = [kind for kind in BROAD.kinds if kind not in HELD_OUT]
    weights = np.array([_WEIGHTS.get(kind, 1.0) for kind in usual])
    weights /= weights.sum()
    if upright_share is not None:
        is_upright = np.isin(usual, _UPRIGHT)
        weights *= np.where(is_upright, upright_share, 1 - upright_share) / np.where(
            is_upright, weights[is_upright].sum(), weights[~is_upright].sum()
        )
    train_count, test_count = counts or (TRAIN_COUNT, TEST_COUNT)
    # Other shares, other people.
    seeds = [seed] if upright_share is None else [seed, round(1000 * upright_share)]
    kinds = list(np.random.default_rng([*seeds, 0]).choice(usual, train_count, p=weights))
    kinds += [HELD_OUT[number % len(HELD_OUT)] for number in range(test_count)]
    columns = {name: Column(np.dtype(kind), row) for name, (kind, row) in {**FRAME_ARRAYS, **SEQUENCE_ARRAYS}.items()}
    columns |= dict.fromkeys(TEXTS, TEXT)
    provenance = {
        "source": f"tools.make_builtin, seed {seed}",
        "licence": "the program's own",
        "body_model": "stand-in",
    }
    with writing_folder(data_root / "motion", KIND, columns, provenance=provenance) as writer:
        for first in progress(range(0, len(kinds), _AT_ONCE), len(kinds) // _AT_ONCE, "motions", every=50):
            some = kinds[first : first + _AT_ONCE]
            _append(writer, np.random.default_rng([*seeds, 1, first]), body, some, first)


def _append(writer: FolderWriter, rng: np.random.Generator, body: StandIn, kinds: list[str], first: int) -> None:
    betas = np.clip(rng.standard_normal((len(kinds), BETA_COUNT)), -_LARGEST_BETA, _LARGEST_BETA)
    motion = make_motion(rng, kinds, FRAMES, FPS, body.shaped_rest_joints_m(betas), BROAD)
    writer.append(
        {
            "pose": axis_angles(motion.rotations).reshape(-1, 72).astype("<f4"),
            "trans": motion.root_m.reshape(-1, 3).astype("<f4"),
            "length": np.full(len(kinds), FRAMES, "<i8"),
            "fps": np.full(len(kinds), FPS),
            "betas": betas.astype("<f4"),
        }
    )
    names = [f"{kind}_{first + number:05d}" for number, kind in enumerate(kinds)]
    texts = {"name": names, "subject": names, "source": ["made-up"] * len(kinds), "gender": ["neutral"] * len(kinds)}
    texts["split"] = ["test" if kind in HELD_OUT else "train" for kind in kinds]
    for name in TEXTS:
        writer.append_text(name, texts[name])


if __name__ == "__main__":
    sys.exit(run_reporting_errors(main))
