"""Fitted bodies are nearer to the truth, in stretches as in one piece, and never worse than the estimator's."""

import numpy as np
import pytest
import torch

from kinemesh.body.kinematics import JointKinematics
from kinemesh.body.skeleton import H36M_JOINT_NAMES, H36M_MIRROR_ORDER
from kinemesh.fit import stretches, tracks
from kinemesh.fit.landmarks import BodyPoints
from kinemesh.fit.solve import fit_motion
from kinemesh.fit.tracks import fit_tracks

from .conftest import CAMERA, FPS

SHAKY_MM = 2.0  # a frame may be worse by so much in the mean of a clip


@pytest.fixture(scope="module")
def kinematics(stand_in) -> JointKinematics:
    return JointKinematics(stand_in.assets)


def largest_distance_mm(kinematics, *tracks) -> float:
    from .conftest import _joints_mm

    placed = [
        _joints_mm(kinematics, one.poses, one.betas) + 1000 * torch.from_numpy(one.trans_m)[:, None] for one in tracks
    ]
    return (placed[0] - placed[1]).norm(dim=-1).max().item()


@pytest.mark.parametrize("kind", ["walk", "dance", "sit"])
def test_a_fit_comes_nearer_to_keypoints_and_to_the_truth(body, kinematics, make_clip, kind):
    before, after = [], []
    for seed in (0, 1, 3):
        clip = make_clip(kind=kind, seed=seed)
        (fitted,), (facts,) = fit_tracks(body, [clip.track], [clip.keypoints_px], CAMERA, FPS)
        assert facts.reprojection_error_after_px < 0.5 * facts.reprojection_error_before_px
        assert facts.frames_kept == facts.frames_sides_exchanged == 0
        before.append(clip.pa_mm(kinematics, clip.track).mean())
        after.append(clip.pa_mm(kinematics, fitted).mean())
        assert after[-1] < before[-1]
    assert np.mean(after) < 0.6 * np.mean(before)


def test_a_start_that_is_right_stays_right(body, kinematics, make_clip):
    clip = make_clip(degrees=0.5, noise_px=6.0)
    (fitted,), (facts,) = fit_tracks(body, [clip.track], [clip.keypoints_px], CAMERA, FPS)
    assert facts.strength_degrees < 5
    assert clip.pa_mm(kinematics, fitted).mean() < clip.pa_mm(kinematics, clip.track).mean() + SHAKY_MM


def test_places_do_not_tremble_with_the_keypoints(body, make_clip):
    """Keypoints err anew in every frame by 6 pixels, 27 mm at this distance; a body in its place does not."""
    clip = make_clip(frames=90, degrees=3.0, noise_px=6.0)
    (fitted,), _ = fit_tracks(body, [clip.track], [clip.keypoints_px], CAMERA, FPS)
    assert np.linalg.norm(np.diff(fitted.trans_m, n=3, axis=0), axis=1).mean() < 0.03


def test_a_wrong_start_is_believed_less_than_a_good_one(body, make_clip):
    clips = [make_clip(degrees=degrees) for degrees in (1.0, 5.0, 15.0)]
    _, facts = fit_tracks(body, [clip.track for clip in clips], [clip.keypoints_px for clip in clips], CAMERA, FPS)
    strengths = [fact.strength_degrees for fact in facts]
    assert strengths == sorted(strengths) and strengths[0] < 0.3 * strengths[2]


def test_people_together_are_fitted_as_one_by_one(body, kinematics, make_clip):
    clips = [make_clip(frames=frames, seed=frames) for frames in (20, 45, 31)]
    together, _ = fit_tracks(body, [clip.track for clip in clips], [clip.keypoints_px for clip in clips], CAMERA, FPS)
    for clip, one in zip(clips, together, strict=True):
        (alone,), _ = fit_tracks(body, [clip.track], [clip.keypoints_px], CAMERA, FPS)
        assert largest_distance_mm(kinematics, one, alone) < 0.5


