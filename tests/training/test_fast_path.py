"""Training steps of the engine against plain ones: whole meshes by smplx, textbook attention, every term from theta."""

import shutil

import pytest
import torch

from benchmarks.plain import PlainBody, as_smplx_stores, plain_step
from kinemesh.body.kinematics import JointKinematics
from kinemesh.config import LAMBDA_OF_TERM
from kinemesh.data.clips import cut_clips
from kinemesh.data.loader import ClipLoader
from kinemesh.structures import Batch, BodyParams, MeshInputs
from kinemesh.training.loop import training_losses
from kinemesh.training.optimizer import build_optimizer

STEPS = 30
# Each term at a weight that lets it matter.
LAMBDAS = {
    "lambda_3d": 0.5, "lambda_scale": 0.1, "lambda_3dv": 10, "lambda_lv": 1e-3, "lambda_lg": 0.1, "lambda_a": 10,
    "lambda_av": 10, "lambda_pose": 1000, "lambda_shape": 1, "lambda_norm": 20,
}  # fmt: skip


@pytest.fixture(scope="module")
def stored_assets(assets):
    return as_smplx_stores(assets)


@pytest.fixture(scope="module")
def batches(small_dataset) -> list[Batch]:
    clips, _ = cut_clips(small_dataset.train.video_lengths, small_dataset.test.video_lengths, 6, 2)
    loader = ClipLoader(small_dataset.train, clips, batch_size=3, training=True)
    order = loader.training_order(0, 0)
    found = list(loader.batches(order))
    return [found[step % len(found)] for step in range(STEPS)]


def to_dtype(batch: Batch, dtype: torch.dtype) -> Batch:
    target = BodyParams(*(part.to(dtype) for part in batch.target))
    return batch._replace(inputs=MeshInputs(batch.inputs.keypoints.to(dtype)), target=target)


def run_plain(model, config, batches, assets, dtype) -> torch.Tensor:
    """(STEPS, terms) losses of the plain path; trains `model`."""
    body = PlainBody(assets, dtype)
    optimizer = torch.optim.AdamW(
        [
            {"params": model.backbone.parameters(), "lr": config.lr_backbone},
            {"params": model.head.parameters(), "lr": config.lr_head},
        ],
        weight_decay=config.weight_decay,
    )
    record = []
    for batch in batches:
        shape = batch.frames.shape
        with torch.no_grad():
            vertices, joints = body(batch.target.rotations.flatten(0, 1), batch.target.betas.flatten(0, 1))
        items = {
            "keypoints": batch.inputs.keypoints,
            "rotations": batch.target.rotations,
            "betas": batch.target.betas,
            "vertices": vertices.unflatten(0, shape),
            "joints": joints.unflatten(0, shape),
        }
        total, logged = plain_step(model, body, items, config)
        record.append([logged[name] for name in ("loss", *LAMBDA_OF_TERM, "mpjpe")])
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    return torch.tensor(record, dtype=torch.float64)


def run_fast(model, config, batches, assets, dtype) -> torch.Tensor:
    """The same by the engine's own step."""
    kinematics = JointKinematics(assets, dtype)
    optimizer = build_optimizer(model, config)
    record = []
    for batch in batches:
        total, logged, _ = training_losses(model, batch, kinematics, config)
        record.append(logged.double())
        total.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return torch.stack(record)


@pytest.fixture
def run(small_model, small_config, batches, stored_assets):
    def _run(path, dtype, **changes):
        config = small_config(**LAMBDAS, clip_len=6, **changes)
        model = small_model(**changes).to(dtype).train()
        prepared = [to_dtype(batch, dtype) for batch in batches]
        return path(model, config, prepared, stored_assets, dtype)

    return _run


def largest_relative_difference(found: torch.Tensor, expected: torch.Tensor) -> float:
    return ((found - expected).abs() / expected.abs()).max().item()


@pytest.mark.parametrize(("dtype", "within"), [(torch.float64, 1e-8), (torch.float32, 1e-3)])
def test_thirty_steps_equal_plain_ones(run, dtype, within):
    plain, fast = run(run_plain, dtype), run(run_fast, dtype)
    assert plain[-1, 0] < 0.97 * plain[0, 0]  # training, not standing still
    assert largest_relative_difference(fast, plain) < within


def test_bf16_backbone_trains_like_fp32(run):
    """bf16 keeps 8 bits: single steps agree to a few per cent, and the loss falls as far."""
    fp32, bf16 = run(run_fast, torch.float32), run(run_fast, torch.float32, precision="bf16")
    assert not torch.equal(fp32, bf16)
    assert largest_relative_difference(bf16[:, 0], fp32[:, 0]) < 0.05


@pytest.mark.skipif(shutil.which("g++") is None and shutil.which("clang++") is None, reason="no C++ compiler")
def test_compiled_steps_equal_eager_ones(run):
    eager, compiled = run(run_fast, torch.float32), run(run_fast, torch.float32, compile=True)
    assert largest_relative_difference(compiled, eager) < 1e-3
