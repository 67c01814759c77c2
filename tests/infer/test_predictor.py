"""The whole of inference, on random weights where arithmetic counts and on the shipped ones where accuracy does."""

import weakref

import numpy as np
import pytest
import roma
import torch

from kinemesh.body.mirror import mirror_axis_angle, mirror_keypoints
from kinemesh.body.params import poses_between, rotations_from_axis_angle
from kinemesh.body.skeleton import H36M_JOINT_NAMES, VERTEX_LANDMARKS
from kinemesh.demo.body import CHECKPOINT_PATH
from kinemesh.estimates.predictions import at_rate, load_predictions
from kinemesh.fit.landmarks import BodyPoints
from kinemesh.geometry.camera import project
from kinemesh.geometry.keypoints import scale_by_width
from kinemesh.geometry.rotation import rotation_angle
from kinemesh.infer import MeshPredictor, Settings, windows
from kinemesh.infer.estimates import match_people
from kinemesh.infer.people import Person
from kinemesh.keypoints import Detections
from kinemesh.keypoints.arrays import detections_of_array
from kinemesh.keypoints.formats import shown_joints
from tests.refusals import refused, refuses

SIZE = (1280, 720)


def angles_between(first: np.ndarray, second: np.ndarray) -> float:
    one, other = (rotations_from_axis_angle(torch.from_numpy(pose)) for pose in (first, second))
    return rotation_angle(one.mT @ other).max().item()


@pytest.fixture(scope="module")
def long_keypoints(demo_video) -> np.ndarray:
    """(360, 17, 3) network keypoints."""
    keypoints = np.concatenate([demo_video.keypoints_px[0]] * 3)
    return scale_by_width(keypoints, SIZE)


def test_together_is_as_one_by_one(tiny_predictor, demo_video):
    predictor = tiny_predictor()
    # Fitted bodies stand on one floor, which is found by all of them.
    together = predictor.predict(demo_video.keypoints_px, image_size=SIZE, fps=30, fit="none")
    assert [track.name for track in together] == ["0", "1"]
    for number, track in enumerate(together):
        (alone,) = predictor.predict(demo_video.keypoints_px[number], image_size=SIZE, fps=30, fit="none")
        assert angles_between(track.poses, alone.poses) < 1e-3
        np.testing.assert_allclose(track.betas, alone.betas, atol=1e-5)
        np.testing.assert_allclose(track.trans_m, alone.trans_m, atol=1e-3)
        np.testing.assert_array_equal(track.frame_ids, alone.frame_ids)


def test_a_model_that_crops_for_itself_is_told_where_in_the_picture_people_are(tiny_predictor, demo_video):
    predictor, keypoints = tiny_predictor(), demo_video.keypoints_px[:1].copy()
    assert predictor.config.crop_input
    by_width, by_box = (
        predictor.predict(keypoints, image_size=SIZE, fps=30, is_pixel=is_pixel)[0] for is_pixel in (True, False)
    )
    np.testing.assert_array_equal(by_width.poses, by_box.poses)
    keypoints[..., 0] += 200
    (moved,) = predictor.predict(keypoints, image_size=SIZE, fps=30)
    assert angles_between(moved.poses, by_width.poses) > 1e-3


def test_batches_of_windows_change_nothing(tiny_predictor, long_keypoints, monkeypatch):
    predictor = tiny_predictor()
    whole = predictor.predict_arrays(long_keypoints, [300, 60], [0, 1], clip_len=16)
    monkeypatch.setattr("kinemesh.infer.predictor._FRAMES_AT_ONCE", 1)
    single = predictor.predict_arrays(long_keypoints, [300, 60], [0, 1], clip_len=16)
    assert angles_between(whole[0], single[0]) < 1e-3
    np.testing.assert_allclose(whole[1], single[1], atol=1e-5)


