"""What the command line asks of a run, once parsed: plain values, read by the set-up and by nothing below it."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import get_args

from kinemesh.errors import UserError, require_one_of
from kinemesh.fit import FITS
from kinemesh.training.names import LATEST


@dataclass(frozen=True)
class RunOptions:
    """The flags of `train_mesh.py` and `train_mesh_refine.py`, beside the config's keys."""

    kind: str  # "regressor" or "refiner"
    script: str
    config: Path
    folder: Path  # of checkpoints
    pretrained: Path  # the backbone that `finetune: True` starts from
    resume: Path | None = None
    evaluate: Path | None = None
    is_check: bool = False
    device: str = "auto"
    seed: int = 0
    print_freq: int = 100
    predictions: Path | None = None  # another estimator's bodies, for a refiner
    protocols: tuple[str, ...] = ()
    fit: str = "none"  # what evaluated bodies are fitted to: "keypoints", scored beside them, or "none"
    report: Path | None = None
    metrics_out: Path | None = None
    predictions_out: Path | None = None

    def __post_init__(self):
        """Take text for a path; raise UserError for a value that cannot be meant."""
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, str) and Path in (field.type, *get_args(field.type)):
                object.__setattr__(self, field.name, Path(value))
        from kinemesh.files.arrays import is_characters  # imports numpy, which --help need not wait for

        if not is_characters([str(self.folder)]):
            raise UserError(
                f"--checkpoint {self.folder}: its name is not UTF-8, which TensorBoard needs. Name another."
            )
        require_one_of("kind", self.kind, ("regressor", "refiner"))
        if self.print_freq < 1:
            raise UserError(f"--print_freq {self.print_freq}: expected 1 or more.")
        if not 0 <= self.seed < 2**32:
            raise UserError(f"--seed {self.seed}: expected 0 to {2**32 - 1}.")
        require_one_of("fit", self.fit, FITS)
        scoring = {"fit keypoints": self.fit != "none", "predictions_out": self.predictions_out, "report": self.report}
        for flag, is_given in scoring.items():
            if is_given and self.is_training:
                raise UserError(f"--{flag} works with --evaluate only. Train first, then evaluate best_epoch.bin.")
        if self.predictions_out and self.predictions_out.suffix != ".npz":
            raise UserError(f"--predictions_out {self.predictions_out}: expected a name ending in .npz.")

    @property
    def is_training(self) -> bool:
        return self.evaluate is None

    @property
    def start(self) -> Path | None:
        """The checkpoint to start from: `--evaluate`'s, else the folder's own latest, else `--resume`'s."""
        latest = self.folder / LATEST
        if self.evaluate is not None:
            return self.evaluate
        return latest if latest.is_file() else self.resume
