"""The built-in model is made of nothing but what the tool makes, in half precision, and goes on from that alone."""

import sys

import pytest
import torch

from kinemesh.files.checkpoints import load_checkpoint
from kinemesh.infer import MeshPredictor
from kinemesh.motion.recorded import open_motions
from kinemesh.program.flags.training import REGRESSOR, parse_arguments
from tests.refusals import refuses
from tools import make_builtin

SMALL = ("dim_feat=8", "dim_rep=4", "num_heads=2", "hidden_dim=8", "epochs=1", "batch_size=8")


@pytest.fixture
def make(monkeypatch, tmp_path, demo_folder):
    """Runs the tool for a small model on a few motions; the arguments are appended."""

    def link_body_files(root):
        root.mkdir(exist_ok=True)
        for path in demo_folder.glob("[SJs]*"):
            (root / path.name).symlink_to(path)

    monkeypatch.setattr(make_builtin, "TRAIN_COUNT", 16)
    monkeypatch.setattr(make_builtin, "TEST_COUNT", 7)
    monkeypatch.setattr(make_builtin, "write_body_files", link_body_files)

    def _make(*arguments: str) -> None:
        flags = ["--data_root", str(tmp_path / "data"), "--run", str(tmp_path / "run"), *arguments]
        sets = [word for each in SMALL for word in ("--set", each)]
        monkeypatch.setattr(sys, "argv", ["make_builtin", "--out", str(tmp_path / "model.bin"), *flags, *sets])
        make_builtin.main()

    return _make


def test_a_sitting_makes_motion_trains_and_stores_half_the_bytes(make, tmp_path):
    make()
    assert open_motions(tmp_path / "data" / "motion").texts["split"] == ["train"] * 16 + ["test"] * 7
    content = load_checkpoint(tmp_path / "model.bin")
    assert "optimizer" not in content and "NOT for SMPL" in content["note"]
    assert {value.dtype for value in content["model"].values() if value.ndim >= 2} == {torch.float16}
    assert MeshPredictor.load(tmp_path / "model.bin", device="cpu").default_clip_len == 32


def test_the_next_sitting_finetunes_what_is_stored(make, tmp_path, monkeypatch):
    monkeypatch.setattr(make_builtin, "make_motions", lambda *_: None)
    flags = []
    monkeypatch.setattr(make_builtin, "train", lambda task, argv: flags.extend(argv) or 1)
    refuses("The same command goes on", make, "--from", str(tmp_path / "model.bin"))
    assert parse_arguments(REGRESSOR, flags).pretrained == str(tmp_path)
    assert "finetune=True" in flags and parse_arguments(REGRESSOR, flags).selection == "model.bin"
