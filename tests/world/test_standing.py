"""A fit that knows the floor: resting feet stay, and who sits, lies, climbs or jumps is not glued to it."""

import numpy as np
import pytest
import torch

from kinemesh.body.skeleton import H36M_JOINT_NAMES
from kinemesh.fit.landmarks import BodyPoints
from kinemesh.fit.standing.anchors import find_anchors
from kinemesh.fit.standing.cost import Held
from kinemesh.fit.standing.settle import Stand, StandingBody, look_around
from kinemesh.fit.tracks import fit_standing_tracks, fit_tracks
from kinemesh.geometry.rotation import axis_angle_to_matrix
from kinemesh.structures import VideoCamera
from kinemesh.world.contacts import Rest
from kinemesh.world.figures import FEET, PELVIS, POINT_NAMES, THORAX
from kinemesh.world.finding import Setting, place_in_world
from kinemesh.world.gravity import find_ground
from kinemesh.world.metrics import foot_sliding_mm

CAMERA = VideoCamera(1400.0, (960.0, 540.0), (1920, 1080))
FPS = 30.0


@pytest.fixture(scope="module")
def standing(stand_in) -> StandingBody:
    return StandingBody(stand_in.assets, H36M_JOINT_NAMES)


@pytest.fixture(scope="module")
def body(stand_in) -> BodyPoints:
    return BodyPoints(stand_in.assets)


def points_in_world(standing, track, scene) -> np.ndarray:
    """(F, P, 3) of a track in the scene's world."""
    rotations = axis_angle_to_matrix(torch.from_numpy(track.poses).unflatten(1, (-1, 3)))
    places = standing.resting.places(rotations, torch.from_numpy(track.betas).expand(len(rotations), -1)).numpy()
    eye = scene.points_m[0] - scene.figures[0].points_m @ scene.turn
    return (places + track.trans_m[:, None]) @ scene.turn + eye[:1, :1]


def noisy(scene, rng):
    """Bodies that tremble and drift, and keypoints with an error of some pixels."""
    made, keypoints = [], []
    for track, seen in zip(scene.tracks, scene.keypoints_px, strict=True):
        tremble = np.radians(4) * rng.standard_normal(track.poses.shape).astype(np.float32)
        drift = np.cumsum(rng.standard_normal((len(seen), 3)), axis=0) * (0.002, 0.002, 0.02)
        made.append(track._replace(poses=track.poses + tremble, trans_m=track.trans_m + drift.astype(np.float32)))
        keypoints.append(seen + np.float32(3) * rng.standard_normal(seen.shape).astype(np.float32) * (1, 1, 0))
    return made, [points.astype(np.float32) for points in keypoints]


def test_resting_feet_stay_and_keypoints_still_fit(scene, standing, body):
    tracks, keypoints = noisy(scene, np.random.default_rng(0))
    before, facts_before = fit_tracks(body, tracks, keypoints, CAMERA, FPS)
    after, facts, settled = fit_standing_tracks(body, tracks, keypoints, CAMERA, FPS, stand=Stand(standing))
    assert settled.found.is_sure
    true = torch.from_numpy(scene.points_m[0][:, FEET])
    slides = [
        foot_sliding_mm(torch.from_numpy(points_in_world(standing, track[0], scene)[:, FEET]), true).mean()
        for track in (before, after)
    ]
    assert slides[1] < 0.6 * slides[0]
    for one, other in zip(facts_before, facts, strict=True):
        assert other.reprojection_error_after_px < 1.3 * one.reprojection_error_after_px


@pytest.mark.parametrize(
    ("kind", "rise"),
    [("sit", 0.0), ("lie", 0.0), ("jump", 0.0), ("walk", 0.17 * np.floor(np.arange(90) / 15))],
    ids=["sits", "lies", "jumps", "climbs"],
)
def test_nobody_is_glued_to_the_floor(kind, rise, make_scene, standing, body):
    """Of true bodies and keypoints hardly anything may change, whatever is thought of the floor."""
    scene = make_scene((kind,), seed=1, rise=rise)
    stand = Stand(standing, Setting(up=(20.0, -2.0)))
    (track,), _, settled = fit_standing_tracks(body, scene.tracks, scene.keypoints_px, CAMERA, FPS, stand=stand)
    np.testing.assert_allclose(settled.found.ground.up, scene.up, atol=1e-6)
    changed = points_in_world(standing, track, scene) - scene.points_m[0]
    assert np.abs(changed[..., 1]).mean() < 0.02
    assert np.abs(changed[..., 1]).max() < 0.15