def test_a_long_track_in_stretches_is_fitted_as_in_one_piece(body, kinematics, make_clip, monkeypatch):
    clip = make_clip(frames=3000, seed=2)
    pieces, _ = fit_tracks(body, [clip.track], [clip.keypoints_px], CAMERA, FPS)
    monkeypatch.setitem(stretches._STRETCH_FRAMES, "cpu", 3000)
    (whole,), _ = fit_tracks(body, [clip.track], [clip.keypoints_px], CAMERA, FPS)
    assert largest_distance_mm(kinematics, pieces[0], whole) < 1.0


def test_single_precision_is_enough(stand_in, body, kinematics, make_clip):
    clip = make_clip()
    exact = BodyPoints(stand_in.assets, dtype=torch.float64)
    (single,), (double,) = (
        fit_tracks(points, [clip.track], [clip.keypoints_px], CAMERA, FPS)[0] for points in (body, exact)
    )
    assert largest_distance_mm(kinematics, single, double) < 0.5


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_gives_the_cpus_fit(stand_in, body, kinematics, make_clip):
    clips = [make_clip(frames=frames, seed=frames) for frames in (20, 700)]
    given = [clip.track for clip in clips], [clip.keypoints_px for clip in clips], CAMERA, FPS
    on_cpu, _ = fit_tracks(body, *given)
    on_gpu, _ = fit_tracks(BodyPoints(stand_in.assets).to("cuda"), *given)
    for one, other in zip(on_cpu, on_gpu, strict=True):
        assert largest_distance_mm(kinematics, one, other) < 1.0


def test_gaps_are_borders(body, make_clip):
    """Frames before a gap know nothing of those after it, but for the shape."""
    clip = make_clip(frames=120)
    apart = clip.track._replace(frame_ids=np.r_[np.arange(60), np.arange(160, 220)])
    (fitted,), _ = fit_tracks(body, [apart], [clip.keypoints_px], CAMERA, FPS)
    (tied,), _ = fit_tracks(body, [clip.track], [clip.keypoints_px], CAMERA, FPS)
    assert np.abs(fitted.poses[59] - tied.poses[59]).max() > 1e-4
    np.testing.assert_allclose(fitted.poses[0], tied.poses[0], atol=0.02)


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_short_tracks_are_fitted(body, kinematics, make_clip, frames):
    clip = make_clip(frames=30)
    first = {name: getattr(clip.track, name)[:frames] for name in ("frame_ids", "poses", "trans_m")}
    track = clip.track._replace(**first)
    (fitted,), (facts,) = fit_tracks(body, [track], [clip.keypoints_px[:frames]], CAMERA, FPS)
    assert np.isfinite(fitted.poses).all() and fitted.poses.shape == (frames, 72)
    assert facts.reprojection_error_after_px < facts.reprojection_error_before_px


def test_interpolated_frames_of_lifted_bodies_follow_the_motion_around_them(body, kinematics, make_clip):
    """The network saw nothing there, and its bodies are far off."""
    clip = make_clip(frames=60, degrees=3.0)
    poses, hidden = clip.track.poses.copy(), slice(25, 35)
    poses[hidden, :3] = poses[hidden, :3][:, [0, 2, 1]] + 0.5
    keypoints = clip.keypoints_px.copy()
    keypoints[hidden, :, 2] = 0.0
    is_hidden = np.zeros(60, bool)
    is_hidden[hidden] = True
    track = clip.track._replace(poses=poses, interpolated=is_hidden)
    (fitted,), (facts,) = fit_tracks(body, [track], [keypoints], CAMERA, FPS, are_lifted=True)
    turned = np.abs(fitted.poses[hidden, :3] - clip.true_poses[hidden, :3]).max()
    assert turned < 0.35 < np.abs(poses[hidden, :3] - clip.true_poses[hidden, :3]).max()
    assert facts.frames_kept == 0


