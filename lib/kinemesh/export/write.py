"""Writes what a video's people are handed on as: one npz, glb, bvh and so on each; a page, a video and a sheet of all."""

import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import torch

from kinemesh.body.assets import BodyAssets
from kinemesh.body.kinematics import JointKinematics
from kinemesh.body.params import turned
from kinemesh.body.skeleton import H36M_JOINT_COUNT, MM_PER_M, VERTEX_COUNT
from kinemesh.body.smpl import PosedBody
from kinemesh.errors import UserError, require_one_of
from kinemesh.export.bvh import bvh_text
from kinemesh.export.drawn.sheet import write_sheet
from kinemesh.export.formats import AXES, BVH_NAMES, FORMATS, MESH_FORMATS
from kinemesh.export.glb import glb_bytes
from kinemesh.export.mesh_video import write_mesh_video
from kinemesh.export.rig import Rig, held_rows, mean_vertices_mm, params_of_rows
from kinemesh.export.scene import Footage, placed_in, scene_of
from kinemesh.export.viewer import viewer_html
from kinemesh.files.writing import write_atomically, write_text_atomically
from kinemesh.geometry.camera import Z_UP_TO_Y_UP
from kinemesh.structures import CONTACT_NAMES, MeshTrack, Timeline, Track

VIDEO_FILE, SHEET_FILE, PAGE_FILE = "mesh.mp4", "sheet.png", "viewer.html"
_AMASS_ENDING = "_amass.npz"
# SMPL+H as AMASS has it: root and 21 joints as SMPL's, both hands' fingers, shape; soft tissue (DMPL), which few read.
_BODY_NUMBERS, _HAND_NUMBERS, _AMASS_BETAS, _DMPL_COUNT = 66, 90, 16, 8
_FRAMES_AT_ONCE = 2048
_LONGEST_STEM = 200  # of the 255 characters of a file's name: endings and a temporary file's letters come to it
_MESHES_AT_ONCE = 64


class OutputChoices(NamedTuple):
    """What is written, and how."""

    formats: Sequence[str]  # of FORMATS; for MeshTracks of MESH_FORMATS
    axes: str = "y_up"  # of AXES: what bvh, glb, page and AMASS's files stand in (`kinemesh.export.scene`)
    bvh_names: str = "smpl"  # of BVH_NAMES
    is_side_view: bool = False  # mesh.mp4 also shows the people from the side, beside the camera's view


def write_outputs(
    tracks: Sequence[Track] | Sequence[MeshTrack],
    folder: Path,
    footage: Footage,
    choices: OutputChoices,
    assets: BodyAssets,
    device: torch.device,
) -> dict[str, float]:
    """Write the files of `choices` into `folder`; returns the seconds that each format took.

    Args:
        footage: its timeline is the frames to cover, whoever is in them: the npz files keep their numbers and times, the
            others begin with the first of them. Of separate pictures, without one, only npz and npy can be written.
        device: where bodies are posed.

    Raises:
        UserError: a format is unknown, two names give one file, a file cannot be written, or the video not be read.
    """
    known = MESH_FORMATS if any(isinstance(track, MeshTrack) for track in tracks) else FORMATS
    formats = choices.formats
    unknown = [name for name in formats if name not in known]
    if unknown:
        raise UserError(f"--formats {unknown[0]}: no such format. Expected some of {', '.join(known)}.")
    require_one_of("axes", choices.axes, AXES)
    require_one_of("bvh_names", choices.bvh_names, BVH_NAMES)
    folder = Path(folder)
    output_names(tracks, formats)
    paths = [folder / stem for stem in file_stems(tracks)]
    first = 0 if footage.timeline is None else footage.timeline.first_frame
    people = [track._replace(frame_ids=track.frame_ids - first) for track in tracks]
    scene = scene_of(footage, choices.axes)
    rigs = []
    if set(formats) & {"html", "glb", "bvh", "amass"}:
        rests = [Rig(track, assets).rest_joints[0] for track in people]
        rigs = [Rig(placed_in(scene, *given), assets) for given in zip(people, rests, strict=True)]
    seconds = {}
    for name in [name for name in known if name in formats]:
        started = time.perf_counter()
        if name in ("mp4", "sheet"):
            drawn = [track if isinstance(track, MeshTrack) else Rig(track, assets) for track in people]
            if name == "mp4":
                write_mesh_video(folder / VIDEO_FILE, drawn, footage, assets, choices.is_side_view, device)
            else:
                write_sheet(folder / SHEET_FILE, drawn, footage, assets, device)
        elif name == "html":
            write_text_atomically(folder / PAGE_FILE, viewer_html(rigs, footage, scene, assets))
        elif name == "npy":
            body = PosedBody(assets).to(device)
            for path, track in zip(paths, tracks, strict=True):
                _write_npy(_with_ending(path, name), track, body)
        elif name == "npz":
            kinematics = JointKinematics(assets).to(device)
            for path, track in zip(paths, tracks, strict=True):
                _write_npz(_with_ending(path, name), npz_arrays(track, footage, kinematics, assets, device))
        elif name == "amass":
            for path, rig in zip(paths, rigs, strict=True):
                _write_npz(path.with_name(path.name + _AMASS_ENDING), amass_arrays(rig, footage.timeline))
        else:
            for path, rig in zip(paths, rigs, strict=True):
                if name == "glb":
                    content = glb_bytes(rig, footage, scene)
                else:
                    options = {"is_z_up": choices.axes == "z_up"}
                    content = bvh_text(rig, footage.timeline, choices.bvh_names, **options).encode()
                write_atomically(_with_ending(path, name), lambda file, content=content: file.write(content))
        seconds[name] = time.perf_counter() - started
    return seconds


