"""People as AlphaPose writes them."""

import itertools
import json
from pathlib import Path

import numpy as np

from kinemesh.keypoints.formats import FORMATS


def write_alphapose(path: Path, keypoints_px: np.ndarray, first: int = 1) -> Path:
    """People (P, F, 17, 3) as Halpe-26 with tracks that are numbered from `first`; no row where nothing is seen."""
    items = []
    for frame, person in itertools.product(range(keypoints_px.shape[1]), range(len(keypoints_px))):
        points = np.zeros((26, 3))
        for joint, sources in zip(keypoints_px[person, frame], FORMATS["halpe26"].sources, strict=True):
            if len(sources) == 1:
                points[sources[0]] = joint
        if points[:, 2].any():
            items.append({"image_id": f"{frame}.jpg", "keypoints": points.ravel().tolist(), "idx": person + first})
    path.write_text(json.dumps(items))
    return path
