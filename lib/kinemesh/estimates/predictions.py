"""Another system's bodies, from one file or a folder of files: what `--predictions` gives.

Source: behaviour contract section 8.
"""

import dataclasses
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kinemesh.body.assets import BodyAssets
from kinemesh.config import HIGHEST_FPS, LOWEST_FPS
from kinemesh.data.sources import RELEASED, Dataset
from kinemesh.errors import UserError
from kinemesh.estimates.from_points import with_bodies_fitted
from kinemesh.estimates.linking import with_people_linked
from kinemesh.estimates.readers import LAYOUTS, count_images_from_zero, read_estimator_file
from kinemesh.estimates.systems.single import SMPLCODEC
from kinemesh.estimates.table import NotRecognisedError, Table

logger = logging.getLogger(__name__)

SUFFIXES = (".npz", ".npy", ".pkl", ".pk", ".pt", ".pth", ".smpl", ".obj")
# ROMP's file of a whole video, which repeats those of its frames beside it.
_WHOLE = "video_results.npz"
# Who writes each person once more, in a world, beside the file of all before the camera.
_REPEATED = {SMPLCODEC: "PromptHMR"}
# Above any frame number, so that track and frame make one number that sorts by both.
TRACK_STEP = 1 << 40
# 29.97 is written for 30, 59.94 for 60.
FPS_TOLERANCE = 0.005


class PredictedTrack(NamedTuple):
    """One person in one video."""

    dataset: str  # "": not said
    video: str
    person: str  # "": not said


@dataclasses.dataclass(frozen=True, eq=False)
class Predictions:
    """An estimator's bodies; F rows, sorted by track, frame and `repeat`, no three of them twice."""

    path: Path
    tracks: list[PredictedTrack]
    track: np.ndarray  # (F,) int64 into `tracks`
    frame: np.ndarray  # (F,) int64 from 0
    poses: np.ndarray  # (F, 72) float32 axis-angle, camera coordinates
    betas: np.ndarray  # (F, 10) float32
    fps: np.ndarray  # (F,) float64, nan where the file does not say
    files: list[Path]
    file: np.ndarray  # (F,) int64 into `files`
    file_row: np.ndarray  # (F,) int64 the row there, for errors
    repeat: np.ndarray  # (F,) int64, 0 but where a file has a frame more than once and numbers its rows
    mirrored: tuple[np.ndarray, np.ndarray] | None = None  # (F, 72), (F, 10) the flip test's other half, if all have it
    trans_m: np.ndarray | None = (
        None  # (F, 3) float32 before the camera, nan where a file says none; None: no file does
    )
    world_tracks: frozenset[int] = frozenset()  # those of a world without a camera, as before a level one
    notes: tuple[str, ...] = ()  # what of the files could not be taken as it is

    def place(self, index: int) -> str:
        """File, row, video, frame and person of a row, for errors."""
        track = self.tracks[self.track[index]]
        person = f", person {track.person!r}" if track.person else ""
        within = f"video {track.video!r}, frame {self.frame[index]}{person}"
        return f"{self.files[self.file[index]]}: row {self.file_row[index]} ({within})"

    def tracks_of(self, dataset: str) -> list[int]:
        """Numbers of the tracks that may belong to a dataset."""
        return [number for number, track in enumerate(self.tracks) if track.dataset in ("", dataset)]


def load_predictions(path: str | Path, assets: Callable[[], BodyAssets] | None = None) -> Predictions:
    """Read a file of any layout of kinemesh.estimates.readers, or all such files in a folder and the folders in it.

    `assets` gives the body that is fitted to keypoints or vertices, where files hold no pose. Raises UserError, one line,
    for what cannot be read, is not recognised, or holds rows that cannot be right.
    """
    path = Path(path)
    if path.is_dir():
        tables = _read_folder(path)
    elif path.exists():
        tables = [read_estimator_file(path)]
    else:
        raise UserError(f"--predictions {path} not found. Expected a file or a folder of files: {LAYOUTS}.")
    tables = with_bodies_fitted(with_people_linked(count_images_from_zero(tables)), assets)
    notes = _notes(tables)
    predictions = _merge(path, tables)
    for note in notes:
        logger.info("%s: %s", path, note)
    videos = len({track.video for track in predictions.tracks})
    people, rows = len(predictions.tracks), len(predictions.frame)
    systems = ", ".join(dict.fromkeys(table.system for table in tables))
    logger.info("%s: %d bodies of %d people in %d videos, by %s", path, rows, people, videos, systems)
    return dataclasses.replace(predictions, notes=notes)


