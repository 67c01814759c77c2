"""Flags and values that cannot be meant end in one line and status 2, before anything is trained or evaluated."""

import os
import re
import stat

import pytest

LONG = "n" * 300
FLAGS = {
    "a long --config": (("--config", LONG), "cannot be read as text"),
    "a long --checkpoint": (("--checkpoint", LONG), "name too long"),
    "a long --resume": (("--resume", LONG), "name too long"),
    "a long --pretrained": (("--set", "finetune=True", "--pretrained", LONG), "name too long"),
    "a long data_root": (("--set", f"data_root={LONG}"), "name too long"),
    "an empty --checkpoint": (("--checkpoint", ""), "argument --checkpoint: is empty"),
    "an empty --evaluate": (("--evaluate=",), "argument --evaluate: is empty"),
    "a folder that is not UTF-8": (("--checkpoint", os.fsdecode(b"run\xff")), r"run\\udcff: its name is not UTF-8"),
    "a CPU that is not there": (("--device", "cpu:99"), "expected auto, cpu, cuda or cuda:N"),
    "epochs of 0": (("--set", "epochs=0"), "already trained for 0 of 0 epochs"),
    "a rate beyond reason": (("--set", "lr_head=1.0e+15"), "lr_head is .*, expected at most 1e.12"),
    "a decay that grows": (("--set", "lr_decay=1e9"), "lr_decay is .*, expected at most 1"),
    "a model beyond reason": (
        ("--set", "dim_feat=65536", "--set", "num_heads=1", "--set", "depth=100"),
        "asks for a model of .* parameters, expected at most",
    ),
    "many layers": (("--set", "depth=1000000000"), "depth is 1000000000, expected at most 100"),
    "no layer": (("--set", "mlp_ratio=1e-9"), "mlp_ratio is 1e-09, expected at least"),
    "a rate of no video": (("--set", "fps_pw3d=1e15"), r"fps_pw3d is 1e\+15, expected 0.01 to 1000"),
    "metrics into a folder": (("--metrics_out", "folder"), "folder: cannot be written, it is a folder"),
    "metrics into a pipe": (("--metrics_out", "pipe"), "pipe: cannot be written, it is a device or pipe"),
    "metrics into the config": (("--metrics_out", "CONFIG"), "is read here, too, and would be replaced"),
    "a checkpoint folder of links": (("--checkpoint", "links"), "run.lock: cannot be written, it is a link"),
}


@pytest.mark.parametrize("what", FLAGS)
def test_what_cannot_be_meant_is_one_line(what, config_file, fails, tmp_path, monkeypatch):
    flags, message = FLAGS[what]
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe"), os.mkdir("folder"), os.mkdir("links")
    os.symlink(tmp_path / "theirs", "links/run.lock")
    monkeypatch.setattr("kinemesh.program.train.train_model", lambda setup: pytest.fail("trained"))
    config = str(config_file(limit_clips=4))
    flags = [config if flag == "CONFIG" else flag for flag in flags]
    assert re.search(message, fails("--config", config, "--checkpoint", "run", *flags))
    assert not os.path.exists("theirs") and stat.S_ISFIFO(os.stat("pipe").st_mode)
