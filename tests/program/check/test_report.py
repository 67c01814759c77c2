"""`--check` as a user runs it: exit status 0 only if a run would start, and nothing written."""

import os
import pickle
import re
import shutil
from pathlib import Path

import pytest

from kinemesh.body.skeleton import H36M_MIRROR_ORDER
from kinemesh.files.pickles import load_pickle
from kinemesh.machine.run_lock import locked_folder


def rows(output: str) -> list[str]:
    """The table's findings, each on one line with its broken cells put together."""
    found: list[list[str]] = []
    for line in output[output.index("state    what") :].splitlines()[2:]:
        if line == "this run would start":
            break
        cells = [line[start:stop].strip() for start, stop in ((0, 7), (9, 30), (32, 72), (74, 120))]
        if cells[0]:
            found.append(cells)
        else:
            _, what, where, more = cells
            found[-1] = [found[-1][0], f"{found[-1][1]} {what}".strip(), found[-1][2] + where, f"{found[-1][3]} {more}"]
    return [" ".join(" ".join(cells).split()) for cells in found]


@pytest.fixture
def check(call, tmp_path):
    """What `--check` says of a run: whether it would start, with what was printed, and on standard error."""

    def _check(config: str, *more: str | Path) -> tuple[bool, str, str]:
        status, output, error = call("--config", config, "--check", "-c", tmp_path / "new", *more)
        assert "state    what" in output, error
        assert max(map(len, output[output.index("state    what") :].splitlines())) <= 120
        assert status in (0, 2)
        return status == 0, "\n".join([*rows(output), output.splitlines()[-1]]), error

    return _check


def test_a_run_that_would_start(check, config_file, tmp_path):
    config = config_file()
    before = sorted(os.listdir(tmp_path))
    starts, output, error = check(config)
    assert starts and error == ""
    assert output.endswith("this run would start")
    assert not re.search("^(missing|wrong|warning)", output, re.M)
    for part in (
        "ok SMPL body model", "ok H36M joint regressor", "ok mean body", "ok H36M dataset", "ok COCO dataset",
        "ok skinning weights", "ok H36M regressor", "ok h36m train pixels", "ok pw3d test confidence", "ok coco train poses",
        "ok pw3d train keypoints", "ok disk space", "ok checkpoint folder", "note epochs", "parameters",
    ):  # fmt: skip
        assert part in output, part
    assert re.search(r"note pw3d train .* 300 videos, 4,800 frames, 300 clips in 38 batches: 38 steps an epoch", output)
    assert sorted(os.listdir(tmp_path)) == before


def test_all_faults_are_listed_not_only_the_first(check, config_file, tmp_path):
    (tmp_path / "file").write_text("")
    config = config_file(dt_file_h36m="none.pkl", dt_file_coco="SMPL_NEUTRAL.pkl", finetune=True)
    flags = ("-p", tmp_path, "--device", "tpu", "--metrics_out", tmp_path / "file" / "m")
    starts, output, error = check(config, *flags)
    assert not starts
    assert error == "error: 5 lines of the table would stop the run. Nothing was started.\n"
    for part in (
        "wrong device tpu", "missing pretrained backbone", "missing H36M dataset", "wrong COCO dataset",
        "wrong --metrics_out", "ok pw3d train keypoints",
    ):  # fmt: skip
        assert part in output, part


@pytest.mark.parametrize(
    ("changes", "flags", "would_start", "said"),
    [
        ({"dim_feat": 32}, ("-r", "run/latest_epoch.bin"), False, r"(?m)^wrong model .*dim_feat: 16 \(config: 32\)"),
        ({"epochs": 3}, ("-r", "run/latest_epoch.bin"), True, "note epochs(.|\n)*3 to 3"),
        ({}, ("-r", "run/latest_epoch.bin"), False, "already trained for 2 of 2 epochs"),
        ({}, ("--evaluate", "run/best_epoch.bin"), True, "^((?!checkpoint folder|coco)(.|\n))*$"),
        ({}, ("--evaluate", "none.bin"), False, "missing checkpoint none.bin"),
    ],
)
def test_checkpoints(changes, flags, would_start, said, check, config_file, trained, monkeypatch):
    monkeypatch.chdir(trained[1].parent)
    starts, output, _ = check(config_file(**changes), *flags)
    assert starts == would_start and re.search(said, output)


def test_a_folder_in_use(check, config_file, tmp_path):
    with locked_folder(tmp_path / "new"):
        starts, output, _ = check(config_file())
    assert not starts and f"another run writes here (process {os.getpid()} on" in output


def test_no_body_model_or_no_dataset_at_all(check, config_file, tmp_path):
    starts, output, _ = check(config_file(data_root=str(tmp_path)))
    assert not starts and output.count("missing ") == 6
    starts, output, _ = check(config_file(dt_file_pw3d=None, train_pw3d=False, warmup_h36m=0, warmup_coco=0))
    assert not starts and "the config names no dataset" in output


def test_swapped_labels_and_small_pictures_show_and_stop_nothing(check, config_file, demo_folder, tmp_path):
    folder = shutil.copytree(demo_folder, tmp_path / "data")
    path = folder / "mesh_det_pw3d.pkl"
    content = load_pickle(path, what="a dataset", encoding="latin1")
    for name in ("joint_2d", "confidence"):
        content["test"][name] = content["test"][name][:, list(H36M_MIRROR_ORDER)]
    content["train"]["joint_2d"] = content["train"]["joint_2d"] / 4
    path.write_bytes(pickle.dumps(content))
    starts, output, _ = check(config_file(data_root=str(folder)))
    assert starts and "ok pw3d train keypoints" in output
    assert re.search("warning pw3d test keypoints .*left and right look swapped", output)
    assert re.search("warning pw3d train pixels .*Were the images scaled?", output)


def test_a_body_model_that_is_none(check, config_file, demo_folder, tmp_path):
    folder = shutil.copytree(demo_folder, tmp_path / "data")
    (folder / "J_regressor_h36m_correct.npy").write_bytes(b"text")
    starts, output, _ = check(config_file(data_root=str(folder)))
    assert not starts and re.search("wrong body model .*is damaged", output)