def test_flip_test_makes_the_mirror_image_of_the_mirror_image(tiny_predictor, long_keypoints):
    predictor = tiny_predictor()
    mirrored = mirror_keypoints(torch.from_numpy(long_keypoints)).numpy()
    found = [predictor.predict_arrays(points, [360], [0], clip_len=16) for points in (long_keypoints, mirrored)]
    back = mirror_axis_angle(torch.from_numpy(found[1][0])).numpy()
    assert angles_between(found[0][0], back) < 1e-3
    np.testing.assert_allclose(found[0][1], found[1][1], atol=1e-5)
    plain = [
        predictor.predict_arrays(points, [360], [0], clip_len=16, is_flip_tested=False)[0]
        for points in (long_keypoints, mirrored)
    ]
    back = mirror_axis_angle(torch.from_numpy(plain[1])).numpy()
    assert angles_between(plain[0], back) > 0.01
    # The mean lies halfway between the two: the same angle from each, and half of theirs.
    mean, one, other = (rotations_from_axis_angle(torch.from_numpy(pose[:8])) for pose in (found[0][0], plain[0], back))
    first_window = rotation_angle(mean[0].mT @ one[0]), rotation_angle(mean[0].mT @ other[0])
    torch.testing.assert_close(*first_window, atol=2e-3, rtol=0)
    torch.testing.assert_close(2 * first_window[0], rotation_angle(one[0].mT @ other[0]), atol=4e-3, rtol=0)


def test_no_seam_in_what_a_network_predicts(tiny_predictor, long_keypoints):
    smooth = np.repeat(long_keypoints[::12], 12, axis=0)
    kernel = np.hanning(49) / np.hanning(49).sum()
    smooth = np.apply_along_axis(lambda column: np.convolve(column, kernel, mode="same"), 0, smooth)[40:-40]
    poses, _ = tiny_predictor().predict_arrays(smooth.astype(np.float32), [len(smooth)], [0], clip_len=16)
    rotations = rotations_from_axis_angle(torch.from_numpy(poses))
    speed = rotation_angle(rotations[:-1].mT @ rotations[1:])
    jumps = speed.diff(dim=0).abs().mean(dim=1)
    at_border = torch.zeros(len(jumps), dtype=torch.bool)
    for border in range(8, len(smooth) - 8, 8):
        at_border[border - 1] = True
    inner = slice(16, -16)
    assert jumps[inner][at_border[inner]].mean() < 1.1 * jumps[inner][~at_border[inner]].mean()


def test_memory_does_not_grow_with_the_video(tiny_predictor, long_keypoints, monkeypatch):
    """Of all that the network gives, only what the next windows still see is alive at any time."""
    predictor = tiny_predictor()
    monkeypatch.setattr("kinemesh.infer.predictor._FRAMES_AT_ONCE", 64)
    given, alive, longest = [], [], []
    forward, project = predictor.model.forward, windows.nearest_rotation

    def watched(*inputs):
        alive.append(sum(reference() is not None for reference in given))
        body = forward(*inputs)
        given.append(weakref.ref(body.rotations))
        longest.append(len(body.rotations.flatten(0, 1)))
        return body

    def watched_projection(sums):
        longest.append(len(sums))
        return project(sums)

    monkeypatch.setattr(predictor.model, "forward", watched)
    monkeypatch.setattr(windows, "nearest_rotation", watched_projection)
    keypoints = np.concatenate([long_keypoints] * 4)
    predictor.predict_arrays(keypoints, [len(keypoints)], [0], clip_len=16, is_flip_tested=False)
    assert len(alive) > 40
    assert max(alive) == 1  # the last ones, until they are replaced
    assert max(longest) <= 64


def test_shape_is_one_and_weighed_by_confidence(tiny_predictor, long_keypoints):
    predictor = tiny_predictor()
    first, second = long_keypoints[:16], long_keypoints[40:56].copy()
    alone = [predictor.predict_arrays(points, [16], [0], clip_len=16)[1][0] for points in (first, second)]
    joined = np.concatenate((first, second))
    mean = predictor.predict_arrays(joined, [16, 16], [0, 0], clip_len=16)[1][0]
    share = first[..., 2].sum() / joined[..., 2].sum()
    np.testing.assert_allclose(mean, share * alone[0] + (1 - share) * alone[1], atol=2e-4)
    separate = predictor.predict_arrays(joined, [16, 16], [0, 1], clip_len=16)[1]
    np.testing.assert_allclose(separate, alone, atol=1e-5)


