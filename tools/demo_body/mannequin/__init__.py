"""Makes the body a mannequin: no face, smooth where clothes would be, so that it may be shown anywhere.

What regressors see stays where it is: the vertices that a skeleton joint is regressed from and the landmarks to the bit,
the head's keypoints, which are means over half of its surface, to rounding.
"""

import numpy as np

from kinemesh.body.skeleton import VERTEX_LANDMARKS
from tools.demo_body.mannequin.cover import Plate
from tools.demo_body.mannequin.face import Mask
from tools.demo_body.mannequin.slide import keep_means


def make_mannequin(body: dict[str, np.ndarray], in_mouth: np.ndarray, in_eyes: np.ndarray) -> dict[str, np.ndarray]:
    """`v_template` (V, 3) and `shapedirs` (V, 3, 10) of the smoothed body.

    Args:
        body: dense arrays named as `kinemesh.demo.body.load_stand_in` names them.
        in_mouth, in_eyes: (V,) bool, the mouth's cavity and the sockets with the lids.
    """
    template, shapedirs = body["v_template"], body["shapedirs"]
    held = (body["J_regressor"] > 0).any(axis=0)
    held[list(VERTEX_LANDMARKS.values())] = True
    plate = Plate(template, body["faces"], held)
    mask = Mask(template, body["faces"], body["skinning_weights"], held, in_mouth, in_eyes)

    def smoothed(vertices: np.ndarray) -> np.ndarray:
        return mask.put_on(plate.relaxed(vertices))

    # The mask is not linear: a shape direction becomes the central difference over one standard deviation.
    directions = np.moveaxis(shapedirs, -1, 0)
    changed = [smoothed(template)] + [(smoothed(template + d) - smoothed(template - d)) / 2 for d in directions]
    before = np.stack([template, *directions], axis=-1)
    after = keep_means(body, before, np.stack(changed, axis=-1), held, in_mouth)
    return {"v_template": after[..., 0], "shapedirs": after[..., 1:]}
