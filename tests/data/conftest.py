"""Small dataset files in the released layout, with random numbers in them."""

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

CAMERAS = ("54138969", "55011271", "58860488", "60457274")


def make_split(rng: np.random.Generator, dataset: str, video_lengths: tuple[int, ...]) -> dict:
    frame_count = sum(video_lengths)
    split = {
        "joint_2d": rng.uniform(0, 640, (frame_count, 17, 2)).astype("f4"),
        "smpl_pose": rng.normal(0, 0.5, (frame_count, 72)).astype("f4"),
        "smpl_shape": rng.normal(0, 1, (frame_count, 10)).astype("f4"),
        "pred_smpl_pose": rng.normal(0, 0.5, (frame_count, 72)).astype("f4"),
        "pred_smpl_shape": rng.normal(0, 1, (frame_count, 10)).astype("f4"),
        "source": [f"video_{i}" for i, length in enumerate(video_lengths) for _ in range(length)],
        "img_hw": np.full((frame_count, 2), 1000),
    }
    if dataset == "h36m":
        split["camera_name"] = [CAMERAS[i % 4] for i, length in enumerate(video_lengths) for _ in range(length)]
    else:
        split["confidence"] = rng.uniform(-0.2, 1.2, (frame_count, 17, 1)).astype("f4")
    return split


@pytest.fixture
def make_content() -> Callable[..., dict]:
    """Builds what a dataset file holds: `make_content("h36m", train=(40, 9), test=(20,))`, video lengths a split."""

    def make(dataset: str, train: tuple[int, ...] = (40, 9, 16, 33), test: tuple[int, ...] = (20, 12, 17)) -> dict:
        rng = np.random.default_rng(0)
        return {"train": make_split(rng, dataset, train), "test": make_split(rng, dataset, test)}

    return make


@pytest.fixture
def write_pickle(tmp_path) -> Callable[..., Path]:
    """Writes any value as a pickle file."""

    def write(content: object, protocol: int = 4) -> Path:
        path = tmp_path / "mesh_det.pkl"
        path.write_bytes(pickle.dumps(content, protocol))
        return path

    return write