def _notes(tables: list[Table]) -> tuple[str, ...]:
    """A line for each system whose files could not be taken as they are."""
    counts: dict[tuple[str, tuple[str, ...]], int] = defaultdict(int)
    for table in tables:
        said = table.notes
        if table.world_up:
            said = (*said, f"a world's axes ({table.world_up} up) and no camera: as before a level one")
        counts[table.system, said] += 1
    return tuple(
        f"{system}" + (f", {count} files" if count > 1 else "") + f": {'; '.join(said)}"
        for (system, said), count in counts.items()
        if said
    )


def at_rate(predictions: Predictions, fps: float, theirs: float | None = None) -> Predictions:
    """The same bodies by the frame numbers of a video of `fps`; of two that fall on one frame, the nearer.

    Args:
        theirs: frames a second of the predictions; None: as the file says, and `fps` where it does not.

    Raises UserError for a rate that cannot be true.
    """
    rates = np.where(np.isnan(predictions.fps), fps, predictions.fps) if theirs is None else np.full(1, theirs)
    is_wrong = ~((rates >= LOWEST_FPS) & (rates <= HIGHEST_FPS))
    if is_wrong.any():
        row = int(is_wrong.argmax())
        what = "predictions_fps" if theirs is not None else f"{predictions.place(row)}: 'fps'"
        wanted = f"{LOWEST_FPS:g} to {HIGHEST_FPS:g} frames a second"
        raise UserError(f"{what} is {rates[row]:g}. Expected {wanted}.")
    if (np.abs(rates - fps) <= FPS_TOLERANCE * fps).all():
        return predictions
    logger.info("%s: predictions of %g frames a second, keypoints of %g", predictions.path, rates.min(), fps)
    exact = predictions.frame * (fps / rates)
    frame = np.round(exact).astype(np.int64)
    order = np.lexsort((np.abs(exact - frame), predictions.repeat, frame, predictions.track))
    place = np.stack((predictions.track, frame))[:, order]
    rows = order[np.r_[True, (np.diff(place) != 0).any(axis=0)]]
    columns = {
        name: getattr(predictions, name)[rows] for name in ("track", "poses", "betas", "file", "file_row", "repeat")
    }
    mirrored = None if predictions.mirrored is None else tuple(half[rows] for half in predictions.mirrored)
    trans_m = None if predictions.trans_m is None else predictions.trans_m[rows]
    changed = {"frame": frame[rows], "fps": np.full(len(rows), fps), "mirrored": mirrored, "trans_m": trans_m}
    return dataclasses.replace(predictions, **changed, **columns)


def check_videos(predictions: Predictions, datasets: Iterable[Dataset], names: Iterable[str] = ()) -> None:
    """Raise UserError if predictions are of a video that none of the loaded datasets has, in either split.

    Rows that name a dataset are held against that one alone, and ignored if it is not loaded, where `names` has it: the
    config's datasets.
    """
    expected = {*RELEASED, *names}
    for number, track in enumerate(predictions.tracks):
        if track.dataset and track.dataset not in expected:
            raise UserError(
                f"{predictions.place(_first_row(predictions, number))}: 'dataset' is {track.dataset[:40]!r}. Expected one of "
                f"{', '.join(sorted(expected))}; rename it, or add it to the config's datasets."
            )
    known = {
        dataset.source.name: {*dataset.train.video_names, *dataset.test.video_names}
        for dataset in datasets
        if dataset.source.is_video
    }
    is_known: dict[tuple[str, str], bool] = defaultdict(bool)
    for track in predictions.tracks:
        names = {track.video, f"{track.video}_{track.person}"}
        held_against = [track.dataset] if track.dataset else list(known)
        is_known[track.dataset, track.video] |= any(name not in known or names & known[name] for name in held_against)
    for number, track in enumerate(predictions.tracks):
        if not is_known[track.dataset, track.video]:
            some = next((name for names in known.values() for name in sorted(names)), "")
            raise UserError(
                f"{predictions.place(_first_row(predictions, number))}: no dataset of the config has "
                f"this video. Expected names as in the dataset files, such as {some!r}; rename or leave out its rows."
            )


