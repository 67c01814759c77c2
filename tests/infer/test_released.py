"""`--windows released` gives the released script's vertices within 0.01 mm: its arithmetic is written out here, plainly."""

import json

import numpy as np
import pytest
import smplx
import torch
import yaml

from kinemesh.export.rig import mean_vertices_mm
from kinemesh.export.scene import Footage
from kinemesh.export.write import OutputChoices, write_outputs
from kinemesh.geometry.rotation import matrix_to_axis_angle
from kinemesh.infer import Settings
from kinemesh.keypoints.arrays import detections_of_array
from kinemesh.program.wild.cli import main
from kinemesh.render.video import read_frames, video_info
from kinemesh.structures import Timeline
from tests.keypoints.alphapose import write_alphapose
from tests.refusals import refused

SIZE, CLIP_LEN = (1280, 720), 15
LEFT_KEYPOINTS, RIGHT_KEYPOINTS = [4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]
SMPL_PAIRS = ((1, 2), (4, 5), (7, 8), (10, 11), (13, 14), (16, 17), (18, 19), (20, 21), (22, 23))
TOLERANCE_MM = 0.01
# What the script is given: a small picture, and few frames.
SHRUNK, LAST_FRAME = np.array([1 / 8, 1 / 8, 1]), 40
# As released models are: none crops its input.
RELEASED_MODEL = {"crop_input": False}


def scaled(keypoints_px: np.ndarray, is_pixel: bool) -> np.ndarray:
    points = keypoints_px.astype(np.float64)
    if is_pixel:
        points[..., :2] = (points[..., :2] - np.array(SIZE) / 2) / (min(SIZE) / 2)
        return points.astype(np.float32)
    seen = points[points[..., 2] != 0][:, :2]
    low, high = seen.min(axis=0), seen.max(axis=0)
    side = (high - low).max()
    points[..., :2] = ((points[..., :2] - (low + high - side) / 2) / side - 0.5) * 2
    return np.clip(points, -1, 1).astype(np.float32)


@pytest.fixture(scope="module")
def released_vertices(body_folder):
    """The released script's vertices (N, V, 3) mm of one person's detections (N, K, 3), float32."""
    smpl = smplx.create(str(body_folder / "SMPL_NEUTRAL.pkl"), "smpl")

    @torch.no_grad()
    def compute(model, keypoints_px, *, is_pixel=False, is_flip_tested=True, clip_len=CLIP_LEN) -> np.ndarray:
        points = torch.from_numpy(scaled(keypoints_px, is_pixel))
        found = []
        for start in range(0, len(points), clip_len):
            clip = points[start : start + clip_len]
            body = model(clip[None])
            rotations = body.rotations[0]
            given = {"global_orient": rotations[:, :1], "body_pose": rotations[:, 1:], "pose2rot": False}
            vertices = smpl(betas=body.betas[0], **given).vertices * 1000
            if is_flip_tested:
                flipped = clip.clone()
                flipped[..., 0] *= -1
                flipped[:, LEFT_KEYPOINTS + RIGHT_KEYPOINTS] = flipped[:, RIGHT_KEYPOINTS + LEFT_KEYPOINTS]
                body = model(flipped[None])
                pose = matrix_to_axis_angle(body.rotations[0])
                for left, right in SMPL_PAIRS:
                    pose[:, [left, right]] = pose[:, [right, left]]
                pose[..., 1:] *= -1
                given = {"global_orient": pose[:, 0], "body_pose": pose[:, 1:].flatten(1)}
                vertices = (vertices + smpl(betas=body.betas[0], **given).vertices * 1000) / 2
            found.append(vertices)
        return torch.cat(found).numpy()

    return compute


@pytest.fixture(scope="module")
def keypoints_px(demo_video) -> np.ndarray:
    """(2, 120, K, 3): the first is away for some frames, and once does not show a hand; the second is hidden for long."""
    keypoints = demo_video.keypoints_px.copy()
    keypoints[0, 20:27, :, 2] = keypoints[0, 61, :, 2] = 0
    keypoints[0, 40, 13] = 0
    assert (keypoints[1, :, :, 2] == 0).all(axis=1).any()
    return keypoints


def detected(keypoints_px: np.ndarray) -> np.ndarray:
    return np.flatnonzero(keypoints_px[..., 2].any(axis=1))


def farthest(one: np.ndarray, other: np.ndarray) -> float:
    assert one.shape == other.shape
    return np.linalg.norm(one - other, axis=-1).max()


