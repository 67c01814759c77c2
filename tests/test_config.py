import dataclasses
import re
from pathlib import Path

import pytest
import yaml

from kinemesh.config import Config, config_from_values, load_config
from tests.refusals import refused, refuses

CONFIGS = Path(__file__).parent.parent / "configs" / "mesh"
RELEASED = ("MB_train_pw3d", "MB_train_h36m", "MB_ft_pw3d", "MB_ft_h36m", "MB_ft_pw3d_refine_hybrik")
COMMON = {
    "partial_train": None, "checkpoint_frequency": 20, "batch_size_img": 512, "weight_decay": 0.01, "lr_decay": 0.98,
    "maxlen": 243, "dim_feat": 512, "mlp_ratio": 2, "depth": 5, "dim_rep": 512, "num_heads": 8, "att_fuse": True,
    "data_root": "data/mesh", "clip_len": 16, "data_stride": 8, "sample_stride": 1, "num_joints": 17,
    "lambda_3d": 0.5, "lambda_scale": 0, "lambda_3dv": 10, "lambda_lv": 0, "lambda_lg": 0, "lambda_a": 0,
    "lambda_av": 0, "lambda_pose": 1000, "lambda_shape": 1, "lambda_norm": 20, "loss_type": "L1", "flip": True,
}  # fmt: skip


@pytest.fixture
def write(tmp_path):
    """Writes a config file: a complete one with changes, or text as it is."""
    complete = yaml.safe_load((CONFIGS / "MB_train_pw3d.yaml").read_text())

    def _write(text: str | None = None, **changes) -> Path:
        path = tmp_path / "run.yaml"
        path.write_text(yaml.safe_dump(complete | changes) if text is None else text)
        return path

    return _write


@pytest.mark.parametrize("name", RELEASED)
def test_released_configs_hold_the_released_values(name):
    config = load_config(CONFIGS / f"{name}.yaml")
    for key, value in COMMON.items():
        assert getattr(config, key) == value, key


def test_released_rates_and_files():
    train, refine = load_config(CONFIGS / "MB_train_pw3d.yaml"), load_config(CONFIGS / "MB_ft_pw3d_refine_hybrik.yaml")
    assert (train.lr_backbone, train.lr_head, train.batch_size, train.hidden_dim) == (1e-4, 1e-4, 128, 1024)
    assert (refine.lr_backbone, refine.lr_head, refine.batch_size, refine.hidden_dim) == (5e-5, 5e-4, 64, 512)
    assert refine.dropout == 0.5
    assert refine.dt_file_pw3d == "mesh_det_pw3d_w_hybrik_pred_hr48_w.pkl"
    assert load_config(CONFIGS / "MB_ft_h36m.yaml").dt_file_coco is None


def test_our_keys_default_to_the_released_behaviour():
    config = load_config(CONFIGS / "MB_train_pw3d.yaml")
    expected = {
        "lr_schedule": "exponential", "warmup_steps": 0, "ema": 0.0, "eval_clips": "released", "limit_clips": 0,
        "grad_accumulation": 1, "opt": "adamw",
    }  # fmt: skip
    assert {name: getattr(config, name) for name in expected} == expected


def test_number_without_a_dot_is_a_number(write):
    path = write()
    text = path.read_text().replace("lr_head: 0.0001", "lr_head: 5e-5")
    assert load_config(write(text)).lr_head == 5e-5


def test_overrides_win_and_are_checked(write):
    assert load_config(write(), ["epochs=3", "eval_clips=all_frames"]).epochs == 3
    refuses(r"--set epochs=many: epochs is 'many', expected a whole number\.", load_config, write(), ["epochs=many"])
    refuses(r"--set epochs: expected KEY=VALUE", load_config, write(), ["epochs"])
    refuses(r"--set epoch=3: unknown key 'epoch'. Did you mean 'epochs'\?", load_config, write(), ["epoch=3"])
    refuses("not valid YAML", load_config, write(), ["epochs=[1"])


def test_include_is_relative_to_the_file(write, tmp_path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "name.yaml").write_text("other.pkl")
    path = write()
    path.write_text(path.read_text().replace("mesh_det_h36m.pkl", "!include parts/name.yaml"))
    assert load_config(path).dt_file_h36m == "other.pkl"


def test_released_key_without_effect_is_known(write):
    assert load_config(write(dropout_loc=1)).dropout == 0.1


def test_to_dict_builds_the_same_config(write):
    entries = [{"name": "mine", "file": "mine.pkl", "fps": 25, "weight": 2}, {"name": "photos", "file": "photos"}]
    config = load_config(write(partial_train=["blocks_st"], datasets=entries))
    values = config.to_dict()
    assert values["partial_train"] == ["blocks_st"]
    assert [entry["weight"] for entry in values["datasets"]] == [2.0, None]
    assert config_from_values(values, {}, "a checkpoint") == config
    assert set(values) == {field.name for field in dataclasses.fields(Config)}


