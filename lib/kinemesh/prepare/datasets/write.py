"""Writes a dataset, a folder or a pickle, of a source's sequences, one after another; what was stopped goes on."""

import logging
import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import kinemesh
from kinemesh.data.folders import KIND, SPLITS, content_of_folder
from kinemesh.errors import UserError
from kinemesh.files.array_folder.manifest import source_entry
from kinemesh.files.array_folder.reading import is_array_folder
from kinemesh.files.array_folder.writing import TEXT, Column, FolderWriter, writing_folder
from kinemesh.files.writing import json_text, write_atomically, write_text_atomically
from kinemesh.prepare.datasets.keypoints import Proof, filled
from kinemesh.prepare.datasets.sequences import Item, PreparedSequence
from kinemesh.prepare.summary import Summary

logger = logging.getLogger(__name__)

_ROWS = {
    "joint_2d": (17, 2), "confidence": (17,), "smpl_pose": (72,), "smpl_shape": (10,), "img_hw": (2,), "K": (3, 3),
    "trans": (3,),
}  # fmt: skip
_KEPT_ELSEWHERE = ("files", "names", "sums", "orders")
_TEXTS = ("source", "action", "camera_name")


def count_sequence(summary: Summary, sequence: PreparedSequence, proof: Proof | None) -> None:
    """A sequence that was prepared, and what was proven of its keypoints."""
    summary.count(sequence, len(sequence.poses))
    if proof is not None:
        summary.orders[proof.joint_order] += proof.frames
        summary.add(
            "keypoints", proof.frames, error_px=proof.error_px, error=proof.error, mirrored=proof.mirrored_error
        )


def proven(summary: Summary) -> dict[str, Any]:
    """What was proven of the joints' order, for the manifest."""
    names = ("error_px", "error", "mirrored")
    found = {name: None if (mean := summary.mean("keypoints", name)) is None else round(mean, 4) for name in names}
    return {"frames": summary.sums["keypoints frames"], "orders": dict(summary.orders), **found}


def lines(summary: Summary) -> list[str]:
    """For the console."""
    said = summary.lines("parts", "frames", "frames")
    if (error := summary.mean("keypoints", "error_px")) is not None:
        share, mirrored = (summary.mean("keypoints", name) for name in ("error", "mirrored"))
        said.append(
            f"  keypoints are {', '.join(summary.orders)}: the projected body lies {error:.2f} px off them, {share:.1%} of its "
            f"size ({mirrored:.1%} with left and right exchanged)"
        )
    if (error := summary.mean("refit", "mm")) is not None:
        said.append(f"  refitted vertices lie {error:.1f} mm off those of the gendered bodies")
    if (error := summary.mean("joints", "mm")) is not None:
        said.append(f"  joints lie {error:.1f} mm off the measured ones")
    return said


def columns() -> dict[str, Column]:
    """Of both splits; those that stay empty are left out at the end."""
    found: dict[str, Column] = {}
    for split in SPLITS:
        found |= {f"{split}.{key}": Column(np.dtype("<f4"), row) for key, row in _ROWS.items()}
        found[f"{split}.frame"] = Column(np.dtype("<i8"))
        for key in _TEXTS:
            found |= {f"{split}.{key}": Column(np.dtype("<i4")), f"{split}.{key}.names": TEXT}
    return found


