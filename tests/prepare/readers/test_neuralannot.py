"""MPI-INF-3DHP by its JSON: bodies stand before each camera where they stood in the world."""

import numpy as np

from tests.refusals import refuses
from tools.published.moon import SHIFT, write_3dhp


def test_bodies_of_mpi_inf_3dhp(make_scene, prepare, loaded, shown_px, tmp_path):
    scene = make_scene(stands=True)
    write_3dhp(tmp_path / "raw", scene)
    prepare("mpi_inf_3dhp")
    assert np.abs(shown_px() - scene.px - SHIFT).max() < 0.1
    assert loaded().train.video_names == ["S1_Seq1_0"] and loaded().train.image_size.tolist() == [1024, 1024]
    (tmp_path / "raw/MPI-INF-3DHP_joint_3d.json").unlink()
    refuses("MPI-INF-3DHP_joint_3d.json is missing. Expected it, of NeuralAnnot's", prepare, "mpi_inf_3dhp", "again")
