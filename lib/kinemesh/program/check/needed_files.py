"""The files that a run reads: are they there, and are they the kind of file they should be?"""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal, NamedTuple

from kinemesh.body.assets import MEAN_PARAMS_FILE, REGRESSOR_FILE, SMPL_FILE, WHERE_FROM, smpl_file
from kinemesh.data.sources import UsedDataset
from kinemesh.demo.datasets import is_made_here
from kinemesh.files.array_folder.reading import is_array_folder
from kinemesh.program.check.findings import Finding

# What takes the place of a large file when a download went wrong, by its first bytes.
_NO_FILES = {
    b"<": "is a web page, not the file itself",
    b"version https://git-lfs": "is a Git LFS pointer, not the file itself",
    b"Rar!": "is an archive; unpack it",
    b"\x1f\x8b": "is a gzip archive; unpack it",
}


class NeededFile(NamedTuple):
    """A file that a run reads."""

    path: Path
    what: str
    where_from: str  # a sentence
    read_by: Literal["body", "checkpoint", "pretrained", "predictions", "dataset"]


def needed_files(
    root: Path,
    datasets: Iterable[UsedDataset],
    *,
    checkpoint: Path | None = None,
    pretrained: Path | None = None,
    predictions: Path | None = None,
) -> list[NeededFile]:
    """Every file that a run reads besides its config, in the order in which it does; `root` has the body's."""
    smpl = smpl_file(root)
    bodies = (
        (smpl, "SMPL body model"),
        (root / REGRESSOR_FILE, "H36M joint regressor"),
        (root / MEAN_PARAMS_FILE, "mean body"),
    )
    files = [
        NeededFile(
            path,
            what,
            f"{WHERE_FROM[SMPL_FILE if path == smpl else path.name]}; put it there, or set data_root in the config. "
            "data/README.md lists all files; configs/mesh/MB_demo.yaml runs without any.",
            "body",
        )
        for path, what in bodies
    ]
    if checkpoint is not None:
        files.append(
            NeededFile(
                checkpoint,
                "checkpoint",
                "Give a checkpoint file such as checkpoint/mesh/MB_demo/best_epoch.bin.",
                "checkpoint",
            )
        )
    if pretrained is not None:
        where_from = (
            "Download MotionBERT's pretrained backbone (MB_release; see checkpoint/README.md) and give its folder to "
            "--pretrained, or set finetune: False."
        )
        files.append(NeededFile(pretrained, "pretrained backbone", where_from, "pretrained"))
    if predictions is not None:
        where_from = "Give the estimator's file, or a folder of them, to --predictions; README.md lists the layouts."
        files.append(NeededFile(predictions, "estimator's bodies", where_from, "predictions"))
    for used in datasets:
        source = used.source
        where_from = f"data/README.md says where it is from; or name another as {source.file_key} in the config."
        if source.is_own:
            where_from = (
                f"Put it there, or correct the {source.file_key} in the config; docs/data.md says what it holds."
            )
        files.append(NeededFile(used.path, f"{source.title} dataset", where_from, "dataset"))
    return files


def file_finding(file: NeededFile) -> Finding:
    """What a look at the file's first bytes tells."""
    path, what, where_from, read_by = file
    if path.is_dir() and what == "estimator's bodies":
        return Finding("ok", what, str(path), f"a folder of {sum(1 for _ in path.iterdir())} files")
    if read_by == "dataset" and is_array_folder(path):
        size = sum(each.stat().st_size for each in path.glob("*")) if path.is_dir() else 0
        return Finding("ok", what, str(path), f"a folder of arrays, {size / 1e6:,.1f} MB")
    if path.is_file():
        if fault := _fault_of_kind(path):
            return Finding("wrong", what, str(path), f"{fault}. {where_from}")
        return Finding("ok", what, str(path), f"{path.stat().st_size / 1e6:,.1f} MB")
    if is_made_here(path):
        return Finding("note", what, str(path), "made by the program on first use")
    return Finding("missing", what, str(path), where_from)


def _fault_of_kind(path: Path) -> str:
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if not start:
        return "is empty"
    return next((fault for first, fault in _NO_FILES.items() if start.lstrip().startswith(first)), "")
