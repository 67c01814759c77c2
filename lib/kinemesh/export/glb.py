"""A track as binary glTF 2.0: one skinned, animated mesh, y up, metres.

The container is twelve bytes, a JSON text and a block of arrays, which Python writes in few lines; the glTF packages
of PyPI would only name the JSON's keys. Source: Khronos, glTF 2.0 specification, sections 3.7 (geometry, skins),
3.11 (animations) and 4 (GLB).
"""

import json
import math
import struct
from typing import NamedTuple

import numpy as np
import torch

from kinemesh.body.skeleton import SMPL_JOINT_COUNT, SMPL_JOINT_NAMES
from kinemesh.export.rig import Rig, keyed_rows, short_way, strongest_weights
from kinemesh.export.scene import Footage, Scene
from kinemesh.geometry.camera import CAMERA_TO_Y_UP
from kinemesh.geometry.rotation import matrix_to_quaternion
from kinemesh.render.shading import vertex_normals
from kinemesh.structures import VideoCamera

_COMPONENT_TYPES = {np.dtype("u1"): 5121, np.dtype("<u2"): 5123, np.dtype("<f4"): 5126}
_VERTEX_BUFFER, _INDEX_BUFFER = 34962, 34963
_JSON_CHUNK, _BINARY_CHUNK = 0x4E4F534A, 0x004E4942
# Where things stand in the list of nodes; the joints follow `_FIRST_JOINT` in SMPL's order.
_MESH_NODE, _CAMERA_NODE, _SKELETON_NODE, _FIRST_JOINT = 0, 1, 2, 3


class _Arrays(NamedTuple):
    """The binary block under construction, and what the JSON says of it."""

    data: bytearray
    views: list[dict]
    accessors: list[dict]

    def add(self, array: np.ndarray, kind: str, target: int | None = None, *, with_bounds: bool = False) -> int:
        """Append an array, one row an element, and return its accessor's number."""
        view = {"buffer": 0, "byteOffset": len(self.data), "byteLength": array.nbytes}
        accessor = {"bufferView": len(self.views), "componentType": _COMPONENT_TYPES[array.dtype]}
        accessor |= {"count": len(array), "type": kind}
        if target is not None:
            view["target"] = target
        if with_bounds:
            rows = array.reshape(len(array), -1)
            accessor |= {"min": rows.min(axis=0).tolist(), "max": rows.max(axis=0).tolist()}
        self.data.extend(array.tobytes())
        self.data.extend(bytes(-len(self.data) % 4))
        self.views.append(view)
        self.accessors.append(accessor)
        return len(self.accessors) - 1


def glb_bytes(rig: Rig, footage: Footage, scene: Scene) -> bytes:
    """The file's content; the same for the same arguments.

    Args:
        rig: of a track in the scene's axes.
    """
    name = rig.track.name
    arrays = _Arrays(bytearray(), [], [])
    mesh = {"name": name, "primitives": [_primitive(arrays, rig)]}
    inverse_bind = np.tile(np.eye(4, dtype="<f4"), (SMPL_JOINT_COUNT, 1, 1))
    inverse_bind[:, 3, :3] = -rig.rest_joints  # column by column, hence transposed
    skin = {
        "inverseBindMatrices": arrays.add(inverse_bind, "MAT4"),
        "skeleton": _FIRST_JOINT,
        "joints": list(range(_FIRST_JOINT, _FIRST_JOINT + SMPL_JOINT_COUNT)),
    }
    document = {
        "asset": {"version": "2.0", "generator": "kinemesh"},
        "scene": 0,
        "scenes": [{"name": name, "nodes": [_MESH_NODE, _CAMERA_NODE, _SKELETON_NODE]}],
        "nodes": _nodes(rig, scene),
        "meshes": [mesh],
        "skins": [skin],
        "cameras": [_camera(footage.camera)],
        "materials": [
            {"name": "skin", "pbrMetallicRoughness": {"baseColorFactor": [0.35, 0.46, 0.7, 1.0], "metallicFactor": 0.0}}
        ],
        "animations": [_animation(arrays, rig, scene, footage.timeline.elapsed_s)],
        "bufferViews": arrays.views,
        "accessors": arrays.accessors,
        "buffers": [{"byteLength": len(arrays.data)}],
    }
    text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<II", len(text), _JSON_CHUNK) + text
    chunks += struct.pack("<II", len(arrays.data), _BINARY_CHUNK) + bytes(arrays.data)
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def _primitive(arrays: _Arrays, rig: Rig) -> dict:
    skinning = strongest_weights(rig.assets.skinning_weights)
    normals = vertex_normals(rig.rest_vertices, rig.assets.faces)
    attributes = {
        "POSITION": arrays.add(rig.rest_vertices.astype("<f4"), "VEC3", _VERTEX_BUFFER, with_bounds=True),
        "NORMAL": arrays.add(normals.astype("<f4"), "VEC3", _VERTEX_BUFFER),
        "JOINTS_0": arrays.add(skinning.joints, "VEC4", _VERTEX_BUFFER),
        "WEIGHTS_0": arrays.add(skinning.weights.astype("<f4"), "VEC4", _VERTEX_BUFFER),
    }
    indices = arrays.add(rig.assets.faces.reshape(-1).astype("<u2"), "SCALAR", _INDEX_BUFFER)
    return {"attributes": attributes, "indices": indices, "material": 0}


