"""SMPL body meshes from 2D keypoint video: train, evaluate, refine, infer.

tracks = kinemesh.predict("walk.mp4")
kinemesh.save(tracks, "out/", formats=("npz", "glb"))
predictor = kinemesh.load("best_epoch.bin")
tracks = predictor.predict("alphapose-results.json", image_size=(1920, 1080), fps=30)

What is imported here is imported when it is first asked for, so that a command's --help does not wait for PyTorch.
"""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kinemesh.config import Config, load_config
    from kinemesh.data.sources import load_dataset
    from kinemesh.infer.predictor import MeshPredictor, Tracks
    from kinemesh.model.building import build_model

__version__ = "0.2.0"
__all__ = ["Config", "build_model", "evaluate", "load", "load_config", "load_dataset", "predict", "save", "train"]

_HOMES = {
    "Config": "kinemesh.config",
    "load_config": "kinemesh.config",
    "load_dataset": "kinemesh.data.sources",
    "build_model": "kinemesh.model.building",
}


def load(
    checkpoint: Path | str, config: "Config | Path | str | None" = None, device: str | None = "auto"
) -> "MeshPredictor":
    """A trained model and its body, ready for any number of videos.

    Args:
        checkpoint: a file, ours or a released one; "builtin" is the one that is shipped, for a body that is not SMPL.
        config: what it was trained with; a released checkpoint does not hold it.
        device: "auto", "cpu", "cuda" or "cuda:N".

    Raises `kinemesh.errors.UserError` for whatever is missing or does not fit.
    """
    from kinemesh.infer.predictor import MeshPredictor

    if checkpoint != "builtin":
        return MeshPredictor.load(checkpoint, config, device)
    from kinemesh.demo.body import BUILTIN_PATH
    from kinemesh.demo.splits import StandIn

    return MeshPredictor.load(BUILTIN_PATH, config, device, StandIn().assets)


def predict(
    video: Path | str,
    predictor: "MeshPredictor | None" = None,
    *,
    detector: str = "blazepose",
    device: str = "auto",
    folder: Path | str | None = None,
    **settings,
) -> "Tracks":
    """Tracks of everybody in a video, or a folder of its frames as images, whom a detector finds.

    Args:
        predictor: what `load` gives; None: the released checkpoint and SMPL where they are there, else "builtin".
        detector: "blazepose", whose files `infer_wild_mesh.py --install_detector blazepose` fetches, or "rtmpose:DIR".
        device: of both, where no predictor is given.
        folder: keeps the keypoints, as keypoints.npz, for the next time, and what was found where the detector was
            stopped, to go on from; None: nothing is kept.
        settings: fields of `kinemesh.infer.Settings`.

    Raises `kinemesh.errors.UserError` for whatever is missing or cannot be used, and if nobody is found.
    """
    from kinemesh.infer import Settings
    from kinemesh.program.wild.predictor import predict_video

    return predict_video(video, predictor, detector, device, folder, Settings(**settings))


def save(
    tracks: "Tracks",
    folder: Path | str,
    formats: Sequence[str] | str = ("npz", "glb"),
    *,
    axes: str = "y_up",
    bvh_names: str = "smpl",
) -> None:
    """Write what `MeshPredictor.predict` gave: `npz`, `glb`, `bvh`, `amass` a person, `html`, `mp4` and `sheet` of all.

    The folder is made. Raises `kinemesh.errors.UserError` for an unknown format or what cannot be written.

    Args:
        formats: several, or one, or some as text with commas.
        axes: "y_up", "z_up" (of the bvh) or "camera", as `infer_wild_mesh.py --axes`.
        bvh_names: "smpl" or "mixamo".
    """
    from kinemesh.export.scene import Footage
    from kinemesh.export.write import OutputChoices, write_outputs
    from kinemesh.files.writing import faults_of_writing
    from kinemesh.structures import Timeline

    names = formats.split(",") if isinstance(formats, str) else formats
    with faults_of_writing(Path(folder)):
        Path(folder).mkdir(parents=True, exist_ok=True)
    frame_count = max((int(track.frame_ids[-1]) + 1 for track in tracks), default=0)
    footage = Footage(tracks.camera, Timeline.of_constant_rate(tracks.fps, frame_count), world=tracks.world)
    choices = OutputChoices([name.strip() for name in names], axes, bvh_names)
    write_outputs(tracks, Path(folder), footage, choices, tracks.assets, tracks.device)


def train(config: Path | str, folder: Path | str, *, kind: str = "regressor", **options) -> dict:
    """Train as the scripts do, from a YAML file into a folder; goes on where the folder holds a run.

    Args:
        kind: "regressor" or "refiner".
        options: further fields of `kinemesh.program.options.RunOptions`.

    Returns what `best_epoch.bin` scores: figures in mm by dataset. Raises `kinemesh.errors.UserError`.
    """
    return _run(config, kind=kind, folder=Path(folder), **options)


def evaluate(checkpoint: Path | str, config: Path | str, *, kind: str = "regressor", **options) -> dict:
    """Score a checkpoint on the test splits of a YAML file's datasets, as `--evaluate` does.

    Options and result are those of `train`; `protocols=("wham",)` scores as that paper does.
    """
    return _run(config, kind=kind, folder=Path(checkpoint).parent, evaluate=Path(checkpoint), **options)


def _run(config: Path | str, **options) -> dict:
    from kinemesh.config import load_config
    from kinemesh.program.options import RunOptions
    from kinemesh.program.train import run

    given = {"script": "kinemesh", "pretrained": Path("checkpoint/latest_epoch.bin")} | options
    return run(RunOptions(config=Path(config), **given), load_config(config))


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'kinemesh' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