def test_the_equations_are_the_derivatives_of_what_they_pull(scene, standing):
    """Of the cost's gradient at where a body is, by finite differences."""
    track, double = scene.tracks[0], torch.float64
    points = standing.fitted.double()
    try:
        rotations = axis_angle_to_matrix(torch.from_numpy(track.poses[:1]).to(double).unflatten(1, (-1, 3)))
        betas, trans = (torch.from_numpy(part)[None].to(double) for part in (track.betas, track.trans_m[0]))
        count, rng = len(POINT_NAMES), np.random.default_rng(0)
        start = points.places(rotations, betas)[:, -count:] + trans[:, None]
        up = torch.tensor([[0.1, -0.9, -0.3]], dtype=double)
        weights = [torch.from_numpy(rng.uniform(0, 9, (1, count))) for _ in range(3)]
        goal = start + torch.from_numpy(0.1 * rng.standard_normal((1, count, 3)))
        heights = (start * up[:, None]).sum(-1) + torch.from_numpy(0.1 * rng.standard_normal((1, count)))
        held = Held(goal, weights[0], heights, weights[1], weights[2], up)

        def cost(turns: torch.Tensor, moved: torch.Tensor) -> torch.Tensor:
            turned = rotations.clone()
            joints = list(points.joints)
            turned[:, joints] = axis_angle_to_matrix(turns) @ turned[:, joints]
            places = points.places(turned, betas)[:, -count:] + trans[:, None] + moved
            off = heights - (places * up[:, None]).sum(-1)
            upward = (weights[1] + weights[2] * (off > 0)) * off**2
            return 0.5 * ((weights[0] * (places - goal).square().sum(-1)).sum() + upward.sum())

        matrix, right = held.equations(points(rotations, betas), trans, torch.zeros(1, dtype=torch.int64))
        unknown = matrix.shape[1]
        found = []
        for number in range(unknown):
            values = torch.zeros(2, unknown, dtype=double)
            values[0, number], values[1, number] = 1e-5, -1e-5
            costs = [cost(row[:-3].view(1, -1, 3), row[-3:]) for row in values]
            found.append(-(costs[0] - costs[1]) / 2e-5)
        # The pose blend shapes' own derivative is left out.
        np.testing.assert_allclose(right[0].numpy(), torch.stack(found).numpy(), atol=0.03 * float(right.abs().max()))
        assert torch.linalg.eigvalsh(matrix[0]).min() > -1e-9
    finally:
        standing.fitted.float()


def test_a_body_in_the_world_is_the_one_before_the_camera(scene, standing, stand_in):
    settled = look_around(Stand(standing), scene.tracks, FPS)
    world, track = settled.found.world, scene.tracks[0]
    assert world.ground_m == 0.0 and world.up == "auto"
    pelvis = stand_in.shaped_rest_joints_m(track.betas[None].astype(float))[0, 0]
    placed = place_in_world(track, world, pelvis, settled.contacts["0"])
    assert placed.world.contacts.shape == (90, 6)
    poses = np.concatenate((placed.world.global_orient, track.poses[:, 3:]), axis=1)
    moved = track._replace(poses=poses, trans_m=placed.world.trans_m)
    found, before = (
        standing.resting.places(
            axis_angle_to_matrix(torch.from_numpy(each.poses).unflatten(1, (-1, 3))),
            torch.from_numpy(each.betas).expand(90, -1),
        ).numpy()
        + each.trans_m[:, None]
        for each in (moved, track)
    )
    np.testing.assert_allclose(found, before @ world.rotation[0].T + world.position_m[0], atol=1e-4)
    feet = found[:, FEET, 1] - scene.clearances_m[list(FEET)]
    assert abs(np.median(feet.min(axis=1))) < 0.05