def test_short_long_and_missing(tiny_predictor, demo_video):
    """One frame; a gap that is filled and one that is not; time is kept."""
    predictor = tiny_predictor()
    keypoints = demo_video.keypoints_px[0].copy()
    (one,) = predictor.predict(keypoints[:1], image_size=SIZE)
    assert one.poses.shape == (1, 72)
    keypoints[20:26, :, 2] = 0
    keypoints[50:90, :, 2] = 0
    found = predictor.infer(detections_of_array(keypoints), image_size=SIZE, fps=30)
    (track,) = found.tracks
    assert track.frame_ids.tolist() == [*range(50), *range(90, 120)]
    assert np.flatnonzero(track.interpolated).tolist() == list(range(20, 26))
    assert (track.confidence[track.interpolated] == 0).all()
    (unfitted,) = predictor.predict(keypoints, image_size=SIZE, fit="none")
    seen = unfitted.frame_ids[~unfitted.interpolated]
    between = poses_between(unfitted.poses[~unfitted.interpolated], seen, np.arange(20, 26))
    np.testing.assert_allclose(unfitted.poses[20:26], between, atol=1e-6)
    facts = found.people["0"]
    assert (facts["gaps_interpolated"], facts["gaps_left_open"], facts["frames_interpolated"]) == (1, 1, 6)
    for name, dtype in (("poses", "f4"), ("betas", "f4"), ("trans_m", "f4"), ("confidence", "f4"), ("frame_ids", "i8")):
        assert getattr(track, name).dtype == np.dtype(dtype), name
        assert np.isfinite(getattr(track, name)).all(), name


def test_windows_beyond_the_models_length_are_cut_where_no_track_is_longer(tiny_predictor, demo_video):
    given = detections_of_array(demo_video.keypoints_px[:1, :64])
    for name in ("overlap", "released"):
        longer, whole = (
            tiny_predictor().infer(given, image_size=SIZE, fps=30, settings=Settings(windows=name, clip_len=clip_len))
            for clip_len in (500, 64)
        )
        assert (longer.clip_len, whole.clip_len) == (64, 64)
        np.testing.assert_array_equal(longer.tracks[0].trans_m, whole.tracks[0].trans_m)
    with refused("--clip_len 500: expected 1 to 64"):
        tiny_predictor().predict(demo_video.keypoints_px[:1, :65], image_size=SIZE, clip_len=500)


def test_smoothing_lowers_jitter(tiny_predictor, demo_video):
    given = detections_of_array(demo_video.keypoints_px)
    settings = [Settings(smooth_s=seconds, fit="none") for seconds in (0.0, 0.3)]
    found = (tiny_predictor().infer(given, image_size=SIZE, fps=30, settings=each) for each in settings)
    plain, smooth = (one.people["0"] for one in found)
    assert smooth["jitter_after_m_per_s3"] < 0.7 * plain["jitter_after_m_per_s3"]
    assert smooth["jitter_before_m_per_s3"] == pytest.approx(plain["jitter_before_m_per_s3"], rel=0.05)


def write_predictions(path, demo_video, people, frames, video="walk", numbers=None, **more):
    """`numbers`: what the file calls these frames."""
    rows = [(person, frame) for person in people for frame in frames]
    places = tuple(np.array(rows).T)
    np.savez(
        path, video=np.full(len(rows), video), frame=np.tile(frames if numbers is None else numbers, len(people)), **more,
        person=np.array([f"p{person}" for person, _ in rows]),
        poses=demo_video.poses[places], betas=demo_video.betas[places[0]],
    )  # fmt: skip
    return load_predictions(path)


def test_an_untrained_refiner_returns_the_estimate(tiny_predictor, demo_video, tmp_path):
    """People are matched by fit, since two programs name them otherwise and in another order."""
    refiner = tiny_predictor("refiner")
    torch.nn.init.zeros_(refiner.model.head.head_pose.weight)
    torch.nn.init.zeros_(refiner.model.head.head_pose.bias)
    predictions = write_predictions(tmp_path / "p.npz", demo_video, (1, 0), range(120))
    given = detections_of_array(demo_video.keypoints_px)
    settings = Settings(focal_px=demo_video.camera.focal_px, fit="none")
    told = {"settings": settings, "predictions": predictions, "video_names": ("walk",)}
    found = refiner.infer(given, image_size=SIZE, fps=30, **told)
    for person, track in enumerate(found.tracks):
        assert track.name == str(person)
        assert angles_between(track.poses, demo_video.poses[person].astype(np.float32)) < 5e-3
        np.testing.assert_allclose(track.betas, demo_video.betas[person], atol=1e-4)
        assert found.people[track.name]["reprojection_error_px"] < 12
        assert found.people[track.name]["frames_unrefined"] == 120


