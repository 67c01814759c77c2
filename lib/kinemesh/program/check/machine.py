"""What a run needs of the machine: device, precision, compiler, folders that can be written, space on the disk, processes."""

import importlib.util
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch import nn

from kinemesh.config import Config
from kinemesh.errors import UserError
from kinemesh.files.writing import require_other_file, require_writable
from kinemesh.machine.processes import Processes
from kinemesh.machine.run_lock import require_unlocked
from kinemesh.program.check.findings import Finding, from_error
from kinemesh.training.names import BEST, LATEST
from kinemesh.training.state import TrainedDataset

_BYTES_OF_NUMBER = 4


def device_findings(config: Config, device: torch.device) -> Iterator[Finding]:
    """The device, and whether it can do what the config asks of it."""
    name = f"{torch.get_num_threads()} threads" if device.type == "cpu" else torch.cuda.get_device_name(device)
    yield Finding("ok", "device", str(device), name)
    if (
        config.precision == "bf16"
        and device.type == "cuda"
        and not torch.cuda.is_bf16_supported(including_emulation=False)
    ):
        yield Finding(
            "wrong", "precision", "precision: bf16", f"{name} does not compute in bfloat16. Set precision: fp32."
        )
    if config.data_device == "cuda" and device.type == "cpu":
        advice = "the run is on the CPU. Set data_device: auto, or run on cuda."
        yield Finding("wrong", "data_device", "data_device: cuda", advice)
    if (
        config.compile
        and device.type == "cpu"
        and not any(map(shutil.which, (os.environ.get("CXX", "g++"), "clang++")))
    ):
        advice = "needs a C++ compiler on a CPU, and there is neither g++ nor clang++. Set compile: False."
        yield Finding("wrong", "compile", "compile: True", advice)
    if config.compile and device.type == "cuda" and importlib.util.find_spec("triton") is None:
        yield Finding("wrong", "compile", "compile: True", "needs the package triton on CUDA. Set compile: False.")


def folder_finding(folder: Path, what: str, advice: str) -> Finding:
    """Whether files can be made in a folder, or, where it is not there yet, in the one that it would be made in."""
    existing = _nearest_existing(folder)
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        return Finding("wrong", what, str(folder), f"cannot be written ({error.strerror}). {advice}")
    return Finding("ok", what, str(folder), "can be written" if existing == folder else "will be made")


def output_findings(
    files: dict[str, Path | None], folders: dict[str, Path | None], inputs: Iterable[Path | None]
) -> Iterator[Finding]:
    """Whether what each flag names can be made, and is none of the `inputs`."""
    for flag, path in files.items():
        if path is None:
            continue
        try:
            require_writable(path, may_be_link=True)
            require_other_file(path, inputs)
        except UserError as error:
            yield from_error(error, flag, str(path))
        else:
            yield folder_finding(path.parent, flag, "Name a file in another folder.")
    for flag, path in folders.items():
        if path is not None:
            yield folder_finding(path, flag, "Name another folder.")


def lock_findings(folder: Path) -> Iterator[Finding]:
    """A run that is writing into the folder now."""
    try:
        require_unlocked(folder)
    except UserError as error:
        yield Finding("wrong", "checkpoint folder", str(folder), str(error).removeprefix(f"{folder}: "))


def space_finding(folder: Path, model: nn.Module, config: Config, first_epoch: int) -> Finding:
    """Whether the disk has room for the checkpoints of the epochs from `first_epoch` on.

    Beside the files that stay there is, for a moment, the new one of the one being replaced.
    """
    one = _checkpoint_bytes(model, config)
    kept = config.epochs // config.checkpoint_frequency - first_epoch // config.checkpoint_frequency
    new = sum(not (folder / name).is_file() for name in (LATEST, BEST))
    needed = one * (new + kept + 1)
    free = shutil.disk_usage(_nearest_existing(folder)).free
    sizes = f"{needed / 1e9:.2f} GB for {new + kept} new checkpoints of {one / 1e9:.2f} GB, {free / 1e9:.2f} GB free"
    if needed <= free:
        return Finding("ok", "disk space", str(folder), sizes)
    advice = "Free space, give another --checkpoint folder, or raise checkpoint_frequency."
    return Finding("wrong", "disk space", str(folder), f"too little disk space: {sizes}. {advice}")


def require_clip_for_each(processes: Processes, dataset: TrainedDataset) -> None:
    """Raise `UserError` if a process would have no clip of a whole batch, which joined gradients cannot do without."""
    clips = processes.count if dataset.train is None else min(dataset.train.batch_size, dataset.train.clip_count)
    if clips < processes.count:
        raise UserError(
            f"{dataset.name} train: {clips} clips in a batch for {processes.count} processes. Expected one for each: raise "
            "batch_size, or start fewer."
        )


def _nearest_existing(folder: Path) -> Path:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def _checkpoint_bytes(model: nn.Module, config: Config) -> int:
    """Weights, the optimizer's two numbers for each trained one (SGD: none), and the average's second set."""
    weights = sum(value.numel() for value in model.state_dict().values())
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    sets = weights * (2 if config.ema else 1) + trained * (0 if config.opt == "sgd" else 2)
    return sets * _BYTES_OF_NUMBER
