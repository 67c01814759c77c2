"""How long a frame of one or two bodies takes to draw, beside a plain z-buffer that shades every sample.

    python -m benchmarks.render

Prints milliseconds a frame (medians of runs that take turns, one thread each), their ratio, how far the pictures are
apart, and the frames a second of two bodies with all cores.
"""

import argparse
import os
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from lib.demo.body import load_stand_in
from lib.render.rasterizer import Perspective, project
from lib.render.scene import BACKGROUND_COLOR, PERSON_COLORS, render_mesh
from lib.render.shading import shade, vertex_normals

SIZE = (640, 640)
CAMERA = Perspective(900.0, (320.0, 320.0))


def plain_render(vertices, faces, camera, size, background, *, color, samples):
    """Every pixel of every front face's bounding box is tested, all samples are sorted by depth and shaded."""
    width, height = size[0] * samples, size[1] * samples
    camera = Perspective(camera.focal_px * samples, tuple(np.array(camera.centre_px) * samples))
    pixels_px, nearness = project(vertices, camera)
    triangles = pixels_px[faces]
    a, b, c = triangles.transpose(1, 0, 2)
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    first = np.ceil(triangles.min(axis=1) - 0.5).clip(0, (width, height)).astype(int)
    last = np.floor(triangles.max(axis=1) - 0.5).clip(-1, (width - 1, height - 1)).astype(int)
    box = np.maximum(last - first + 1, 0)
    drawn = np.flatnonzero((area < 0) & (box.min(axis=1) > 0))
    counts = box[drawn].prod(axis=1)
    owner = np.repeat(drawn, counts)
    offset = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    down, across = np.divmod(offset, box[owner, 0])
    x, y = first[owner, 0] + across, first[owner, 1] + down
    from_a = np.stack([x + 0.5, y + 0.5], axis=1) - a[owner]
    ab, ac = (b - a)[owner], (c - a)[owner]
    second = (from_a[:, 0] * ac[:, 1] - from_a[:, 1] * ac[:, 0]) / area[owner]
    third = (ab[:, 0] * from_a[:, 1] - ab[:, 1] * from_a[:, 0]) / area[owner]
    inside = np.flatnonzero((second >= 0) & (third >= 0) & (second + third <= 1))
    owner, pixels = owner[inside], (y * width + x)[inside]
    shares = np.stack([1 - second - third, second, third], axis=1)[inside]
    weighted = shares * nearness[faces[owner]]
    order = np.argsort(weighted.sum(axis=1), kind="stable")
    winner = np.full(width * height, -1)
    winner[pixels[order]] = order
    seen = np.flatnonzero(winner >= 0)
    chosen = winner[seen]
    shares, corners = weighted[chosen] / weighted[chosen].sum(axis=1, keepdims=True), faces[owner[chosen]]
    normals = np.einsum("nc,ncd->nd", shares, vertex_normals(vertices, faces)[corners])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    fine = np.tile(np.array(background), (height, width, 1))
    fine.reshape(-1, 3)[seen] = shade(normals, np.einsum("nc,ncd->nd", shares, color[corners]))
    mean = fine.reshape(size[1], samples, size[0], samples, 3).mean(axis=(1, 3))
    return np.round(255 * mean).astype(np.uint8)


def scene(body_count: int):
    body = load_stand_in()
    vertices = [body["v_template"] * [1, -1, -1] + [0.25 - 0.5 * i, 0.25, 2.6 + 0.6 * i] for i in range(body_count)]
    faces = np.concatenate([body["faces"] + i * len(vertices[0]) for i in range(body_count)])
    colors = np.repeat(PERSON_COLORS[:body_count], len(vertices[0]), axis=0)
    return np.concatenate(vertices), faces, colors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
    repeats = parser.parse_args().repeats
    print(f"{SIZE[0]}x{SIZE[1]} pixels; ms a frame, median of {repeats}")
    for samples in (1, 2, 3):
        for body_count in (1, 2):
            vertices, faces, colors = scene(body_count)
            arguments = (vertices, faces, CAMERA, SIZE, BACKGROUND_COLOR)
            times: dict = {plain_render: [], render_mesh: []}
            pictures = {}
            for _ in range(repeats + 1):  # the first warms up
                for draw, taken in times.items():
                    started = time.perf_counter()
                    pictures[draw] = draw(*arguments, color=colors, samples=samples)
                    taken.append(1000 * (time.perf_counter() - started))
            plain, ours = (float(np.median(taken[1:])) for taken in times.values())
            apart = np.abs(pictures[plain_render].astype(int) - pictures[render_mesh]).max(axis=-1)
            print(
                f"{body_count} bodies, {samples}x{samples} samples: plain {plain:6.1f}  ours {ours:5.1f}  "
                f"ratio {plain / ours:4.1f}  mean difference {apart.mean():.2f} of 255, "
                f"over 16 in {(apart > 16).mean():.3%} of pixels"
            )
    frame_count = 4 * repeats
    with ThreadPoolExecutor(os.cpu_count()) as executor:
        started = time.perf_counter()
        list(executor.map(lambda _: render_mesh(*arguments, color=colors, samples=3), range(frame_count)))
        rate = frame_count / (time.perf_counter() - started)
    print(f"2 bodies, 3x3 samples, {os.cpu_count()} threads: {rate:.1f} frames a second")


if __name__ == "__main__":
    main()