def test_numbers_that_two_programs_gave_the_other_way_round_do_not_count(tiny_predictor, demo_video, tmp_path):
    refiner = tiny_predictor("refiner")
    predictions = write_predictions(tmp_path / "p.npz", demo_video, (1, 0), range(40))
    given = detections_of_array(demo_video.keypoints_px[:, :40])
    names = {"0": "p1", "1": "p0"}  # the file's names, each other's
    given = given._replace(person=np.array([names[name] for name in given.person.tolist()]))
    settings = Settings(focal_px=demo_video.camera.focal_px, fit="none")
    found = refiner.infer(given, image_size=SIZE, fps=30, settings=settings, predictions=predictions)
    for track in found.tracks:
        place = list(names.values()).index(track.name)
        np.testing.assert_allclose(track.betas, demo_video.betas[place], atol=1e-3)


def test_names_decide_where_bodies_fit_alike(demo_video, tmp_path):
    predictions = write_predictions(tmp_path / "p.npz", demo_video, (0, 1), range(4))
    people = [Person(name, np.arange(4), demo_video.keypoints_px[0, :4]) for name in ("p1", "p0")]
    matched = match_people(predictions, [0, 1], people, lambda *_: 0.2)
    assert [predictions.tracks[matched[place]].person for place in (0, 1)] == ["p1", "p0"]


def test_every_second_frame_predicted_is_as_good_as_all(assets, demo_video, tmp_path):
    """The others lie between, instead of standing still; those that are given stay."""
    predictor = MeshPredictor.without_network(assets)
    given = detections_of_array(demo_video.keypoints_px[:1])
    settings = Settings(focal_px=demo_video.camera.focal_px, fit="none")
    predictions = write_predictions(tmp_path / "p.npz", demo_video, (0,), range(0, 120, 2))
    (track,) = predictor.infer(given, image_size=SIZE, fps=30, settings=settings, predictions=predictions).tracks
    poses = demo_video.poses[0].astype(np.float32)
    np.testing.assert_array_equal(track.poses[::2], poses[::2])
    before, found, true = (
        rotations_from_axis_angle(torch.from_numpy(each))
        for each in (poses[:118:2], track.poses[1:119:2], poses[1:119:2])
    )
    assert rotation_angle(found.mT @ true).mean() < 0.25 * rotation_angle(before.mT @ true).mean()


def test_frames_far_from_any_prediction_are_left_out(tiny_predictor, demo_video, tmp_path):
    refiner = tiny_predictor("refiner")
    predictions = write_predictions(tmp_path / "p.npz", demo_video, (0,), range(60), video="other")
    given = detections_of_array(demo_video.keypoints_px)
    (track,) = refiner.infer(given, image_size=SIZE, fps=30, predictions=predictions, video_names=("walk",)).tracks
    assert track.name == "0"
    assert track.frame_ids[-1] == 59 + 15
    late = write_predictions(tmp_path / "late.npz", demo_video, (0,), range(100, 110))
    with refused("none of its frames is one in which somebody was detected"):
        refiner.infer(detections_of_array(demo_video.keypoints_px[:, :50]), image_size=SIZE, fps=30, predictions=late)


