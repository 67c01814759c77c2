"""Datasets as folders of arrays, which training reads where they lie: from and to the dict that a pickle holds.

Array `train.joint_2d` is key `joint_2d` of the train split. Text of one value a frame is kept as numbers (frames,) into
its different values, `train.source` into the text `train.source.names`. What is no array stands in the manifest, under
`values`, and how lists and arrays of text are to be given back, under `forms`.
"""

import json
import logging
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kinemesh.errors import UserError, fail
from kinemesh.files.array_folder.manifest import is_array_name, is_array_type
from kinemesh.files.array_folder.reading import ArrayFolder, is_array_folder, open_folder
from kinemesh.files.array_folder.writing import TEXT, Column, FolderWriter, writing_folder
from kinemesh.files.arrays import array_of
from kinemesh.files.joblib import unpacked_limit
from kinemesh.files.pickles import load_pickle
from kinemesh.machine.progress import progress
from kinemesh.motion import recorded as motion

logger = logging.getLogger(__name__)

KIND = "dataset"
SPLITS = ("train", "test")
_NAMES = ".names"
_CODES = np.dtype("<i4")
_PIECE_BYTES = 1 << 25
_FORM = re.compile(r"array|(list|tuple)( of (tuples|arrays))?|[<>|][US]\d{1,6}|\|O")
_HELD = "a dict of train and test, each with arrays, lists of numbers or text, and single values"


class CodedText(NamedTuple):
    """(F,) texts by their numbers."""

    codes: np.ndarray  # (F,) int32 into `names`
    names: list[str]

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, row: int) -> str:
        return self.names[self.codes[row]]


def read_content(path: str | Path, what: str, fps: float | None = None) -> tuple[dict[str, Any], bool]:
    """The dict of a dataset, by split and key, and whether its arrays lie in files: in a folder they do.

    A folder's text is CodedText. A motion folder is a dataset without keypoints, at `fps` frames a second. Raises UserError
    for what cannot be read, or is no dataset.
    """
    if is_array_folder(path):
        folder = open_folder(path, what=what)
        if folder.kind == motion.KIND:
            return _content_of_motions(motion.RecordedMotions(folder), fps), True
        if folder.kind != KIND:
            fail(folder.path, f"holds a {folder.kind[:40]}", f"{what} (kind '{KIND}' or '{motion.KIND}')")
        return _content_of(folder), True
    # latin1 reads files of either Python; text written by Python 3 carries its own encoding.
    content = load_pickle(path, what=what, encoding="latin1")
    if not isinstance(content, dict):
        raise UserError(f"{path} holds a {type(content).__name__}. Expected {what}, a dict with 'train' and 'test'.")
    return content, False


def _content_of(folder: ArrayFolder) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for name, array in folder.arrays.items():
        split, _, key = name.partition(".")
        if "." in key:  # part of a text
            continue
        if folder.has_text(f"{name}{_NAMES}"):
            names = folder.text(f"{name}{_NAMES}")
            if array.dtype != _CODES or array.ndim != 1:
                fail(folder.path, f"{name!r} is {array.dtype} of shape {array.shape}", f"{_CODES} of one axis: text")
            if len(array) and not (array.min() >= 0 and array.max() < len(names)):
                fail(folder.path, f"{name!r} has a number beyond its {len(names)} names", "numbers of names")
            array = CodedText(array, names)
        content.setdefault(split, {})[key] = array
    for name, value in _described(folder, "values").items():
        split, _, key = name.rpartition(".")
        held = content.setdefault(split, {}) if split else content
        if not isinstance(held, dict):
            fail(folder.path, f"'{name[:80]}' in its manifest is within a value", "a value of a split")
        held[key] = value
    return content


