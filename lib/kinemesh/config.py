"""What a run is told: one frozen dataclass with the released YAML keys, read and checked once.

A key without a default must be in the file. Keys that this project adds have the released behaviour as default, so
that a released file runs unchanged (behaviour contract, section 6).
"""

import dataclasses
import logging
import re
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kinemesh.errors import UserError
from kinemesh.files.yaml import fields_of, parse_yaml, read_yaml

logger = logging.getLogger(__name__)

# Known to the released code, without effect there too.
IGNORED_KEYS = frozenset({"dropout_loc"})

LAMBDA_OF_TERM = {
    "loss_3d_pos": "lambda_3d",
    "loss_3d_scale": "lambda_scale",
    "loss_3d_velocity": "lambda_3dv",
    "loss_lv": "lambda_lv",
    "loss_lg": "lambda_lg",
    "loss_a": "lambda_a",
    "loss_av": "lambda_av",
    "loss_pose": "lambda_pose",
    "loss_shape": "lambda_shape",
    "loss_norm": "lambda_norm",
}


# A dataset's name is part of other names: of figures, of files, of keys of the metrics file, of which `meta` is one.
_NAME = re.compile(r"(?!meta$)[A-Za-z][A-Za-z0-9_]{0,39}")
# Frames a second of a video that somebody took.
LOWEST_FPS, HIGHEST_FPS = 0.01, 1000.0
RELEASED_NAMES = ("h36m", "coco", "pw3d")


@dataclass(frozen=True, kw_only=True)
class DatasetEntry:
    """One line of `datasets`: a dataset of the user's own, beside the released three."""

    name: str  # in metrics, logs and tables
    file: str  # a pickle or a folder, in `data_root`
    train_epochs: int | None = None  # how many epochs train on it; None: all
    weight: float | None = None  # part of an epoch's batches that are mixed from several, instead of one after another
    batch_size: int | None = None  # None: the config's, for videos or images
    fps: float | None = None  # frames a second of its videos; None, 0: single images
    validate: bool | None = None  # whether its test split is scored; None: that of videos is
    selects: bool = False  # whether `best_epoch.bin` is chosen on it

    def __post_init__(self):
        where = f"datasets: '{self.name[:40]}': "
        if not _NAME.fullmatch(self.name):
            raise UserError(
                f"{where}name is not one. Expected a letter, then letters, digits or _, at most 40, not 'meta'."
            )
        if self.name in RELEASED_NAMES:
            raise UserError(
                f"{where}name is that of a released dataset. Set dt_file_{self.name}, or choose another name."
            )
        if self.weight is not None and self.train_epochs is not None:
            raise UserError(f"{where}both train_epochs and weight are set. Expected one: in turn, or mixed.")
        for key, least in (("train_epochs", 0), ("batch_size", 1), ("fps", 0)):
            value = getattr(self, key)
            if value is not None and value < least:
                raise UserError(f"{where}{key} is {value:g}, expected at least {least}.")
        if self.fps and not LOWEST_FPS <= self.fps <= HIGHEST_FPS:
            raise UserError(
                f"{where}fps is {self.fps:g}, expected {LOWEST_FPS:g} to {HIGHEST_FPS:g}, or 0 for single images."
            )
        if self.weight is not None and self.weight <= 0:
            raise UserError(
                f"{where}weight is {self.weight:g}, expected more than 0; train_epochs: 0 leaves it untrained."
            )
        if not self.file:
            raise UserError(f"{where}file is empty. Name a pickle or a folder.")
        if not self.fps and (self.validate or self.selects):
            raise UserError(
                f"{where}single images are not scored, so it can neither validate nor select. Set fps for videos."
            )
        if self.selects and self.validate is False:
            raise UserError(f"{where}selects, but validate is False. Set validate: True.")

    @property
    def is_validated(self) -> bool:
        return bool(self.fps) if self.validate is None else self.validate


# Share of the training videos that trust is chosen on where `val_split` says none.
_TRUST_SPLIT = 0.1