class DatasetWriter:
    """Appends sequences to an unfinished folder."""

    def __init__(self, writer: FolderWriter, square_px: float | None):
        self.writer, self.square_px = writer, square_px
        self.summary = Summary(writer.place)

    def append(self, sequence: PreparedSequence, keypoints_px: np.ndarray | None, proof: Proof | None) -> None:
        """Add a sequence with its 17 keypoints (F, 17, 3), or without any."""
        count = len(sequence.poses)
        if keypoints_px is not None:
            keypoints_px = filled(keypoints_px, sequence)
        if self.square_px is not None:
            sequence, keypoints_px = in_square(sequence, keypoints_px, self.square_px)
        width_height = np.broadcast_to(sequence.image_size, (count, 2))
        arrays = {
            "smpl_pose": sequence.poses, "smpl_shape": np.broadcast_to(sequence.betas, (count, 10)),
            "img_hw": width_height[:, ::-1],
        }  # fmt: skip
        if sequence.has_camera:
            arrays |= {"K": np.broadcast_to(sequence.K, (count, 3, 3)), "trans": sequence.trans_m}
        if keypoints_px is not None:
            arrays |= {"joint_2d": keypoints_px[..., :2], "confidence": keypoints_px[..., 2].clip(0, 1)}
        rows = {f"{sequence.split}.{key}": values.astype("<f4") for key, values in arrays.items()}
        self.writer.append(rows | {f"{sequence.split}.frame": sequence.frames.astype("<i8")})
        self._append_names(sequence, count)
        count_sequence(self.summary, sequence, proof)

    def _append_names(self, sequence: PreparedSequence, count: int) -> None:
        source = f"{sequence.split}.source"
        first = self.writer.row_count(f"{source}.names")
        names = [sequence.name]
        if sequence.pictures is not None:  # several people may be in one
            names = [f"{picture}_{first + row}" for row, picture in enumerate(sequence.pictures)]
        codes = np.full(count, first) if sequence.pictures is None else first + np.arange(count)
        self.writer.append({source: codes.astype("<i4")})
        self.writer.append_text(f"{source}.names", names)
        for key, name in (("action", sequence.action), ("camera_name", sequence.camera)):
            if not name:
                continue
            column = f"{sequence.split}.{key}"
            known = self.summary.names.setdefault(column, [])
            if name not in known:
                known.append(name)
                self.writer.append_text(f"{column}.names", [name])
            self.writer.append({column: np.full(count, known.index(name), "<i4")})

    def finish_item(self, item: Item) -> None:
        """Everything of an item is written: work that is stopped goes on behind it."""
        self.summary.parts += 1
        known = {file["file"] for file in self.summary.files}
        self.summary.files += [source_entry(path) for path in item.paths if path.is_file() and path.name not in known]
        self.writer.commit_now_and_then(self.summary.state)


def in_square(
    sequence: PreparedSequence, keypoints_px: np.ndarray | None, side_px: float
) -> tuple[PreparedSequence, np.ndarray | None]:
    """The same in pictures padded to squares of this side, which lie in their middle."""
    size = np.broadcast_to(sequence.image_size, (len(sequence.poses), 2)).astype(np.float64)
    scale = side_px / size.max(axis=1)
    shift = (side_px - scale[:, None] * size) / 2
    K = np.broadcast_to(sequence.K, (len(size), 3, 3)).copy()
    K[:, :2] *= scale[:, None, None]
    K[:, :2, 2] += shift
    if keypoints_px is not None:
        keypoints_px = np.concatenate(
            (keypoints_px[..., :2] * scale[:, None, None] + shift[:, None], keypoints_px[..., 2:]), axis=-1
        )
    return sequence._replace(image_size=np.full(2, side_px), K=K), keypoints_px


def provenance_of(source: str, licence: str, betas: str, model: str) -> dict[str, Any]:
    """What a folder says of itself from the start."""
    return {
        "source": source, "licence": licence, "body_model": model, "betas": betas, "joint_order": "h36m",
        "written_by": f"kinemesh {kinemesh.__version__}",
        "forms": {f"{split}.{key}": "list" for split in SPLITS for key in _TEXTS},
    }  # fmt: skip


def write_dataset(
    out: Path, provenance: dict[str, Any], work: dict, square_px: float | None
) -> Iterator[DatasetWriter]:
    """A writer, once; what was appended stands at `out` when it is given back, as a folder or, for X.pkl, as a pickle."""
    is_pickle = out.suffix == ".pkl"
    if is_pickle and out.exists():
        raise UserError(f"{out} is there already. Remove it, or name another.")
    folder = out.with_name(f"{out.name}.folder") if is_pickle else out
    if is_pickle and is_array_folder(folder):
        shutil.rmtree(folder)  # of a run that was stopped while it wrote the pickle of it
    with writing_folder(folder, KIND, columns(), provenance=provenance, work=work, leaves_out_empty=True) as writer:
        dataset = DatasetWriter(writer, square_px)
        yield dataset
        summary = dataset.summary
        writer.provenance |= {"keypoints": proven(summary), "sources": summary.files}
        writer.provenance["summary"] = {
            key: value for key, value in summary.state().items() if key not in _KEPT_ELSEWHERE
        }
        if (error := summary.mean("refit", "mm")) is not None:
            writer.provenance["refit_mm"] = round(error, 3)
    if is_pickle:
        content = content_of_folder(folder, "what was prepared")
        write_atomically(out, lambda file: pickle.dump(content, file, protocol=4))
        said = {key: value for key, value in writer.provenance.items() if key != "forms"}
        write_text_atomically(out.with_name(f"{out.name}.json"), json_text(said, indent=1) + "\n")
        del content
        shutil.rmtree(folder)
        missing = [split for split in SPLITS if not dataset.summary.splits[split]]
        if missing:
            logger.warning(
                "%s has no %s split: name it under `datasets` (docs/data.md), not as a released file", out, missing[0]
            )