def _content_of_motions(motions: motion.RecordedMotions, fps: float | None) -> dict[str, Any]:
    """Sequences of the published test split are tested on, or of val where there is none; all but both are trained on."""
    if not fps:
        fail(motions.path, "holds motion", "fps: frames a second to train at, for this dataset")
    splits = motions.texts["split"]
    tested = "test" if "test" in splits else "val"
    if left_out := splits.count("val") if tested == "test" else 0:
        logger.info("%s: %d sequences of split val are left out, since there are those of test", motions.path, left_out)
    chosen = {
        "train": [number for number, split in enumerate(splits) if split not in ("test", "val")],
        "test": [number for number, split in enumerate(splits) if split == tested],
    }
    return {split: _motion_arrays(motions, numbers, fps) for split, numbers in chosen.items() if numbers}


def _motion_arrays(motions: motion.RecordedMotions, numbers: list[int], fps: float) -> dict[str, Any]:
    """The keys of a split: views of the folder's files where the sequences lie side by side at this rate, else copies."""
    if (np.diff(numbers) == 1).all() and np.allclose(motions.fps[numbers], fps, rtol=1e-9):
        lengths = motions.lengths[numbers]
        first = int(motions.lengths[: numbers[0]].sum())
        rows = slice(first, first + int(lengths.sum()))
        poses, trans_m = motions.poses[rows], motions.trans_m[rows]
    else:
        label = f"sequences of {motions.path.name} at {fps:g} frames a second"
        taken = [motions[number].at_rate(fps) for number in progress(numbers, len(numbers), label, every=500)]
        lengths = np.array([len(sequence.poses) for sequence in taken])
        poses, trans_m = (
            np.concatenate(arrays) for arrays in zip(*((one.poses, one.trans_m) for one in taken), strict=True)
        )
    names = [motions.texts["name"][number] for number in numbers]
    codes = np.repeat(np.arange(len(names), dtype=_CODES), lengths)
    betas = np.repeat(motions.betas[numbers], lengths, axis=0)
    return {"smpl_pose": poses, "trans_y_up": trans_m, "smpl_shape": betas, "source": CodedText(codes, names)}


def content_of_folder(path: Path, what: str) -> dict[str, Any]:
    """The dict that `write_folder` was given: the same keys, values and arrays. Raises UserError."""
    folder = open_folder(path, what=what, kind=KIND)
    content, forms = _content_of(folder), _described(folder, "forms")
    for split, arrays in content.items():
        for key in arrays if isinstance(arrays, dict) else ():
            if isinstance(arrays[key], np.ndarray | CodedText):
                arrays[key] = _restored(folder, arrays[key], forms.get(f"{split}.{key}", "array"))
    order = _described(folder, "order")
    return {
        split: _ordered(held, order.get(split)) if isinstance(held, dict) else held
        for split, held in _ordered(content, order.get("")).items()
    }


def _ordered(held: dict[str, Any], order: object) -> dict[str, Any]:
    """The same with the keys of `order` first, as far as it is a list of them."""
    known = [key for key in order if isinstance(key, str) and key in held] if isinstance(order, list) else []
    return {key: held[key] for key in (*known, *held)}


def _described(folder: ArrayFolder, what: str) -> dict[str, Any]:
    found = folder.provenance.get(what, {})
    if not isinstance(found, dict):
        fail(folder.path, f"'{what}' in its manifest is a {type(found).__name__}", "names and values")
    return found


def write_folder(path: Path, content: Mapping[str, Any], provenance: Mapping[str, Any]) -> None:
    """Write the dict of a dataset as a folder, exactly. Raises UserError for what a folder cannot hold."""
    values: dict[str, Any] = {}
    forms: dict[str, str] = {}
    arrays: dict[str, np.ndarray] = {}
    texts: dict[str, list[str]] = {}
    order = {"": list(content)}
    for split, held in content.items():
        if split not in SPLITS or not isinstance(held, dict):
            _keep_value(values, str(split), held)
            continue
        order[split] = list(held)
        for key, value in held.items():
            name = f"{split}.{key}"
            if "." in str(key) or not is_array_name(name):
                raise UserError(
                    f"{split} key {str(key)[:60]!r} has no name for a file. Expected letters, digits and _."
                )
            if not isinstance(value, np.ndarray | list | tuple):
                _keep_value(values, name, value)
                continue
            coded = _coded(value, name)
            if isinstance(coded, CodedText):
                arrays[name], texts[f"{name}{_NAMES}"] = coded
            else:
                arrays[name] = coded
            if (form := _form(value)) != "array":
                forms[name] = form
    columns = {name: Column(array.dtype, array.shape[1:]) for name, array in arrays.items()}
    told = {"values": values, "forms": forms, "order": order}
    needed = sum(array.nbytes for array in arrays.values())
    with writing_folder(
        path, KIND, columns | dict.fromkeys(texts, TEXT), provenance=dict(provenance) | told, needed_bytes=needed
    ) as writer:
        for name, found in texts.items():
            writer.append_text(name, found)
        _append(writer, arrays)


