"""Files of predictions scored without a network: the numbers of the evaluation that wrote them, and comparisons."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from kinemesh.data.clips import cut_clips
from kinemesh.data.loader import ClipLoader
from kinemesh.estimates.predictions import load_predictions
from kinemesh.evaluation.evaluate import BODIES, FITTED, EvaluationOptions, evaluate_protocols
from kinemesh.evaluation.fitting import Fitting
from kinemesh.evaluation.paths.facts import PathScorer
from kinemesh.program.commands.compare import score_files, verdict
from kinemesh.program.console import main
from kinemesh.program.evaluate import write_predictions
from kinemesh.protocols import PROTOCOLS


@pytest.fixture(scope="module")
def fitting(assets) -> Fitting:
    return Fitting.of(assets, "cpu")


@pytest.fixture
def write(small_dataset, tmp_path):
    """Writes a predictions file of the test split: the truth, turned by random angles."""

    def _write(name: str, noise: float, kept=slice(None), seed: int = 0, split=small_dataset.test, **more) -> str:
        video, frame = split.locate(np.arange(split.frame_count))
        poses = split.smpl_pose.numpy() + noise * np.random.default_rng(seed).normal(size=split.smpl_pose.shape)
        columns = {"video": video, "frame": frame, "poses": poses, "betas": split.smpl_shape.numpy(), **more}
        np.savez(tmp_path / name, **{key: values[kept] for key, values in columns.items()})
        return str(tmp_path / name)

    return _write


@pytest.fixture
def score(small_dataset, posed_body, small_config):
    def _score(files: dict[str, str], *names: str, fitting=None, dataset=small_dataset, paths=None, **changes):
        config = small_config(dt_file_pw3d="x", **changes)
        loaded = {label: load_predictions(path) for label, path in files.items()}
        protocols = [PROTOCOLS[name] for name in names or ("motionbert",)]
        return score_files(dataset, loaded, posed_body, config, protocols, fitting, paths)

    return _score


@pytest.mark.parametrize("clip_len", [8, 120])  # 120: longer than the videos, which are stretched: frames come twice
def test_own_predictions_score_as_the_evaluation_did(
    small_dataset, small_model, small_config, posed_body, score, fitting, tmp_path, clip_len
):
    """Fitted bodies too."""
    fitting = fitting if clip_len == 8 else None
    protocols = [PROTOCOLS[name] for name in ("motionbert", "wham", "vibe_tcmr")]
    changes = {"clip_len": clip_len, "maxlen": 120, "flip": True}
    lengths = small_dataset.train.video_lengths, small_dataset.test.video_lengths
    for first in protocols[:2]:  # a file holds the frames of the first protocol asked for
        loaders = {
            rule: ClipLoader(small_dataset.test, cut_clips(*lengths, clip_len, 4, eval_clips=rule)[1], batch_size=1)
            for rule in ("released", "all_frames")
        }
        chosen = [first] if first.clips == "released" else protocols[1:]
        expected = evaluate_protocols(
            small_model(**changes), loaders, posed_body, small_config(**changes), label="test",
            protocols=chosen, options=EvaluationOptions(detailed=True, keep_rows=BODIES, fitting=fitting),
        )  # fmt: skip
        path = tmp_path / f"{first.name}.npz"
        write_predictions(path, {"pw3d": expected[first.name]}, {"pw3d": small_dataset.test})
        found = score({"ours": str(path)}, *(protocol.name for protocol in chosen), fitting=fitting, **changes)
        for name, evaluation in expected.items():
            metrics = found[name].sides["ours"].metrics
            assert metrics == pytest.approx(evaluation.metrics, abs=0.02, rel=1e-3), name
            assert metrics["mpjpe"] == pytest.approx(evaluation.metrics["mpjpe"], abs=2e-3), name
            if fitting is not None:
                fitted, expected_fit = found[name].sides["ours, fitted"].metrics, evaluation.sides[FITTED].metrics
                assert fitted == pytest.approx(expected_fit, abs=0.2, rel=1e-2), name
            assert found[name].coverage == evaluation.coverage
            assert found[name].flip == {"motionbert": "released", "wham": "rotations", "vibe_tcmr": "none"}[name]


def test_the_truth_scores_nothing(write, score):
    for evaluation in score({"truth": write("truth.npz", 0.0)}, *PROTOCOLS).values():
        metrics = evaluation.sides["truth"].metrics
        assert max(metrics[name] for name in ("mpjpe", "pa_mpjpe", "mpve", "pa_mpve", "accel_error")) < 0.05
        assert metrics["jitter"] == pytest.approx(metrics["jitter_target"], abs=1e-6)
        assert evaluation.flip == "none"


def test_two_files_are_scored_on_the_frames_of_both(write, score, caplog):
    whole, half = write("whole.npz", 0.1), write("half.npz", 0.1, kept=slice(0, None, 2))
    evaluation = score({"whole": whole, "half": half}, "pmce")["pmce"]
    assert evaluation.sides["whole"].metrics == evaluation.sides["half"].metrics
    assert evaluation.coverage == pytest.approx(0.5, abs=0.02)
    assert "accel_error" not in evaluation.sides["half"].metrics  # no three frames in a row
    assert "48 frames of whole are not scored, since another file lacks them" in caplog.text


def test_both_halves_of_the_flip_test_are_averaged(write, score, small_dataset):
    # Errors that are each other's opposite: half-way between them is the truth.
    test = small_dataset.test
    noise = 0.1 * np.random.default_rng(1).normal(size=test.smpl_pose.shape).astype(np.float32)
    path = write(
        "halves.npz", 0.0, poses=test.smpl_pose.numpy() + noise,
        poses_mirrored=test.smpl_pose.numpy() - noise, betas_mirrored=test.smpl_shape.numpy(),
    )  # fmt: skip
    alone = score({"x": path}, "smpl24", flip=False)["smpl24"].sides["x"].metrics
    averaged = score({"x": path}, "smpl24")["smpl24"].sides["x"].metrics
    assert averaged["joint_angle_error"] < 0.1 * alone["joint_angle_error"]
    assert averaged["mpjpe"] < 0.1 * alone["mpjpe"]


INTERVALS = {"mpjpe": (-5.0, -6.1, -4.2), "pa_mpjpe": (2.0, 1.0, 3.0), "mpve": (0.1, -0.4, 0.6)}


@pytest.mark.parametrize(
    ("intervals", "protocol", "video_count", "words"),
    [
        (
            INTERVALS, "motionbert", 5,
            "B is better than A: MPJPE 5.0 mm lower [4.2, 6.1]; B is worse than A: PA-MPJPE 2.0 mm higher [1.0, 3.0]; "
            "no difference between B and A can be told: MPVE +0.1 mm [-0.4, +0.6]",
        ),
        ({"accel_error_m_s2": (-1.0, -2.0, -0.5)}, "wham", 5, "B is better than A: accel 1.0 m/s^2 lower [0.5, 2.0]"),
    ],
)  # fmt: skip
def test_the_verdict_is_in_words_with_units(intervals, protocol, video_count, words):
    assert verdict(("A", "B"), intervals, PROTOCOLS[protocol], video_count) == words


def test_one_video_tells_nothing():
    assert "no difference can be told" in verdict(("A", "B"), INTERVALS, PROTOCOLS["motionbert"], 1)


@pytest.fixture
def program(demo_folder):
    config = str(Path(__file__).parents[3] / "configs/mesh/MB_demo.yaml")
    more = ("--config", config, "--set", f"data_root={demo_folder}", "--set", "dt_file_h36m=null")
    return lambda arguments: main(["evaluate", *arguments, *more])


def test_fitted_bodies_stand_beside_their_files(succeeds, write, tmp_path):
    """Compared with each other and with what they were, and unfitted figures are those without --fit."""
    paths, out = [write("a.npz", 0.2, seed=3), write("b.npz", 0.1, seed=3)], tmp_path / "o.json"
    found = {}
    for fit in ("none", "keypoints"):
        output = succeeds("--predictions", *paths, "--fit", fit, "--metrics_out", out)
        found[fit] = json.loads(out.read_text())["pw3d"]["motionbert"]
    files = found["keypoints"]["files"]
    assert list(files) == ["a.npz", "b.npz", "a.npz, fitted", "b.npz, fitted"]
    for name, figures in found["none"]["files"].items():
        assert files[name] == figures
        assert files[f"{name}, fitted"]["pa_mpjpe"] < 0.9 * figures["pa_mpjpe"]
        assert f"{name}, fitted is better than {name}: MPJPE" in output
    assert [(row["minus"], row["of"]) for row in found["keypoints"]["differences"]] == [
        ("a.npz", "b.npz"), ("a.npz", "a.npz, fitted"), ("b.npz", "b.npz, fitted"), ("a.npz, fitted", "b.npz, fitted"),
    ]  # fmt: skip


def test_side_by_side(succeeds, write, tmp_path):
    worse, better, out = write("worse.npz", 0.3), write("better.npz", 0.05), tmp_path / "out.json"
    protocols = ("--protocol", "motionbert", "--protocol", "wham")
    output = succeeds("--predictions", worse, better, *protocols, "--metrics_out", out)
    assert output.count("better.npz is better than worse.npz: MPJPE") == 2
    found = json.loads(out.read_text())["pw3d"]
    assert list(found) == ["motionbert", "wham"]
    scored, other = (found["wham"]["files"][name] for name in ("better.npz", "worse.npz"))
    assert (scored["protocol"], scored["coverage"]) == ("wham", 1)
    assert scored["selected_on"] == "unknown (a file of predictions does not say)"
    assert scored["mpjpe"] < other["mpjpe"]
    mean, low, high = found["wham"]["differences"][0]["mpjpe"]
    assert low <= mean <= high < 0
    assert mean == pytest.approx(scored["mpjpe"] - other["mpjpe"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("none.npz",), "none.npz not found"),
        (("a.npz", "a.npz"), "the same file twice"),
        (("a.npz", "--protocol", "spin"), "expected one of motionbert"),
        (("train.npz",), "no dataset has a test video that every file predicts"),
    ],
)
def test_mistakes(fails, write, small_dataset, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    write("a.npz", 0.0)
    write("train.npz", 0.0, split=small_dataset.train)
    assert message in fails("--predictions", *arguments)


def test_a_files_own_places_are_scored_where_the_dataset_says_true_ones(small_dataset, score, write, assets):
    """Moved as a whole they are right; what drifts is not; a file that says none, or a split, has no such figures."""
    test = small_dataset.test
    places = np.tile((0.0, 0.0, 4.0), (test.frame_count, 1))
    placed = small_dataset._replace(test=dataclasses.replace(test, still_trans_m=torch.from_numpy(places).float()))
    frame = test.locate(np.arange(test.frame_count))[1]
    files = {
        "moved": write("moved.npz", 0.0, trans=places + 1.0),
        "drifts": write("drifts.npz", 0.0, trans=places + 0.01 * frame[:, None] * (0, 0, 1)),
        "none": write("none.npz", 0.0),
    }
    sides = score(files, dataset=placed, paths=PathScorer(assets))["motionbert"].sides
    found = {name: side.metrics for name, side in sides.items()}
    assert found["moved"]["wa_mpjpe_100"] == pytest.approx(0, abs=0.01)
    assert found["drifts"]["w_mpjpe_100"] > 20 * found["moved"]["w_mpjpe_100"] + 20
    assert {"wa_mpjpe_100", "jitter_10_m_s3"} <= found["drifts"].keys() and "wa_mpjpe_100" not in found["none"]
    sides = score(files, paths=PathScorer(assets))["motionbert"].sides
    assert not any("wa_mpjpe_100" in side.metrics for side in sides.values())