def output_names(tracks: Sequence[Track] | Sequence[MeshTrack], formats: Sequence[str]) -> list[str]:
    """The files that `write_outputs` writes. Raises UserError where two people's would have one name."""
    owners: dict[str, str] = {}
    for kind in formats:
        shared = {"mp4": VIDEO_FILE, "sheet": SHEET_FILE, "html": PAGE_FILE}.get(kind)
        ending = _AMASS_ENDING if kind == "amass" else f".{kind}"
        stems = zip(file_stems(tracks), (track.name for track in tracks), strict=True)
        for name, owner in [(shared, "")] if shared else [(stem + ending, owner) for stem, owner in stems]:
            if name in owners:
                raise _shared_name(owners[name], owner, name)
            owners[name] = owner
    return list(owners)


def _shared_name(one: str, other: str, file_name: str) -> UserError:
    return UserError(f"people {one!r} and {other!r} would share the file name {file_name}. Rename one in the input.")


def summary_of_outputs(footage: Footage, choices: OutputChoices) -> dict:
    """What summary.json says of the axes of what was written, and of what files hold that nobody estimated."""
    scene = scene_of(footage, choices.axes)
    said = {"axes": choices.axes, "stands_in": "world" if scene.is_upright else "camera", "ground_m": scene.floor_m}
    if "amass" in choices.formats:
        said["amass"] = "z up; hands and betas 11 to 16 are zero: not estimated"
    return said


def _with_ending(path: Path, ending: str) -> Path:
    """The path with an ending more: a person's name may hold a dot itself."""
    return path.with_name(f"{path.name}.{ending}")


def _write_npz(path: Path, arrays: dict[str, np.ndarray]) -> None:
    write_atomically(path, lambda file: np.savez(file, **arrays))


def _write_npy(path: Path, track: MeshTrack, body: PosedBody) -> None:
    """Vertices (F, V, 3) float32 mm, some frames at a time: those of a long video take gigabytes."""
    shape = (len(track.frame_ids), VERTEX_COUNT, 3)

    def write(file: BinaryIO) -> None:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
        for first in range(0, shape[0], _MESHES_AT_ONCE):
            file.write(mean_vertices_mm(track, slice(first, first + _MESHES_AT_ONCE), body).astype("<f4").tobytes())

    write_atomically(path, write)


def file_stems(tracks: Sequence[Track] | Sequence[MeshTrack]) -> list[str]:
    """A file name, without its ending, for each track: its name with whatever a file name may not hold as `_`."""
    stems = [re.sub(r"[^\w.-]", "_", track.name, flags=re.ASCII).lstrip(".")[:_LONGEST_STEM] or "_" for track in tracks]
    named: dict[str, str] = {}
    for track, stem in zip(tracks, stems, strict=True):
        if stem.lower() in named:  # alike to some file systems
            raise _shared_name(named[stem.lower()], track.name, stem)
        named[stem.lower()] = track.name
    return stems


