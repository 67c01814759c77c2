"""A drawn frame of one or two bodies against a plain z-buffer that shades every sample, at 640x640; and a whole film.

Both draw the same picture but for where samples lie, and light at the vertices instead of the samples; the last column says how far apart the pictures are. The frames a second are of two bodies with 3 x 3 samples, all
cores. The film is of two people who cross, 1920x1080: read, drawn and encoded, by the processor's time, which a busy
machine changes less than the clock's. The body that fills an 8K picture is 0.2 m before the camera.
"""

import os
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks.timing import describe, interleaved_ms, median_ratio, parser, report, table
from kinemesh.demo.body import load_stand_in
from kinemesh.demo.film import film
from kinemesh.demo.splits import StandIn
from kinemesh.demo.video import FPS, make_video
from kinemesh.export.mesh_video import write_mesh_video
from kinemesh.export.rig import Rig
from kinemesh.export.scene import Footage
from kinemesh.render.rasterizer import Perspective, picture_places
from kinemesh.render.scene import BACKGROUND_COLOR, PERSON_COLORS, render_mesh
from kinemesh.render.shading import shade, vertex_normals
from kinemesh.render.video import video_writer
from kinemesh.structures import Timeline, Track, VideoCamera

_SIZE, _FILM_SIZE = (640, 640), (1920, 1080)
_EIGHT_K = (7680, 4320)
_CAMERA = Perspective(900.0, (320.0, 320.0))


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--rounds", type=int, default=15)
    flags.add_argument("--film_frames", type=int, default=60)
    arguments = flags.parse_args()
    rows = [("bodies", "samples", "plain ms", "ours ms", "ratio", "mean difference of 255")]
    for body_count in (1, 2):
        vertices, faces, colors = _scene(body_count)
        for samples in (1, 2, 3):
            place = (vertices, faces, _CAMERA, _SIZE, BACKGROUND_COLOR)
            draws = {"plain": plain_render, "ours": render_mesh}
            functions = {name: partial(draw, *place, color=colors, samples=samples) for name, draw in draws.items()}
            times = interleaved_ms(functions, torch.device("cpu"), arguments.rounds, warm_up=1)
            pictures = [draw().astype(int) for draw in functions.values()]
            medians = [statistics.median(values) for values in times.values()]
            apart = float(np.abs(pictures[0] - pictures[1]).max(axis=-1).mean())
            ratio = median_ratio(times["plain"], times["ours"])
            rows.append((body_count, f"{samples} x {samples}", *medians, ratio, apart))
    frame_count = 4 * arguments.rounds
    with ThreadPoolExecutor(os.cpu_count()) as executor:
        began = time.perf_counter()
        list(executor.map(lambda _: functions["ours"](), range(frame_count)))
        rate = frame_count / (time.perf_counter() - began)
    body = load_stand_in()
    near = body["v_template"] * [1, -1, -1] + [0, 0, 0.35]
    eight_k = Perspective(np.hypot(*_EIGHT_K), (_EIGHT_K[0] / 2, _EIGHT_K[1] / 2))
    began = time.perf_counter()
    picture = render_mesh(near, body["faces"], eight_k, _EIGHT_K, samples=2)
    took = time.perf_counter() - began
    filled = (picture != np.round(255 * np.array(BACKGROUND_COLOR))).any(axis=-1).mean()
    text = (
        f"render, {_SIZE[0]}x{_SIZE[1]} pixels\n{describe(torch.device('cpu'))}\n\n{table(rows)}\n\n"
        f"{rate:.1f} frames a second on {os.cpu_count()} threads\n\n"
        f"a body that fills {filled:.0%} of {_EIGHT_K[0]}x{_EIGHT_K[1]}, 2 x 2 samples: {took:.1f} s"
    )
    report("render", text, arguments.keep)
    text = (
        f"a film of {arguments.film_frames} frames, {_FILM_SIZE[0]}x{_FILM_SIZE[1]}, two people who cross; "
        f"load {os.getloadavg()[0]:.0f} on {os.cpu_count()} cores\n{describe(torch.device('cpu'))}\n\n{table(_film_rows(arguments.film_frames))}"
    )
    report("film", text, arguments.keep)


