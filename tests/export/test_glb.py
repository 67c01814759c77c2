"""The glb read back by its own specification: skinning by hand gives the bodies of the track."""

import json
import struct

import numpy as np
import pytest
import roma
import torch

from kinemesh.body.skeleton import SMPL_JOINT_NAMES
from kinemesh.export.glb import glb_bytes
from kinemesh.export.rig import Rig
from kinemesh.export.scene import Footage
from tests.export.conftest import FPS, TIMELINE, UNEVEN, scene_and_rig

DTYPES = {5121: np.uint8, 5123: np.uint16, 5126: np.float32}
WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}


class Glb:
    def __init__(self, content: bytes):
        magic, version, length = struct.unpack_from("<4sII", content)
        assert (magic, version, length) == (b"glTF", 2, len(content))
        text_length, kind = struct.unpack_from("<I4s", content, 12)
        assert kind == b"JSON" and text_length % 4 == 0
        self.json = json.loads(content[20 : 20 + text_length])
        block = 20 + text_length
        length, kind = struct.unpack_from("<I4s", content, block)
        assert kind == b"BIN\0" and block + 8 + length == len(content)
        self.data = content[block + 8 :]

    def array(self, number: int) -> np.ndarray:
        accessor = self.json["accessors"][number]
        view = self.json["bufferViews"][accessor["bufferView"]]
        width = WIDTHS[accessor["type"]]
        assert view["byteOffset"] % 4 == 0
        count = accessor["count"] * width
        values = np.frombuffer(self.data, DTYPES[accessor["componentType"]], count, view["byteOffset"])
        assert values.nbytes == view["byteLength"]
        values = values.reshape(-1, width)
        if "min" in accessor:
            np.testing.assert_array_equal(values.min(axis=0), np.float32(accessor["min"]))
            np.testing.assert_array_equal(values.max(axis=0), np.float32(accessor["max"]))
        return values[:, 0] if width == 1 else values

    def world(self, time: float) -> np.ndarray:
        """(nodes, 4, 4) at a time: slerp between keys, held outside them."""
        nodes = [dict(node) for node in self.json["nodes"]]
        [animation] = self.json["animations"]
        for channel in animation["channels"]:
            sampler = animation["samplers"][channel["sampler"]]
            assert sampler["interpolation"] == "LINEAR"
            times, values = self.array(sampler["input"]), torch.tensor(self.array(sampler["output"]).astype(float))
            assert (np.diff(times) > 0).all() and len(times) == len(values)
            after = int(np.clip(np.searchsorted(times, time), 1, max(len(times) - 1, 1)))
            before = after - 1
            share = 0.0 if len(times) == 1 else float((time - times[before]) / (times[after] - times[before]))
            share, after = min(max(share, 0.0), 1.0), min(after, len(times) - 1)
            target = channel["target"]
            if target["path"] == "rotation":
                assert torch.allclose(values.norm(dim=-1), torch.ones(1, dtype=torch.float64), atol=1e-6)
                value = roma.unitquat_slerp(values[before], values[after], torch.tensor([share]).double())[0]
            else:
                value = torch.lerp(values[before], values[after], share)
            nodes[target["node"]][target["path"]] = value.tolist()
        world = np.zeros((len(nodes), 4, 4))

        def place(number, above):
            local = np.eye(4)
            rotation = torch.tensor(nodes[number].get("rotation", [0.0, 0.0, 0.0, 1.0]), dtype=torch.float64)
            local[:3, :3] = roma.unitquat_to_rotmat(rotation).numpy()
            local[:3, 3] = nodes[number].get("translation", [0.0, 0.0, 0.0])
            world[number] = above @ local
            for child in nodes[number].get("children", []):
                place(child, world[number])

        for number in self.json["scenes"][self.json["scene"]]["nodes"]:
            place(number, np.eye(4))
        return world

    def skin(self, time: float) -> np.ndarray:
        """(V, 3) m, y up, at a time."""
        [skin], [mesh] = self.json["skins"], self.json["meshes"]
        inverse_bind = self.array(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
        moved = self.world(time)[skin["joints"]] @ inverse_bind
        attributes = {name: self.array(i) for name, i in mesh["primitives"][0]["attributes"].items()}
        blended = np.einsum("vn,vnab->vab", attributes["WEIGHTS_0"], moved[attributes["JOINTS_0"]])
        points = np.concatenate([attributes["POSITION"], np.ones((len(blended), 1))], axis=1)
        return np.einsum("vab,vb->va", blended, points)[:, :3]


def volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    return float(np.einsum("fd,fd->", a, np.cross(b, c)) / 6)


@pytest.fixture(scope="module")
def files(written, tracks):
    return [Glb((written / f"{track.name}.glb").read_bytes()) for track in tracks]


def test_skinning_by_hand_gives_the_tracks_bodies_without_pose_blend_shapes(files, tracks, skinned):
    for file, track in zip(files, tracks, strict=True):
        rows = [0, 5, len(track.frame_ids) - 1]
        vertices, _ = skinned(track._replace(poses=track.poses[rows], trans_m=track.trans_m[rows]), False)
        for row, expected in zip(rows, vertices, strict=True):
            # float32 seconds name a frame to a ten-thousandth of its length.
            found = file.skin(track.frame_ids[row] / FPS)
            np.testing.assert_allclose(found, expected * [1, -1, -1], atol=2e-5)


def test_a_gap_keeps_time_and_holds_the_pose(files, tracks):
    file, track = files[1], tracks[1]
    before, after = track.frame_ids[11], track.frame_ids[12]
    assert (before, after) == (17, 30)
    held = file.skin(before / FPS)
    for frame in (before + 1, 25, after - 1):
        np.testing.assert_allclose(file.skin(frame / FPS), held, atol=1e-5)
    assert np.abs(file.skin(after / FPS) - held).max() > 0.1
    # Someone who comes late waits in the first pose.
    np.testing.assert_allclose(file.skin(0.0), file.skin(track.frame_ids[0] / FPS), atol=1e-6)


def test_mesh_at_rest_has_the_persons_shape_and_outward_normals(files, tracks, assets):
    for file, track in zip(files, tracks, strict=True):
        [mesh] = file.json["meshes"]
        attributes = {name: file.array(i) for name, i in mesh["primitives"][0]["attributes"].items()}
        expected = assets.v_template + assets.shapedirs @ track.betas
        np.testing.assert_allclose(attributes["POSITION"], expected, atol=1e-6)
        np.testing.assert_allclose(np.linalg.norm(attributes["NORMAL"], axis=1), 1, atol=1e-5)
        grown = volume(expected + 0.002 * attributes["NORMAL"], assets.faces) - volume(expected, assets.faces)
        assert 0.002 < grown < 0.006  # 2 mm of skin on some 1.8 m2
        np.testing.assert_allclose(attributes["WEIGHTS_0"].sum(axis=1), 1, atol=1e-6)
        assert (attributes["JOINTS_0"][attributes["WEIGHTS_0"] == 0] == 0).all()
        np.testing.assert_array_equal(file.array(mesh["primitives"][0]["indices"]), assets.faces.ravel())


def test_joints_carry_smpls_names_and_the_camera_is_the_videos(files, camera):
    [skin] = files[0].json["skins"]
    assert tuple(files[0].json["nodes"][node]["name"] for node in skin["joints"]) == SMPL_JOINT_NAMES
    lens = files[0].json["cameras"][0]["perspective"]
    assert np.tan(lens["yfov"] / 2) == pytest.approx(48 / 180)
    assert lens["aspectRatio"] == pytest.approx(128 / 96)


def test_same_bytes_every_time_and_one_frame_is_enough(tracks, camera, assets, written):
    scene, rig = scene_and_rig(tracks[0], Footage(camera, TIMELINE), assets)
    assert glb_bytes(rig, Footage(camera, TIMELINE), scene) == (written / "1.glb").read_bytes()
    names = ("frame_ids", "poses", "trans_m", "confidence", "interpolated")
    one = tracks[0]._replace(**{name: getattr(tracks[0], name)[3:4] for name in names})
    assert np.isfinite(Glb(glb_bytes(Rig(one, assets), Footage(camera, TIMELINE), scene)).skin(1.0)).all()


def test_keys_stand_at_the_times_of_a_varying_rate(tracks, camera, assets):
    scene, rig = scene_and_rig(tracks[0], Footage(camera, TIMELINE), assets)
    even, uneven = (Glb(glb_bytes(rig, Footage(camera, timeline), scene)) for timeline in (TIMELINE, UNEVEN))
    for frame in (1, 2, 17, 39):
        found, expected = uneven.skin(UNEVEN.time_s[frame]), even.skin(frame / FPS)
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_people_and_camera_stand_in_the_world(filmed, skinned, assets):
    """Feet on the floor at 0, and the camera's node looks where the video's did, in every frame of one that moves."""
    tracks, footage = filmed
    for track in tracks:
        file = Glb(glb_bytes(*(rig := scene_and_rig(track, footage, assets))[1:], footage, rig[0]))
        lowest = []
        for row in (0, 5, len(track.frame_ids) - 1):
            frame = track.frame_ids[row]
            at = min(frame, len(footage.world.rotation) - 1)
            turn, place_m = footage.world.rotation[at], footage.world.position_m[at]
            one = track._replace(poses=track.poses[[row]], trans_m=track.trans_m[[row]])
            found = file.skin(frame / FPS)
            np.testing.assert_allclose(found, skinned(one, False)[0][0] @ turn.T + place_m, atol=3e-5)
            lowest.append(found[:, 1].min())
            [node] = [number for number, node in enumerate(file.json["nodes"]) if "camera" in node]
            seen_from = file.world(frame / FPS)[node]
            np.testing.assert_allclose(seen_from[:3, :3] @ np.diag([1, -1, -1]), turn, atol=1e-6)
            np.testing.assert_allclose(seen_from[:3, 3], place_m, atol=1e-6)
        assert np.abs(lowest).max() < 0.03
