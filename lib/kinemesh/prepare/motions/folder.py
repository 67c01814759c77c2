"""Makes a motion folder of a source's files, one after another; what was stopped goes on."""

import logging
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kinemesh.errors import UserError
from kinemesh.files.array_folder.writing import TEXT, Column, FolderWriter, writing_folder
from kinemesh.motion.recorded import FRAME_ARRAYS, KIND, SEQUENCE_ARRAYS, TEXTS, open_motions
from kinemesh.prepare.bvh.reading import read_motion
from kinemesh.prepare.motions.npz import amass_sets_missing, find_npz, read_amass, read_smpl_npz
from kinemesh.prepare.motions.sequences import Bodies, BodyMissingError, Choices, NotAMotion, Sequence, find_in
from kinemesh.prepare.motions.sheet import SHEET_FILE, write_sheet
from kinemesh.prepare.summary import Summary

logger = logging.getLogger(__name__)


def _find_bvh(raw: Path) -> list[Path]:
    return sorted(path for path in raw.rglob("*") if path.suffix.lower() == ".bvh" and path.is_file())


def _read_bvh(path: Path, name: str, bodies: Bodies, choices: Choices) -> Iterator[Sequence]:
    yield read_motion(path, name, bodies, choices)


class Source(NamedTuple):
    """Where motion comes from."""

    find: Callable[[Path], list[Path]]
    read: Callable[[Path, str, Bodies, Choices], Iterator[Sequence]]
    expected: str
    licence: str
    size: float  # of what is written, in parts of the files' size, at most
    missing: Callable[[Iterable[str]], list[str]] = lambda found: []  # of what is published, by the sets that are there


SOURCES = {
    "smpl-npz": Source(find_npz, read_smpl_npz, "npz files with poses (F, 72), trans and a frame rate", "", 1.0),
    "amass": Source(
        find_npz,
        read_amass,
        "AMASS's folders (amass.is.tue.mpg.de, after registration), as CMU/01/01_01_poses.npz",
        "AMASS: non-commercial scientific research, amass.is.tue.mpg.de/license.html",
        0.5,
        amass_sets_missing,
    ),
    "bvh": Source(_find_bvh, _read_bvh, "BVH files", "", 0.5),
}


def prepare_motions(
    kind: str,
    raw: Path,
    out: Path,
    data_root: Path | None,
    choices: Choices,
    *,
    licence: str = "",
    is_dry: bool = False,
) -> Summary:
    """Read every file of a source below `raw` and write a motion folder with a contact sheet to `out`.

    Raises UserError if there is nothing to read, a choice does not fit, or the folder cannot be written; a file that cannot
    be read is left out, and counted.
    """
    source = SOURCES[kind]
    paths = find_in(raw, source.find, source.expected)
    bodies = Bodies(data_root)
    names = [_name(path, raw) for path in paths]
    files = list(zip(paths, names, strict=True))
    sizes = [path.stat().st_size for path in paths]
    needed = int(sum(sizes) * source.size)
    logger.info(
        "%s: %d files, %.2f GB; at most %.2f GB will be written", raw, len(paths), sum(sizes) / 1e9, needed / 1e9
    )
    if is_dry:
        summary = Summary()
        for path, name in summary.left_to_do(files, "files", every=200):
            for sequence in _sequences(source, path, name, bodies, choices, summary):
                _count(summary, sequence)
        return _told(summary, source)
    columns = {name: Column(np.dtype(dtype), row) for name, (dtype, row) in {**FRAME_ARRAYS, **SEQUENCE_ARRAYS}.items()}
    columns |= dict.fromkeys(TEXTS, TEXT)
    provenance = {
        "source": kind, "licence": licence or source.licence or "not said (--licence)", "up": "y", "unit": "m",
        "body_model": bodies.model, "betas": choices.betas,
    }  # fmt: skip
    work = {
        **provenance,
        "choices": choices._asdict(),
        "data_root": None if data_root is None else str(data_root.resolve()),
        "files": names,
        "sizes": sizes,
    }
    with writing_folder(out, KIND, columns, provenance=provenance, needed_bytes=needed, work=work) as writer:
        summary = _write(writer, source, files, bodies, choices)
        writer.provenance["summary"] = _told(summary, source).state()
    write_sheet(out / SHEET_FILE, open_motions(out), bodies.assets)
    return summary


def _write(
    writer: FolderWriter, source: Source, files: list[tuple[Path, str]], bodies: Bodies, choices: Choices
) -> Summary:
    """Go through the files behind those that were done before."""
    summary = Summary(writer.place)
    for path, name in summary.left_to_do(files, "files", every=200):
        for sequence in _sequences(source, path, name, bodies, choices, summary):
            _count(summary, sequence)
            writer.append(
                {
                    "pose": sequence.poses.astype("<f4"),
                    "trans": sequence.trans_m.astype("<f4"),
                    "length": np.array([len(sequence.poses)], "<i8"),
                    "fps": np.array([sequence.fps], "<f8"),
                    "betas": sequence.betas[None].astype("<f4"),
                }
            )
            own = sequence._asdict() | {"source": name + path.suffix}
            for text in TEXTS:
                writer.append_text(text, [own[text]])
        writer.commit_now_and_then(summary.state)
    return summary


def _sequences(
    source: Source, path: Path, name: str, bodies: Bodies, choices: Choices, summary: Summary
) -> list[Sequence]:
    """Of one file; none, and the reason counted, if it cannot be read. Raises BodyMissingError."""
    summary.parts += 1
    try:
        return list(source.read(path, name, bodies, choices))
    except BodyMissingError:
        raise
    except NotAMotion as error:
        summary.dropped[str(error)] += 1
    except UserError as error:
        summary.unreadable += 1
        text = str(error)
        summary.tell(text if str(path) in text else f"{path}: {text}")
    return []


def _count(summary: Summary, sequence: Sequence) -> None:
    summary.count(sequence, 1)
    summary.seconds += len(sequence.poses) / sequence.fps
    if sequence.subject:
        summary.sets[sequence.subject.split("/")[0]] += 1


def _told(summary: Summary, source: Source) -> Summary:
    """The summary, said. Raises UserError if nothing could be read."""
    if not summary.sequences:
        why = (
            summary.told[0] if summary.told else f"{summary.dropped.most_common(1)[0][0]}. Expected {source.expected}."
        )
        raise UserError(f"none of {summary.parts} files is a motion: {why}")
    for text in summary.told:
        logger.warning("left out: %s", text)
    for line in summary.lines("files", "sequences", "files"):
        logger.info("%s", line)
    if missing := source.missing(summary.sets):
        logger.info("  not there, of what is published: %s", ", ".join(missing))
    return summary


def _name(path: Path, raw: Path) -> str:
    """A sequence's name: its place below the raw folder, that folder's own name first, as data sets' names may be in it."""
    return "/".join((raw.resolve().name, *path.relative_to(raw).with_suffix("").parts))