def _film_rows(frame_count: int) -> list[tuple]:
    """What of a film's drawing takes how long."""
    assets, video = StandIn().assets, make_video(frame_count)
    scale = _FILM_SIZE[0] / video.camera.image_size[0]
    centre_px = tuple(scale * np.array(video.camera.centre_px))
    video = video._replace(
        camera=VideoCamera(scale * video.camera.focal_px, centre_px, _FILM_SIZE),
        keypoints_px=video.keypoints_px * np.array([scale, scale, 1], dtype=np.float32),
    )
    tracks = [
        Track(
            str(person),
            np.arange(frame_count),
            *(values[person].astype(np.float32) for values in (video.poses, video.betas, video.trans_m)),
            np.ones(frame_count, dtype=np.float32),
            np.zeros(frame_count, dtype=bool),
        )
        for person in range(len(video.poses))
    ]
    keypoints = {track.name: seen for track, seen in zip(tracks, video.keypoints_px, strict=True)}
    rows = [("drawn", "ms of processor time a frame", "frames a second")]
    with tempfile.TemporaryDirectory() as folder:
        path, drawn = Path(folder) / "film.mp4", Path(folder) / "mesh.mp4"
        with video_writer(path, _FILM_SIZE, FPS) as write:
            for picture in film(video, assets):
                write(picture)
        footage = Footage(video.camera, Timeline.of_constant_rate(FPS, frame_count), path, keypoints_px=keypoints)
        for name, people, is_side_view in (
            ("nobody: read and encoded", [], False),
            ("two people", tracks, False),
            ("two people, and from the side", tracks, True),
        ):
            rigs = [Rig(track, assets) for track in people]
            began, used = time.perf_counter(), time.process_time()
            write_mesh_video(drawn, rigs, footage, assets, is_side_view, torch.device("cpu"))
            used, took = time.process_time() - used, time.perf_counter() - began
            rows.append((name, 1e3 * used / frame_count, frame_count / took))
    return rows


def _scene(body_count: int):
    body = load_stand_in()
    vertices = [body["v_template"] * [1, -1, -1] + [0.25 - 0.5 * i, 0.25, 2.6 + 0.6 * i] for i in range(body_count)]
    faces = np.concatenate([body["faces"] + i * len(vertices[0]) for i in range(body_count)])
    colors = np.repeat(PERSON_COLORS[:body_count], len(vertices[0]), axis=0)
    return np.concatenate(vertices), faces, colors


def plain_render(vertices, faces, camera, size, background, *, color, samples):
    """Every pixel of every front face's bounding box is tested, all samples are sorted by depth and shaded."""
    width, height = size[0] * samples, size[1] * samples
    camera = Perspective(camera.focal_px * samples, tuple(np.array(camera.centre_px) * samples))
    pixels_px, nearness = picture_places(vertices, camera)
    triangles = pixels_px[faces]
    a, b, c = triangles.transpose(1, 0, 2)
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    first = np.ceil(triangles.min(axis=1) - 0.5).clip(0, (width, height)).astype(np.int64)
    last = np.floor(triangles.max(axis=1) - 0.5).clip(-1, (width - 1, height - 1)).astype(np.int64)
    box = np.maximum(last - first + 1, 0)
    drawn = np.flatnonzero((area < 0) & (box.min(axis=1) > 0))
    counts = box[drawn].prod(axis=1)
    owner = np.repeat(np.arange(len(drawn)), counts)
    offset = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    a, b, c, area, first = a[drawn], b[drawn], c[drawn], area[drawn], first[drawn]
    down, across = np.divmod(offset, box[drawn, 0][owner])
    start = first + 0.5 - a
    shares = []
    for slopes in ((c - a)[:, ::-1] * [1, -1], (b - a)[:, ::-1] * [-1, 1]):
        slopes = slopes / area[:, None]
        shares.append((start * slopes).sum(axis=1)[owner] + across * slopes[owner, 0] + down * slopes[owner, 1])
    inside = np.flatnonzero((shares[0] >= 0) & (shares[1] >= 0) & (shares[0] + shares[1] <= 1))
    pixels = (first[owner, 1] + down)[inside] * width + (first[owner, 0] + across)[inside]
    shares, owner = [share[inside] for share in shares], drawn[owner[inside]]
    weighted = np.stack([1 - shares[0] - shares[1], *shares], axis=1) * nearness[faces[owner]]
    order = np.argsort(weighted.sum(axis=1), kind="stable")
    winner = np.full(width * height, -1)
    winner[pixels[order]] = order
    seen = np.flatnonzero(winner >= 0)
    chosen = winner[seen]
    shares, corners = weighted[chosen] / weighted[chosen].sum(axis=1, keepdims=True), faces[owner[chosen]]
    normals, colors = (
        sum(shares[:, i, None] * values[corners[:, i]] for i in range(3))
        for values in (vertex_normals(vertices, faces), color)
    )
    shaded = shade(normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12), colors)
    row, column = np.divmod(seen, width)
    covered, place = np.unique(row // samples * size[0] + column // samples, return_inverse=True)
    summed = np.stack([np.bincount(place, channel, len(covered)) for channel in shaded.T], axis=1) / samples**2
    coverage = np.bincount(place, minlength=len(covered))[:, None] / samples**2
    picture = np.tile(np.round(255 * np.array(background)).astype(np.uint8), (size[0] * size[1], 1))
    picture[covered] = np.round(255 * summed + (1 - coverage) * picture[covered])
    return picture.reshape(size[1], size[0], 3)


if __name__ == "__main__":
    sys.exit(main())
