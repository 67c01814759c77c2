"""Folders with one file an image: OpenPose, Pose2Sim, MMPose, AlphaPose's `sep-json`, ultralytics' labels.

The image is the file's name, whatever stands before and behind its number. Sources: OpenPose `peopleJsonSaver.cpp`,
Pose2Sim's `pose/cam01_json/cam01_000000.json`, ultralytics `engine/results.py` (`save_txt`: class, box, joints, then
confidence and track if they are there; all parts of the picture; a video's frames from 1).
"""

from pathlib import Path

import numpy as np

from kinemesh.errors import UserError, fail
from kinemesh.keypoints.detections import Rows
from kinemesh.keypoints.formats import BY_COUNT, joint_order_said
from kinemesh.keypoints.frames import chosen_rows
from kinemesh.keypoints.json_layouts import frames_of, rows_of
from kinemesh.keypoints.json_text import load_json
from kinemesh.machine.progress import progress

_JSON_ENDINGS = (".json", ".json.gz")
_LARGEST_TXT = 1 << 20
_LABEL_START = 5  # class, x, y, width, height
_USUAL_JOINTS = 17


def read_folder(folder: Path, prefix: str, expected: str, *, is_order_known: bool = False) -> Rows:
    """Rows of all files of an image each; of those alone whose name begins with `prefix`.

    Raises UserError if there are none, one is damaged, or folders lie where files should.
    """
    files = _files(folder, prefix)
    texts = [path for path in files if path.suffix == ".txt" and any(map(str.isdigit, path.stem))]
    files = [path for path in files if path.name.lower().endswith(_JSON_ENDINGS)]
    if not files and not texts:
        below = [path.name for path in sorted(folder.iterdir()) if path.is_dir() and any(path.glob("*.json"))]
        advice = f" Expected one camera's: {', '.join(f'{folder}/{name}' for name in below[:4])}." if below else ""
        name = f" that begins with {prefix!r}" if prefix else ""
        raise UserError(
            f"{folder}: no JSON file of keypoints in this folder{name}.{advice or f' Expected {expected}.'}"
        )
    return _read_json_files(files, expected, is_order_known) if files else _read_labels(texts)


def only_file(folder: Path, prefix: str) -> Path | None:
    """The folder's JSON file, if there is just one: it may hold a whole video, as in AlphaPose's output folder."""
    files = [path for path in _files(folder, prefix) if path.name.lower().endswith(_JSON_ENDINGS)]
    return files[0] if len(files) == 1 else None


def _files(folder: Path, prefix: str) -> list[Path]:
    """The folder's files. Raises UserError for what is called like one of keypoints and is none: a frame would be missing."""
    files = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    odd = [path for path in files if not path.is_file() and not path.is_dir()]
    files = [path for path in files if path.is_file()]
    if named := [path for path in odd if path.name.lower().endswith((*_JSON_ENDINGS, ".txt"))]:
        fail(named[0], "is no regular file, or a link that leads to none", "a file of one image's people")
    return [files[place] for place in chosen_rows([path.name for path in files], prefix)] if prefix else files


def _read_json_files(files: list[Path], expected: str, is_order_known: bool) -> Rows:
    frames, orders, first = [], set(), None
    for path in progress(files, len(files), "keypoint files", every=5000):
        content = load_json(path, expected)
        if content == []:
            frames.append((path.name, []))
            continue
        one = frames_of(path, content)
        if one is None:
            raise UserError(f"{path}: not recognised, unlike other files of its folder. Expected one image's people.")
        if len(one.frames) > 1 and len({str(image) for image, _ in one.frames}) > 1:
            raise UserError(
                f"{path}: holds {len(one.frames)} images, but stands in a folder of {len(files)} files. Expected one an "
                f"image; if it holds the whole video, give the file: {path}."
            )
        orders.add(None if is_order_known else joint_order_said(path, content))
        rows = rows_of(path, one)  # here, so that an error names the file
        first = first or rows
        people = zip(rows.people, rows.keypoints, rows.scores, strict=True)
        frames.append((path.name, list(people)))
    if first is None:
        raise UserError(
            f"{files[0].parent}: nobody was detected in any of {len(files)} files. Expected at least one person."
        )
    columns = [(name, *person) for name, people in frames for person in people if np.size(person[1])]
    images, people, keypoints, scores = map(list, zip(*columns, strict=True)) if columns else ([], [], [], [])
    order = orders.pop() if len(orders) == 1 else None
    listed = [name for name, _ in frames]
    return first._replace(
        program=first.program if first.program != "one image" else "MMPose or ultralytics, a file an image",
        images=images, people=people, keypoints=keypoints, scores=scores, listed=listed, joint_order=order or first.joint_order,
    )  # fmt: skip


def _read_labels(files: list[Path]) -> Rows:
    """ultralytics' txt files: a line a person."""
    columns: tuple[list, list, list, list] = ([], [], [], [])
    for path in progress(files, len(files), "keypoint files", every=5000):
        if path.stat().st_size > _LARGEST_TXT:
            fail(path, f"{path.stat().st_size} bytes", "one image's people, a line each")
        try:
            lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
            values = [np.array(line, dtype=np.float32) for line in lines]
        except (ValueError, OSError):
            fail(path, "is not a table of numbers", "class, box and joints of a person in each line")
        for number, line in enumerate(values):
            points, score, track = _label(path, number, line)
            for column, value in zip(columns, (path.name, track, points, score), strict=True):
                column.append(value)
    if not columns[0]:
        raise UserError(
            f"{files[0].parent}: nobody was detected in any of {len(files)} files. Expected at least one person."
        )
    return Rows(
        "ultralytics labels", *columns, listed=[path.name for path in files], counted_from=1, is_normalised=True
    )


def _label(path: Path, number: int, line: np.ndarray) -> tuple[np.ndarray, float, float | None]:
    """Joints, confidence and track of a line; whether these two are there follows from its length."""
    shapes = [(joints, columns, rest) for columns in (3, 2) for rest in (0, 1, 2) for joints in BY_COUNT]
    for joints, columns, rest in sorted(shapes, key=lambda shape: shape[0] != _USUAL_JOINTS):
        end = _LABEL_START + joints * columns
        if len(line) == end + rest:
            score = float(line[end]) if rest else float("nan")
            return line[_LABEL_START:end].reshape(-1, columns), score, float(line[end + 1]) if rest == 2 else None
    return fail(
        path,
        f"line {number + 1} holds {len(line)} numbers",
        "class, box, 17 joints' x, y and visibility, confidence, track",
    )