def test_another_estimators_bodies_stay_near_where_no_keypoints_are(body, kinematics, make_clip):
    """It may see in the picture what a detector does not: half a second without keypoints harms no good body."""
    for kind in ("kick", "dance"):
        clip = make_clip(kind=kind, degrees=1.0)
        keypoints, is_hidden = clip.keypoints_px.copy(), np.zeros(60, bool)
        is_hidden[25:40] = True
        keypoints[is_hidden, :, 2] = 0.0
        (fitted,), _ = fit_tracks(body, [clip.track._replace(interpolated=is_hidden)], [keypoints], CAMERA, FPS)
        before, after = (clip.pa_mm(kinematics, track)[is_hidden].mean() for track in (clip.track, fitted))
        assert after < before


def _joints(*parts: str) -> list[int]:
    return [number for number, name in enumerate(H36M_JOINT_NAMES) if name.endswith(parts)]


def _swap_sides(keypoints, rng):
    keypoints[20:35] = keypoints[20:35][:, H36M_MIRROR_ORDER]


def _swap_legs(keypoints, rng):
    keypoints[20:35, 1:7] = keypoints[20:35][:, [4, 5, 6, 1, 2, 3]]


def _throw_some_far_off(keypoints, rng):
    is_far = rng.random(keypoints.shape[:2]) < 0.1
    keypoints[is_far, :2] += rng.normal(0.0, 120.0, (is_far.sum(), 2))
    keypoints[is_far, 2] = 1.0


def _hide_legs(keypoints, rng):
    keypoints[:, _joints("knee", "ankle"), 2] = 0.0
    keypoints[:, _joints("knee", "ankle"), :2] = 0.0


def _guess_legs(keypoints, rng):
    legs = _joints("knee", "ankle")
    keypoints[:, legs, :2] = keypoints[:, [1, 1, 4, 4], :2] + rng.normal(0.0, 20.0, (len(keypoints), 4, 2))
    keypoints[:, legs, 2] = 0.3


def _take_another_person(keypoints, rng):
    keypoints[20:35, :, :2] = keypoints[20:35][::-1, ::-1, :2] + (150.0, 0.0)


def _hide_all(keypoints, rng):
    keypoints[20:40, :, 2] = 0.0


def _lie_about_confidence(keypoints, rng):
    keypoints[..., 2] = rng.random(keypoints.shape[:2])


HARMS = (
    _swap_sides, _swap_legs, _throw_some_far_off, _hide_legs, _guess_legs, _take_another_person, _hide_all,
    _lie_about_confidence,
)  # fmt: skip


@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.__name__.strip("_"))
@pytest.mark.parametrize("degrees", [3.0, 7.0])
def test_bad_keypoints_do_no_harm(body, kinematics, make_clip, harm, degrees):
    clip = make_clip(degrees=degrees, seed=1)
    keypoints = clip.keypoints_px.copy()
    harm(keypoints, np.random.default_rng(0))
    (fitted,), _ = fit_tracks(body, [clip.track], [keypoints], CAMERA, FPS)
    before, after = (clip.pa_mm(kinematics, track) for track in (clip.track, fitted))
    assert after.mean() < before.mean() + SHAKY_MM
    assert after[20:35].mean() < before[20:35].mean() + 2 * SHAKY_MM
    assert np.isfinite(fitted.poses).all() and np.isfinite(fitted.trans_m).all()


@pytest.mark.parametrize("factor", [0.7, 1.4])
def test_a_wrong_focal_length_does_no_harm(body, kinematics, make_clip, factor):
    clip = make_clip(degrees=6.0)
    camera = CAMERA._replace(focal_px=CAMERA.focal_px * factor)
    track = clip.track._replace(trans_m=clip.track.trans_m * np.float32([1, 1, factor]))
    (fitted,), _ = fit_tracks(body, [track], [clip.keypoints_px], camera, FPS)
    assert clip.pa_mm(kinematics, fitted).mean() < clip.pa_mm(kinematics, clip.track).mean()