@pytest.mark.parametrize("is_pixel", [False, True])
@pytest.mark.parametrize("is_flip_tested", [True, False])
def test_vertices_are_the_released_scripts(
    is_pixel, is_flip_tested, tiny_predictor, keypoints_px, released_vertices, posed_body
):
    """Two people, each by themselves: several windows across missing frames, the last one short."""
    predictor = tiny_predictor(**RELEASED_MODEL)
    options = {"is_pixel": is_pixel, "is_flip_tested": is_flip_tested}
    settings = Settings(windows="released", clip_len=CLIP_LEN, **options)
    found = predictor.infer(detections_of_array(keypoints_px), image_size=SIZE, fps=30, settings=settings)
    for track, points in zip(found.tracks, keypoints_px, strict=True):
        frames = detected(points)
        assert len(frames) > 4 * CLIP_LEN and 0 < len(frames) % CLIP_LEN < CLIP_LEN
        np.testing.assert_array_equal(track.frame_ids, frames)
        expected = released_vertices(predictor.model, points[frames], **options)
        vertices = mean_vertices_mm(track, slice(None), posed_body)
        assert vertices.dtype == np.float32
        assert farthest(vertices, expected) < TOLERANCE_MM
        # It is told apart from what differs by any of the choices.
        for changes in ({"is_pixel": not is_pixel}, {"is_flip_tested": not is_flip_tested}, {"clip_len": 14}):
            other = released_vertices(predictor.model, points[frames], **(options | changes))
            assert farthest(vertices, other) > 10 * TOLERANCE_MM, changes


def test_windows_in_batches_change_nothing(tiny_predictor, keypoints_px, released_vertices, posed_body, monkeypatch):
    monkeypatch.setattr("kinemesh.infer.released._FRAMES_AT_ONCE", 40)
    predictor = tiny_predictor(**RELEASED_MODEL)
    (track,) = predictor.predict(keypoints_px[0], image_size=SIZE, windows="released", clip_len=CLIP_LEN)
    expected = released_vertices(predictor.model, keypoints_px[0][detected(keypoints_px[0])])
    assert farthest(mean_vertices_mm(track, slice(None), posed_body), expected) < TOLERANCE_MM


def test_windows_are_of_243_frames_or_what_the_model_sees(tiny_predictor, keypoints_px):
    """Even for a model trained from scratch on shorter clips, as released."""
    given = detections_of_array(keypoints_px)
    settings = Settings(windows="released")
    for maxlen, expected in ((64, 64), (300, 243)):
        predictor = tiny_predictor(**RELEASED_MODEL, maxlen=maxlen)
        assert predictor.infer(given, image_size=SIZE, fps=30, settings=settings).clip_len == expected


def test_a_model_that_crops_for_itself_gets_trainings_coordinates(tiny_predictor, keypoints_px):
    tracks = [
        tiny_predictor().predict(keypoints_px[0], image_size=SIZE, windows="released", is_pixel=is_pixel)[0]
        for is_pixel in (True, False)
    ]
    torch.testing.assert_close(tracks[0].bodies, tracks[1].bodies, rtol=0, atol=0)


def test_people_stand_where_their_keypoints_are(tiny_predictor, keypoints_px, demo_video):
    settings = Settings(windows="released", clip_len=CLIP_LEN, focal_px=demo_video.camera.focal_px)
    predictor = tiny_predictor(**RELEASED_MODEL)
    found = predictor.infer(detections_of_array(keypoints_px), image_size=SIZE, fps=30, settings=settings)
    for number, track in enumerate(found.tracks):
        placed = track.joints_m[:, 0] + track.trans_m
        true = demo_video.joints_m[number, track.frame_ids, 0]
        assert np.abs(placed - true)[:, :2].mean() < 0.15
    facts = found.people["0"]
    assert facts["frame_ranges"] == [[0, 19], [27, 60], [62, 119]]
    assert (facts["frames"], facts["frames_interpolated"], facts["gaps_left_open"]) == (112, 0, 2)