def test_who_stands_on_both_feet_is_held_at_one_depth(scene):
    """Swaying across the line of sight stays, and who bows or has a foot in the air is not held."""
    given = scene.figures, scene.clearances_m, FPS, scene.up
    ground, figure, time = find_ground(*given, is_known=True), scene.figures[1], np.linspace(0, 6, 90)
    points = np.repeat(figure.points_m[:1], 90, axis=0)
    ray = points[0, PELVIS] / np.linalg.norm(points[0, PELVIS])
    aside = np.cross(ray, ground.up)
    points[:, PELVIS] += 0.05 * np.sin(time)[:, None] * (ray + aside)
    points[80:, PELVIS] += 0.4 * ray
    figure = figure._replace(points_m=points)
    rests = [Rest(point, 0, 90) for point in range(4)]
    given = figure, ground, rests, np.ones((90, 6)), scene.clearances_m, FPS
    found = find_anchors(*given)
    held, places = found.held[:, PELVIS], found.places_m[:, PELVIS]
    assert np.ptp(places @ ray) < 1e-3
    np.testing.assert_allclose(places @ aside, points[:, PELVIS] @ aside, atol=2e-3)
    assert held[:80].min() > 0.6 / 0.05**2 > 10 * held[80:].max()
    in_the_air = [rest for rest in rests if rest.point % 2 == 0]
    assert not find_anchors(*given[:2], in_the_air, *given[3:]).held[:, PELVIS].any()


def test_a_foot_that_may_slide_is_held_less_than_one_that_rests_for_certain(scene):
    """A contact of 0.7 is no reason to nail a foot down; one of 0.99 is."""
    ground, figure = find_ground(scene.figures, scene.clearances_m, FPS, scene.up, is_known=True), scene.figures[0]
    contacts = np.zeros((len(figure.points_m), 6))
    slides, rests = FEET[:2]
    contacts[:, slides], contacts[:, rests] = 0.7, 0.99
    times = [Rest(point, 0, len(contacts)) for point in (slides, rests)]
    held = find_anchors(figure, ground, times, contacts, scene.clearances_m, FPS).held
    assert held[:, slides].max() < 0.2 * held[:, rests].min()
    assert held[:, rests].min() > 0.8 / 0.01**2


def test_who_leans_over_both_feet_is_righted_but_not_who_sits(scene):
    ground = find_ground(scene.figures, scene.clearances_m, FPS, scene.up, is_known=True)
    points = np.repeat(scene.figures[1].points_m[:1], 90, axis=0)
    feet = points[0, list(FEET)].mean(axis=0)
    sight = points[0, PELVIS] - points[0, PELVIS] @ ground.up * ground.up
    sight /= np.linalg.norm(sight)
    heights = (points - feet) @ ground.up

    def ahead(points: np.ndarray) -> np.ndarray:
        return (points[0, [PELVIS, THORAX]] - feet) @ sight

    def held(points: np.ndarray) -> tuple[np.ndarray, float]:
        rests = [Rest(point, 0, 90) for point in range(4)]
        figure = scene.figures[1]._replace(points_m=points)
        found = find_anchors(figure, ground, rests, np.ones((90, 6)), scene.clearances_m, FPS)
        return found.places_m, found.held[:, THORAX].max()

    leaning = points + 0.3 * heights[..., None] * sight
    places, weight = held(leaning)
    assert weight > 0 and (abs(ahead(places)) < 0.5 * abs(ahead(leaning))).all()
    sitting = leaning - 0.6 * heights[..., None] * ground.up
    places, weight = held(sitting)
    assert weight == 0 and np.allclose(ahead(places), ahead(sitting))


def test_who_stands_on_a_lower_floor_is_not_lifted_to_this_one(scene):
    figure, clearances = scene.figures[0], scene.clearances_m
    ground = find_ground(scene.figures, clearances, FPS, scene.up, is_known=True)
    given = ground.rests[0], ground.contacts[0], clearances, FPS
    assert (find_anchors(figure, ground, *given).below > 0).all()
    roof = find_anchors(figure, ground._replace(height_m=ground.height_m + 1.5), *given)
    assert not roof.below.any()
    # Feet stay where they are all the same, but are not drawn to the floor.
    assert roof.held.any() and roof.level.max() < 1e-3 * find_anchors(figure, ground, *given).level.max()
