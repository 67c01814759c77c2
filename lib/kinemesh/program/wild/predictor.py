"""Which network and body a run is made with: those that its flags name, or those that are shipped."""

import argparse
import contextlib
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from kinemesh.body.assets import SMPL_FILE, load_body_assets, smpl_file
from kinemesh.config import Config, load_config
from kinemesh.demo.body import BUILTIN_PATH, CHECKPOINT_PATH
from kinemesh.demo.splits import StandIn
from kinemesh.detect.detector import open_detector
from kinemesh.errors import UserError
from kinemesh.files.writing import faults_of_writing
from kinemesh.files.yaml import parse_yaml
from kinemesh.infer import MeshPredictor, Settings
from kinemesh.infer.predictor import Tracks
from kinemesh.keypoints import Reading, read_keypoints
from kinemesh.machine.device import keep_freed_memory
from kinemesh.program.wild.flags import BUILTIN, DEFAULT_CHECKPOINT, DEFAULT_CONFIG
from kinemesh.program.wild.video import KEYPOINTS_FILE, detect_keypoints, open_source

logger = logging.getLogger(__name__)


class Choice(NamedTuple):
    """Which network and body, as the flags of these names say it."""

    evaluate: str | None  # None: no network
    device: str = "auto"
    config: str = DEFAULT_CONFIG
    overrides: Sequence[str] = ()
    demo: bool = False

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> "Choice":
        return cls(*(getattr(arguments, name) for name in cls._fields))


def load_predictor(choice: Choice) -> MeshPredictor:
    """Raises UserError for whatever is missing or does not fit."""
    if choice.demo or choice.evaluate == BUILTIN:
        path = CHECKPOINT_PATH if choice.demo else BUILTIN_PATH
        predictor = MeshPredictor.load(path, device=choice.device, assets=StandIn().assets)
        logger.info("the body is a stand-in, not SMPL%s", ", and the video is made up" if choice.demo else "")
    elif choice.evaluate is None:
        predictor = MeshPredictor.without_network(load_body_assets(_data_root(choice.overrides)), choice.device)
    else:
        config = load_config(choice.config, choice.overrides)
        predictor = MeshPredictor.load(choice.evaluate, config, choice.device)
    keep_freed_memory(predictor.device)
    return predictor


def default_checkpoint() -> str:
    """What --evaluate is where no flag says which network or body: the released one's place, or the built-in one.

    Raises UserError if a checkpoint is there without a body model, or the other way round.
    """
    root = Path(Config.data_root)
    has_body = smpl_file(root).exists()
    has_checkpoint = Path(DEFAULT_CHECKPOINT).exists()
    if has_body and has_checkpoint:
        return DEFAULT_CHECKPOINT
    if has_body or has_checkpoint:
        there, missing = (root / SMPL_FILE, DEFAULT_CHECKPOINT) if has_body else (DEFAULT_CHECKPOINT, root / SMPL_FILE)
        raise UserError(
            f"{missing} not found, but {there} is there. Expected both: put it there, name another checkpoint by --evaluate, "
            f"or take what is shipped, a small network and a stand-in body: --evaluate {BUILTIN}"
        )
    logger.info(
        "neither %s nor %s: what is shipped is taken, --evaluate %s", DEFAULT_CHECKPOINT, root / SMPL_FILE, BUILTIN
    )
    return BUILTIN


def predict_video(
    video: Path | str,
    predictor: MeshPredictor | None,
    detector: str,
    device: str,
    folder: Path | str | None,
    settings: Settings,
) -> Tracks:
    """What `kinemesh.predict` does."""
    source, finder = open_source(video), open_detector(detector, device)
    if predictor is None:
        predictor = load_predictor(Choice(default_checkpoint(), device))
    with tempfile.TemporaryDirectory() if folder is None else contextlib.nullcontext(folder) as kept:
        path = Path(kept) / KEYPOINTS_FILE
        with faults_of_writing(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
        detect_keypoints(finder, source, path)
        detections = read_keypoints(path, Reading(image_size=source.image_size, frame_count=len(source.time_s)))
    found = predictor.infer(detections, image_size=source.image_size, fps=source.fps, settings=settings)
    return Tracks(found, source.fps, predictor)


def _data_root(overrides: Sequence[str]) -> str:
    """Of the body model, where there is no config: the only key that counts. Raises UserError for others."""
    root: object = Config.data_root
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator or key.strip() != "data_root":
            raise UserError(f"--set {override[:80]}: --evaluate none has no config. Expected data_root=FOLDER alone.")
        root = parse_yaml(text, "--set data_root: the value")
        if not isinstance(root, str):
            raise UserError(f"--set data_root: is {text[:80]!r}. Expected a folder that holds the body model.")
    return root
