"""Which system wrote a file of bodies, told by its keys, whatever it is called. Nothing in a file is run.

docs/estimators.md lists the layouts; `kinemesh.estimates.systems` reads them.
"""

import logging
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from kinemesh.estimates.systems.amass import PARTS, read_motion
from kinemesh.estimates.systems.by_frame import NLF_KEYS, read_nlf, read_phalp, read_romp
from kinemesh.estimates.systems.by_image import read_cliff, read_hybrik, read_mmhuman3d, read_pymafx
from kinemesh.estimates.systems.by_person import read_people, read_prompthmr, read_wham_api
from kinemesh.estimates.systems.own import read_rows
from kinemesh.estimates.systems.sam3d import read_sam3d
from kinemesh.estimates.systems.single import (
    GEM_KEYS,
    GVHMR_KEYS,
    read_gvhmr,
    read_gvhmr_npz,
    read_smplcodec,
    read_tram,
)
from kinemesh.estimates.systems.vertices import KEYS, are_vertices, read_obj, read_vertices, read_vertices_npz
from kinemesh.estimates.table import NotRecognisedError, Table
from kinemesh.files.arrays import array_names, read_npy_object, read_object
from kinemesh.files.joblib import load_joblib
from kinemesh.files.pickles import RefusedError, faults_as_user_errors
from kinemesh.files.torch_files import load_torch_file

logger = logging.getLogger(__name__)

LAYOUTS = (
    "an npz with video, frame, poses, betas; AMASS's arrays (poses), as infer_wild_mesh.py writes them; or a file of HybrIK, "
    "WHAM, 4D-Humans / PHALP, GVHMR, GEM, TRAM, PromptHMR, VIBE, TCMR, PyMAF, PyMAF-X, CLIFF, ROMP, MMHuman3D, NLF, SAM 3D Body or smplcodec, or SMPL's vertices: "
    "docs/estimators.md lists their keys"
)
_WHAT = "an estimator's file, for --predictions"


def read_estimator_file(path: Path) -> Table:
    """Read one file of any of LAYOUTS.

    Raises NotRecognisedError, also for what is more than data, as no system writes it, or UserError naming file, key and
    first bad row.
    """
    with faults_as_user_errors(path, _WHAT), path.open("rb") as file:
        if path.suffix.lower() == ".obj":
            return read_obj(path)
        start = file.read(6)
        names = zipfile.ZipFile(file).namelist() if start[:2] == b"PK" else None
    if names is not None and not any(name.endswith("/data.pkl") for name in names):
        return _read_npz(path)
    load = load_torch_file if names else read_npy_object if start == b"\x93NUMPY" else load_joblib
    try:
        content = load(path, what=_WHAT)
    except RefusedError as error:
        raise NotRecognisedError(str(error)) from None
    table = _read_content(path, content) if isinstance(content, dict) and content else None
    if isinstance(content, np.ndarray) and are_vertices(content):
        table = read_vertices(path, content)
    if table is None:
        held = f"a {type(content).__name__}"
        if isinstance(content, dict):
            held += _listed([repr(key)[:40] for key in content]) if content else " without keys"
        raise _not_recognised(path, held)
    return table


def _read_npz(path: Path) -> Table:
    names = array_names(path, what=_WHAT)
    if not names:
        raise _not_recognised(path, "a zip archive without arrays")
    held = {*names}
    if "video" in held:
        return read_rows(path)
    if {"imgname", "pose", "shape"} <= held:
        return read_cliff(path)
    if {"pred_keypoints_3d", "pred_cam_t"} <= held:
        return read_sam3d(path)
    if "camera_body_pose" in held or "world_body_pose" in held:
        return read_gvhmr_npz(path, names)
    if "bodyPose" in held:
        return read_smplcodec(path)
    if "results" in held:
        results = read_object(path, "results", what=_WHAT)
        if isinstance(results, dict) and ("smpl_thetas" in results or _first_has(results, {"smpl_thetas"})):
            return read_romp(path, results)
    elif "poses" in held or {*PARTS} <= held:
        return read_motion(path)
    elif held & {"smpl", "smplx"}:
        return read_mmhuman3d(path)
    elif held & {*KEYS}:
        return read_vertices_npz(path, next(key for key in KEYS if key in held))
    raise _not_recognised(path, f"arrays{_listed([repr(name)[:40] for name in names])}")


def _read_content(path: Path, content: dict) -> Table | None:
    """What a pickle, a .npy of an object or a PyTorch file holds; None: of no known system."""
    for system, keys in (("GVHMR", GVHMR_KEYS), ("GEM", GEM_KEYS)):
        if content.keys() & {*keys}:
            return read_gvhmr(path, content, system, keys)
    if "pred_thetas" in content:
        return read_hybrik(path, content)
    if {"pred_rotmat", "frame"} <= content.keys():
        return read_tram(path, content)
    if isinstance(content.get("people"), dict) and _first_has(content["people"], {"frames"}):
        return read_prompthmr(path, content)
    if {"pose", "frame_ids", "person_ids"} <= content.keys():
        return read_pymafx(path, content)
    if {*NLF_KEYS} <= content.keys():
        return read_nlf(path, content)
    if _first_has(content, {"pose", "frame_ids"}):
        return read_people(path, content, "VIBE, TCMR or PyMAF" if _first_has(content, {"orig_cam"}) else "WHAM")
    if _first_has(content, {"poses_body", "poses_root_cam"}):
        return read_wham_api(path, content)
    if _first_has(content, {"tid", "smpl"}):
        return read_phalp(path, content)
    return None


def _first_has(content: dict, keys: set[str]) -> bool:
    first: Any = next(iter(content.values()), None)
    return isinstance(first, dict) and keys <= first.keys()


def _listed(keys: list[str]) -> str:
    return f" of {', '.join(keys[:8])}" + (f" and {len(keys) - 8} more" if len(keys) > 8 else "")


def _not_recognised(path: Path, held: str) -> NotRecognisedError:
    return NotRecognisedError(f"{path}: not recognised, it holds {held}. Expected {LAYOUTS}.")


def count_images_from_zero(tables: list[Table]) -> list[Table]:
    """Tables of the same videos with frames counted from 0.

    Each system numbers images from 0, or from 1 as by ffmpeg: then no video has an image 0.
    """
    firsts: dict[str, int] = {}
    for table in tables:
        if table.first_image is not None:
            firsts[table.system] = min(table.first_image, firsts.get(table.system, table.first_image))
    for first in {*firsts.values()} - {0}:
        if first > 1:
            logger.warning("images are numbered from %d; taken as counted from 0", first)
        else:
            logger.info("images are numbered from 1, as by ffmpeg: image 1 is taken as frame 0")
    return [
        table._replace(frame=table.frame - 1) if table.first_image is not None and firsts[table.system] == 1 else table
        for table in tables
    ]
