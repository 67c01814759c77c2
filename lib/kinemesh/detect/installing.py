"""BlazePose's two networks: where they lie, how they are known, and how they are fetched.

They are inside a wheel of MediaPipe, which pip fetches as it fetches any package: from the index, mirror or cache that it
is set up for. The wheel is not installed: it would ask for an older numpy.
"""

import hashlib
import logging
import subprocess
import sys
import tempfile
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from kinemesh.errors import UserError
from kinemesh.files.writing import write_atomically

logger = logging.getLogger(__name__)

BLAZEPOSE_FOLDER = Path("checkpoint/detector")
INSTALL_COMMAND = "python infer_wild_mesh.py --install_detector blazepose"
WHEEL = "mediapipe==0.10.21"
# The runtime's own package; BlazePose is run by it and nothing else here.
RUNTIME = "ai-edge-litert"
_RUNTIME_MODULE = "ai_edge_litert"
# An installed package is also used from other folders than the repository's.
_PROJECT_FOLDER = Path(__file__).parents[3] / BLAZEPOSE_FOLDER
# Any machine can read the files of this one.
_WHEEL_OF = ("--python-version", "3.12", "--platform", "manylinux_2_28_x86_64")
_LONGEST_REASON = 200


class NetworkFile(NamedTuple):
    """A file inside the wheel."""

    member: str
    size: int
    sha256: str


BLAZEPOSE_FILES = {
    "pose_detection.tflite": NetworkFile(
        "mediapipe/modules/pose_detection/pose_detection.tflite",
        2959046,
        "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
    ),
    "pose_landmark_full.tflite": NetworkFile(
        "mediapipe/modules/pose_landmark/pose_landmark_full.tflite",
        6440512,
        "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
    ),
}


def blazepose_networks() -> list[bytes]:
    """The contents of BLAZEPOSE_FILES, in their order. Raises UserError for files that are missing or others."""
    folders = (BLAZEPOSE_FOLDER, _PROJECT_FOLDER)
    folder = next((each for each in folders if all((each / name).is_file() for name in BLAZEPOSE_FILES)), None)
    if folder is None:
        raise UserError(
            f"the keypoint detector's files are not in {BLAZEPOSE_FOLDER}. Give keypoints as --json_path, or get them once "
            f"(36 MB): {INSTALL_COMMAND}"
        )
    return [_checked(folder / name, file) for name, file in BLAZEPOSE_FILES.items()]


def install_blazepose(folder: Path = BLAZEPOSE_FOLDER) -> None:
    """Fetch what is not there yet: the networks into `folder`, and by pip the package that runs them.

    Raises UserError if pip cannot, or what it brings is not these files; then nothing is written.
    """
    if not all(_is_there(folder / name, file) for name, file in BLAZEPOSE_FILES.items()):
        with tempfile.TemporaryDirectory() as temporary:
            logger.info("fetching %s (36 MB)", WHEEL)
            _pip("download", "--no-deps", "--only-binary=:all:", *_WHEEL_OF, "--dest", temporary, WHEEL)
            wheel = next(Path(temporary).glob("*.whl"), None)
            if wheel is None:
                raise UserError(f"pip download {WHEEL}: brought no wheel. Expected one; try again.")
            contents = {name: _member(wheel, file) for name, file in BLAZEPOSE_FILES.items()}
        for name, content in contents.items():
            write_atomically(folder / name, lambda file, content=content: file.write(content))
    if find_spec(_RUNTIME_MODULE) is None:
        logger.info("installing %s, which runs them", RUNTIME)
        _pip("install", RUNTIME)
    logger.info("BlazePose is in %s (Apache-2.0, from %s)", folder, WHEEL)


def import_runtime() -> type:
    """The class that runs a network. Raises UserError if its package is not installed."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        reason = "" if isinstance(error, ModuleNotFoundError) else f" ({str(error)[:_LONGEST_REASON]})"
        raise UserError(
            f"BlazePose is run by the package {RUNTIME}, which cannot be imported{reason}. Expected it: pip install {RUNTIME}"
        ) from None
    return Interpreter


def _pip(*words: str) -> None:
    command = [sys.executable, "-m", "pip", words[0], "--quiet", "--disable-pip-version-check", *words[1:]]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    except OSError as error:
        raise UserError(f"{sys.executable} cannot be run ({error.strerror}). Expected Python with pip.") from None
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        told = [line for line in lines if line.lower().startswith("error")] or lines or ["no reason given"]
        raise UserError(
            f"pip {words[0]} {words[-1]}: failed ({told[-1][:_LONGEST_REASON]}). Expected pip and a network, or an index "
            "that it is set up for; give keypoints as --json_path without."
        )


def _member(wheel: Path, file: NetworkFile) -> bytes:
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(file.member) as member:
            content = member.read(file.size + 1)
    except (OSError, KeyError, zipfile.BadZipFile, NotImplementedError, RuntimeError):
        raise UserError(f"{wheel.name}: no readable {file.member} in it. Expected {WHEEL} as released.") from None
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise UserError(f"{wheel.name}: {file.member} is not the file expected, by its SHA-256. Nothing was written.")
    return content


def _is_there(path: Path, file: NetworkFile) -> bool:
    try:
        return path.stat().st_size == file.size and hashlib.sha256(path.read_bytes()).hexdigest() == file.sha256
    except OSError:
        return False


def _checked(path: Path, file: NetworkFile) -> bytes:
    try:
        with path.open("rb") as opened:
            content = opened.read(file.size + 1)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}). Get it anew: {INSTALL_COMMAND}") from None
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise UserError(f"{path}: is damaged or another file, by its SHA-256. Get it anew: {INSTALL_COMMAND}")
    return content
