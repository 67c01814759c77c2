"""Parts of a folder of arrays: its manifest, and one of the arrays that are mapped into memory."""

import tempfile
from pathlib import Path

import numpy as np

from kinemesh.files.array_folder.manifest import MANIFEST_FILE, array_file, read_manifest
from kinemesh.files.array_folder.reading import open_array
from kinemesh.files.array_folder.writing import TEXT, Column, writing_folder

ARRAY_FILE = array_file("train.smpl_pose")
_ROWS = np.linspace(0, 1, 5 * 72, dtype="<f4").reshape(5, 72)


def _made(names: tuple[str, ...]) -> list[bytes]:
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "folder"
        columns = {"train.smpl_pose": Column(_ROWS.dtype, (72,)), "train.source.names": TEXT}
        with writing_folder(folder, "dataset", columns, provenance={"detector": "none"}) as writer:
            writer.append({"train.smpl_pose": _ROWS})
            writer.append_text("train.source.names", ["a", "b"])
        return [(folder / name).read_bytes() for name in names]


def manifests() -> list[bytes]:
    return _made((MANIFEST_FILE,))


def arrays() -> list[bytes]:
    return _made((ARRAY_FILE,))


def read_manifest_file(path: Path) -> None:
    read_manifest(path, "a dataset")


def read_array(path: Path) -> None:
    open_array(path, _ROWS.dtype, _ROWS.shape).tobytes()
