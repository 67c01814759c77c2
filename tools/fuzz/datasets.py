"""Files of published data sets, and what `kinemesh prepare` does with a download of which one file is spoiled."""

import tempfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

from kinemesh.prepare.datasets.prepare import Request, prepare_dataset
from kinemesh.prepare.motions.sequences import IGNORE, Bodies
from tools.published.bedlam import write_bedlam2, write_labels
from tools.published.coco import write_coco
from tools.published.moon import write_3dhp, write_h36m, write_mosh, write_recording
from tools.published.scene import Scene, make_scene
from tools.published.videos import write_3dpw, write_aist, write_emdb, write_gvhmr


@cache
def _bodies() -> Bodies:
    return Bodies(None)


@cache
def _scene() -> Scene:
    """The mean shape before a camera that stands, as every set can hold it."""
    return make_scene(_bodies(), stands=True, is_mean=True)


def _coco(kind: str, raw: Path) -> None:
    raw.rmdir()
    write_coco(raw, _scene(), kind)


def _3dhp(raw: Path) -> None:
    raw.rmdir()
    write_3dhp(raw, _scene())


def _h36m(raw: Path) -> None:
    write_h36m(raw, _scene(), 1)
    write_recording(raw, _scene(), "S1/Directions 1")


def _mosh(raw: Path) -> None:
    write_recording(raw, _scene(), "S1/Directions 1", step=5)
    write_mosh(raw, _scene(), "S1/Directions 1", 0)


class Download(NamedTuple):
    """A download, and which of its files is spoiled."""

    source: str
    write: Callable[[Path], object]
    spoiled: str  # of that name

    def make(self) -> list[bytes]:
        with tempfile.TemporaryDirectory() as folder:
            self.write(Path(folder))
            return [self._file(Path(folder)).read_bytes()]

    def read(self, path: Path) -> None:
        """As the command does, dry: into a folder that is not there."""
        raw = _unpacked(self, path)
        prepare_dataset(Request(self.source, raw, raw / "out", None, IGNORE, is_dry=True), _bodies())

    def _file(self, folder: Path) -> Path:
        return next(path for path in sorted(folder.rglob("*")) if path.name == self.spoiled)


@cache
def _unpacked(download: Download, path: Path) -> Path:
    """The download in a folder that is this process's, with a link to the file that is spoiled."""
    raw = Path(tempfile.mkdtemp(dir=path.parent))
    download.write(raw)
    place = download._file(raw)
    place.unlink()
    place.symlink_to(path.resolve())
    return raw


DOWNLOADS = {
    "3dpw": Download("3dpw", lambda raw: write_3dpw(raw, [_scene()], "n"), "downtown_walking_00.pkl"),
    "gvhmr": Download("gvhmr-support", lambda raw: write_gvhmr(raw, _scene(), "emdb", "neutral"), "emdb_vit_v4.pt"),
    "gvhmr_rich": Download("gvhmr-support", lambda raw: write_gvhmr(raw, _scene(), "rich"), "rich_test_labels.pt"),
    "eft": Download("coco", partial(_coco, "EFT"), "COCO2014-All-ver01.json"),
    "coco": Download("coco", partial(_coco, "NeuralAnnot"), "person_keypoints_train2014.json"),
    "neuralannot": Download("coco", partial(_coco, "NeuralAnnot"), "MSCOCO_train_SMPL_NeuralAnnot.json"),
    "cliff_fits": Download("coco", partial(_coco, "CLIFF"), "coco2014part_cliffGT.npz"),
    "camerahmr": Download("coco", partial(_coco, "CameraHMR"), "coco-release.npz"),
    "spin_fits": Download("coco", partial(_coco, "SPIN"), "coco_fits.npy"),
    "h36m_fits": Download("h36m", _h36m, "Human36M_subject1_smpl_param.json"),
    "h36m_camera": Download("h36m", _h36m, "Human36M_subject1_camera.json"),
    "h36m_cdf": Download("h36m", _h36m, "Directions 1.54138969.cdf"),
    "mosh": Download("h36m", _mosh, "Directions 1_cam0_aligned.pkl"),
    "mosh_cdf": Download("h36m", _mosh, "Directions 1.54138969.cdf"),
    "bedlam": Download("bedlam", lambda raw: write_labels(raw, _scene(), "smpl"), "batch01hand_30fps.npz"),
    "bedlam2": Download("bedlam2", lambda raw: write_bedlam2(raw, _scene(), "scene_a"), "be_seq.csv"),
    "bedlam2_camera": Download(
        "bedlam2", lambda raw: write_bedlam2(raw, _scene(), "scene_a"), "seq_000000_camera.csv"
    ),
    "emdb": Download("emdb", lambda raw: write_emdb(raw, _scene(), "neutral"), "P0_09_outdoor_walk_data.pkl"),
    "3dhp": Download("mpi_inf_3dhp", _3dhp, "MPI-INF-3DHP_SMPL_NeuralAnnot.json"),
    "3dhp_pictures": Download("mpi_inf_3dhp", _3dhp, "MPI-INF-3DHP_1k.json"),
    "aist": Download("aist", lambda raw: write_aist(raw, _scene()), "gBR_sBM_cAll_d05_mBR0_ch01.pkl"),
    "aist_camera": Download("aist", lambda raw: write_aist(raw, _scene()), "setting1.json"),
    "aist_mapping": Download("aist", lambda raw: write_aist(raw, _scene()), "mapping.txt"),
}  # fmt: skip
