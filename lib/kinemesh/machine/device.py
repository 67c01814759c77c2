"""Chooses the device and makes runs repeatable on it."""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from kinemesh.errors import UserError

# Of glibc's mallopt(3), which takes no larger threshold for single blocks than this one.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST_BLOCK, _MOST_KEPT = 1 << 25, 1 << 30


def choose_device(name: str | torch.device | None) -> torch.device:
    """`auto`, `cpu`, `cuda` or `cuda:N` as a torch device; of several processes on a machine each gets its own GPU.

    None is `auto`.

    Raises `UserError` if the name is another or the device is not there.
    """
    name = "auto" if name is None else str(name)
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    local_rank = os.environ.get("LOCAL_RANK", "0")  # set by torchrun
    if name == "cuda" and local_rank.isdecimal():
        name = f"cuda:{local_rank}"
    elif name.startswith("cuda:") and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UserError(f"--device {name}: one GPU for several processes. Give --device cuda, and each takes its own.")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda") or (device.type == "cpu" and name != "cpu"):
        raise UserError(f"--device {name}: expected auto, cpu, cuda or cuda:N.")
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise UserError(f"--device {name}: no CUDA device is available to PyTorch. Use --device cpu or auto.")
        if (device.index or 0) >= torch.cuda.device_count():
            raise UserError(f"--device {name}: there are {torch.cuda.device_count()} CUDA devices, numbered from 0.")
    return device


def keep_freed_memory(device: torch.device) -> None:
    """Let a process that works on the CPU keep the memory that tensors free, up to 1 GiB, for those that come next.

    A step frees and asks for the same few megabytes hundreds of times; handed back in between, each of their pages
    has to be cleared anew. Without effect on a GPU, and where the C library is not glibc.
    """
    is_meant = device.type == "cpu" and sys.platform == "linux"
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if is_meant else None
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_BLOCK)
        mallopt(_M_TRIM_THRESHOLD, _MOST_KEPT)


@contextmanager
def flushed_denormals(device: torch.device) -> Iterator[None]:
    """Take numbers below 1.2e-38 for 0 while something trains on the CPU, which computes with them many times more slowly.

    Gradients get so small where an activation is far from what matters: a backward pass may then take 12 s instead of
    0.4. Threads take this over from the one that starts them, so enter it before there are any.
    """
    is_meant = device.type == "cpu" and torch.set_flush_denormal(True)
    try:
        yield
    finally:
        if is_meant:
            torch.set_flush_denormal(False)


def make_deterministic() -> None:
    """Only operations that give the same numbers each time, on CUDA too; call it before anything runs there.

    On a CPU they do so anyway. cuBLAS reads its workspace setting when it starts, hence the environment variable.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
