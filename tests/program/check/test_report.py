"""`--check` as a user runs it: exit status 0 only if a run would start, and nothing written."""

import os
import pickle
import re
import shutil

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
    def _check(config: str, *more: str) -> tuple[int, str, str]:
        status, output, error = call("--config", config, "--check", "-c", str(tmp_path / "new"), *more)
        assert "state    what" in output, error
        assert max(map(len, output[output.index("state    what") :].splitlines())) <= 120
        return status, "\n".join([*rows(output), output.splitlines()[-1]]), error

    return _check


def test_a_run_that_would_start(check, config_file, tmp_path):
    config = config_file()
    before = sorted(os.listdir(tmp_path))
    status, output, error = check(config)
    assert (status, error) == (0, "")
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
    status, output, error = check(
        config, "-p", str(tmp_path), "--device", "tpu", "--metrics_out", str(tmp_path / "file" / "m")
    )
    assert status == 2
    assert error == "error: 5 lines of the table would stop the run. Nothing was started.\n"
    for part in (
        "wrong device tpu",
        "missing pretrained backbone",
        "missing H36M dataset",
        "wrong COCO dataset",
        "wrong --metrics_out",
    ):
        assert part in output, part
    assert "ok pw3d train keypoints" in output


def test_checkpoints(check, config_file, trained):
    checkpoint = str(trained[1] / "latest_epoch.bin")
    status, output, _ = check(config_file(dim_feat=32), "-r", checkpoint)
    assert status == 2
    assert re.search(r"^wrong model .*dim_feat: 16 \(config: 32\)", output, re.M)
    status, output, _ = check(config_file(epochs=3), "-r", checkpoint)
    assert status == 0
    assert "note epochs" in output
    assert "3 to 3" in output
    status, output, _ = check(config_file(), "-r", checkpoint)
    assert status == 2
    assert "already trained for 2 of 2 epochs" in output
    status, output, _ = check(config_file(), "--evaluate", str(trained[1] / "best_epoch.bin"))
    assert status == 0
    assert "checkpoint folder" not in output
    assert "coco" not in output
    status, output, _ = check(config_file(), "--evaluate", "none.bin")
    assert status == 2
    assert "missing checkpoint none.bin" in output


def test_a_folder_in_use(check, config_file, tmp_path):
    with locked_folder(tmp_path / "new"):
        status, output, _ = check(config_file())
    assert status == 2
    assert f"another run writes here (process {os.getpid()} on" in output


def test_no_body_model(check, config_file, tmp_path):
    status, output, _ = check(config_file(data_root=str(tmp_path)))
    assert status == 2
    assert output.count("missing ") == 6


def test_no_dataset(check, config_file):
    status, output, _ = check(config_file(dt_file_pw3d=None, train_pw3d=False, warmup_h36m=0, warmup_coco=0))
    assert status == 2
    assert "the config names no dataset" in output


def test_swapped_labels_and_small_pictures_show_and_stop_nothing(check, config_file, demo_folder, tmp_path):
    for path in demo_folder.iterdir():
        shutil.copy(path, tmp_path)
    path = tmp_path / "mesh_det_pw3d.pkl"
    content = load_pickle(path, what="a dataset", encoding="latin1")
    for name in ("joint_2d", "confidence"):
        content["test"][name] = content["test"][name][:, list(H36M_MIRROR_ORDER)]
    content["train"]["joint_2d"] = content["train"]["joint_2d"] / 4
    path.write_bytes(pickle.dumps(content))
    status, output, _ = check(config_file(data_root=str(tmp_path)))
    assert status == 0
    assert re.search("warning pw3d test keypoints .*left and right look swapped", output)
    assert re.search("warning pw3d train pixels .*Were the images scaled?", output)
    assert "ok pw3d train keypoints" in output


def test_a_body_model_that_is_none(check, config_file, demo_folder, tmp_path):
    for path in demo_folder.iterdir():
        shutil.copy(path, tmp_path)
    (tmp_path / "J_regressor_h36m_correct.npy").write_bytes(b"text")
    status, output, _ = check(config_file(data_root=str(tmp_path)))
    assert status == 2
    assert re.search("wrong body model .*is damaged", output)
