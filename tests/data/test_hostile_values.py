"""Files that can be read, of values that would fill the memory."""

import pickle

import numpy as np

from kinemesh.data.sources import load_dataset
from kinemesh.estimates.predictions import load_predictions
from kinemesh.estimates.values import to_text
from tests.files.calls import bomb
from tests.refusals import refuses


def test_lists_that_multiply_are_one_line(make_content, tmp_path):
    path = tmp_path / "file.pkl"
    content = make_content("pw3d", train=(20,), test=(20,))
    content["train"]["smpl_pose"] = bomb()
    path.write_bytes(pickle.dumps(content))
    refuses("train 'smpl_pose' is lists that hold one another over and over. Expected", load_dataset, "pw3d", path)
    content["train"] = content["test"] | {"source": ["a", "b" * 5000] * 10}
    path.write_bytes(pickle.dumps(content))
    refuses("train 'source' holds more than 4096 characters", load_dataset, "pw3d", path)
    body = {"global_orient": np.eye(3)[None], "body_pose": np.stack([np.eye(3)] * 23), "betas": np.zeros(10)}
    path.write_bytes(pickle.dumps({"a/img/1.jpg": {"tid": [bomb()], "smpl": [body], "time": 0}}))
    refuses("'tid' is not a list of numbers", load_predictions, path)
    path.write_bytes(pickle.dumps({"a/img/1.jpg": {"tid": [1], "smpl": [body | {"betas": bomb()}], "time": 0}}))
    refuses("'smpl' 'betas' is lists that hold one another over and over", load_predictions, path)
    refuses("'video' is text of 5000 characters", to_text, path, "'video'", np.array(["a", "b" * 5000], dtype=object))