def _first_row(predictions: Predictions, track: int) -> int:
    """The first row of a track."""
    return int(np.searchsorted(predictions.track, track))


def _read_folder(folder: Path) -> list[Table]:
    tables = []
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and not path.is_dir()):
        if not path.is_file():
            logger.warning("skipped: %s is no regular file, or a link that leads to none", path)
            continue
        try:
            tables.append(read_estimator_file(path))
        except NotRecognisedError as error:
            logger.warning("skipped: %s", error)
    whole = {table.path.parent for table in tables if table.path.name == _WHOLE}
    tables = [table for table in tables if table.path.parent not in whole or table.path.name == _WHOLE]
    written = {(table.path.parent, table.system) for table in tables}
    tables = [table for table in tables if (table.path.parent, _REPEATED.get(table.system)) not in written]
    posed = [table for table in tables if table.vertices_m is None]
    if posed and len(posed) < len(tables):
        # Meshes that a system writes to be looked at.
        logger.info("%s: %d files of vertices left out, beside those of poses", folder, len(tables) - len(posed))
    tables = posed or tables
    if not tables:
        raise UserError(f"--predictions {folder}: no file in this folder is recognised. Expected {LAYOUTS}.")
    return tables


def _merge(path: Path, tables: list[Table]) -> Predictions:
    sizes = [len(table.frame) for table in tables]
    dataset, video, person, frame, poses, betas, fps = (
        np.concatenate([getattr(table, name) for table in tables])
        for name in ("dataset", "video", "person", "frame", "poses", "betas", "fps")
    )
    # Text is compared row with row before, and named once a run: much faster than sorting it.
    is_new = (video[1:] != video[:-1]) | (person[1:] != person[:-1]) | (dataset[1:] != dataset[:-1])
    bounds = np.concatenate([[0], np.flatnonzero(is_new) + 1, [len(video)]])
    numbers: dict[tuple[str, str, str], int] = {}
    heads = zip(*(column[bounds[:-1]].tolist() for column in (dataset, video, person)), strict=True)
    track = np.repeat([numbers.setdefault(head, len(numbers)) for head in heads], np.diff(bounds))
    repeat = np.concatenate(
        [np.zeros(len(table.frame), np.int64) if table.repeat is None else table.repeat for table in tables]
    )
    order = np.lexsort((repeat, frame, track))
    mirrored = None
    if all(table.mirrored is not None for table in tables):
        mirrored = tuple(
            np.concatenate(parts)[order] for parts in zip(*(table.mirrored for table in tables), strict=True)
        )
    places = [_places_m(table) for table in tables]
    predictions = Predictions(
        path=path,
        tracks=[PredictedTrack(*head) for head in numbers],
        track=track[order],
        frame=frame[order],
        poses=poses[order],
        betas=betas[order],
        fps=fps[order],
        files=[table.path for table in tables],
        file=np.repeat(np.arange(len(tables)), sizes)[order],
        file_row=np.concatenate([np.arange(size) for size in sizes])[order],
        repeat=repeat[order],
        mirrored=mirrored,
        trans_m=np.concatenate(places)[order] if any(np.isfinite(part).any() for part in places) else None,
        world_tracks=frozenset(track[np.repeat([bool(table.world_up) for table in tables], sizes)].tolist()),
    )
    is_repeated = (np.diff(row_keys(predictions)) == 0) & (np.diff(predictions.repeat) == 0)
    if is_repeated.any():
        row = int(is_repeated.argmax()) + 1
        earlier = f"row {predictions.file_row[row - 1]} of {predictions.files[predictions.file[row - 1]]}"
        raise UserError(
            f"{predictions.place(row)} repeats {earlier}. Expected one row a video, frame and person; "
            "remove one, or tell people apart by 'person'."
        )
    return predictions


def _places_m(table: Table) -> np.ndarray:
    """(F, 3) float32 where a table's bodies are before the camera; nan where it does not say, or places another model's."""
    given = table.places_m if table.trans_m is None and table.points_m is None else table.trans_m
    return np.full((len(table.frame), 3), np.nan, np.float32) if given is None else given.astype(np.float32)


def row_keys(predictions: Predictions) -> np.ndarray:
    """(F,) int64, rising, one for each pair of track and frame."""
    return predictions.track * TRACK_STEP + predictions.frame
