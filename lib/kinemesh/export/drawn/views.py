"""One frame of a video: its people over it, their keypoints faintly, and beside it everybody from the side."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import av
import numpy as np
import torch

from kinemesh.body.assets import BodyAssets
from kinemesh.body.smpl import PosedBody
from kinemesh.errors import UserError
from kinemesh.export.rig import Rig, placed_vertices_m
from kinemesh.export.scene import Footage, Scene, scene_of
from kinemesh.geometry.camera import CAMERA_TO_Y_UP
from kinemesh.render.film.canvas import Canvas, from_rgb
from kinemesh.render.keypoints import skeleton_layers, skeleton_mesh
from kinemesh.render.rasterizer import Camera, Perspective, WeakPerspective
from kinemesh.render.scene import BACKGROUND_COLOR, PERSON_COLORS, Layer, Mesh, mesh_layers
from kinemesh.render.shading import shade, vertex_normals
from kinemesh.render.video import read_pictures
from kinemesh.structures import MeshTrack, Track

_FRAMES_AT_ONCE = 32
_SAMPLES = 2  # 2 x 2 places a pixel
_SKIN_M = 0.2  # how far flesh may reach beyond the joints
_SIDE_SHARE = 0.92  # of the side view's panel that everybody's path fills
_KEYPOINT_OPACITY = 0.6  # of the surest
_LIMB_SHARE, _LEAST_LIMB_PX = 1 / 300, 2.0  # a limb's thickness, of the picture's shorter side
# Mirrored in the diagonal between depth and width, and mirrored back: whoever faces the camera looks to the left.
_SIDE_AXES, _SIDE_SIGNS = [2, 1, 0], np.array([1, 1, -1])
_GROUND = from_rgb(255 * np.array(BACKGROUND_COLOR))


class Views(NamedTuple):
    """What every frame of a video shows."""

    footage: Footage
    tracks: Sequence[Track] | Sequence[MeshTrack]  # in camera axes; `frame_ids` count from the timeline's first frame
    assets: BodyAssets
    scene: Scene  # what the side view is level in
    side: WeakPerspective | None  # None: no side view
    panel_size: tuple[int, int]  # width and height of the side view

    @classmethod
    def of(
        cls, footage: Footage, people: Sequence[Rig | MeshTrack], assets: BodyAssets, panel_size: tuple[int, int] | None
    ) -> "Views":
        """With a side view of this size; None: without."""
        scene = scene_of(footage, "y_up")
        side = side_camera(people, scene, panel_size) if panel_size and people else None
        tracks = [person.track if isinstance(person, Rig) else person for person in people]
        return cls(footage, tracks, assets, scene, side, panel_size or (0, 0))

    @property
    def panel_left(self) -> int:
        """Where the side view begins: 2 x 2 pixels share colours."""
        width = self.footage.camera.image_size[0]
        return width + width % 2

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, even, of what is drawn."""
        height = self.footage.camera.image_size[1]
        width = self.panel_left + (0 if self.side is None else self.panel_size[0] + self.panel_size[0] % 2)
        return width, height + height % 2


class Frame(NamedTuple):
    """What one frame shows."""

    number: int  # of the timeline's
    vertices: np.ndarray  # (people here * V, 3) m, camera axes
    colors: np.ndarray  # (people here * V, 3)
    keypoints_px: np.ndarray  # (people here with keypoints, K, 3)
    picture: av.VideoFrame | None  # None: plain ground


def frames_of(views: Views, numbers: np.ndarray, device: torch.device) -> Iterator[Frame]:
    """These frames (n,) of the timeline, rising; where the video has ended, on the plain ground.

    Raises UserError if the video cannot be read, or is of another size.
    """
    footage, tracks, assets = views.footage, views.tracks, views.assets
    body = PosedBody(assets).to(device)
    pictures = iter(()) if footage.path is None else _pictures(footage, numbers)
    for first in range(0, len(numbers), _FRAMES_AT_ONCE):
        some = numbers[first : first + _FRAMES_AT_ONCE]
        people: list[list[tuple]] = [[] for _ in some]
        for person, track in enumerate(tracks):
            rows = np.flatnonzero(np.isin(track.frame_ids, some))
            if not len(rows):
                continue
            keypoints = (footage.keypoints_px or {}).get(track.name)
            places = np.searchsorted(some, track.frame_ids[rows])
            for place, row, placed in zip(places, rows, placed_vertices_m(track, rows, body), strict=True):
                color = np.array(PERSON_COLORS[person % len(PERSON_COLORS)])
                people[place].append(
                    (placed, np.tile(color, (len(placed), 1)), None if keypoints is None else keypoints[row])
                )
        for number, present in zip(some.tolist(), people, strict=True):
            placed, colors, points = zip(*present, strict=True) if present else ((), (), ())
            yield Frame(
                number,
                np.concatenate([np.zeros((0, 3)), *placed]),
                np.concatenate([np.zeros((0, 3)), *colors]),
                np.array([seen for seen in points if seen is not None]),
                next(pictures, None),
            )


