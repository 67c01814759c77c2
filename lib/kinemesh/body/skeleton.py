"""The two skeletons: names, parents, mirror pairs, limbs. Joint numbers live here and nowhere else.

H36M-17 is what the network reads and the metrics score; SMPL-24 is what the body model rotates.
Source: behaviour contract sections 1 and 4; Loper et al., SMPL, 2015.
"""

MM_PER_M = 1000.0
SIDES = ("left", "right")  # what the names of joints begin with

H36M_JOINT_NAMES = (
    "pelvis", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "spine", "thorax",
    "nose", "head_top", "left_shoulder", "left_elbow", "left_wrist", "right_shoulder", "right_elbow", "right_wrist",
)  # fmt: skip
H36M_JOINT_COUNT = len(H36M_JOINT_NAMES)
H36M_ROOT = 0
H36M_HIPS = (1, 4)
H36M_MIRROR_PAIRS = ((1, 4), (2, 5), (3, 6), (11, 14), (12, 15), (13, 16))

# The joints that headline metrics use: without pelvis, spine and nose.
EVALUATED_JOINTS = (1, 2, 3, 4, 5, 6, 8, 10, 11, 12, 13, 14, 15, 16)

# (parent, child) of each bone, and pairs of bones (rows of LIMBS) whose angle the losses compare.
LIMBS = (
    (0, 1), (1, 2), (2, 3), (0, 4), (4, 5), (5, 6), (0, 7), (7, 8),
    (8, 9), (9, 10), (8, 11), (11, 12), (12, 13), (8, 14), (14, 15), (15, 16),
)  # fmt: skip
LIMB_ANGLE_PAIRS = (
    (0, 3), (0, 6), (3, 6), (0, 1), (1, 2), (3, 4), (4, 5), (6, 7), (7, 10),
    (7, 13), (8, 13), (10, 13), (7, 8), (8, 9), (10, 11), (11, 12), (13, 14), (14, 15),
)  # fmt: skip

SMPL_JOINT_NAMES = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle", "right_ankle",
    "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head", "left_shoulder",
    "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hand", "right_hand",
)  # fmt: skip
SMPL_PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)
SMPL_JOINT_COUNT = len(SMPL_JOINT_NAMES)
SMPL_MIRROR_PAIRS = ((1, 2), (4, 5), (7, 8), (10, 11), (13, 14), (16, 17), (18, 19), (20, 21), (22, 23))
BETA_COUNT = 10
VERTEX_COUNT = 6890
EXTRA_JOINT_COUNT = 9  # SPIN's, beside SMPL's own
FACE_COUNT = 13776


def mirror_order(joint_count: int, pairs: tuple[tuple[int, int], ...]) -> tuple[int, ...]:
    """Joint order after a left/right swap: entry i names the joint that takes place i."""
    order = list(range(joint_count))
    for left, right in pairs:
        order[left], order[right] = right, left
    return tuple(order)


H36M_MIRROR_ORDER = mirror_order(H36M_JOINT_COUNT, H36M_MIRROR_PAIRS)
SMPL_MIRROR_ORDER = mirror_order(SMPL_JOINT_COUNT, SMPL_MIRROR_PAIRS)

# Vertices of SMPL that are landmarks by themselves, in the order in which the released body model adds them to the joints;
# the numbers are those of smplx's `vertex_ids`.
VERTEX_LANDMARKS = {
    "nose_tip": 332, "right_eye": 6260, "left_eye": 2800, "right_ear": 4071, "left_ear": 583,
    "left_big_toe": 3216, "left_small_toe": 3226, "left_heel": 3387,
    "right_big_toe": 6617, "right_small_toe": 6624, "right_heel": 6787,
    "left_thumb": 2746, "left_index": 2319, "left_middle": 2445, "left_ring": 2556, "left_pinky": 2673,
    "right_thumb": 6191, "right_index": 5782, "right_middle": 5905, "right_ring": 6016, "right_pinky": 6133,
}  # fmt: skip