ENTRIES = {
    "no list": ({}, "datasets is {}, expected a list of entries"),
    "no entry": ([3], "datasets entry 1 is 3, expected 'key: value'"),
    "no file": ([{"name": "a"}], "datasets entry 1: missing 'file'"),
    "an empty file": ([{"name": "a", "file": ""}], "datasets: 'a': file is empty"),
    "unknown key": ([{"name": "a", "file": "b", "wieght": 3}], "unknown key 'wieght'. Did you mean 'weight'?"),
    "wrong type": ([{"name": "a", "file": "b", "fps": "x"}], "datasets entry 1: fps is 'x', expected a number"),
    "no name": ([{"name": "a b", "file": "b"}], "'a b': name is not one"),
    "a name of the metrics file": ([{"name": "meta", "file": "b"}], "'meta': name is not one"),
    "a released name": ([{"name": "pw3d", "file": "b"}], "'pw3d': name is that of a released dataset. Set dt_file_pw3d"),
    "twice": ([{"name": "a", "file": "b"}, {"name": "A", "file": "c"}], "'A' is there twice"),
    "in turn and mixed": (
        [{"name": "a", "file": "b", "weight": 1, "train_epochs": 2}], "'a': both train_epochs and weight are set",
    ),
    "no weight": ([{"name": "a", "file": "b", "weight": 0}], "'a': weight is 0, expected more than 0"),
    "negative": ([{"name": "a", "file": "b", "fps": -1}], "'a': fps is -1, expected at least 0"),
    "no batch": ([{"name": "a", "file": "b", "batch_size": 0}], "'a': batch_size is 0, expected at least 1"),
    "images select": ([{"name": "a", "file": "b", "selects": True}], "single images are not scored"),
    "unseen": (
        [{"name": "a", "file": "b", "fps": 9, "selects": True, "validate": False}], "selects, but validate is False",
    ),
    "two select": (
        [{"name": name, "file": "b", "fps": 9, "selects": True} for name in "ac"], "datasets: a and c select",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", ENTRIES)
def test_a_wrong_entry_of_datasets_is_one_line(fault, write):
    entries, message = ENTRIES[fault]
    path = write(datasets=entries)
    with refused(re.escape(message)) as caught:
        load_config(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lr_backbon": 1}, r"unknown key 'lr_backbon'. Did you mean 'lr_backbone'\?"),
        ({"zzzz": 1}, r"unknown key 'zzzz'. Remove it"),
        ({"epochs": 2.5}, "epochs is 2.5, expected a whole number"),
        ({"epochs": True}, "epochs is True, expected a whole number"),
        ({"flip": 1}, "flip is 1, expected True or False"),
        ({"dt_file_h36m": 3}, "dt_file_h36m is 3, expected text"),
        ({"partial_train": "all"}, "partial_train is 'all', expected a list of text"),
        ({"loss_type": "L3"}, "loss_type is 'L3', expected one of 'L1', 'MSE'"),
        ({"backbone": 3}, "backbone is 3, expected text"),
        ({"lr_head": float("nan")}, "lr_head is nan, expected a number"),
        ({"lr_head": -1}, "lr_head is -1.0, expected at least 0"),
        ({"batch_size": 0}, "batch_size is 0, expected at least 1"),
        ({"dropout": 1}, "dropout is 1.0, expected 0 <= dropout < 1"),
        ({"lr_decay": 0}, "lr_decay is 0.0, expected more than 0"),
        ({"lr_decay": 1.5}, "lr_decay is 1.5, expected at most 1"),
        ({"maxlen": 1 << 40}, "maxlen is 1099511627776, expected at most 65536"),
        ({"lambda_3d": 1e12}, r"lambda_3d is 1000000000000.0, expected at most 1e\+09"),
        ({"num_joints": 18}, "num_joints is 18, expected 17"),
        ({"num_heads": 7}, "dim_feat 512 is not divisible by num_heads 7"),
        ({"clip_len": 300}, "clip_len 300 is longer than maxlen 243"),
        ({"dt_file_pw3d": None}, "train_pw3d is True but dt_file_pw3d is missing"),
    ],
)
def test_wrong_values_end_in_one_line(write, changes, message):
    path = write(**changes)
    with refused(message) as caught:
        load_config(path)
    assert str(caught.value).startswith(str(path))


def test_missing_key(write):
    path = write()
    path.write_text("".join(line for line in path.read_text().splitlines(True) if not line.startswith("epochs")))
    refuses("missing 'epochs'", load_config, path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epochs: [1", "not valid YAML \\(line"),
        ("just text", "expected lines of 'key: value'"),
        ("", "expected lines of 'key: value'"),
        ("epochs: 1\nepochs: 2", "key 'epochs' stands twice"),
        ("epochs: !include run.yaml", "includes itself"),
        ("epochs: !include none.yaml", "none.yaml not found"),
    ],
)
def test_broken_yaml_is_refused(write, text, message):
    refuses(message, load_config, write(text))


def test_missing_and_binary_files_are_told(tmp_path):
    refuses("none.yaml not found", load_config, tmp_path / "none.yaml")
    refuses("is not a regular file", load_config, tmp_path)
    (tmp_path / "x.yaml").write_bytes(b"\xff\xfe\x00\x01")
    refuses(None, load_config, tmp_path / "x.yaml")
