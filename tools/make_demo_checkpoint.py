"""Trains the checkpoint that `infer_wild_mesh.py --demo` uses and stores what inference needs of it.

    python -m tools.make_demo_checkpoint

Trains as `python train_mesh.py` does, a few minutes, unless --checkpoint names a run's folder or best_epoch.bin.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from kinemesh.demo.body import CHECKPOINT_PATH
from kinemesh.errors import UserError
from kinemesh.files.checkpoints import load_checkpoint, save_checkpoint
from kinemesh.program.cli import main as train
from kinemesh.program.cli import run_reporting_errors
from kinemesh.program.flags.training import REGRESSOR
from kinemesh.training.names import BEST

NOTE = "Trained on synthetic motion for the stand-in body. NOT for SMPL: its figures compare with nothing published."
_LARGEST_BYTES = 4 << 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", metavar="PATH", help="a finished run's folder or file, instead of training")
    parser.add_argument("--out", default=str(CHECKPOINT_PATH), metavar="FILE")
    arguments = parser.parse_args()
    if arguments.checkpoint:
        path = Path(arguments.checkpoint)
        store(path / BEST if path.is_dir() else path, Path(arguments.out))
        return
    with tempfile.TemporaryDirectory() as folder:
        if train(REGRESSOR, ["--checkpoint", folder]):
            raise UserError("training failed, see above.")
        store(Path(folder) / BEST, Path(arguments.out))


def store(
    path: Path, out: Path, *, note: str = NOTE, largest_bytes: int = _LARGEST_BYTES, is_half: bool = False
) -> None:
    """Weights and config of a checkpoint, with a note of what they are for. Raises UserError if they are too many.

    `is_half`: weight matrices in half precision.
    """
    content = load_checkpoint(path)
    kept = {"note": note, "epoch": content["epoch"], "best_jpe": content["best_jpe"], "config": content["config"]}
    weights = content["model"]
    if is_half:
        weights = {name: value.half() if value.ndim >= 2 else value for name, value in weights.items()}
    save_checkpoint(out, kept | {"model": weights})
    if out.stat().st_size > largest_bytes:
        raise UserError(f"{out}: {out.stat().st_size} bytes, expected at most {largest_bytes} in the repository.")
    print(f"{out}: {out.stat().st_size / 1e6:.2f} MB, test mpjpe {content['best_jpe']:.1f} mm")


if __name__ == "__main__":
    sys.exit(run_reporting_errors(main))