def test_a_mean_of_bodies_is_written_as_vertices_only(tiny_predictor, keypoints_px, assets, tmp_path):
    found = tiny_predictor().infer(
        detections_of_array(keypoints_px), image_size=SIZE, fps=30, settings=Settings(windows="released")
    )
    footage = Footage(found.camera, Timeline.of_constant_rate(30, 120))
    for name in ("npz", "glb", "bvh", "html"):
        with refused(f"--formats {name}: no such format. Expected some of npy, mp4, sheet"):
            choices = OutputChoices(["npy", name])
            write_outputs(found.tracks, tmp_path, footage, choices, assets, torch.device("cpu"))
    assert not list(tmp_path.iterdir())


def test_what_the_released_script_has_not_is_refused(tiny_predictor, keypoints_px):
    given = {"image_size": SIZE, "windows": "released"}
    with refused("smooth_s does not go with windows 'released'"):
        tiny_predictor().predict(keypoints_px, **given, smooth_s=0.3)
    with refused("longest_gap does not go with windows 'released'"):
        tiny_predictor().predict(keypoints_px, **given, longest_gap=0)
    with refused("the checkpoint holds a refiner. Expected a regressor"):
        tiny_predictor("refiner").predict(keypoints_px, **given)


@pytest.fixture
def script_flags(tiny_predictor, body_folder, keypoints_px, tmp_path):
    """A checkpoint, its config, and both people as AlphaPose writes Halpe-26, in a small picture."""
    predictor = tiny_predictor(**RELEASED_MODEL)
    config = predictor.config.to_dict() | {"data_root": str(body_folder)}
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(config))
    torch.save({"model": predictor.model.state_dict()}, tmp_path / "tiny.bin")
    keypoints = write_alphapose(tmp_path / "alphapose.json", keypoints_px[:, : LAST_FRAME + 1] * SHRUNK)
    return [
        "--config", str(tmp_path / "tiny.yaml"), "--evaluate", str(tmp_path / "tiny.bin"), "--windows", "released",
        "--json_path", str(keypoints), "--image_size", "160x90", "--clip_len", str(CLIP_LEN),
    ]  # fmt: skip


def test_the_script_writes_vertices_and_a_video(
    script_flags, tiny_predictor, keypoints_px, released_vertices, tmp_path, capsys
):
    out = tmp_path / "out"
    status = main([*script_flags, "--focal", "175", "--side_view", "--out_path", str(out)])
    assert status == 0, capsys.readouterr().err
    assert {path.name for path in out.iterdir()} == {"1.npy", "2.npy", "mesh.mp4", "sheet.png", "summary.json"}
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["settings"]["windows"], summary["settings"]["clip_len"]) == ("released", CLIP_LEN)
    model = tiny_predictor(**RELEASED_MODEL).model
    for person, points in enumerate(keypoints_px[:, : LAST_FRAME + 1]):
        vertices = np.load(out / f"{person + 1}.npy", allow_pickle=False)
        frames = detected(points)
        ranges = summary["people"][str(person + 1)]["frame_ranges"]
        assert [frame for first, last in ranges for frame in range(first, last + 1)] == frames.tolist()
        points = points[frames] * SHRUNK
        # The spine of Halpe-26, lost where a joint is of which it is the middle.
        points[:, 7] = (points[:, 0] + points[:, 8]) / 2
        points[(points[:, [0, 8], 2] == 0).any(axis=1), 7, 2] = 0
        assert farthest(vertices, released_vertices(model, points)) < TOLERANCE_MM
    assert video_info(out / "mesh.mp4")[:4] == (160 + 90, 90, LAST_FRAME + 1, 30.0)
    drawn = [np.abs(frame - frame[0, 0].astype(float)).max(axis=-1) > 24 for frame in read_frames(out / "mesh.mp4")]
    assert np.mean([frame[:, :160].mean() for frame in drawn]) > 0.02  # before the camera
    assert np.mean([frame[:, 160:].mean() for frame in drawn]) > 0.02  # and from the side
    assert not drawn[0][:, 160:][[0, -1]].any()


def test_the_same_mesh_is_written_some_frames_at_a_time(script_flags, tmp_path, monkeypatch, capsys):
    """Of the chosen person alone."""
    files = []
    for number, at_once in enumerate((64, 7)):
        monkeypatch.setattr("kinemesh.export.write._MESHES_AT_ONCE", at_once)
        out = tmp_path / str(number)
        assert main([*script_flags, "--formats", "npy", "--focus", "2", "--out_path", str(out)]) == 0, (
            capsys.readouterr()
        )
        assert {path.name for path in out.iterdir()} == {"2.npy", "summary.json"}
        files.append(np.load(out / "2.npy"))
    assert farthest(*files) < 1e-3
