"""A tiny run of training, without the command line."""

from types import SimpleNamespace

import pytest
import torch

from kinemesh.body.smpl import Body
from kinemesh.data.clips import cut_clips
from kinemesh.data.loader import ClipLoader
from kinemesh.files.checkpoints import load_checkpoint
from kinemesh.machine.processes import Processes
from kinemesh.machine.stopping import StopRequest
from kinemesh.program.evaluate import validator
from kinemesh.training.checkpoint import restore, restore_progress
from kinemesh.training.loop import train
from kinemesh.training.names import LATEST
from kinemesh.training.optimizer import build_optimizer
from kinemesh.training.optimizers.average import AveragedModel
from kinemesh.training.state import Run, TrainedDataset, TrainState


@pytest.fixture
def body(assets, kinematics, posed_body) -> Body:
    return Body(assets, kinematics, posed_body)


@pytest.fixture
def dataset(small_dataset):
    lengths = small_dataset.train.video_lengths, small_dataset.test.video_lengths
    train_clips, test_clips = cut_clips(*lengths, 8, 4, limit_clips=12)
    return TrainedDataset(
        name="pw3d",
        train=ClipLoader(small_dataset.train, train_clips, batch_size=4, training=True),
        test=ClipLoader(small_dataset.test, test_clips, batch_size=4),
        train_epochs=100,
        is_selecting=True,
        scalar_suffix="_pw3d",
    )


@pytest.fixture
def run(dataset, small_model, small_config, body, tmp_path):
    """Trains into a folder of this name, from `state` or anew; keyword arguments change config keys."""

    def _run(folder="run", state=None, stop=None, **changes):
        config = small_config(**changes)
        if state is None:
            model = small_model(**changes)
            average = AveragedModel(model, config.ema) if config.ema else None
            state = TrainState(model, build_optimizer(model, config), average)
        folder = tmp_path / folder
        folder.mkdir(exist_ok=True)
        stop = stop or StopRequest()
        setup = SimpleNamespace(body=body, config=config, processes=Processes(), options=SimpleNamespace(folder=folder))
        run = Run(config, body, validator(setup, stop), "regressor", folder, 0, 100, torch.device("cpu"), stop)
        if (folder / LATEST).exists() and state.epoch == 0:
            content = load_checkpoint(folder / LATEST)
            state.model.load_state_dict(content["model"])
            restore(state, content, folder / LATEST)
            restore_progress(state, content, folder / LATEST, [dataset], run)
        train(state, [dataset], run)
        return state

    return _run