def _nodes(rig: Rig, scene: Scene) -> list[dict]:
    place = {"rotation": _camera_quaternions(scene)[0].tolist(), "translation": scene.positions_m[0].tolist()}
    nodes = [
        {"name": rig.track.name, "mesh": 0, "skin": 0},
        {"name": "video_camera", "camera": 0} | place,
        {"name": "skeleton", "children": [_FIRST_JOINT]},
    ]
    for joint, name in enumerate(SMPL_JOINT_NAMES):
        node = {"name": name, "translation": rig.offsets[joint].tolist()}
        children = [_FIRST_JOINT + child for child, parent in enumerate(rig.assets.parents) if parent == joint]
        nodes.append(node | ({"children": children} if children else {}))
    return nodes


def _camera(camera: VideoCamera) -> dict:
    """The video's, but for its principal point: glTF cameras look through the middle of the picture."""
    width, height = camera.image_size
    lens = {"yfov": 2 * math.atan(height / (2 * camera.focal_px)), "aspectRatio": float(width / height), "znear": 0.05}
    return {"name": "video_camera", "type": "perspective", "perspective": lens}


def _camera_quaternions(scene: Scene) -> np.ndarray:
    """(N, 4) x, y, z, w: glTF's cameras look along -z with y up, which the video's turned is."""
    turns = torch.from_numpy(scene.rotations @ CAMERA_TO_Y_UP)
    return short_way(matrix_to_quaternion(turns).numpy())


def _animation(arrays: _Arrays, rig: Rig, scene: Scene, time_s: np.ndarray) -> dict:
    rows, frames = keyed_rows(rig.track.frame_ids)
    times = arrays.add(time_s[frames].astype("<f4"), "SCALAR", with_bounds=True)
    quaternions = rig.quaternions[rows].astype("<f4")
    # Of each channel: its node, what of it, and the accessors of times and values.
    tracks = [(_FIRST_JOINT, "translation", times, arrays.add(rig.root_positions[rows].astype("<f4"), "VEC3"))]
    for joint in range(SMPL_JOINT_COUNT):
        values = np.ascontiguousarray(quaternions[:, joint])
        tracks.append((_FIRST_JOINT + joint, "rotation", times, arrays.add(values, "VEC4")))
    if len(scene.rotations) > 1:
        shown = scene.rows(np.arange(len(time_s)))
        every = arrays.add(time_s.astype("<f4"), "SCALAR", with_bounds=True)
        for path, values, kind in (
            ("translation", scene.positions_m, "VEC3"),
            ("rotation", _camera_quaternions(scene), "VEC4"),
        ):
            tracks.append((_CAMERA_NODE, path, every, arrays.add(values[shown].astype("<f4"), kind)))
    return {
        "name": rig.track.name,
        "samplers": [{"input": at, "output": output, "interpolation": "LINEAR"} for _, _, at, output in tracks],
        "channels": [
            {"sampler": number, "target": {"node": node, "path": path}}
            for number, (node, path, _, _) in enumerate(tracks)
        ],
    }