@pytest.mark.parametrize(
    ("fps", "frames", "numbers", "told", "theirs"),
    [
        (30, range(0, 120, 2), range(60), "they are of 15 frames a second: --predictions_fps 15", 15),
        (30, range(120), range(0, 240, 2), "they are of 60 frames a second: --predictions_fps 60", 60),
        (30, [round(1.2 * frame) for frame in range(100)], range(100), "--predictions_fps 25", 25),
        # At 30 a second nobody moves far enough for one frame to show.
        (5, range(0, 114, 6), range(1, 20), "frames are counted one too low: --first_frame 0", None),
        (5, range(6, 120, 6), range(19), "frames are counted one too high: --first_frame 1", None),
        (30, range(120), range(120), "", None),
    ],
)  # fmt: skip
def test_bodies_of_another_clock_are_told_and_read_by_their_own_rate(
    fps, frames, numbers, told, theirs, tiny_predictor, demo_video, tmp_path, caplog
):
    step = 30 // fps
    refiner = tiny_predictor("refiner")
    given = detections_of_array(demo_video.keypoints_px[:, ::step])
    settings = Settings(focal_px=demo_video.camera.focal_px, fit="none")

    def misplaced(predictions) -> float:
        options = {"fps": fps, "settings": settings, "predictions": predictions}
        with caplog.at_level("WARNING", "kinemesh"):
            tracks = refiner.infer(given, image_size=SIZE, **options).tracks
        true = [demo_video.poses[int(track.name)][track.frame_ids * step] for track in tracks]
        return max(np.abs(track.poses - poses).mean() for track, poses in zip(tracks, true, strict=True))

    predictions = write_predictions(tmp_path / "p.npz", demo_video, (0, 1), frames, numbers=numbers)
    as_they_are = misplaced(predictions)
    assert ("from the keypoints, likely since" in caplog.text) == bool(told)
    assert told in caplog.text
    if theirs is not None:
        caplog.clear()
        assert misplaced(at_rate(predictions, fps, theirs)) < 0.5 * as_they_are
        assert all(record.levelname == "INFO" for record in caplog.records)
        rate = np.array(float(theirs))
        said = write_predictions(tmp_path / "p.npz", demo_video, (0, 1), frames, numbers=numbers, fps=rate)
        np.testing.assert_array_equal(at_rate(said, fps).frame, at_rate(predictions, fps, theirs).frame)


def test_bodies_of_a_world_without_a_camera_are_turned_to_their_keypoints(assets, demo_video, tmp_path, caplog):
    """z up, and seen from any side by a camera that is not level."""
    caplog.set_level("INFO")
    turn = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
    about, tilt = (
        roma.rotvec_to_rotmat(torch.tensor(vector)).double().numpy() for vector in ([0, 0, 2.0], [0.2, 0, 0.0])
    )
    for number, poses in enumerate(demo_video.poses[:, :40]):
        root = torch.from_numpy(about @ turn @ tilt) @ roma.rotvec_to_rotmat(torch.from_numpy(poses[:, :3]).double())
        poses = np.concatenate((roma.rotmat_to_rotvec(root).numpy(), poses[:, 3:]), axis=1)
        more = {"frame_ids": np.arange(40), "mocap_framerate": 30.0}
        np.savez(tmp_path / f"{number}.npz", poses=poses, betas=demo_video.betas[number], **more)
    found = MeshPredictor.without_network(assets, "cpu").infer(
        detections_of_array(demo_video.keypoints_px[:, :40]), image_size=SIZE, fps=30, predictions=load_predictions(tmp_path),
        settings=Settings(focal_px=demo_video.camera.focal_px, fit="none"),
    )  # fmt: skip
    for person, track in enumerate(found.tracks):
        assert angles_between(track.poses, demo_video.poses[person, :40].astype(np.float32)) < np.radians(3)
    assert "a world without a camera: turned by" in caplog.text


def test_of_two_bodies_that_fall_on_one_frame_the_nearer_is_taken(demo_video, tmp_path):
    fast = write_predictions(tmp_path / "p.npz", demo_video, (0, 1), range(60))
    taken = at_rate(fast, 30, 60)
    assert taken.frame.tolist() == list(range(31)) * 2
    np.testing.assert_array_equal(taken.poses[:30], fast.poses[:60:2])
    wrong = write_predictions(tmp_path / "p.npz", demo_video, (0,), range(9), fps=np.array(0.0))
    refuses(r"p.npz: row 0 .+'fps' is 0\. Expected 0.01 to 1000 frames a second", at_rate, wrong, 30)
    refuses("predictions_fps is 5000. Expected", at_rate, fast, 30, 5000)


