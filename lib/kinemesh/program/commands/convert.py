"""Turns a dataset's pickle into a folder of arrays, which training reads without loading it, or such a folder into a pickle.

    python -m kinemesh convert data/mesh/mesh_det_pw3d.pkl data/mesh/pw3d --detector "SH, fine-tuned on H36M"

Both ways are exact: the same keys, and every array to the bit. A folder says where it is from; what is not said with a
flag is "unknown".
"""

import logging
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import kinemesh
from kinemesh.data.folders import KIND, content_of_folder, read_content, write_folder
from kinemesh.errors import UserError
from kinemesh.files.array_folder.manifest import source_entry
from kinemesh.files.array_folder.reading import ArrayFolder, is_array_folder, open_folder, verify
from kinemesh.files.writing import require_space, write_atomically
from kinemesh.machine.log import set_up_console
from kinemesh.machine.progress import progress
from kinemesh.program.flags.parser import command_parser

logger = logging.getLogger(__name__)

_PIECE_BYTES = 1 << 24
# What a folder says of itself, and the flag that tells it.
PROVENANCE = {
    "detector": "what found the keypoints",
    "betas": "whose shape space, and how bodies of other models came into it",
    "body_model": "what the poses turn",
}


def run(argv: Sequence[str]) -> None:
    """What the command does. Raises `UserError` for what the user has to fix."""
    parser = command_parser("kinemesh convert", __doc__)
    parser.add_argument("source", type=Path, metavar="FROM", help="a pickle, or a folder of arrays")
    parser.add_argument("out", type=Path, metavar="TO", help="the folder, or the pickle, to write")
    for name, text in PROVENANCE.items():
        parser.add_argument(f"--{name}", default="unknown", metavar="TEXT", help=f"{text}, for a folder")
    arguments = parser.parse_args(argv)
    set_up_console()
    if is_array_folder(arguments.source):
        to_pickle(arguments.source, arguments.out)
    else:
        to_folder(arguments.source, arguments.out, {name: getattr(arguments, name) for name in PROVENANCE})


def to_folder(source: Path, out: Path, provenance: dict[str, str]) -> None:
    """Write the pickle `source` as the folder `out`. Raises `UserError` if it cannot be read, held or written."""
    content, _ = read_content(source, "a dataset pickle")
    said = {"sources": [source_entry(source)], "joint_order": "h36m", "written_by": f"kinemesh {kinemesh.__version__}"}
    write_folder(out, content, provenance | said)
    logger.info("%s written: %s", out, _sizes(content))


def to_pickle(source: Path, out: Path) -> None:
    """Write the folder `source` as the pickle `out`. Raises `UserError` if it has changed or cannot be written."""
    if out.exists():
        raise UserError(f"{out} is there already. Remove it, or name another.")
    folder = open_folder(source, what="a dataset", kind=KIND)
    require_space(out.parent, sum(array.nbytes for array in folder.arrays.values()))
    verify_with_progress(folder)
    content = content_of_folder(source, "a dataset")
    write_atomically(out, lambda file: pickle.dump(content, file, protocol=4))
    logger.info("%s written: %s", out, _sizes(content))


def verify_with_progress(folder: ArrayFolder) -> None:
    """Compare every hash. Raises `UserError` for an array that has changed."""
    pieces = sum(-(-array.nbytes // _PIECE_BYTES) for array in folder.arrays.values())
    for _ in progress(verify(folder), pieces, f"{folder.path}: hashes of pieces of 16 MiB", every=50):
        pass


def _sizes(content: dict[str, Any]) -> str:
    found = []
    for name, arrays in content.items():
        if isinstance(arrays, dict):
            rows = max((len(value) for value in arrays.values() if isinstance(value, np.ndarray | list)), default=0)
            found.append(f"{rows:,} {name} frames of {len(arrays)} keys")
    return ", ".join(found)
