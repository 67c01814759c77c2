"""Where a fitted track goes is scored against the true path, where a dataset's camera stands and its file says the places."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from kinemesh.body.params import rotations_from_axis_angle
from kinemesh.body.smpl import PosedBody
from kinemesh.data.clips import cut_clips
from kinemesh.data.loader import ClipLoader
from kinemesh.demo.body import CHECKPOINT_PATH
from kinemesh.evaluation.evaluate import FITTED, EvaluationOptions, evaluate
from kinemesh.evaluation.fitting import Fitting
from kinemesh.evaluation.paths.facts import Body, PathScorer
from kinemesh.model.opening import open_checkpoint
from kinemesh.protocols import DEFAULT, PROTOCOLS
from kinemesh.structures import BodyParams
from kinemesh.world import metrics


@pytest.fixture(scope="module")
def bodies() -> tuple[Body, Body]:
    """Predicted and true ones, 12 frames."""
    rng = np.random.default_rng(0)
    true = Body(0.2 * rng.standard_normal((12, 72)), rng.standard_normal(10), 0.002 * rng.standard_normal((12, 3)))
    return Body(
        true.poses + 0.05 * rng.standard_normal((12, 72)), 0.9 * true.betas, 1.1 * true.trans_m + (0, 0, 3)
    ), true


def test_joints_and_feet_are_those_of_the_meshes(assets, bodies):
    found = PathScorer(assets).score(*bodies, 30.0).means()
    joints, feet = [], []
    for poses, betas, trans_m in bodies:
        rotations = rotations_from_axis_angle(torch.from_numpy(poses).float())
        mesh = PosedBody(assets)(BodyParams(rotations, torch.from_numpy(betas).float().expand(12, -1)))
        moved = torch.from_numpy(trans_m)[:, None]
        joints.append(mesh.smpl_joints_mm / 1000 + moved)
        feet.append(mesh.vertices_mm[:, list(metrics.FOOT_VERTICES)] / 1000 + moved)
    assert found["wa_mpjpe_100"] == pytest.approx(metrics.wa_mpjpe_mm(*joints).mean().item(), rel=1e-3)
    assert found["w_mpjpe_100"] == pytest.approx(metrics.w_mpjpe_mm(*joints).mean().item(), rel=1e-3)
    roots = (part[:, 0] for part in joints)
    assert found["rte_percent"] == pytest.approx(metrics.rte_percent(*roots).mean().item(), rel=1e-3)
    assert found["jitter_10_m_s3"] == pytest.approx(metrics.jitter_10_m_s3(joints[0], 30.0).mean().item(), rel=1e-3)
    slides = metrics.foot_sliding_mm(*feet)
    assert ("foot_sliding_mm" in found) == bool(len(slides))
    same = PathScorer(assets).score(bodies[1], bodies[1]._replace(trans_m=bodies[1].trans_m + 5), 30.0).means()
    assert same["wa_mpjpe_100"] == pytest.approx(0, abs=1e-3)


def test_a_split_that_says_places_is_scored_in_the_world(small_dataset, posed_body, assets):
    opened = open_checkpoint(CHECKPOINT_PATH, None)
    split = small_dataset.test
    lengths = split.video_lengths, split.video_lengths
    clips = cut_clips(*lengths, 8, 8, eval_clips=PROTOCOLS[DEFAULT].clips)[1]
    options = EvaluationOptions(fitting=Fitting.of(assets, "cpu"))

    def figures(some) -> dict[str, float]:
        given = opened.build_model(assets), ClipLoader(some, clips, batch_size=8), posed_body, opened.config
        return evaluate(*given, label="t", options=options)[DEFAULT].sides[FITTED].metrics

    without = figures(dataclasses.replace(split, still_trans_m=None))
    places = torch.zeros(split.frame_count, 3) + torch.tensor([0.0, 0.0, 4.0])
    found = figures(dataclasses.replace(split, still_trans_m=places))
    assert without.items() <= found.items()
    assert {"wa_mpjpe_100", "w_mpjpe_100", "jitter_10_m_s3"} <= found.keys() - without.keys()
    assert 0 < found["wa_mpjpe_100"] < 300


def _standing(places_m: np.ndarray, turn: np.ndarray) -> Body:
    """Bodies at rest that stand on the floor at places (N, 2) for ten frames each, in the axes of a tilted camera."""
    trans = np.repeat(np.insert(np.asarray(places_m, dtype=float), 1, 0.0, axis=1), 10, axis=0) @ turn.T
    poses = np.zeros((len(trans), 72))
    poses[:, :3] = Rotation.from_matrix(turn).as_rotvec()
    # The root turns about the pelvis, not about the origin, which shifts all of them alike.
    return Body(poses, np.zeros(10), trans + np.array((0.0, 0.0, 4.0)))


def test_bodies_are_said_to_be_below_and_above_the_floor_that_true_ones_stand_on(assets):
    turn = Rotation.from_euler("xz", (200, 5), degrees=True).as_matrix()
    scorer, true = PathScorer(assets), _standing([(0, 0), (1, 0.3), (-0.5, 1)], turn)
    for rise_m, penetration, floating in ((0.0, 0, 0), (-0.02, 20, 0), (0.015, 0, 15)):
        found = scorer.score(true._replace(trans_m=true.trans_m + rise_m * turn[:, 1]), true, 30.0).means()
        assert found["penetration_mm"] == pytest.approx(penetration, abs=0.6)
        assert found["float_mm"] == pytest.approx(floating, abs=0.6)
    # Who only stands in one place does not tell how the floor slopes.
    for places in ([(0, 0)], [(0, 0), (0, 0)]):
        one = _standing(places, turn)
        assert not {"penetration_mm", "float_mm"} & scorer.score(one, one, 30.0).means().keys()
