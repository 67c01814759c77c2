"""The flags of `infer_wild_mesh.py`, one by one."""

import argparse
from collections.abc import Callable

from kinemesh.export.formats import AXES, BVH_NAMES, DEFAULT_FORMATS, FORMATS, MESH_FORMATS
from kinemesh.fit import FITS
from kinemesh.program.flags.parser import add_common_flags
from kinemesh.program.wild import values

WINDOWS = ("overlap", "released")
JOINT_ORDERS = (
    "auto", "halpe26", "coco17", "body25", "h36m17", "coco18", "body25b", "mpi15", "coco25", "posetrack18", "mpii16",
    "aic14", "crowdpose14", "mediapipe33",
)  # fmt: skip
KEYPOINT_AXES = ("people,frames", "frames,people")
DEFAULT_CONFIG = "configs/mesh/MB_ft_pw3d.yaml"
DEFAULT_CHECKPOINT = "checkpoint/mesh/FT_MB_release_MB_ft_pw3d/best_epoch.bin"
BUILTIN = "builtin"  # as a checkpoint
DEFAULT_DETECTOR = "blazepose"
INSTALLED_DETECTORS = ("blazepose",)
# In seconds: long enough to take out a detector's tremble, short enough to keep a step.
_SMOOTHED_S = 0.3
_LEAST_SCORE = 0.2


def add_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--config",
        default=DEFAULT_CONFIG,
        metavar="FILE",
        help="YAML file of the model (default: %(default)s)",
    )
    add(
        "-e",
        "--evaluate",
        default=DEFAULT_CHECKPOINT,
        metavar="FILE",
        help="checkpoint of a regressor, or with --predictions of a refiner; builtin: what is shipped, whose body is no SMPL; "
        "none: no network, --predictions as they are (default: %(default)s, or builtin if neither that nor SMPL is there)",
    )
    add(
        "-j",
        "--json_path",
        metavar="PATH",
        help="keypoints of any program in docs/keypoints.md; of several videos in a folder or file, PATH/NAME (default: "
        "--detector finds them in the video)",
    )
    add(
        "-v",
        "--vid_path",
        metavar="PATH",
        help="the video, its frames as a folder of images, or a folder of videos; may be left out if --image_size is given",
    )
    add("-o", "--out_path", metavar="DIR", help="folder to write to (default: out/NAME of the video or keypoints)")
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
        type=values.whole(1),
        metavar="N",
        help="frames of a window (default: 243; the config's if trained from scratch)",
    )
    add(
        "--windows",
        choices=WINDOWS,
        default="overlap",
        help="released: side by side and vertices averaged, as the released script; writes npy, mp4 and sheet (default: %(default)s)",
    )
    add(
        "--keypoint_format",
        choices=JOINT_ORDERS,
        default="auto",
        help="joint order, where the number of joints misleads",
    )
    add("--keypoint_axes", choices=KEYPOINT_AXES, help="of an npz of four axes, where it does not say")
    add(
        "--first_frame",
        type=int,
        choices=(0, 1),
        help="what the video's first frame is numbered (default: as the names tell)",
    )
    add(
        "--least_score",
        type=values.score,
        default=_LEAST_SCORE,
        metavar="SCORE",
        help="leave out detections that the file scores lower (default: %(default)s)",
    )
    add("--relink", action="store_true", help="link people by overlap, whatever tracks the file names")
    add("--image_size", type=values.size, metavar="WxH", help="the picture's size in pixels, without a video")
    add("--fps", type=values.positive, metavar="RATE", help="frames a second (default: the video's, or 30)")
    add(
        "--keypoint_fps",
        type=values.positive,
        metavar="RATE",
        help="rate of keypoints that are not of every frame of the video",
    )
    add("--start", type=values.seconds, metavar="SECONDS", help="only from here on (default: the beginning)")
    add("--end", type=values.seconds, metavar="SECONDS", help="only up to here (default: the end)")
    add("--max_gap", type=values.whole(0), metavar="N", help="fill gaps of up to N frames (default: half a second)")
    add("--tta", choices=("flip", "none"), default="flip", help="also predict the mirror image (default: %(default)s)")
    add(
        "--smooth",
        type=values.positive,
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
    add_focal(
        "--focal", type=values.positive, metavar="PX", help="focal length in pixels (default: the picture's diagonal)"
    )
    add_focal(
        "--fov", type=values.angle, metavar="DEG", help="instead: the angle that the picture's width shows, in degrees"
    )
    add_focal(
        "--focal_35mm",
        type=values.positive,
        metavar="MM",
        help="instead: 35 mm equivalent focal length, as EXIF has it",
    )
    _add_world_flags(add)
    add("--predictions", metavar="FILE", help="another system's bodies, docs/estimators.md")
    add(
        "--predictions_fps",
        type=values.positive,
        metavar="RATE",
        help="of their frames (default: their file's, or --fps)",
    )
    _add_output_flags(parser)
    add_common_flags(parser)
    _add_detector_flags(add)
    add("--demo", action="store_true", help="a made-up video and the checkpoint that comes with the program")


def _add_output_flags(parser: argparse.ArgumentParser) -> None:
    add, by_default = parser.add_argument, ",".join(DEFAULT_FORMATS)
    add(
        "--formats",
        type=values.formats,
        metavar="LIST",
        help=f"of {','.join(FORMATS)} (default: {by_default}); with --windows released of {','.join(MESH_FORMATS)}",
    )
    add(
        "--axes",
        choices=AXES,
        default="y_up",
        help="of glb, bvh, page and amass: the world's, y up and the floor at 0 where it was found; z_up: bvh only; camera: "
        "level with the video's camera (default: %(default)s)",
    )
    add("--bvh_names", choices=BVH_NAMES, default="smpl", help="of the bvh's joints (default: %(default)s)")
    add("--no_render", action="store_true", help="no mesh.mp4 and no sheet.png")
    add("--side_view", action="store_true", help="also from the side, in mesh.mp4")


def _add_detector_flags(add) -> None:
    add(
        "--detector",
        metavar="NAME",
        help="what finds people and keypoints in a video without --json_path: blazepose, or rtmpose:DIR, a folder of ONNX "
        f"files of your own; docs/detectors.md (default: {DEFAULT_DETECTOR})",
    )
    add(
        "--install_detector",
        choices=INSTALLED_DETECTORS,
        help="fetch a detector's files by pip (36 MB), put them into checkpoint/detector, and stop",
    )


def _add_world_flags(add: Callable) -> None:
    add(
        "--up",
        type=values.up,
        default="auto",
        metavar="auto|camera|PITCH,ROLL",
        help="how the camera stands: as people's feet and bodies tell, level, or looking down by PITCH and turned clockwise "
        "by ROLL degrees (default: %(default)s)",
    )
    add("--camera", metavar="FILE.npz", help="how the camera moves: R (N, 3, 3), t (N, 3) from world to camera")
