"""Draws what inference does to a made-up video, by the embedded default, as a moving picture: the README's.

    python -m tools.draw_moving_picture --out demo.webp

Three panels: the keypoints that a simulated detector found, which are all that the model is given; the bodies it
recovers, over the people filmed, who are grey; the same bodies from the side.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from kinemesh.body.assets import BodyAssets
from kinemesh.body.smpl import PosedBody
from kinemesh.demo.body import CHECKPOINT_PATH
from kinemesh.demo.splits import StandIn
from kinemesh.demo.video import CAMERA, FPS, Actor, DemoVideo, make_video
from kinemesh.errors import UserError
from kinemesh.export.drawn.views import repeated_faces, side_camera
from kinemesh.export.rig import Rig, placed_vertices_m
from kinemesh.export.scene import Footage, scene_of
from kinemesh.files.writing import write_atomically
from kinemesh.infer import MeshPredictor
from kinemesh.machine.device import choose_device
from kinemesh.machine.log import set_up_console
from kinemesh.machine.progress import progress
from kinemesh.program.cli import run_reporting_errors
from kinemesh.render.keypoints import draw_skeleton
from kinemesh.render.picture import FAINT_TEXT_COLOR
from kinemesh.render.rasterizer import Camera, Perspective
from kinemesh.render.scene import BACKGROUND_COLOR, PERSON_COLORS, render_mesh
from kinemesh.structures import Track

CAST = (Actor("dance", 4.5, aside_m=-0.68), Actor("jumping_jack", 5.6, aside_m=0.88))
FRAME_COUNT = 90
SHOWN_PX = (130, 66, 1170, 706)  # left, top, right, bottom of the picture: where they are
FORMATS = {".webp": {"quality": 80, "method": 6}, ".gif": {"optimize": True}}
SAMPLES = 3  # a pixel and direction
LIMB_PX, TEXT_SIZE_PX, CAPTION_HEIGHT_PX, GAP_PX = 3.0, 14, 26, 6
FILMED_COLOR = (0.70, 0.70, 0.71)
WALL_COLOR, FLOOR_COLOR = (236, 238, 242), (216, 219, 226)
CAPTIONS = ("2D keypoints: all that goes in", "meshes, over the people filmed", "the same from the side")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--evaluate", default=str(CHECKPOINT_PATH), metavar="FILE", help="checkpoint for the stand-in")
    parser.add_argument("--width", type=int, default=400, metavar="PX", help="of a panel (default: %(default)s)")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="draw each N-th frame (default: %(default)s)")
    parser.add_argument("--out", default="demo.webp", metavar="FILE", help=".webp or .gif")
    arguments = parser.parse_args()
    for name in ("width", "every"):
        if getattr(arguments, name) < 1:
            raise UserError(f"--{name} {getattr(arguments, name)}: expected 1 or more.")
    check_name(arguments.out)
    set_up_console()

    video, stand_in = make_video(FRAME_COUNT, cast=CAST), StandIn()
    device = choose_device("auto")
    predictor = MeshPredictor.load(arguments.evaluate, device=str(device), assets=stand_in.assets)
    tracks = predictor.predict(
        video.keypoints_px, image_size=CAMERA.image_size, fps=FPS, is_pixel=True, focal_px=CAMERA.focal_px
    )
    pictures = draw(video, tracks, stand_in.assets, device, arguments.width, arguments.every)
    save(arguments.out, pictures, arguments.every)


def check_name(path: Path | str) -> str:
    """The file's ending, one of FORMATS. Raises `UserError` for another."""
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise UserError(f"--out {path}: expected a name that ends in {' or '.join(FORMATS)}.")
    return suffix


def save(path: Path | str, pictures: Sequence[np.ndarray], every: int) -> None:
    """Write a file that plays again and again."""
    suffix = check_name(path)
    first, *others = map(Image.fromarray, pictures)
    options = {"save_all": True, "append_images": others, "loop": 0, "duration": round(1000 * every / FPS)}
    write_atomically(path, lambda file: first.save(file, format=suffix[1:], **options, **FORMATS[suffix]))