def draw_frame(views: Views, frame: Frame) -> Canvas:
    """The frame, and the side view beside it."""
    canvas = Canvas(views.size, _GROUND)
    camera = views.footage.camera
    if frame.picture is not None:
        canvas.paste(frame.picture)
    faces = repeated_faces(views.assets.faces, len(frame.vertices) // len(views.assets.v_template))
    normals = vertex_normals(frame.vertices, faces)

    def draw(vertices: np.ndarray, normals: np.ndarray, lens: Camera, size: tuple[int, int], left: int) -> None:
        lit = from_rgb(255 * shade(normals, frame.colors))
        for layer in mesh_layers(Mesh(vertices, faces, lit), lens, size, _SAMPLES):
            canvas.draw(layer, left)

    draw(frame.vertices, normals, Perspective(camera.focal_px, camera.centre_px), camera.image_size, 0)
    if len(frame.keypoints_px):
        for layer in _keypoint_layers(frame.keypoints_px, camera.image_size):
            canvas.draw(layer)
    if views.side is not None:
        turn, moved = (part[views.scene.rows(frame.number)] for part in _level(views.scene))
        level = frame.vertices @ turn.T + moved, normals @ turn.T
        turned, turned_normals = (part[:, _SIDE_AXES] * _SIDE_SIGNS for part in level)
        draw(turned, turned_normals, views.side, views.panel_size, views.panel_left)
    return canvas


def _keypoint_layers(keypoints_px: np.ndarray, image_size: tuple[int, int]) -> Iterator[Layer]:
    limb_px = max(_LEAST_LIMB_PX, _LIMB_SHARE * min(image_size))
    skeletons = skeleton_mesh(keypoints_px[..., :2], keypoints_px[..., 2], limb_px)
    colors, opacity = skeletons.lit[:, :3], skeletons.lit[:, 3:]
    lit = np.concatenate([from_rgb(colors), _KEYPOINT_OPACITY * opacity], axis=1)
    return skeleton_layers(skeletons._replace(lit=lit), image_size, _SAMPLES)


def _pictures(footage: Footage, numbers: np.ndarray) -> Iterator[av.VideoFrame]:
    """The video's frames for these of the timeline, as far as there are any."""
    timeline, (width, height) = footage.timeline, footage.camera.image_size
    wanted = timeline.first_frame + numbers if timeline.pictures is None else timeline.pictures[numbers]
    for picture in read_pictures(footage.path, wanted.tolist()):
        if (picture.width, picture.height) != (width, height):
            found = f"{picture.width}x{picture.height}"
            raise UserError(f"{footage.path} is {found}, expected {width}x{height}, the size the keypoints are for.")
        yield picture


def repeated_faces(faces: np.ndarray, body_count: int) -> np.ndarray:
    """Faces of that many bodies whose vertices lie one after the other."""
    offsets = np.arange(body_count)[:, None, None] * (faces.max() + 1)
    return (faces + offsets).reshape(-1, 3)


def side_camera(people: Sequence[Rig | MeshTrack], scene: Scene, panel_size: tuple[int, int]) -> WeakPerspective:
    """One that sees everybody's whole path from the side, the same in every frame so that movement is seen."""
    places = []
    for person in people:
        track = person.track if isinstance(person, Rig) else person
        joints = person.joint_positions if isinstance(person, Rig) else person.joints_m + person.trans_m[:, None]
        turns, moved = (part[scene.rows(track.frame_ids)] for part in _level(scene))
        level = joints @ turns.transpose(0, 2, 1) + moved[:, None]
        places.append(level.reshape(-1, 3)[:, [2, 1]])  # depth runs across, height down
    places = np.concatenate(places)
    low, high = places.min(axis=0) - _SKIN_M, places.max(axis=0) + _SKIN_M
    scale = _SIDE_SHARE * float(np.min(np.array(panel_size) / (high - low)))
    return WeakPerspective(scale, tuple(np.array(panel_size) / 2 - scale * (low + high) / 2))


def _level(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """Turns (N, 3, 3) and shifts (N, 3) from the camera's axes to axes like them, but level where the vertical is known."""
    return CAMERA_TO_Y_UP @ scene.rotations, scene.positions_m @ CAMERA_TO_Y_UP