def test_what_is_done_about_bad_keypoints_is_counted(body, make_clip):
    clip = make_clip(degrees=3.0, seed=1)
    swapped, another = clip.keypoints_px.copy(), clip.keypoints_px.copy()
    _swap_sides(swapped, None)
    _take_another_person(another, None)
    _, facts = fit_tracks(body, [clip.track] * 2, [swapped, another], CAMERA, FPS)
    assert 8 <= facts[0].frames_sides_exchanged <= 15 and facts[0].frames_kept == 0
    assert 12 <= facts[1].frames_kept <= 20


def test_where_keypoints_are_anothers_the_estimators_body_stays(body, make_clip):
    clip = make_clip(degrees=3.0, seed=1)
    keypoints = clip.keypoints_px.copy()
    _take_another_person(keypoints, None)
    (fitted,), _ = fit_tracks(body, [clip.track], [keypoints], CAMERA, FPS)
    np.testing.assert_allclose(fitted.poses[20:35], clip.track.poses[20:35], atol=1e-4)
    steps = np.abs(np.diff(fitted.trans_m, axis=0)).max()
    assert steps < 0.1


def test_knees_and_elbows_do_not_bend_backwards(body, make_clip):
    """Keypoints of overstretched joints, seen from the side."""
    clip = make_clip(degrees=1.0, kind="idle")
    keypoints = clip.keypoints_px.copy()
    for knee, ankle in ((2, 3), (5, 6)):
        shank = keypoints[:, ankle, :2] - keypoints[:, knee, :2]
        keypoints[:, ankle, :2] = keypoints[:, knee, :2] + 0.6 * shank + 0.6 * shank[:, ::-1] * (1, -1)
    (fitted,), _ = fit_tracks(body, [clip.track], [keypoints], CAMERA, FPS)
    bent = fitted.poses.reshape(-1, 24, 3)
    start = clip.track.poses.reshape(-1, 24, 3)
    allowed = np.degrees(np.minimum(start[:, [4, 5], 0], 0.0)) - 8.0
    assert (np.degrees(bent[:, [4, 5], 0]) > allowed).all()
    assert (np.degrees(-bent[:, 18, 1]) > np.degrees(np.minimum(-start[:, 18, 1], 0)) - 8.0).all()
    assert (np.degrees(bent[:, 19, 1]) > np.degrees(np.minimum(start[:, 19, 1], 0)) - 8.0).all()


@pytest.mark.parametrize("depth_m", [-1.0, 0.0, 1e-8])
def test_bodies_beside_or_behind_the_camera_come_out_as_numbers(body, make_clip, depth_m):
    """A wrong joint order or focal length can place a body there; nobody else's fit may suffer."""
    bad, good = make_clip(frames=20), make_clip(frames=20, seed=5)
    trans_m = bad.track.trans_m.copy()
    trans_m[::2, 2] = depth_m
    start = [bad.track._replace(trans_m=trans_m), good.track]
    (placed, beside), _ = fit_tracks(body, start, [bad.keypoints_px, good.keypoints_px], CAMERA, FPS)
    (alone,), _ = fit_tracks(body, [good.track], [good.keypoints_px], CAMERA, FPS)
    assert all(np.isfinite(part).all() for part in (placed.poses, placed.trans_m, placed.betas))
    np.testing.assert_allclose(beside.poses, alone.poses, atol=0.01)


def test_people_whose_equations_break_down_keep_the_estimators_body(body, make_clip, monkeypatch):
    clips = [make_clip(frames=20), make_clip(frames=20, seed=5)]

    def break_the_first(*given):
        fitted = fit_motion(*given)
        fitted.motion.betas[0, 3] = float("nan")
        fitted.motion.trans_m[7] = float("inf")
        return fitted

    monkeypatch.setattr(tracks, "fit_motion", break_the_first)
    made, facts = fit_tracks(body, [clip.track for clip in clips], [clip.keypoints_px for clip in clips], CAMERA, FPS)
    for part in ("poses", "trans_m", "betas"):
        np.testing.assert_allclose(getattr(made[0], part), getattr(clips[0].track, part), atol=1e-5)
    assert [fact.frames_kept for fact in facts] == [20, 0]