def draw(
    video: DemoVideo, tracks: Sequence[Track], assets: BodyAssets, device: torch.device, width_px: int, every: int
) -> list[np.ndarray]:
    """Every `every`-th frame, (H, W, 3) uint8, three panels of this width side by side."""
    left, top, right, bottom = SHOWN_PX
    shrink = width_px / (right - left)
    size = (width_px, round((bottom - top) * shrink))
    lens = Perspective(CAMERA.focal_px * shrink, tuple(shrink * (np.array(CAMERA.centre_px) - (left, top))))
    side = side_camera([Rig(track, assets) for track in tracks], scene_of(Footage(CAMERA, None), "camera"), size)
    filmed, recovered = _placed(filmed_tracks(video), assets, device), _placed(tracks, assets, device)
    room, captions = _room(size), _captions(width_px)
    gap = np.full((size[1], GAP_PX, 3), 255, dtype=np.uint8)
    pictures = []
    numbers = range(0, video.keypoints_px.shape[1], every)
    for frame in progress(numbers, len(numbers), "frames", every=20):
        scene = _drawn(filmed[frame], assets, lens, size, room, FILMED_COLOR)
        marked = Image.fromarray(scene)
        for person in video.keypoints_px[:, frame]:
            if person[:, 2].any():
                marked = draw_skeleton(marked, (person[:, :2] - (left, top)) * shrink, person[:, 2], LIMB_PX)
        over = _drawn(recovered[frame], assets, lens, size, scene)
        turned = {number: vertices[:, [2, 1, 0]] * [1, 1, -1] for number, vertices in recovered[frame].items()}
        beside = _drawn(turned, assets, side, size, BACKGROUND_COLOR)
        row = np.concatenate([np.asarray(marked), gap, over, gap, beside], axis=1)
        pictures.append(np.concatenate([row, captions], axis=0))
    return pictures


def filmed_tracks(video: DemoVideo) -> list[Track]:
    """The true bodies as tracks."""
    count = video.poses.shape[1]
    return [
        Track(str(number), np.arange(count), poses.astype(np.float32), betas.astype(np.float32),
              trans_m.astype(np.float32), np.ones(count, np.float32), np.zeros(count, bool))
        for number, (poses, betas, trans_m) in enumerate(zip(video.poses, video.betas, video.trans_m, strict=True))
    ]  # fmt: skip


def _placed(tracks: Sequence[Track], assets: BodyAssets, device: torch.device) -> dict[int, dict[int, np.ndarray]]:
    """Frame -> number of a track -> its vertices (V, 3), m, camera axes."""
    body = PosedBody(assets).to(device)
    placed: dict[int, dict[int, np.ndarray]] = {}
    for number, track in enumerate(tracks):
        vertices = placed_vertices_m(track, slice(None), body)
        for frame, vertices_m in zip(track.frame_ids.tolist(), vertices, strict=True):
            placed.setdefault(frame, {})[number] = vertices_m
    return placed


def _drawn(people: dict[int, np.ndarray], assets: BodyAssets, lens: Camera, size, background, color=None) -> np.ndarray:
    """A picture of bodies, each in its person's colour unless all have one."""
    colors = [PERSON_COLORS[number % len(PERSON_COLORS)] if color is None else color for number in people]
    return render_mesh(
        np.concatenate(list(people.values())),
        repeated_faces(assets.faces, len(people)),
        lens,
        size,
        background,
        color=np.repeat(np.array(colors), len(assets.v_template), axis=0),
        samples=SAMPLES,
    )


def _room(size: tuple[int, int]) -> np.ndarray:
    """An empty picture: a wall, and a floor that grows darker towards the camera."""
    width, height = size
    share = np.clip(np.linspace(-0.6, 1, height), 0, 1)[:, None, None]
    colors = (1 - share) * np.array(WALL_COLOR) + share * np.array(FLOOR_COLOR)
    return np.broadcast_to(colors.round().astype(np.uint8), (height, width, 3))


def _captions(width_px: int) -> np.ndarray:
    picture = Image.new("RGB", (3 * width_px + 2 * GAP_PX, CAPTION_HEIGHT_PX), "white")
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(size=TEXT_SIZE_PX)
    for panel, text in enumerate(CAPTIONS):
        place = (panel * (width_px + GAP_PX) + width_px / 2, CAPTION_HEIGHT_PX / 2 + 2)
        pen.text(place, text, FAINT_TEXT_COLOR, font, "mm")
    return np.asarray(picture)


if __name__ == "__main__":
    sys.exit(run_reporting_errors(main))
