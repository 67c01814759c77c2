"""The files that a run reads, and what a look at them tells."""

import shutil
from pathlib import Path

import pytest

from kinemesh.data.sources import sources_of, used_datasets
from kinemesh.program.check.needed_files import NeededFile, file_finding, needed_files


@pytest.fixture
def config(small_config, demo_folder):
    def make(**changes):
        files = {f"dt_file_{name}": f"mesh_det_{name}.pkl" for name in ("h36m", "coco", "pw3d")}
        values = {"data_root": str(demo_folder), "warmup_h36m": 1, "warmup_coco": 1, "train_pw3d": True}
        return small_config(**(values | files | changes))

    return make


def needed(config, is_training=True, **files) -> list[NeededFile]:
    root = Path(config.data_root)
    return needed_files(root, used_datasets(sources_of(config), root, is_training=is_training), **files)


def names(files) -> list[str]:
    return [file.path.name for file in files]


def test_training_needs_body_datasets_and_start_and_evaluation_no_images(config):
    found = needed(config(), pretrained=Path("b.bin"), predictions=Path("p.pkl"))
    body = ["SMPL_NEUTRAL.pkl", "J_regressor_h36m_correct.npy", "smpl_mean_params.npz"]
    datasets = ["mesh_det_h36m.pkl", "mesh_det_coco.pkl", "mesh_det_pw3d.pkl"]
    assert names(found) == [*body, "b.bin", "p.pkl", *datasets]
    assert "mesh_det_coco.pkl" not in names(needed(config(), is_training=False, checkpoint=Path("c.bin")))


def test_body_model_as_npz(config, tmp_path):
    (tmp_path / "SMPL_NEUTRAL.npz").write_bytes(b"PK")
    found = needed(config(data_root=str(tmp_path)))
    assert names(found)[0] == "SMPL_NEUTRAL.npz"
    assert found[0].where_from.startswith("Download SMPL")


def test_every_file_is_found_or_said_to_be_missing(config, tmp_path, demo_folder):
    shutil.copy(demo_folder / "SMPL_NEUTRAL.pkl", tmp_path)
    found = [file_finding(file) for file in needed(config(data_root=str(tmp_path)))]
    assert [finding.state for finding in found] == ["ok", *["missing"] * 5]
    assert all("data/README.md" in finding.found for finding in found[1:])


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html>", "is a web page, not the file itself"),
        (b"\n<html>", "is a web page, not the file itself"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:", "is a Git LFS pointer, not the file itself"),
        (b"\x1f\x8b\x08", "is a gzip archive; unpack it"),
    ],
)
def test_what_takes_the_place_of_a_file(tmp_path, content, fault):
    (tmp_path / "x.pkl").write_bytes(content)
    found = file_finding(NeededFile(tmp_path / "x.pkl", "a file", "Get it.", "dataset"))
    assert (found.state, found.found) == ("wrong", f"{fault}. Get it.")


def test_a_folder_of_predictions_counts_and_files_that_the_program_makes_are_not_missing(tmp_path):
    (tmp_path / "a.pkl").write_bytes(b"x")
    found = file_finding(NeededFile(tmp_path, "estimator's bodies", "", "predictions"))
    assert (found.state, found.found) == ("ok", "a folder of 1 files")
    made = tmp_path / "data" / "demo" / "mesh_det_h36m.pkl"
    other = made.with_name("mine.pkl")
    found = [file_finding(NeededFile(path, "a file", "Get it.", "dataset")) for path in (made, other)]
    assert [finding.state for finding in found] == ["note", "missing"]