def _append(writer: FolderWriter, arrays: dict[str, np.ndarray]) -> None:
    pieces = []
    for name, array in arrays.items():
        rows = max(1, _PIECE_BYTES // max(1, array.nbytes // max(1, len(array))))
        pieces += [(name, start, start + rows) for start in range(0, len(array), rows)]
    for name, start, stop in progress(pieces, len(pieces), f"writing pieces of {_PIECE_BYTES >> 20} MiB", every=50):
        writer.append({name: arrays[name][start:stop]})


def _keep_value(values: dict[str, Any], name: str, value: Any) -> None:
    is_finite = type(value) is not float or math.isfinite(value)
    if type(value) not in (int, float, str, bool, type(None)) or not is_finite:
        raise UserError(f"'{name[:80]}' is a {type(value).__name__}, which a folder cannot hold. Expected {_HELD}.")
    values[name] = json.loads(json.dumps(value))


def _coded(value: np.ndarray | list | tuple, name: str) -> np.ndarray | CodedText:
    """Numbers as an array, text by numbers."""
    try:
        array = value if isinstance(value, np.ndarray) else array_of(value)
    except ValueError as error:
        raise UserError(f"'{name}' is {error}, which a folder cannot hold. Expected {_HELD}.") from None
    if array.ndim and is_array_type(array.dtype):
        return array
    texts = value.tolist() if isinstance(value, np.ndarray) else list(value)
    if array.ndim == 1 and array.dtype.kind == "S":
        texts = [text.decode("latin1") for text in texts]
    if array.ndim != 1 or not all(type(text) is str for text in texts):
        raise UserError(
            f"'{name}' is {array.dtype} of shape {array.shape}, which a folder cannot hold. Expected {_HELD}."
        )
    numbers: dict[str, int] = {}
    codes = np.fromiter((numbers.setdefault(text, len(numbers)) for text in texts), _CODES, len(texts))
    return CodedText(codes, list(numbers))


def _form(value: np.ndarray | list | tuple) -> str:
    """How a value is to be given back."""
    if isinstance(value, np.ndarray):
        return value.dtype.str if value.dtype.kind in "USO" else "array"
    outer = type(value).__name__
    for inner, kind in (("tuples", tuple), ("arrays", np.ndarray | np.generic)):
        if value and all(isinstance(row, kind) for row in value):
            return f"{outer} of {inner}"
    return outer


def _restored(folder: ArrayFolder, value: np.ndarray | CodedText, form: object) -> Any:
    if not isinstance(form, str) or not _FORM.fullmatch(form):
        fail(
            folder.path, f"the form {str(form)[:40]!r} in its manifest is none", "array, list, tuple or a type of text"
        )
    if form == "array":
        return value
    if isinstance(value, CodedText) and form not in ("list", "tuple"):
        size = np.dtype(form).itemsize * len(value)
        if size > unpacked_limit(value.codes.nbytes):
            fail(folder.path, f"the form {form!r} in its manifest makes {size} bytes", "text of a likely length")
        texts = np.array(value.names, dtype=object)
        if form.startswith("|S"):
            texts = np.array([text.encode("latin1") for text in value.names])
        return texts[value.codes].astype(np.dtype(form))
    if isinstance(value, CodedText):
        items = [value.names[code] for code in value.codes.tolist()]
    else:
        items = list(value) if form.endswith("of arrays") else value.tolist()
    items = [tuple(row) for row in items] if form.endswith("of tuples") else items
    return tuple(items) if form.startswith("tuple") else items
