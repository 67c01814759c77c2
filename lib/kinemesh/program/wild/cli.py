"""The flags of `infer_wild_mesh.py`; light to import, so that --help is instant."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from kinemesh.detect.installing import install_blazepose
from kinemesh.errors import UserError, require_packages
from kinemesh.export.formats import DEFAULT_FORMATS, FORMATS, MESH_FORMATS
from kinemesh.machine.log import set_up_console
from kinemesh.machine.stopping import import_slow
from kinemesh.program.cli import run_reporting_errors
from kinemesh.program.flags.parser import OneLineParser
from kinemesh.program.wild.flags import BUILTIN, DEFAULT_DETECTOR, add_flags

# What the demo has of its own.
_NOT_IN_DEMO = {
    name: f"--{name}"
    for name in (
        "config", "evaluate", "json_path", "vid_path", "ref_3d_motion_path", "predictions", "predictions_fps", "keypoint_format",
        "image_size", "fps", "keypoint_fps", "start", "end", "keypoint_axes", "first_frame", "least_score", "detector",
        "camera",
    )
} | {"overrides": "--set"}  # fmt: skip
# What the released script has not, or does otherwise.
_NOT_IN_RELEASED = {
    name: f"--{name}"
    for name in ("smooth", "max_gap", "predictions", "ref_3d_motion_path", "axes", "bvh_names", "up", "camera")
}
_NO_NETWORK = "none"
# What only a network has a use for.
_NOT_WITHOUT_NETWORK = {name: f"--{name}" for name in ("config", "pixel", "clip_len", "tta", "windows")}
# How a keypoint file is read.
_NOT_WITH_DETECTOR = {
    name: f"--{name}" for name in ("keypoint_format", "keypoint_fps", "keypoint_axes", "first_frame", "least_score")
}
# What the checkpoint that is shipped brings with it.
_NOT_WITH_BUILTIN = {"config": "--config", "overrides": "--set", "predictions": "--predictions"}
_EXAMPLES = """examples:
  python infer_wild_mesh.py --demo
      two made-up people, by the checkpoint that comes with the program: every output, no file needed
  python infer_wild_mesh.py --vid_path walk.mp4
      everybody in the video, whom a detector finds (once before: --install_detector blazepose)
  python infer_wild_mesh.py --vid_path walk.mp4 --json_path alphapose-results.json --out_path out/walk
      the same by another detector's keypoints
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
        if arguments.install_detector:
            set_up_console()
            install_blazepose()
            return
        if not arguments.no_render:
            require_packages("numba")  # now, not when everything else is done
        import_slow("kinemesh.program.wild.run").run(arguments)

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
    arguments.is_default_wanted = not {"config", "evaluate", "overrides", "predictions", "demo"} & set(given)
    if arguments.install_detector:
        return arguments
    if arguments.windows == "released":
        _refuse(given, _NOT_IN_RELEASED, "--windows released, which does as the released script")
        if arguments.fit == "keypoints":
            raise UserError("--fit keypoints does not go with --windows released, whose mean of two bodies is no body.")
    arguments.formats = _formats_for(arguments.windows, arguments.formats)
    for flag, is_default in (("axes z_up", arguments.axes != "z_up"), ("bvh_names", arguments.bvh_names == "smpl")):
        if not is_default and "bvh" not in arguments.formats:
            raise UserError(f"--{flag} is the bvh's alone, which --formats leaves out. Add bvh, or leave out --{flag}.")
    if arguments.demo:
        _refuse(given, _NOT_IN_DEMO, "--demo, which makes up its own video")
        arguments.out_path = arguments.out_path or "out/demo"
        return arguments
    if arguments.evaluate == _NO_NETWORK:
        arguments.evaluate = None
        _refuse(given, _NOT_WITHOUT_NETWORK, "--evaluate none, which has no network")
        if not arguments.predictions:
            raise UserError("--predictions is missing: with --evaluate none bodies are another estimator's. Give them.")
    if arguments.evaluate == BUILTIN:
        _refuse(given, _NOT_WITH_BUILTIN, f"--evaluate {BUILTIN}, which brings its own")
    if not arguments.json_path and not arguments.vid_path:
        raise UserError(
            "--vid_path is missing: the video, or --json_path, the keypoints' file or folder. Give one, or try --demo, which "
            "needs no file."
        )
    if arguments.json_path:
        _refuse(given, {"detector": "--detector"}, "--json_path, which has keypoints")
    else:
        arguments.detector = arguments.detector or DEFAULT_DETECTOR
        _refuse(given, _NOT_WITH_DETECTOR, "a detector; it says how a file of keypoints, --json_path, is read")
    if not arguments.out_path:
        arguments.out_path = str(Path("out") / Path(arguments.vid_path or arguments.json_path).resolve().stem)
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
    """Those asked for, or the default's."""
    known = MESH_FORMATS if windows == "released" else FORMATS
    for name in formats or ():
        if name not in known:
            why = ", whose mean of two bodies is no body" if windows == "released" else ""
            raise UserError(f"--formats {name} does not go with --windows {windows}{why}. Expected {','.join(known)}.")
    return formats or (MESH_FORMATS if windows == "released" else DEFAULT_FORMATS)
