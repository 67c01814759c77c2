"""The parts of the tool that rebuilds the stand-in body which need no package that only it needs."""

import numpy as np
import pytest

from kinemesh.body.skeleton import VERTEX_LANDMARKS
from kinemesh.demo.body import BODY_PATH, load_stand_in
from tools.demo_body.decimation import decimate
from tools.demo_body.landmarks import order_with_landmarks
from tools.demo_body.packing import describe_differences, write_body
from tools.demo_body.rest_pose import smooth_weights, to_t_pose
from tools.demo_body.shape_space import strongest_weights


def sphere(rings=14, sectors=20):
    """A closed triangle mesh of a unit sphere, faces counter-clockwise from outside."""
    polar, around = np.meshgrid(
        np.linspace(0, np.pi, rings + 1)[1:-1], np.arange(sectors) * 2 * np.pi / sectors, indexing="ij"
    )
    grid = np.stack([np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around), np.cos(polar)], axis=-1)
    vertices = np.concatenate([grid.reshape(-1, 3), [[0, 0, 1], [0, 0, -1]]])
    number = np.arange((rings - 1) * sectors).reshape(rings - 1, sectors)
    after = np.roll(number, -1, axis=1)
    north, south = len(vertices) - 2, len(vertices) - 1
    faces = [
        np.stack([number[:-1], number[1:], after[1:]], axis=-1).reshape(-1, 3),
        np.stack([number[:-1], after[1:], after[:-1]], axis=-1).reshape(-1, 3),
        np.stack([np.full(sectors, north), number[0], after[0]], axis=-1),
        np.stack([np.full(sectors, south), after[-1], number[-1]], axis=-1),
    ]
    return vertices, np.concatenate(faces)


def volume(vertices, faces):
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    return (a * np.cross(b, c)).sum() / 6


class TestDecimate:
    def test_keeps_a_closed_surface_its_shape_and_what_is_locked(self):
        vertices, faces = sphere()
        locked = {3, 77, len(vertices) - 1}
        kept, thinned = decimate(vertices, faces, 120, np.ones(len(faces)), locked)
        assert len(kept) == 120
        assert locked <= set(kept.tolist())
        np.testing.assert_array_equal(np.unique(thinned), kept)
        assert len(thinned) == 2 * 120 - 4  # Euler's formula of a sphere
        edges = np.concatenate([thinned[:, [0, 1]], thinned[:, [1, 2]], thinned[:, [2, 0]]]).tolist()
        assert sorted(edges) == sorted([b, a] for a, b in edges)
        assert volume(vertices, thinned) == pytest.approx(volume(vertices, faces), rel=0.08)

    def test_says_when_it_cannot_go_on(self):
        vertices, faces = sphere(4, 6)
        with pytest.raises(RuntimeError, match="no edge is left to collapse at 20 vertices, 10 wanted"):
            decimate(vertices, faces, 10, np.ones(len(faces)), set(range(len(vertices))))


def test_packing_the_shipped_body_gives_it_back(tmp_path):
    write_body(tmp_path / "body.npz", load_stand_in(), np.arange(6890))
    lines, agree = describe_differences(tmp_path / "body.npz", BODY_PATH)
    assert agree
    assert len(lines) == 8
    rebuilt, shipped = load_stand_in(tmp_path / "body.npz"), load_stand_in()
    for name in ("v_template", "faces", "shapedirs", "J_regressor", "J_regressor_h36m", "J_regressor_extra"):
        np.testing.assert_array_equal(rebuilt[name], shipped[name])


def test_a_difference_is_found(tmp_path):
    body = load_stand_in()
    body["v_template"][17, 1] += 1e-6
    write_body(tmp_path / "body.npz", body, np.arange(6890))
    lines, agree = describe_differences(tmp_path / "body.npz", BODY_PATH)
    assert not agree
    assert lines[0].startswith("v_template: largest difference 1e-06 (allowed 5e-07)")


def test_landmarks_get_smpls_numbers_and_the_rest_keep_their_sequence():
    kept = np.arange(10, 6900)
    landmarks = {name: 100 + 7 * i for i, name in enumerate(VERTEX_LANDMARKS)}
    order = order_with_landmarks(kept, landmarks)
    assert all(order[VERTEX_LANDMARKS[name]] == vertex for name, vertex in landmarks.items())
    rest = np.delete(order, list(VERTEX_LANDMARKS.values()))
    np.testing.assert_array_equal(rest, np.setdiff1d(kept, list(landmarks.values())))


def test_t_pose_stretches_the_arms_and_keeps_lengths():
    body = load_stand_in()
    weights = body["skinning_weights"]
    joints = (body["J_regressor"] @ body["v_template"])[None]
    # Arms hanging forwards and down, as far as joints go; the vertices move with them.
    bent = joints.copy()
    bent[:, [18, 20, 22]] = bent[:, [16]] + np.array([[0.1, -0.2, 0.1], [0.15, -0.4, 0.2], [0.17, -0.5, 0.25]])
    _, straight = to_t_pose(body["v_template"][None], bent, weights)
    arm = straight[0, [16, 18, 20, 22]]
    np.testing.assert_allclose(np.diff(arm, axis=0)[:, 1:], 0, atol=1e-12)
    assert (np.diff(arm[:, 0]) > 0).all()
    np.testing.assert_allclose(
        np.linalg.norm(np.diff(arm, axis=0), axis=1), np.linalg.norm(np.diff(bent[0, [16, 18, 20, 22]], axis=0), axis=1)
    )


def test_smoothed_and_shortened_weights_still_sum_to_one():
    body = load_stand_in()
    smoothed = smooth_weights(body["skinning_weights"], body["faces"])
    np.testing.assert_allclose(smoothed.sum(axis=1), 1)
    assert (smoothed > 0).sum() > (body["skinning_weights"] > 0).sum()
    shortened = strongest_weights(smoothed)
    np.testing.assert_allclose(shortened.sum(axis=1), 1)
    assert (shortened > 0).sum(axis=1).max() <= 4
