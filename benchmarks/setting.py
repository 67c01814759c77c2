"""What the benchmarks run on: the embedded default's data, a config of the small or the released size, runs of their own."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from kinemesh.body.assets import BodyAssets, load_body_assets
from kinemesh.body.smpl import Body
from kinemesh.config import Config, load_config
from kinemesh.data.clips import Clips, all_frames_clips, cut_clips
from kinemesh.data.loader import ClipLoader
from kinemesh.data.sources import Dataset, load_dataset
from kinemesh.data.split import Split, place_split
from kinemesh.demo.datasets import make_demo_data
from kinemesh.errors import UserError
from kinemesh.evaluation.evaluate import evaluate
from kinemesh.model.building import build_model
from kinemesh.model.opening import open_checkpoint
from kinemesh.program.cli import main as train
from kinemesh.program.flags.training import REGRESSOR
from kinemesh.protocols import DEFAULT
from kinemesh.training.names import BEST

ROOT = Path(__file__).parent.parent
DATA = ROOT / "data" / "demo"
SMALL = {"dim_feat": 64, "dim_rep": 64, "depth": 2, "batch_size": 16}


def open_config(size: str, **changes) -> Config:
    """The released 3DPW config, and for `small` its 64-dim, 2-layer version with 16 clips a batch."""
    config = load_config(ROOT / "configs/mesh/MB_train_pw3d.yaml")
    return dataclasses.replace(config, **((SMALL if size == "small" else {}) | changes))


def open_data() -> tuple[BodyAssets, Dataset]:
    """The stand-in body and the 3DPW-like dataset of the embedded default, made where missing."""
    make_demo_data(DATA)
    return load_body_assets(DATA), load_dataset("pw3d", DATA / "mesh_det_pw3d.pkl")


def cut(dataset: Dataset, config: Config) -> tuple[Clips, Clips]:
    """Training and test clips by the released protocol."""
    lengths = dataset.train.video_lengths, dataset.test.video_lengths
    return cut_clips(*lengths, config.clip_len, config.data_stride)


def build(config: Config, assets: BodyAssets, device: torch.device) -> tuple[nn.Module, Body]:
    """A regressor with fresh weights, always the same, and the body."""
    torch.manual_seed(0)
    return build_model("regressor", config, assets).to(device), Body.of(assets, device)


def train_run(run: Path, config: str, keys: dict, flags: Sequence[str] = ()) -> Path:
    """The best checkpoint of a run as `train_mesh.py` makes it, with these config keys, trained unless that is done.

    Raises UserError where training fails or is stopped.
    """
    sets = [word for key, value in keys.items() for word in ("--set", f"{key}={value}")]
    if train(REGRESSOR, ["--config", config, "--checkpoint", str(run), *flags, *sets]):
        raise UserError(f"{run}: training failed or was stopped, see above. The same command goes on.")
    return run / BEST


def errors_by_video(path: Path | str, split: Split, assets: BodyAssets, device: torch.device) -> dict[str, tuple]:
    """What a checkpoint scores on every frame of a split: of each metric sums by video, and what they are divided by."""
    opened = open_checkpoint(path)
    model, body = opened.build_model(assets).to(device), Body.of(assets, device)
    clips = all_frames_clips(split.video_lengths, opened.config.clip_len)
    loader = ClipLoader(place_split(split, device), clips, batch_size=256, device=device)
    return evaluate(model, loader, body.mesh, opened.config, label="test")[DEFAULT].sides["model"].by_video
