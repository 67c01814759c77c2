"""Writes what a video's people are handed on as: one npz, glb and bvh or npy each, and one page and one video of all."""

import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch

from kinemesh.body.assets import BodyAssets
from kinemesh.body.kinematics import JointKinematics
from kinemesh.body.skeleton import H36M_JOINT_COUNT, MM_PER_M, VERTEX_COUNT
from kinemesh.body.smpl import PosedBody
from kinemesh.errors import UserError
from kinemesh.export.bvh import bvh_text
from kinemesh.export.formats import FORMATS, MESH_FORMATS
from kinemesh.export.glb import glb_bytes
from kinemesh.export.mesh_video import write_mesh_video
from kinemesh.export.rig import Rig, mean_vertices_mm, params_of_rows
from kinemesh.export.viewer import viewer_html
from kinemesh.files.writing import write_atomically, write_text_atomically
from kinemesh.structures import MeshTrack, Timeline, Track, VideoCamera

VIDEO_FILE, PAGE_FILE = "mesh.mp4", "viewer.html"
_FRAMES_AT_ONCE = 2048
_MESHES_AT_ONCE = 64


def write_outputs(
    tracks: Sequence[Track] | Sequence[MeshTrack],
    camera: VideoCamera,
    assets: BodyAssets,
    folder: Path,
    *,
    formats: Sequence[str],
    timeline: Timeline | None,
    video_path: Path | None,
    is_side_view: bool,
    device: torch.device,
) -> dict[str, float]:
    """Write the files of `formats` into `folder`; returns the seconds that each format took.

    Args:
        formats: of FORMATS; for MeshTracks of MESH_FORMATS.
        timeline: the frames to cover, whoever is in them: the npz files keep their numbers and times, the others begin
            with the first of them. None for separate pictures, of which only npz and npy can be written.
        video_path: what mesh.mp4 is drawn over; None for a plain ground.
        is_side_view: mesh.mp4 also shows the people from the side, beside the camera's view.
        device: where bodies are posed.

    Raises:
        UserError: a format is unknown, two names give one file, a file cannot be written, or the video not be read.
    """
    known = MESH_FORMATS if any(isinstance(track, MeshTrack) for track in tracks) else FORMATS
    unknown = [name for name in formats if name not in known]
    if unknown:
        raise UserError(f"--formats {unknown[0]}: no such format. Expected some of {', '.join(known)}.")
    folder = Path(folder)
    paths = [folder / stem for stem in file_stems(tracks)]
    first = 0 if timeline is None else timeline.first_frame
    moved = [track._replace(frame_ids=track.frame_ids - first) for track in tracks]
    people = [track if isinstance(track, MeshTrack) else Rig(track, assets) for track in moved]
    seconds = {}
    for name in [name for name in known if name in formats]:
        started = time.perf_counter()
        if name == "mp4":
            options = {"video_path": video_path, "is_side_view": is_side_view, "device": device}
            write_mesh_video(folder / VIDEO_FILE, people, camera, assets, timeline=timeline, **options)
        elif name == "html":
            page = viewer_html(people, camera, assets, timeline)
            write_text_atomically(folder / PAGE_FILE, page)
        elif name == "npy":
            body = PosedBody(assets).to(device)
            for path, track in zip(paths, tracks, strict=True):
                _write_npy(_with_ending(path, name), track, body)
        elif name == "npz":
            kinematics = JointKinematics(assets).to(device)
            for path, track in zip(paths, tracks, strict=True):
                arrays = npz_arrays(track, camera, kinematics, timeline, device)
                write_atomically(_with_ending(path, name), lambda file, arrays=arrays: np.savez(file, **arrays))
        else:
            for path, rig in zip(paths, people, strict=True):
                if name == "glb":
                    content = glb_bytes(rig, camera, timeline.elapsed_s)
                else:
                    content = bvh_text(rig, timeline).encode()
                write_atomically(_with_ending(path, name), lambda file, content=content: file.write(content))
        seconds[name] = time.perf_counter() - started
    return seconds


def output_names(tracks: Sequence[Track], formats: Sequence[str]) -> list[str]:
    """The files that `write_outputs` writes."""
    shared = {"mp4": [VIDEO_FILE], "html": [PAGE_FILE]}
    return [name for kind in formats for name in shared.get(kind, [f"{stem}.{kind}" for stem in file_stems(tracks)])]


def _with_ending(path: Path, ending: str) -> Path:
    """The path with an ending more: a person's name may hold a dot itself."""
    return path.with_name(f"{path.name}.{ending}")


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
    stems = [re.sub(r"[^\w.-]", "_", track.name, flags=re.ASCII).lstrip(".") or "_" for track in tracks]
    named: dict[str, str] = {}
    for track, stem in zip(tracks, stems, strict=True):
        if stem in named:
            names = f"{named[stem]!r} and {track.name!r}"
            raise UserError(f"people {names} would share the file name {stem}. Rename one in the input.")
        named[stem] = track.name
    return stems


def npz_arrays(
    track: Track, camera: VideoCamera, kinematics: JointKinematics, timeline: Timeline | None, device: torch.device
) -> dict[str, np.ndarray]:
    """What `<id>.npz` holds: AMASS's names, and what the track knows beyond them (docs/inference_outputs.md)."""
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
