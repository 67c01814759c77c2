"""The device that was asked for or a plain error; repeatable numbers; freed memory kept."""

import os
import platform

import pytest
import torch

from kinemesh.machine.device import choose_device, make_deterministic
from tests.refusals import refuses
from tests.runs import ROOT, run_python


def test_names():
    assert choose_device("cpu").type == "cpu"
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


def printed_by(code: str) -> list[int]:
    """The numbers that a program prints in a process of its own."""
    ran = run_python("-c", code, folder=ROOT / "lib")
    assert ran.returncode == 0, ran.stderr
    return [int(number) for number in ran.stdout.split()]


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "mps", ""])
def test_unknown_name_is_an_error(name):
    refuses("expected auto, cpu, cuda or cuda:N", choose_device, name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_missing_device_is_an_error():
    refuses("no CUDA device is available", choose_device, "cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_device_number_beyond_the_last_is_an_error():
    refuses("numbered from 0", choose_device, "cuda:99")


MAPPED_BLOCKS = """
import ctypes, torch
from kinemesh.machine.device import keep_freed_memory
class Mallinfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int) for name in "abcdefghij"]
libc = ctypes.CDLL(None)
libc.mallinfo.restype, libc.malloc.restype = Mallinfo, ctypes.c_void_p
{call}
before = libc.mallinfo().d
libc.malloc(ctypes.c_size_t(20 << 20))
print(libc.mallinfo().d - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_a_tensors_block_is_no_mapping_of_its_own_once_memory_is_kept():
    """A mapping goes back to the system when it is freed; mallinfo(3) counts them."""
    kept = "keep_freed_memory(torch.device('cpu'))"
    assert [printed_by(MAPPED_BLOCKS.format(call=call)) for call in ("", kept)] == [[1], [0]]


TINY_PRODUCTS = """
import torch
from contextlib import nullcontext
from kinemesh.machine.device import flushed_denormals
torch.set_num_threads(2)
with {entered}:
    tiny = torch.full((1 << 20,), 1.5e-38)
    print(int((tiny * 0.5 != 0).sum()), int((tiny.view(1024, 1024) @ torch.full((1024, 1024), 1e-3) != 0).sum()))
print(int(tiny[:1] * 0.5 != 0))
"""


def test_numbers_that_a_processor_is_slow_with_are_0_in_every_thread_until_training_ends():
    entered = ("nullcontext()", "flushed_denormals(torch.device('cpu'))")
    found = [printed_by(TINY_PRODUCTS.format(entered=each)) for each in entered]
    assert found == [[1 << 20, 1 << 20, 1], [0, 0, 1]]


def test_deterministic(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", False)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    try:
        make_deterministic()
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.backends.cudnn.deterministic
        assert not torch.backends.cudnn.benchmark
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    finally:
        torch.use_deterministic_algorithms(False)
        os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)
