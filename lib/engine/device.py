"""Chooses the device and makes runs repeatable on it."""

import os

import torch

from lib.errors import UserError


def choose_device(name: str) -> torch.device:
    """`auto`, `cpu`, `cuda` or `cuda:N` as a torch device; of several processes on a machine each gets its own GPU.

    Raises `UserError` if the name is another or the device is not there.
    """
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
    if device is None or device.type not in ("cpu", "cuda"):
        raise UserError(f"--device {name}: expected auto, cpu, cuda or cuda:N.")
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise UserError(f"--device {name}: no CUDA device is available to PyTorch. Use --device cpu or auto.")
        if (device.index or 0) >= torch.cuda.device_count():
            raise UserError(f"--device {name}: there are {torch.cuda.device_count()} CUDA devices, numbered from 0.")
    return device


def make_deterministic() -> None:
    """Only operations that give the same numbers each time, on CUDA too; call it before anything runs there.

    On a CPU they do so anyway. cuBLAS reads its workspace setting when it starts, hence the environment variable.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False


def set_step_seed(seed: int, *place: int) -> None:
    """Seed PyTorch for one place of the run: dropout and flips then depend on (seed, place) alone.

    Nothing random is carried from step to step, so a resumed run draws what the unbroken one would have drawn.
    """
    torch.manual_seed(mix_seed(seed, *place))


def mix_seed(*numbers: int) -> int:
    """One 63-bit seed from several numbers (SplitMix64's mixing steps; Steele et al., OOPSLA 2014)."""
    mask = (1 << 64) - 1
    state = 0
    for number in numbers:
        state = (state + number + 0x9E3779B97F4A7C15) & mask
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & mask
        state ^= state >> 31
    return state >> 1
