"""Makes data of this project's formats from files that others publish.

    python -m kinemesh prepare amass --raw AMASS --out data/motion/amass
    python -m kinemesh prepare bvh --raw bandai --out data/motion/bandai --licence "CC BY-NC 4.0"
    python -m kinemesh prepare smpl-npz --raw results --out data/motion/own
    python -m kinemesh prepare 3dpw --raw 3DPW --out data/mesh/mesh_det_pw3d.pkl

Motion becomes a motion folder (docs/motion.md): SMPL pose, shape and path of every sequence, y up, and a contact sheet to
look at. Pictures' bodies become a dataset (docs/data.md), with keypoints: a folder, or for X.pkl the released layout.
Work that was stopped goes on with the same command. Files that cannot be read are left out and counted.
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from kinemesh.errors import UserError
from kinemesh.machine.log import set_up_console
from kinemesh.program.flags.parser import command_parser

logger = logging.getLogger(__name__)

MOTION_SOURCES = ("smpl-npz", "amass", "bvh")
DATASET_SOURCES = ("3dpw", "gvhmr-support", "coco", "h36m", "bedlam", "bedlam2", "emdb", "mpi_inf_3dhp", "aist")
_UNITS = ("auto", "m", "cm", "mm", "in", "cmu")


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """The flags. Raises `UserError` for one that is unknown or belongs to another source."""
    parser = command_parser("kinemesh prepare", __doc__)
    add = parser.add_argument
    add("source", choices=(*MOTION_SOURCES, *DATASET_SOURCES))
    add("--raw", required=True, metavar="DIR", help="the files, in any folders below this one")
    add("--out", required=True, metavar="OUT", help="the folder to write; or X.pkl, of a dataset")
    add("--data_root", default="data/mesh", metavar="DIR", help="SMPL's files (%(default)s)")
    add(
        "--stand_in",
        action="store_true",
        help="prepare for the body that comes with the program, where SMPL is not at hand",
    )
    add("--dry_run", action="store_true", help="read everything, say what would be written, write nothing")
    add(
        "--betas",
        default="refit",
        choices=("refit", "ignore", "mean"),
        help="shapes that are not the neutral body's: refit it to them (default), take their numbers as its own, the mean",
    )
    add(
        "--up",
        default="auto",
        choices=("auto", "y", "z", "camera"),
        help="which axis of the files points up; camera: y down",
    )
    add("--unit", default="auto", choices=_UNITS, help="bvh: unit of lengths")
    add("--names", metavar="FILE", help="bvh: YAML, SMPL's joints and the file's names, as left_hip: LeftUpLeg")
    add(
        "--keypoints",
        default="set",
        metavar="FILE",
        help="datasets: a file or folder that inference reads, matched by picture; set: the data set's own, or where it "
        "has none projected ones with a detector's errors (default); projected; none: made on the fly in training",
    )
    add("--licence", default="", metavar="TEXT", help="noted in the folder")
    arguments = parser.parse_args(argv)
    if arguments.source in DATASET_SOURCES and (arguments.up != "auto" or arguments.betas == "mean"):
        raise UserError("--up and --betas mean are for motion. Leave them out: datasets have their cameras' axes.")
    if arguments.source in MOTION_SOURCES and arguments.keypoints != "set":
        raise UserError("--keypoints is for datasets; motion has none. Leave it out.")
    if arguments.source != "bvh" and (arguments.names or arguments.unit != "auto"):
        raise UserError("--names and --unit are for bvh. Leave them out.")
    if arguments.source == "bvh" and arguments.betas == "ignore":
        raise UserError("--betas ignore: bvh files hold no betas. Expected refit (from the lengths of bones) or mean.")
    return arguments


def run(argv: Sequence[str]) -> None:
    """What the command does. Raises `UserError` for what the user has to fix."""
    arguments = parse_arguments(argv)
    set_up_console()
    if arguments.source in DATASET_SOURCES:
        _prepare_dataset(arguments)
        return
    # These import PyTorch, which --help need not wait for.
    from kinemesh.motion.recorded import open_motions
    from kinemesh.prepare.motions.folder import prepare_motions
    from kinemesh.prepare.motions.sequences import Choices
    from kinemesh.prepare.motions.sheet import SHEET_FILE
    from kinemesh.program.check.findings import table
    from kinemesh.program.check.motions import motion_findings

    choices = Choices(arguments.betas, arguments.up, arguments.unit, _names(arguments.names))
    prepare_motions(arguments.source, *_paths(arguments), choices, licence=arguments.licence, is_dry=arguments.dry_run)
    if not arguments.dry_run:
        logger.info("\n%s", table(motion_findings(open_motions(arguments.out))))
        logger.info("written to %s; look at %s", arguments.out, Path(arguments.out) / SHEET_FILE)


def _prepare_dataset(arguments: argparse.Namespace) -> None:
    from kinemesh.prepare.datasets.prepare import Request, prepare_dataset

    choices = (arguments.betas, arguments.keypoints, arguments.licence, arguments.dry_run)
    prepare_dataset(Request(arguments.source, *_paths(arguments), *choices))
    if not arguments.dry_run:
        look = f"python -m kinemesh check {arguments.out} --data_root {arguments.data_root}"
        logger.info("written to %s; look through it: %s", arguments.out, look)


def _paths(arguments: argparse.Namespace) -> tuple[Path, Path, Path | None]:
    return Path(arguments.raw), Path(arguments.out), None if arguments.stand_in else Path(arguments.data_root)


def _names(file: str | None) -> dict[str, str] | None:
    from kinemesh.body.skeleton import SMPL_JOINT_NAMES
    from kinemesh.files.yaml import read_yaml

    if file is None:
        return None
    names = read_yaml(Path(file))
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise UserError(f"{file}: expected lines such as left_hip: LeftUpLeg, SMPL's joint and the file's name for it.")
    for joint in names:
        if joint not in SMPL_JOINT_NAMES:
            raise UserError(f"{file}: no joint {joint[:60]!r} in SMPL. Expected one of {', '.join(SMPL_JOINT_NAMES)}.")
    return names
