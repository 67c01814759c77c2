import pytest
import torch

from lib.config import Config
from lib.data.clips import cut_clips
from lib.data.loader import ClipLoader
from lib.engine.checkpoint import LATEST, load_checkpoint
from lib.engine.optimize import AveragedModel, build_optimizer
from lib.engine.signals import StopRequest
from lib.engine.state import Posing, Run, TrainedDataset, TrainState, restore, restore_progress
from lib.engine.train import train
from lib.model.mesh import build_regressor


@pytest.fixture
def small_config():
    """A tiny model's config; keyword arguments change keys."""

    def make(**changes) -> Config:
        values = {
            "epochs": 1, "batch_size": 4, "lr_backbone": 1e-3, "lr_head": 1e-3, "weight_decay": 0.01, "lr_decay": 0.9,
            "maxlen": 27, "dim_feat": 16, "mlp_ratio": 2, "depth": 1, "dim_rep": 16, "num_heads": 2, "hidden_dim": 24,
            "dropout": 0.0, "clip_len": 8, "data_stride": 4, "lambda_3d": 0.5, "lambda_scale": 0, "lambda_3dv": 10,
            "lambda_lv": 0, "lambda_lg": 0, "lambda_a": 0, "lambda_av": 0, "lambda_pose": 1000, "lambda_shape": 1,
            "lambda_norm": 20,
        }  # fmt: skip
        return Config(**(values | changes))

    return make


@pytest.fixture
def posing(kinematics, posed_body) -> Posing:
    return Posing(kinematics, posed_body)


@pytest.fixture
def small_model(assets, small_config):
    """A tiny regressor with fresh weights; keyword arguments change config keys."""

    def make(**changes):
        torch.manual_seed(0)
        pose, betas = (torch.tensor(array, dtype=torch.float32) for array in (assets.mean_pose_6d, assets.mean_betas))
        return build_regressor(small_config(**changes), pose, betas)

    return make


@pytest.fixture
def dataset(small_dataset):
    lengths = small_dataset.train.video_lengths, small_dataset.test.video_lengths
    train_clips, test_clips = cut_clips(*lengths, 8, 4, limit_clips=12)
    return TrainedDataset(
        name="pw3d",
        train=ClipLoader(small_dataset.train, train_clips, batch_size=4, training=True),
        test=ClipLoader(small_dataset.test, test_clips, batch_size=4),
        train_epochs=100,
        validated_after_training_only=False,
    )


@pytest.fixture
def run(dataset, small_model, small_config, posing, tmp_path):
    """Trains into a folder of this name, from `state` or anew; keyword arguments change config keys."""

    def _run(folder="run", state=None, stop=None, **changes):
        config = small_config(**changes)
        if state is None:
            model = small_model(**changes)
            state = TrainState(
                model, build_optimizer(model, config), AveragedModel(model, config.ema) if config.ema else None
            )
        folder = tmp_path / folder
        folder.mkdir(exist_ok=True)
        run = Run(config, posing, "regressor", folder, 0, 100, torch.device("cpu"), stop or StopRequest())
        if (folder / LATEST).exists() and state.epoch == 0:
            content = load_checkpoint(folder / LATEST)
            state.model.load_state_dict(content["model"])
            restore(state, content, folder / LATEST)
            restore_progress(state, content, folder / LATEST, [dataset], run)
        train(state, [dataset], run)
        return state

    return _run
