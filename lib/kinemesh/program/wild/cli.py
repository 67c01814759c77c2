"""The flags of `infer_wild_mesh.py`; light to import, so that --help is instant."""

import argparse
from collections.abc import Sequence

from kinemesh.errors import UserError
from kinemesh.export.formats import FORMATS, MESH_FORMATS
from kinemesh.program.cli import OneLineParser, run_reporting_errors
from kinemesh.program.wild.flags import add_flags

# What the demo has of its own.
_NOT_IN_DEMO = {
    name: f"--{name}"
    for name in (
        "config", "evaluate", "json_path", "vid_path", "ref_3d_motion_path", "predictions", "predictions_fps", "keypoint_format",
        "image_size", "fps", "keypoint_fps", "start", "end", "keypoint_axes", "first_frame", "least_score",
    )
} | {"overrides": "--set"}  # fmt: skip
# What the released script has not, or does otherwise.
_NOT_IN_RELEASED = {name: f"--{name}" for name in ("smooth", "max_gap", "predictions", "ref_3d_motion_path")}
_NO_NETWORK = "none"
# What only a network has a use for.
_NOT_WITHOUT_NETWORK = {name: f"--{name}" for name in ("config", "pixel", "clip_len", "tta", "windows")}
_EXAMPLES = """examples:
  python infer_wild_mesh.py --demo
      two made-up people, by the checkpoint that comes with the program: every output, no file needed
  python infer_wild_mesh.py --vid_path walk.mp4 --json_path alphapose-results.json --out_path out/walk
      everybody in the video
  python infer_wild_mesh.py --vid_path videos --json_path keypoints --out_path out --start 2 --end 12
      every video of a folder (keypoints/walk.json for videos/walk.mp4), ten seconds of each
  python infer_wild_mesh.py --json_path openpose_folder --image_size 1920x1080 --fps 25 --focus 1 --out_path out/walk
      one person, without the video
  python infer_wild_mesh.py --config configs/mesh/MB_ft_pw3d_refine_hybrik.yaml --evaluate checkpoint/mesh/refiner/best_epoch.bin \\
      --predictions wham_output.pkl --json_path alphapose-results.json --vid_path walk.mp4 --out_path out/walk
      refine another estimator's bodies
  python infer_wild_mesh.py --evaluate none --set data_root=data/mesh --predictions wham_output.pkl \\
      --json_path alphapose-results.json --vid_path walk.mp4 --out_path out/walk
      lay another estimator's bodies on the keypoints, without a network"""


def main(argv: Sequence[str] | None = None) -> int:
    """Parse and run; the exit status, see `run_reporting_errors`."""

    def parse_and_run() -> None:
        arguments = parse_arguments(argv)
        from kinemesh.program.wild.run import run  # imports PyTorch, which --help and a mistyped flag need not wait for

        run(arguments)

    return run_reporting_errors(parse_and_run, when_stopped="stopped; the files written so far are complete")


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The released flags with their released meaning, and this project's.

    `evaluate` is None without a network. Raises `UserError` for a flag that is unknown, incomplete, out of range or not
    usable with another.
    """
    parser = OneLineParser(
        prog="infer_wild_mesh.py",
        description="Meshes of the people in a video, from its 2D keypoints.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_flags(parser)
    arguments = parser.parse_args(argv)
    given = [name for name, value in vars(arguments).items() if value != parser.get_default(name)]
    if arguments.windows == "released":
        _refuse(given, _NOT_IN_RELEASED, "--windows released, which does as the released script")
        if arguments.fit == "keypoints":
            raise UserError("--fit keypoints does not go with --windows released, whose mean of two bodies is no body.")
    arguments.formats = _formats_for(arguments.windows, arguments.formats)
    if arguments.demo:
        _refuse(given, _NOT_IN_DEMO, "--demo, which makes up its own video")
        arguments.out_path = arguments.out_path or "out/demo"
        return arguments
    if arguments.evaluate == _NO_NETWORK:
        arguments.evaluate = None
        _refuse(given, _NOT_WITHOUT_NETWORK, "--evaluate none, which has no network")
        if not arguments.predictions:
            raise UserError("--predictions is missing: with --evaluate none bodies are another estimator's. Give them.")
    for flag, what in (("json_path", "the keypoints' file or folder"), ("out_path", "a folder to write to")):
        if not getattr(arguments, flag):
            raise UserError(f"--{flag} is missing: {what}. Give it, or try --demo, which needs no file.")
    if arguments.keypoint_fps and not arguments.vid_path:
        raise UserError("--keypoint_fps is for keypoints of a part of a video's frames. Without --vid_path give --fps.")
    if arguments.predictions_fps and not arguments.predictions:
        raise UserError(
            "--predictions_fps is the rate of another estimator's bodies. Give them as --predictions, or leave it out."
        )
    if arguments.end is not None and arguments.end <= (arguments.start or 0):
        raise UserError(f"--end {arguments.end:g}: expected seconds after --start {arguments.start or 0:g}.")
    if not arguments.vid_path and not arguments.image_size:
        raise UserError("the picture's size is not known. Give the video as --vid_path, or --image_size WIDTHxHEIGHT.")
    return arguments


def _refuse(given: Sequence[str], flags: dict[str, str], other: str) -> None:
    for name in given:
        if name in flags:
            raise UserError(f"{flags[name]} does not go with {other}. Leave out one of them.")


def _formats_for(windows: str, formats: tuple[str, ...] | None) -> tuple[str, ...]:
    """Those asked for, or all that there are."""
    known = MESH_FORMATS if windows == "released" else FORMATS
    for name in formats or ():
        if name not in known:
            why = ", whose mean of two bodies is no body" if windows == "released" else ""
            raise UserError(f"--formats {name} does not go with --windows {windows}{why}. Expected {','.join(known)}.")
    return formats or known
