"""What the command line asks of a run, once parsed: plain values, read by the set-up and by nothing below it."""

from dataclasses import dataclass
from pathlib import Path

from kinemesh.errors import UserError
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
        if self.fit not in ("keypoints", "none"):
            raise UserError(f"fit {self.fit!r}: expected 'keypoints' or 'none'.")

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
