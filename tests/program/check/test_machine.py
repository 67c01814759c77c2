import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from kinemesh.program.check.machine import device_findings, folder_finding, space_finding
from kinemesh.training.names import BEST, LATEST
from kinemesh.training.optimizer import build_optimizer

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def fatal(findings) -> dict[str, str]:
    return {finding.what: finding.found for finding in findings if finding.is_fatal}


def test_a_cpu_does_what_it_can(small_config, monkeypatch):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/" + name)
    assert not fatal(device_findings(small_config(precision="bf16", compile=True), CPU))
    monkeypatch.setattr(shutil, "which", lambda name: None)
    found = fatal(device_findings(small_config(data_device="cuda", compile=True), CPU))
    assert "Set data_device: auto" in found["data_device"]
    assert "neither g++ nor clang++" in found["compile"]


def test_a_gpu_without_bfloat16(small_config, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Old GPU")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    found = fatal(device_findings(small_config(precision="bf16"), CUDA))
    assert found["precision"] == "Old GPU does not compute in bfloat16. Set precision: fp32."


def test_folders(tmp_path):
    assert folder_finding(tmp_path, "folder", "").found == "can be written"
    assert folder_finding(tmp_path / "a" / "b", "folder", "").found == "will be made"
    assert not (tmp_path / "a").exists()
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "run", Path("/proc/run")):
        found = folder_finding(path, "folder", "Another.")
        assert found.is_fatal
        assert "cannot be written" in found.found
        assert found.found.endswith("Another.")


@pytest.mark.parametrize("changes", [{}, {"ema": 0.9}, {"opt": "sgd"}])
def test_estimated_size_is_that_of_the_tensors(small_model, tmp_path, monkeypatch, small_config, changes):
    model = small_model()
    optimizer = build_optimizer(model, small_config(**changes))
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()

    def count(value) -> int:
        if isinstance(value, torch.Tensor):
            return value.numel() * value.element_size()
        return sum(map(count, value.values())) if isinstance(value, dict) else 0

    one = count(model.state_dict()) * (2 if "ema" in changes else 1) + count(optimizer.state_dict())
    (tmp_path / "run").mkdir()
    for name in (LATEST, BEST):
        (tmp_path / "run" / name).write_bytes(b"")
    config = small_config(epochs=4, checkpoint_frequency=2, **changes)

    def state(folder: str, free: float) -> str:
        monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free * one))
        return space_finding(tmp_path / folder, model, config, 1).state

    # Both files of the folder are there already, so there is one more for a moment, and two that stay.
    assert state("run", 3.1) == "ok"
    assert state("run", 2.9) == "wrong"
    # In a new folder also latest and best.
    assert state("new", 5.1) == "ok"
    assert state("new", 4.9) == "wrong"
    assert "too little disk space" in space_finding(tmp_path / "new", model, config, 1).message()
