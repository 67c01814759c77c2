"""The table of published data sets that are prepared: where each is from, and what reads it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from kinemesh.prepare.datasets.sequences import Item, PreparedSequence, Workplace
from kinemesh.prepare.human36m.reading import find_h36m, read_h36m
from kinemesh.prepare.readers.aist import find_aist, read_aist
from kinemesh.prepare.readers.bedlam import find_bedlam, read_bedlam
from kinemesh.prepare.readers.bedlam2 import find_bedlam2, read_bedlam2
from kinemesh.prepare.readers.coco import find_coco, read_coco
from kinemesh.prepare.readers.emdb import find_emdb, read_emdb
from kinemesh.prepare.readers.gvhmr import find_gvhmr, read_gvhmr
from kinemesh.prepare.readers.neuralannot import find_3dhp, read_3dhp
from kinemesh.prepare.readers.pw3d import find_3dpw, read_3dpw


class DatasetSource(NamedTuple):
    """A published data set."""

    find: Callable[[Path], list[Item]]
    read: Callable[[Item, Workplace], Iterator[PreparedSequence]]
    expected: str  # below --raw, and where it is from
    licence: str
    detector: str  # of the set's own keypoints
    fps: float = 30.0
    square_px: float | None = 1920.0  # side of the square that a released pickle's pictures are in; None: as they are
    counted_from: int = 0  # of a video's pictures
    largest_fit_mm: float = float("inf")  # from joints that were measured


SOURCES = {
    "3dpw": DatasetSource(
        find_3dpw,
        read_3dpw,
        "3DPW's sequenceFiles (virtualhumans.mpi-inf.mpg.de/3DPW, after registration), as sequenceFiles/train/downtown_bar_00.pkl",
        "3DPW: non-commercial scientific research, virtualhumans.mpi-inf.mpg.de/3DPW/license.html",
        "3DPW's poses2d (OpenPose)",
    ),
    "gvhmr-support": DatasetSource(
        find_gvhmr,
        read_gvhmr,
        "GVHMR's hmr4d_support folders of 3DPW, EMDB or RICH (github.com/zju3dv/GVHMR, docs/INSTALL.md)",
        "those of 3DPW, EMDB and RICH, each non-commercial scientific research",
        "ViTPose, of GVHMR's hmr4d_support",
    ),
    "coco": DatasetSource(
        find_coco,
        read_coco,
        "fits of EFT, NeuralAnnot, CLIFF, CameraHMR or SPIN, with COCO's person_keypoints_*.json (docs/downloads.md)",
        "those of the fits (EFT: CC BY-NC 4.0), over COCO's (annotations CC BY 4.0, pictures by Flickr's terms)",
        "none: COCO's annotators",
        square_px=640.0,
    ),
    "h36m": DatasetSource(
        find_h36m,
        read_h36m,
        "Human36M_subject*_smpl_param.json, _camera.json and _joint_3d.json, or the set's own CDF files with them or with MoSh's (docs/downloads.md)",
        "Human3.6M: academic use, after registration, vision.imar.ro/human3.6m/eula.php",
        "none: Human3.6M's D2_Positions, measured joints as its cameras see them",
        fps=50.0,
        square_px=None,
        counted_from=1,
        largest_fit_mm=25.0,
    ),
    "mpi_inf_3dhp": DatasetSource(
        find_3dhp,
        read_3dhp,
        "MPI-INF-3DHP_SMPL_NeuralAnnot.json, _camera_1k.json, _joint_3d.json and _1k.json (github.com/mks0601/NeuralAnnot_RELEASE)",
        "MPI-INF-3DHP: non-commercial research, vcai.mpi-inf.mpg.de/3dhp-dataset",
        "none in the set",
        largest_fit_mm=60.0,
    ),
    "bedlam": DatasetSource(
        find_bedlam,
        read_bedlam,
        "BEDLAM's labels, all_npz_12_training.zip unpacked (bedlam.is.tue.mpg.de, after registration)",
        "BEDLAM: research only, bedlam.is.tue.mpg.de/license.html",
        "none in the set",
        square_px=None,
    ),
    "bedlam2": DatasetSource(
        find_bedlam2,
        read_bedlam2,
        "BEDLAM2's scenes (be_seq.csv, ground_truth) and b2_motions_npz_training, unpacked (bedlam2.is.tue.mpg.de, after registration)",
        "BEDLAM2: research only, bedlam2.is.tue.mpg.de",
        "none in the set",
        square_px=None,
    ),
    "emdb": DatasetSource(
        find_emdb,
        read_emdb,
        "EMDB's P0 to P9, unpacked (emdb.ait.ethz.ch, after registration), as P0/09_outdoor_walk/P0_09_outdoor_walk_data.pkl",
        "EMDB: non-commercial research, emdb.ait.ethz.ch",
        "none in the set",
        square_px=None,
    ),
    "aist": DatasetSource(
        find_aist,
        read_aist,
        "AIST++'s annotations: motions, keypoints2d and cameras (google.github.io/aistplusplus_dataset)",
        "AIST++: annotations CC BY 4.0, google.github.io/aistplusplus_dataset; the videos have terms of their own",
        "AIST++'s keypoints2d",
        fps=60.0,
        square_px=None,
    ),
}