@dataclass(frozen=True, kw_only=True)
class Config:
    # Schedule
    epochs: int
    batch_size: int
    batch_size_img: int = 512
    train_pw3d: bool = False
    warmup_h36m: int = 0  # epochs that train on H36M
    warmup_coco: int = 0  # epochs that train on COCO
    finetune: bool = False
    finetune_head: bool = True  # whether the head of a pretrained mesh model is taken too
    partial_train: tuple[str, ...] | None = None
    checkpoint_frequency: int = 20
    checkpoint_minutes: float = 0.0  # also save inside an epoch; 0: off

    # Optimiser
    opt: Literal["adamw", "sgd", "muon"] = "adamw"
    lr_backbone: float
    lr_head: float
    lr_matrix: float = 0.02  # of weight matrices inside the network, with opt: muon
    weight_decay: float
    lr_decay: float
    lr_schedule: Literal["exponential", "linear", "cosine"] = "exponential"
    warmup_steps: int = 0
    ema: float = 0.0  # decay of the averaged weights that are evaluated and stored; 0: off
    grad_accumulation: int = 1
    clip_grad_norm: float = 0.0  # 0: off
    on_nonfinite: Literal["stop", "skip"] = "stop"  # what a loss or gradient that is not finite does
    nonfinite_limit: int = 10  # steps that a run may skip

    # Model
    backbone: str = "DSTformer"  # a name of kinemesh.model.building.BACKBONES
    maxlen: int
    dim_feat: int
    mlp_ratio: float
    depth: int
    dim_rep: int
    num_heads: int
    att_fuse: bool = True
    num_joints: int = 17
    crop_input: bool = False  # the network reads each clip in the box around its person, and where that is
    hidden_dim: int
    dropout: float
    refine_rotation: Literal["columns", "rows"] = "columns"
    refine_trust: Literal["auto", 1] = 1  # share of the refiner's output that is taken; auto: chosen on held-out videos
    refine_feedback: bool = False  # the refiner also reads how far its input's projection is from the keypoints
    refine_augment: bool = False  # also train on estimates of every quality, made from the truth

    # Data
    data_root: str = "data/mesh"
    dt_file_h36m: str | None = None
    dt_file_coco: str | None = None
    dt_file_pw3d: str | None = None
    datasets: tuple[DatasetEntry, ...] = ()  # further ones, in the order in which an epoch trains on them
    clip_len: int
    data_stride: int
    sample_stride: int = 1
    eval_clips: Literal["released", "all_frames"] = "released"
    val_split: float = 0.0  # share of training videos held out to choose best_epoch.bin on; 0: on the test split
    limit_clips: int = 0  # first N clips of every split; 0: all
    flip: bool = True
    fill_missing: Literal["released", "interpolate"] = "released"  # where keypoints of confidence 0 are put
    synthesis: Literal["missing", "train"] = (
        "missing"  # whose keypoints are made of motion: of datasets without, or all
    )
    recipe: dict | None = None  # numbers of kinemesh.synthesis.recipe that keypoints for training are made by
    fps_h36m: float = 50.0
    fps_pw3d: float = 30.0
    mean_pose_baseline: bool = False  # also score a constant mean body

    # Loss
    lambda_3d: float
    lambda_scale: float
    lambda_3dv: float
    lambda_lv: float
    lambda_lg: float
    lambda_a: float
    lambda_av: float
    lambda_pose: float
    lambda_shape: float
    lambda_norm: float
    loss_type: Literal["L1", "MSE"] = "L1"

    # Machine
    data_device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["fp32", "bf16"] = "fp32"
    compile: bool = False
    deterministic: bool = False  # the same numbers each time on CUDA too

    def __post_init__(self):
        _at_least(self, 1, "batch_size", "batch_size_img", "checkpoint_frequency", "grad_accumulation")
        _at_least(self, 1, "maxlen", "dim_feat", "depth", "dim_rep", "num_heads", "hidden_dim")
        _at_least(self, 1, "clip_len", "data_stride", "sample_stride")
        _at_least(self, 0, "epochs", "warmup_h36m", "warmup_coco", "warmup_steps", "limit_clips", "clip_grad_norm")
        _at_least(self, 0, "checkpoint_minutes", "nonfinite_limit")
        _at_least(self, 0, "lr_backbone", "lr_head", "lr_matrix", "weight_decay", *LAMBDA_OF_TERM.values())
        _at_most(self, 1 << 16, "maxlen", "dim_feat", "dim_rep", "num_heads", "hidden_dim", "mlp_ratio")
        _at_most(self, 100, "depth")
        _at_most(self, 1e12, "lr_backbone", "lr_head", "lr_matrix", "weight_decay")
        _at_most(self, 1e9, *LAMBDA_OF_TERM.values())
        _at_most(self, 1, "lr_decay")
        for name in ("lr_decay", "mlp_ratio"):
            if getattr(self, name) <= 0:
                raise UserError(f"{name} is {getattr(self, name)}, expected more than 0.")
        for name in ("fps_h36m", "fps_pw3d"):
            if not LOWEST_FPS <= getattr(self, name) <= HIGHEST_FPS:
                raise UserError(f"{name} is {getattr(self, name):g}, expected {LOWEST_FPS:g} to {HIGHEST_FPS:g}.")
        if self.dim_feat * self.mlp_ratio < 1:
            raise UserError(f"mlp_ratio is {self.mlp_ratio}, expected at least 1 / dim_feat, {1 / self.dim_feat:.3g}.")
        for name in ("dropout", "ema", "val_split"):
            if not 0 <= getattr(self, name) < 1:
                raise UserError(f"{name} is {getattr(self, name)}, expected 0 <= {name} < 1.")
        if self.num_joints != 17:
            raise UserError(f"num_joints is {self.num_joints}, expected 17 (the H36M skeleton is the only one).")
        if self.dim_feat % self.num_heads:
            raise UserError(f"dim_feat {self.dim_feat} is not divisible by num_heads {self.num_heads}.")
        if self.clip_len > self.maxlen:
            raise UserError(
                f"clip_len {self.clip_len} is longer than maxlen {self.maxlen}, which the backbone can see."
            )
        if self.train_pw3d and not self.dt_file_pw3d:
            raise UserError(
                "train_pw3d is True but dt_file_pw3d is missing. Name the 3DPW file, or set train_pw3d: False."
            )
        names: set[str] = set()
        for entry in self.datasets:
            if entry.name.lower() in names:
                raise UserError(f"datasets: '{entry.name}' is there twice. Expected a name of its own.")
            names.add(entry.name.lower())
        selecting = [entry.name for entry in self.datasets if entry.selects]
        if len(selecting) > 1:
            raise UserError(
                f"datasets: {' and '.join(selecting)} select. Expected one that best_epoch.bin is chosen on."
            )

    @property
    def chooses_trust(self) -> bool:
        """Whether a refiner's trust is chosen. The released encoding's output is not between its input and a better one."""
        return self.refine_trust == "auto" and self.refine_rotation == "columns"

    @property
    def held_out_share(self) -> float:
        """Share of the training videos that choices are made on; 0: they are made on the test split."""
        return self.val_split or (_TRUST_SPLIT if self.chooses_trust else 0.0)

    def to_dict(self) -> dict:
        """Plain values, as a checkpoint or a YAML file holds them."""
        values = dataclasses.asdict(self)
        values["partial_train"] = None if self.partial_train is None else list(self.partial_train)
        values["datasets"] = list(values["datasets"])
        return values


