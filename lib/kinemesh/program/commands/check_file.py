"""Checks a dataset or motion folder by itself, without a config; of folders of arrays hashes are compared too.

    python -m kinemesh check data/mesh/mine.pkl
    python -m kinemesh check data/motion/amass
    python -m kinemesh check data/mesh/mesh_det_pw3d.pkl --layout pw3d

The exit status is 2 for what training would refuse. Where a body model is in --data_root, keypoints are compared with
the bodies too.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch

from kinemesh.body.assets import load_body_assets, smpl_file
from kinemesh.body.kinematics import JointKinematics
from kinemesh.data.folders import KIND, read_content
from kinemesh.data.sources import RELEASED, dataset_of, own_source
from kinemesh.data.split import Reading
from kinemesh.errors import UserError
from kinemesh.files.array_folder.manifest import MANIFEST_FILE
from kinemesh.files.array_folder.reading import ArrayFolder, is_array_folder, open_folder
from kinemesh.machine.log import set_up_console
from kinemesh.motion.recorded import KIND as MOTION_KIND
from kinemesh.motion.recorded import open_motions
from kinemesh.program.check.findings import Finding, table
from kinemesh.program.check.motions import motion_findings
from kinemesh.program.check.values import dataset_findings
from kinemesh.program.commands.convert import verify_with_progress
from kinemesh.program.flags.parser import command_parser

logger = logging.getLogger(__name__)


def run(argv: Sequence[str]) -> None:
    """What the command does. Raises `UserError` for a file that training would refuse."""
    parser = command_parser("kinemesh check", __doc__)
    add = parser.add_argument
    add("file", type=Path, metavar="FILE", help="a pickle, or a folder of arrays")
    add(
        "--layout",
        default="own",
        choices=("own", *RELEASED),
        help="own: that of docs/data.md (default); or a released one",
    )
    add(
        "--data_root",
        type=Path,
        default=Path("data/mesh"),
        metavar="DIR",
        help="folder of the body model (%(default)s)",
    )
    arguments = parser.parse_args(argv)
    set_up_console()
    check_file(arguments.file, arguments.layout, arguments.data_root)


def check_file(path: Path, layout: str, data_root: Path) -> None:
    """Print what is found in a file or folder. Raises `UserError` for what training would refuse."""
    kind = KIND
    if is_array_folder(path):
        folder = open_folder(path, what="a folder of arrays")
        kind = folder.kind
        if kind not in _CHECKS:
            raise UserError(f"{path}: holds a {kind[:40]}. Expected one of {', '.join(_CHECKS)}.")
        verify_with_progress(folder)
        logger.info("%s", table(_folder_findings(folder)))
    findings = list(_CHECKS[kind](path, layout, data_root))
    logger.info("%s", table(findings))
    for finding in findings:
        if finding.is_fatal:
            raise UserError(finding.message())
    logger.info("this file can be used")


def _folder_findings(folder: ArrayFolder) -> Iterator[Finding]:
    where = str(folder.path / MANIFEST_FILE)
    size = sum(array.nbytes for array in folder.arrays.values())
    yield Finding(
        "ok", "hashes", where, f"{len(folder.arrays)} arrays of {size / 1e6:,.1f} MB are as they were written"
    )
    for name in _SAID[folder.kind]:
        said = str(folder.provenance.get(name, "unknown"))
        yield Finding("note" if said != "unknown" else "warning", name, where, said[:200])


def _dataset_findings(path: Path, layout: str, data_root: Path) -> Iterator[Finding]:
    content, is_mapped = read_content(path, "a dataset")
    # The rate of videos tells them from images; what it is no check asks.
    has_names = any("source" in arrays for arrays in content.values() if isinstance(arrays, dict))
    source = RELEASED.get(layout) or own_source(path.stem, 30.0 if has_names else None)
    dataset = dataset_of(content, source, Reading(path, is_mapped=is_mapped, is_thorough=True))
    if not dataset.train.frame_count + dataset.test.frame_count:
        raise UserError(f"{path}: has neither 'train' nor 'test'. Expected one of them at least, as docs/data.md says.")
    kinematics = None
    if smpl_file(data_root).exists():
        kinematics = JointKinematics(load_body_assets(data_root))
    else:
        found = "no body model there, so keypoints are not compared with bodies; name its folder with --data_root"
        yield Finding("note", "body model", str(data_root), found)
    with torch.no_grad():
        yield from dataset_findings(dataset, ("train", "test"), str(path), kinematics)


def _motion_findings(path: Path, layout: str, data_root: Path) -> Iterator[Finding]:
    return motion_findings(open_motions(path))


# What a folder has to say of itself.
_SAID = {
    KIND: ("detector", "betas", "body_model", "joint_order"),
    MOTION_KIND: ("source", "licence", "betas", "body_model"),
}
_CHECKS: dict[str, Callable[[Path, str, Path], Iterator[Finding]]] = {
    KIND: _dataset_findings,
    MOTION_KIND: _motion_findings,
}
