"""The two training scripts and their flags; light to import, so that --help is instant."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kinemesh.program.flags.parser import OneLineParser, add_common_flags, add_fit_flag, shipped_file
from kinemesh.program.options import RunOptions


@dataclass(frozen=True)
class Task:
    """What tells one training script from the other."""

    kind: str  # "regressor" or "refiner"
    script: str
    summary: str
    default_config: str
    examples: str  # beside that of the script alone


_WITHOUT_FILES = "train on the embedded default: no file needed, a few minutes on two CPU cores"
REGRESSOR = Task(
    kind="regressor",
    script="train_mesh.py",
    summary="Train an SMPL mesh regressor on 2D keypoint clips, or evaluate one.",
    default_config="configs/mesh/MB_demo.yaml",
    examples="""\
  python train_mesh.py --config configs/mesh/MB_train_pw3d.yaml --checkpoint checkpoint/mesh/MB_train_pw3d
      train from scratch
  python train_mesh.py --config configs/mesh/MB_ft_pw3d.yaml --pretrained checkpoint/pretrain/MB_release \\
      --checkpoint checkpoint/mesh/FT_MB_release_MB_ft_pw3d
      finetune a pretrained backbone
  python train_mesh.py --config configs/mesh/MB_ft_pw3d.yaml \\
      --evaluate checkpoint/mesh/FT_MB_release_MB_ft_pw3d/best_epoch.bin --metrics_out metrics.json
      evaluate
  python train_mesh.py --config configs/mesh/MB_train_pw3d.yaml --set limit_clips=64 --set epochs=1
      dry run of anything""",
)

REFINER = Task(
    kind="refiner",
    script="train_mesh_refine.py",
    summary="Train a refiner of another estimator's SMPL pose from 2D keypoint clips, or evaluate one.",
    default_config="configs/mesh/MB_demo_refine_hybrik.yaml",
    examples="""\
  python train_mesh_refine.py --config configs/mesh/MB_ft_pw3d_refine_hybrik.yaml \\
      --pretrained checkpoint/pretrain/MB_release --checkpoint checkpoint/mesh/FT_MB_release_MB_ft_pw3d_refine_hybrik
      finetune a pretrained backbone
  python train_mesh_refine.py --config configs/mesh/MB_ft_pw3d_refine_hybrik.yaml \\
      --evaluate checkpoint/mesh/FT_MB_release_MB_ft_pw3d_refine_hybrik/best_epoch.bin
      evaluate: the estimator's error, the refined error, and their difference
  python train_mesh_refine.py --config configs/mesh/MB_ft_pw3d_refine_hybrik.yaml --set dt_file_h36m=null \\
      --set dt_file_coco=null --predictions wham_output.pkl --evaluate best_epoch.bin
      refine any estimator's output: .npz, HybrIK, WHAM or 4D-Humans files""",
)


def parse_arguments(task: Task, argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The released flags with their released meaning, and this project's.

    Raises `UserError` for a flag that is unknown, incomplete or not usable with another.
    """
    parser = OneLineParser(
        prog=task.script,
        description=task.summary,
        epilog=f"examples:\n  python {task.script}\n      {_WITHOUT_FILES}\n{task.examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "--config",
        default=shipped_file(task.default_config),
        metavar="FILE",
        help="YAML file (default: %(default)s, which needs no other file)",
    )
    add(
        "-c",
        "--checkpoint",
        metavar="DIR",
        help="folder to write to and resume from (default: checkpoint/mesh/<config name>)",
    )
    add(
        "-p",
        "--pretrained",
        default="checkpoint",
        metavar="DIR",
        help="folder of the pretrained backbone, for finetune: True",
    )
    add(
        "-ms",
        "--selection",
        default="latest_epoch.bin",
        metavar="FILE",
        help="file in that folder (default: %(default)s)",
    )
    add(
        "-r",
        "--resume",
        default="",
        metavar="FILE",
        help="checkpoint to go on from, unless --checkpoint already holds one",
    )
    add("-e", "--evaluate", default="", metavar="FILE", help="score this checkpoint on the test splits and stop")
    add(
        "--check",
        action="store_true",
        help="check files, config and machine, print what was found as a table, and stop",
    )
    add(
        "-freq",
        "--print_freq",
        type=int,
        default=100,
        metavar="N",
        help="steps between progress lines and train_mpve samples",
    )
    add("-sd", "--seed", type=int, default=0, metavar="N", help="random seed (default: %(default)s)")
    add_common_flags(parser)
    if task.kind == "refiner":
        add("--predictions", metavar="FILE", help="the estimator's bodies, instead of those in the dataset files")
    add(
        "--protocol",
        action="append",
        default=[],
        metavar="NAME",
        dest="protocols",
        help="how to score, see docs/protocols.md; repeatable (default: motionbert)",
    )
    add_fit_flag(parser, "with --evaluate: also score the bodies fitted to the dataset's keypoints, see docs/fit.md")
    add("--report", metavar="DIR", help="with --evaluate: write report.html with charts and the worst clips")
    add("--metrics_out", metavar="FILE", help="write the test metrics as JSON")
    add("--predictions_out", metavar="FILE.npz", help="with --evaluate: write the predicted bodies and their errors")
    arguments = parser.parse_args(argv)
    if arguments.checkpoint is None:
        arguments.checkpoint = str(Path("checkpoint/mesh") / Path(arguments.config).stem)
    return arguments


def run_options(task: Task, arguments: argparse.Namespace) -> RunOptions:
    """The parsed flags as the set-up takes them."""
    files = ("resume", "evaluate", "predictions", "report", "metrics_out", "predictions_out")
    return RunOptions(
        kind=task.kind,
        script=task.script,
        config=arguments.config,
        folder=arguments.checkpoint,
        pretrained=Path(arguments.pretrained) / arguments.selection,
        is_check=arguments.check,
        device=arguments.device,
        seed=arguments.seed,
        print_freq=arguments.print_freq,
        protocols=tuple(arguments.protocols),
        fit=arguments.fit,
        **{name: getattr(arguments, name, None) or None for name in files},
    )