def test_what_does_not_go_together_is_said(tiny_predictor, assets, demo_video, tmp_path):
    given = detections_of_array(demo_video.keypoints_px)
    predictions = write_predictions(tmp_path / "p.npz", demo_video, (0,), range(9))
    with refused("--predictions is missing: without a network the bodies are another estimator's"):
        MeshPredictor.without_network(assets, "cpu").infer(given, image_size=SIZE, fps=30)
    with refused("holds a refiner, which needs --predictions"):
        tiny_predictor("refiner").infer(given, image_size=SIZE, fps=30)
    refuses("holds a regressor", tiny_predictor().infer, given, image_size=SIZE, fps=30, predictions=predictions)
    with refused("--clip_len 65: expected 1 to 64, the model's maxlen, as a track has 120 frames"):
        tiny_predictor().predict(demo_video.keypoints_px, image_size=SIZE, clip_len=65)
    with refused("--clip_len 0: expected 1 to 64"):
        tiny_predictor().predict(demo_video.keypoints_px, image_size=SIZE, clip_len=0)
    with refused("windows 'both': expected 'overlap' or 'released'"):
        tiny_predictor().predict(demo_video.keypoints_px, image_size=SIZE, windows="both")
    with refused("fit 'mesh': expected 'keypoints' or 'none'"):
        tiny_predictor().predict(demo_video.keypoints_px, image_size=SIZE, fit="mesh")
    with refused("--ref_3d_motion_path: 7 frames. Expected the person's 120 frames"):
        tiny_predictor().infer(given, image_size=SIZE, fps=30, focus="0", reference=np.zeros((7, 17, 3)))


def test_a_reference_leaves_out_frames_without_keypoints(tiny_predictor, demo_video):
    given = detections_of_array(demo_video.keypoints_px)
    is_seen = demo_video.keypoints_px[1, :, :, 2].any(axis=-1)
    assert not is_seen.all()
    reference = demo_video.joints_m[1, is_seen]
    found = tiny_predictor().infer(given, image_size=SIZE, fps=30, focus="1", reference=reference)
    assert found.people["1"]["reference_scale_m"] > 0
    assert len(found.tracks[0].trans_m) == 120


def test_a_model_whose_numbers_go_wrong_is_an_error(tiny_predictor, demo_video):
    predictor = tiny_predictor()
    torch.nn.init.constant_(predictor.model.head.head_shape.weight, 3e38)
    with refused("the model's output is not finite. Give another checkpoint"):
        predictor.predict(demo_video.keypoints_px, image_size=SIZE, fps=30)


_HEAD, _FOOT = ("left_ear", "nose_tip"), ("left_heel", "left_big_toe")


@pytest.mark.parametrize(("order", "count", "part"), [("coco17", 17, _HEAD), ("halpe26", 26, _FOOT)])
def test_what_a_detector_shows_beside_the_17_says_how_head_and_feet_lie(assets, demo_video, order, count, part):
    """COCO has no head top but the eyes, which tip a head that is fitted to them as such; Halpe-26 has feet."""
    predictor = MeshPredictor.load(CHECKPOINT_PATH, device="cpu", assets=assets)
    body = BodyPoints(assets, (*H36M_JOINT_NAMES, *VERTEX_LANDMARKS))

    def places_m(poses: np.ndarray, betas: np.ndarray) -> np.ndarray:
        shape = torch.from_numpy(betas).float().expand(len(poses), -1)
        places = body.places(rotations_from_axis_angle(torch.from_numpy(poses).float()), shape).numpy()
        return places - places[:, :1]

    true = places_m(demo_video.poses[0], demo_video.betas[0])
    seen = project(true + demo_video.joints_m[0][:, :1], demo_video.camera.focal_px, demo_video.camera.centre_px)
    keypoints = np.zeros((len(seen), count, 3), dtype=np.float32)
    for name, joints in shown_joints(order, count).items():
        if len(joints) == 1:
            keypoints[:, joints[0], :2], keypoints[:, joints[0], 2] = seen[:, body.names.index(name)], 1.0
    rows = Detections(np.arange(len(seen)), np.array(["0"] * len(seen)), keypoints, order)
    as_17 = rows._replace(keypoints_px=rows.as_h36m(), joint_order="h36m17")
    settings = Settings(focal_px=demo_video.camera.focal_px, is_pixel=True)
    away = []
    for detections in (rows, as_17):
        (track,) = predictor.infer(detections, image_size=SIZE, fps=30, settings=settings).tracks
        directions = [
            np.subtract(*(places[:, body.names.index(name)] for name in part))
            for places in (places_m(track.poses, track.betas), true)
        ]
        one, other = (direction / np.linalg.norm(direction, axis=1, keepdims=True) for direction in directions)
        away.append(np.degrees(np.arccos((one * other).sum(axis=1))).mean())
    assert away[0] < 0.7 * away[1]