def load_config(path: Path | str, overrides: typing.Sequence[str] = ()) -> Config:
    """Read a YAML file, apply `KEY=VALUE` overrides, check everything.

    Raises `UserError` naming the file and key: missing file, bad YAML, unknown key (with the nearest known one),
    missing key, wrong type, value out of range.
    """
    path = Path(path)
    values = read_yaml(path)
    if not isinstance(values, dict):
        raise UserError(f"{path}: expected lines of 'key: value'.")
    sources = dict.fromkeys(values, str(path))
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator or not key.strip():
            raise UserError(f"--set {override}: expected KEY=VALUE, for example --set batch_size=32.")
        values[key.strip()] = parse_yaml(text, f"--set {override[:80]}: the value")
        sources[key.strip()] = f"--set {override}"
    return config_from_values(values, sources, str(path))


def config_from_values(values: dict, sources: dict[str, str], where: str) -> Config:
    """Check plain values and build a `Config`; `sources` says for each key where it came from."""
    known = {}
    for key, value in values.items():
        if key in IGNORED_KEYS:
            logger.info("%s: key '%s' has no effect (nor has it in the released code)", sources.get(key, where), key)
        else:
            known[key] = value
    checked = fields_of(Config, known, where, sources)
    try:
        return Config(**checked)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


def _at_most(config: Config, maximum: float, *names: str) -> None:
    for name in names:
        if getattr(config, name) > maximum:
            raise UserError(f"{name} is {getattr(config, name)}, expected at most {maximum:g}.")


def _at_least(config: Config, minimum: int, *names: str) -> None:
    for name in names:
        if getattr(config, name) < minimum:
            raise UserError(f"{name} is {getattr(config, name)}, expected at least {minimum}.")
