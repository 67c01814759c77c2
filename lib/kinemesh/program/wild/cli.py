"""The flags of `infer_wild_mesh.py`; light to import, so that --help is instant."""

import argparse
import re
from collections.abc import Sequence

from kinemesh.errors import UserError
from kinemesh.export.formats import FORMATS, MESH_FORMATS
from kinemesh.fit import FITS
from kinemesh.program.cli import OneLineParser, add_common_flags, run_reporting_errors

WINDOWS = ("overlap", "released")
JOINT_ORDERS = (
    "auto", "halpe26", "coco17", "body25", "h36m17", "coco18", "body25b", "mpi15", "coco25", "posetrack18", "mpii16",
    "aic14", "crowdpose14", "mediapipe33",
)  # fmt: skip
AXES = ("people,frames", "frames,people")
# In seconds: long enough to take out a detector's tremble, short enough to keep a step.
_SMOOTHED_S = 0.3
_LARGEST_SIDE = 1 << 16
_LEAST_SCORE = 0.2
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
    _add_flags(parser)
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


def _add_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--config",
        default="configs/mesh/MB_ft_pw3d.yaml",
        metavar="FILE",
        help="YAML file of the model (default: %(default)s)",
    )
    add(
        "-e",
        "--evaluate",
        default="checkpoint/mesh/FT_MB_release_MB_ft_pw3d/best_epoch.bin",
        metavar="FILE",
        help="checkpoint of a regressor, or with --predictions of a refiner; none: no network, --predictions as they are "
        "(default: %(default)s)",
    )
    add(
        "-j",
        "--json_path",
        metavar="PATH",
        help="keypoints of any program in docs/keypoints.md; of several videos in a folder or file, PATH/NAME",
    )
    add(
        "-v",
        "--vid_path",
        metavar="PATH",
        help="the video, its frames as a folder of images, or a folder of videos; may be left out if --image_size is given",
    )
    add("-o", "--out_path", metavar="DIR", help="folder to write to")
    add("--overwrite", action="store_true", help="also into a folder that holds another input's results, which go")
    add(
        "--ref_3d_motion_path",
        metavar="FILE.npy",
        help="(F, 17, 3) 3D motion of one person, whose root's path is taken",
    )
    add(
        "--pixel", action="store_true", help="keypoints by the picture's width, as in training, not by the person's box"
    )
    add("--focus", metavar="ID", help="only this person")
    add(
        "--clip_len",
        type=_whole(1),
        metavar="N",
        help="frames of a window (default: 243; the config's if trained from scratch)",
    )
    add(
        "--windows",
        choices=WINDOWS,
        default="overlap",
        help="released: side by side and vertices averaged, as the released script; writes npy and mp4 (default: %(default)s)",
    )
    add(
        "--keypoint_format",
        choices=JOINT_ORDERS,
        default="auto",
        help="joint order, where the number of joints misleads",
    )
    add("--keypoint_axes", choices=AXES, help="of an npz of four axes, where it does not say")
    add(
        "--first_frame",
        type=int,
        choices=(0, 1),
        help="what the video's first frame is numbered (default: as the names tell)",
    )
    add(
        "--least_score",
        type=_score,
        default=_LEAST_SCORE,
        metavar="SCORE",
        help="leave out detections that the file scores lower (default: %(default)s)",
    )
    add("--relink", action="store_true", help="link people by overlap, whatever tracks the file names")
    add("--image_size", type=_size, metavar="WxH", help="the picture's size in pixels, without a video")
    add("--fps", type=_positive, metavar="RATE", help="frames a second (default: the video's, or 30)")
    add(
        "--keypoint_fps",
        type=_positive,
        metavar="RATE",
        help="rate of keypoints that are not of every frame of the video",
    )
    add("--start", type=_seconds, metavar="SECONDS", help="only from here on (default: the beginning)")
    add("--end", type=_seconds, metavar="SECONDS", help="only up to here (default: the end)")
    add("--max_gap", type=_whole(0), metavar="N", help="fill gaps of up to N frames (default: half a second)")
    add("--tta", choices=("flip", "none"), default="flip", help="also predict the mirror image (default: %(default)s)")
    add(
        "--smooth",
        type=_positive,
        nargs="?",
        const=_SMOOTHED_S,
        default=0.0,
        metavar="SECONDS",
        help=f"smooth rotations without delay over this time (alone: {_SMOOTHED_S:g}; default: off)",
    )
    add(
        "--fit",
        choices=FITS,
        help="what bodies are fitted to after the network (default: keypoints; with --windows released: none)",
    )
    add_focal = parser.add_mutually_exclusive_group().add_argument
    add_focal("--focal", type=_positive, metavar="PX", help="focal length in pixels (default: the picture's diagonal)")
    add_focal("--fov", type=_angle, metavar="DEG", help="instead: the angle that the picture's width shows, in degrees")
    add_focal(
        "--focal_35mm", type=_positive, metavar="MM", help="instead: 35 mm equivalent focal length, as EXIF has it"
    )
    add("--predictions", metavar="FILE", help="another estimator's bodies, for a refiner or --evaluate none")
    add("--predictions_fps", type=_positive, metavar="RATE", help="of their frames (default: their file's, or --fps)")
    add(
        "--formats",
        type=_formats,
        metavar="LIST",
        help=f"of {','.join(FORMATS)}; with --windows released of {','.join(MESH_FORMATS)} (default: all)",
    )
    add("--no_render", action="store_true", help="no mesh.mp4")
    add("--side_view", action="store_true", help="also from the side, in mesh.mp4")
    add_common_flags(parser)
    add("--demo", action="store_true", help="a made-up video and the checkpoint that comes with the program")


def _whole(least: int):
    def convert(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number from {least} on")
        return int(text)

    return convert


def _score(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number from 0 on")
    return value


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number above 0")
    return value


def _seconds(text: str) -> float:
    return 0.0 if text.strip("0.") == "" and "0" in text else _positive(text)


def _angle(text: str) -> float:
    value = _positive(text)
    if not 1 <= value < 179:
        raise argparse.ArgumentTypeError(f"{text!r}: expected degrees, from 1 to below 179")
    return value


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,6})[xX](\d{1,6})", text)
    size = (int(match[1]), int(match[2])) if match else (0, 0)
    if not all(0 < side <= _LARGEST_SIDE for side in size):
        raise argparse.ArgumentTypeError(f"{text!r}: expected WIDTHxHEIGHT in pixels, for example 1920x1080")
    return size


def _formats(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name for name in text.split(",") if name))
    known = tuple(dict.fromkeys(FORMATS + MESH_FORMATS))
    if not names or not set(names) <= set(known):
        raise argparse.ArgumentTypeError(f"{text!r}: expected some of {','.join(known)}")
    return names