def npz_arrays(
    track: Track, footage: Footage, kinematics: JointKinematics, assets: BodyAssets, device: torch.device
) -> dict[str, np.ndarray]:
    """What `<id>.npz` holds: AMASS's names, and what the track knows beyond them (docs/inference_outputs.md)."""
    camera, timeline = footage.camera, footage.timeline
    frame_count = len(track.frame_ids)
    joints_m = np.empty((frame_count, H36M_JOINT_COUNT, 3), dtype=np.float32)
    for first in range(0, frame_count, _FRAMES_AT_ONCE):
        chosen = slice(first, first + _FRAMES_AT_ONCE)
        with torch.no_grad():
            joints_mm = kinematics(params_of_rows(track, chosen, device))
        joints_m[chosen] = joints_mm.cpu().numpy() / MM_PER_M
    joints_m += track.trans_m[:, None]
    more = {"joint_seen": track.joint_seen, "reprojection_error_px": track.reprojection_error_px}
    if timeline is not None:
        more["mocap_framerate"] = np.array(float(timeline.fps))
        more["time_s"] = timeline.time_s[track.frame_ids - timeline.first_frame]
    if footage.world is not None:
        more |= _world_arrays(track, footage, Rig(track, assets).rest_joints[0])
    return {
        "poses": track.poses,
        "betas": track.betas,
        "trans": track.trans_m,
        "gender": np.array("neutral"),
        "frame_ids": track.frame_ids,
        "joints": joints_m,
        "confidence": track.confidence,
        "interpolated": track.interpolated,
        "camera": np.array([camera.focal_px, *camera.centre_px, *camera.image_size], dtype=np.float64),
        **{name: values for name, values in more.items() if values is not None},
    }


def _world_arrays(track: Track, footage: Footage, pelvis_m: np.ndarray) -> dict[str, np.ndarray | None]:
    """What the npz gains where a world was found. The contacts are None where they were not looked for."""
    scene = scene_of(footage._replace(timeline=None), "y_up")  # by the video's own numbers
    placed, rows = placed_in(scene, track, pelvis_m), scene.rows(track.frame_ids)
    turns = np.concatenate([scene.rotations, scene.positions_m[..., None]], axis=2)[rows]
    return {
        "global_orient_world": placed.poses[:, :3],
        "trans_world": placed.trans_m,
        "world_from_camera": turns.astype(np.float32),
        "up": np.array(footage.world.up),
        "ground": np.array(np.nan if scene.floor_m is None else scene.floor_m),
        "contacts": None if track.world is None else track.world.contacts,
        "contact_names": None if track.world is None else np.array(CONTACT_NAMES),
    }


def amass_arrays(rig: Rig, timeline: Timeline) -> dict[str, np.ndarray]:
    """What `<id>_amass.npz` holds, by the names of both of AMASS's releases, z up (docs/inference_outputs.md).

    Rows are the video's frames from the person's first to the last, at one rate, as the format has no times: a gap repeats
    the pose before it. Sources: what PHC, GMR and ProtoMotions read; `kinemesh.prepare.motions.npz`.

    Args:
        rig: of a track in axes with y up.
    """
    track, pelvis_m = rig.track, rig.rest_joints[0]
    shown = timeline.at_constant_rate()
    shown = shown[(shown >= track.frame_ids[0]) & (shown <= track.frame_ids[-1])]
    shown = shown if len(shown) else track.frame_ids[:1]  # who is there for less than a tick of the mean rate
    rows = held_rows(track.frame_ids, len(timeline.time_s))[shown]
    poses, trans_m = turned(track.poses[rows], track.trans_m[rows], Z_UP_TO_Y_UP.T, pelvis_m, pelvis_m)
    body, hands = poses[:, :_BODY_NUMBERS], np.zeros((len(rows), _HAND_NUMBERS))
    return {
        "poses": np.concatenate([body, hands], axis=1).astype(np.float32),
        "root_orient": body[:, :3].astype(np.float32),
        "pose_body": body[:, 3:].astype(np.float32),
        "trans": trans_m.astype(np.float32),
        "betas": np.pad(track.betas, (0, _AMASS_BETAS - len(track.betas))),
        "gender": np.array("neutral"),
        "mocap_framerate": np.array(float(timeline.fps)),
        "mocap_frame_rate": np.array(float(timeline.fps)),
        "dmpls": np.zeros((len(rows), _DMPL_COUNT), dtype=np.float32),
    }
