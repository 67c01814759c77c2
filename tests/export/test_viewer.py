"""The page's data unpacked again, and that the page is whole, closed and offline."""

import base64
import json
import re

import numpy as np
import pytest
import roma
import torch

from kinemesh.export.scene import Footage, scene_of
from kinemesh.export.viewer import viewer_html
from kinemesh.structures import Timeline
from tests.export.conftest import FPS, FRAME_COUNT, TIMELINE, UNEVEN, scene_and_rig


def content_of(page: str) -> dict:
    [text] = re.findall(r'<script id="content" type="application/json">(.*?)</script>', page, re.DOTALL)
    return json.loads(text)


def unpack(content: dict, place: dict) -> np.ndarray:
    data = base64.b64decode(content["data"])
    return np.frombuffer(data, np.dtype(place["type"]), place["length"], place["offset"])


def viewer(tracks, footage, assets, name=None) -> str:
    named = [track if name is None else track._replace(name=name) for track in tracks]
    rigs = [scene_and_rig(track, footage, assets)[1] for track in named]
    return viewer_html(rigs, footage, scene_of(footage, "y_up"), assets)


@pytest.fixture(scope="module")
def page(written):
    return (written / "viewer.html").read_text(encoding="utf-8")


def test_poses_and_places_survive_packing(page, tracks, assets):
    content = content_of(page)
    assert (content["fps"], content["frameCount"]) == (FPS, FRAME_COUNT)
    for packed, track in zip(content["people"], tracks, strict=True):
        np.testing.assert_array_equal(unpack(content, packed["frames"]), track.frame_ids)
        np.testing.assert_array_equal(unpack(content, packed["interpolated"]), track.interpolated)
        quaternions = torch.tensor(unpack(content, packed["quaternions"]).reshape(-1, 24, 4) / 32767)
        rotations = roma.unitquat_to_rotmat(torch.nn.functional.normalize(quaternions, dim=-1))
        expected = roma.rotvec_to_rotmat(torch.tensor(track.poses).double().unflatten(-1, (24, 3)))
        expected[:, 0] = torch.diag(torch.tensor([1.0, -1.0, -1.0]).double()) @ expected[:, 0]
        assert roma.rotmat_geodesic_distance(rotations, expected).max() < np.radians(0.01)
        vertices = unpack(content, packed["vertices"]).reshape(-1, 4)[:, :3] / 32767 * packed["extent"]
        shaped = assets.v_template + assets.shapedirs @ track.betas
        assert np.abs(vertices - shaped).max() < 3e-5
        roots = unpack(content, packed["roots"]).reshape(-1, 3)
        expected = (track.trans_m + assets.J_regressor[0] @ shaped) * [1, -1, -1]
        np.testing.assert_allclose(roots, expected, atol=1e-5)
        offsets, rest = (unpack(content, packed[name]).reshape(24, 3) for name in ("offsets", "restJoints"))
        np.testing.assert_allclose(rest[1:] - rest[list(content["parents"][1:])], offsets[1:], atol=1e-6)
    weights = unpack(content, content["weights"]).reshape(-1, 4).astype(int)
    assert (weights.sum(axis=1) == 255).all()
    np.testing.assert_array_equal(unpack(content, content["faces"]), assets.faces.ravel())


def test_arrays_lie_where_typed_arrays_may_start_and_the_floor_at_the_soles(page, tracks, skinned):
    content = content_of(page)
    places = [value for person in content["people"] for value in person.values() if isinstance(value, dict)]
    places += [content[name] for name in ("faces", "joints", "weights")]
    assert all(place["offset"] % 4 == 0 for place in places)
    lowest = [(-skinned(track, True)[0][..., 1]).min(axis=1) for track in tracks]
    assert content_of(page)["floor"] == pytest.approx(np.percentile(np.concatenate(lowest), 5), abs=0.08)


def test_in_a_world_the_floor_is_its_floor_and_contacts_are_marked(filmed, assets):
    tracks, footage = filmed
    content = content_of(viewer(tracks, footage, assets))
    assert (content["floor"], content["isFloorFound"], content["isUpright"]) == (0.0, True, True)
    places = unpack(content, content["camera"]["places"]).reshape(-1, 3, 4)
    np.testing.assert_array_equal(places[..., :3], footage.world.rotation)
    np.testing.assert_array_equal(places[..., 3], footage.world.position_m)
    contacts = unpack(content, content["people"][0]["contacts"]).reshape(-1, 6) / 255
    assert np.abs(contacts - tracks[0].world.contacts).max() < 0.002
    assert content["people"][1]["contacts"]["length"] == 0
    # The marks of feet are drawn below their ankles, of hands beyond their wrists.
    rest = assets.v_template[content["contactVertices"]]
    joints = assets.J_regressor @ assets.v_template
    assert (rest[:4, 1] < joints[[7, 8, 7, 8], 1] - 0.02).all() and (rest[:2, 2] > joints[[7, 8], 2] + 0.05).all()
    assert (rest[[0, 2, 4], 0] > 0).all() and (rest[[1, 3, 5], 0] < 0).all() and rest[4, 0] > joints[20, 0] + 0.05


def test_the_page_needs_no_network(page):
    assert "default-src 'none'" in page
    assert not re.findall(r"(?:src|href)\s*=\s*[\"'](?!data:)", page)
    code = page.replace(content_of(page)["data"], "")
    assert not re.findall(r"https?://|//cdn|\bimport\s|fetch\(|XMLHttpRequest", code)
    assert "{{" not in page


def test_a_name_cannot_end_the_script(tracks, camera, assets):
    name = "</script><script>alert(1)</script>{{scene}}"
    page = viewer(tracks[:1], Footage(camera, TIMELINE), assets, name)
    assert "<script>alert" not in page
    assert content_of(page)["people"][0]["name"] == name


def test_controls_have_labels_and_nobody_is_a_page_too(camera, assets):
    page = viewer([], Footage(camera, Timeline.of_constant_rate(FPS, 0)), assets)
    assert content_of(page)["people"] == []
    for control in re.findall(r"<(?:input|select|canvas)\b[^>]*>", page):
        assert "aria-label=" in control or 'aria-hidden="true"' in control, control


def test_a_varying_rate_brings_its_times_and_a_minute_of_one_person_stays_small(page, tracks, camera, assets):
    assert content_of(page)["times"] is None
    found = content_of(viewer(tracks, Footage(camera, UNEVEN), assets))["times"]
    np.testing.assert_allclose(found, UNEVEN.time_s, atol=1e-4)
    rows = np.arange(1800) % len(tracks[0].frame_ids)
    fields = ("poses", "trans_m", "confidence", "interpolated")
    long = tracks[0]._replace(frame_ids=np.arange(1800), **{name: getattr(tracks[0], name)[rows] for name in fields})
    assert len(viewer([long], Footage(camera, Timeline.of_constant_rate(30.0, 1800)), assets)) < 1_000_000
