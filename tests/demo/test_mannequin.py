"""The stand-in body is a mannequin: nothing to see that people cover, and the joints of the body it was made from."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from kinemesh.body.kinematics import JointKinematics
from kinemesh.body.skeleton import SMPL_JOINT_NAMES, VERTEX_LANDMARKS
from kinemesh.demo.body import load_stand_in
from kinemesh.geometry.rotation import axis_angle_to_matrix
from kinemesh.structures import BodyParams
from tools.demo_body.mannequin import make_mannequin


@pytest.fixture(scope="module")
def unsmoothed(unsmoothed_body_path):
    return load_stand_in(unsmoothed_body_path)


@pytest.fixture(scope="module")
def shipped():
    return load_stand_in()


@pytest.fixture(scope="module")
def regions(reference):
    with reference("body_regions") as stored:
        return {name: np.isin(np.arange(6890), stored[name]) for name in ("in_mouth", "in_eyes")}


def bends(vertices, faces):
    """Midpoints (e, 3) of the edges, by how many degrees (e,) the surface bends there, and the area (e,) beside them."""
    corners = vertices[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    areas = np.linalg.norm(normals, axis=1)
    normals /= areas[:, None]
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    order = np.lexsort(np.sort(edges, axis=1).T)  # the two halves of an edge beside each other
    first, second = order[::2] % len(faces), order[1::2] % len(faces)
    bend = np.degrees(np.arccos(np.clip((normals[first] * normals[second]).sum(axis=1), -1, 1)))
    return vertices[edges[order[::2]]].mean(axis=1), bend, areas[first] + areas[second]


# Boxes on the surface, in metres: lowest and highest x, y, z.
REGIONS = {
    "eyes": ((-0.06, 0.555, 0.06), (0.06, 0.605, 0.2)),
    "mouth": ((-0.04, 0.485, 0.085), (0.04, 0.53, 0.2)),
    "chest": ((-0.12, 0.15, 0.05), (0.12, 0.30, 0.2)),
    "between the legs": ((-0.05, -0.26, -0.15), (0.05, -0.08, 0.15)),
}


@pytest.mark.parametrize("region", REGIONS)
def test_is_smooth_where_people_are_covered_or_have_a_face(region, unsmoothed, shipped):
    low, high = REGIONS[region]
    means = []
    for body in (unsmoothed, shipped):
        places, bend, area = bends(body["v_template"], body["faces"])
        is_inside = ((places > low) & (places < high)).all(axis=1)
        means.append(np.average(bend[is_inside], weights=area[is_inside]))
    assert means[1] < 9
    assert means[1] < 0.75 * means[0]


def test_is_what_the_tool_makes_of_the_unsmoothed_body(unsmoothed, shipped, regions):
    made = make_mannequin(unsmoothed, **regions)
    np.testing.assert_allclose(made["v_template"], shipped["v_template"], atol=1e-6)
    np.testing.assert_allclose(made["shapedirs"], shipped["shapedirs"], atol=5e-5)  # stored in float16


def test_hands_feet_and_everything_that_a_joint_is_regressed_from_are_where_they_were(unsmoothed, shipped):
    held = (unsmoothed["J_regressor"] > 0).any(axis=0)
    held[list(VERTEX_LANDMARKS.values())] = True
    for name in ("v_template", "shapedirs"):
        np.testing.assert_array_equal(shipped[name][held], unsmoothed[name][held])
    for name in ("faces", "skinning_weights", "J_regressor", "J_regressor_h36m", "J_regressor_extra"):
        np.testing.assert_array_equal(shipped[name], unsmoothed[name])
    joints = [i for i, name in enumerate(SMPL_JOINT_NAMES) if name.endswith(("wrist", "hand", "ankle", "foot"))]
    is_end = shipped["skinning_weights"][:, joints].sum(axis=1) > 0.5
    assert is_end.sum() > 1500
    np.testing.assert_array_equal(shipped["v_template"][is_end], unsmoothed["v_template"][is_end])


def test_posed_keypoints_are_the_unsmoothed_bodys(unsmoothed, shipped, assets):
    generator = torch.Generator().manual_seed(0)
    pose = 0.6 * torch.randn(8, 24, 3, generator=generator, dtype=torch.float64)
    betas = torch.randn(8, 10, generator=generator, dtype=torch.float64)
    joints = []
    for body in (unsmoothed, shipped):
        names = ("v_template", "shapedirs", "posedirs")
        kinematics = JointKinematics(replace(assets, **{name: body[name] for name in names})).double()
        joints.append(kinematics(BodyParams(axis_angle_to_matrix(pose), betas)))
    assert (joints[0] - joints[1]).abs().max() < 2e-3  # mm
