"""EMDB, Kaufmann et al., ICCV 2023: `P{0..9}/<sequence>/<sequence>_data.pkl`.

`gender`, `name`, `good_frames_mask` (F,), `camera` {`intrinsics` (3, 3), `extrinsics` (F, 4, 4) world to camera, `width`, `height`},
`smpl` {`poses_root` (F, 3), `poses_body` (F, 69), `trans` (F, 3), `betas` (10,)} in the world. So eth-ait/emdb's dataset.md has it.
`kp2d` there are SMPL's own joints projected, no detections.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from kinemesh.files.pickles import load_pickle
from kinemesh.prepare.datasets.bodies import camera_body, smpl_poses
from kinemesh.prepare.datasets.sequences import Item, PreparedSequence, Workplace, field, numbers, stretches, without


def find_emdb(raw: Path) -> list[Item]:
    """A part for each sequence."""
    return [Item(path.stem, (path,)) for path in sorted(raw.rglob("P*_data.pkl"))]


def read_emdb(item: Item, place: Workplace) -> Iterator[PreparedSequence]:
    """A sequence, of the test split: EMDB is there to be evaluated on."""
    path = item.paths[0]
    content = load_pickle(path, what="a sequence of EMDB", encoding="latin1")
    camera, smpl = (field(path, content, key, dict) for key in ("camera", "smpl"))
    extrinsics = numbers(path, camera, "extrinsics", (None, 4, 4))
    count = len(extrinsics)
    root, body_poses = numbers(path, smpl, "poses_root", (count, 3)), numbers(path, smpl, "poses_body", (count, 69))
    body = camera_body(
        place, field(path, content, "gender", str), smpl_poses(root, body_poses), numbers(path, smpl, "trans", (count, 3)),
        numbers(path, smpl, "betas", (None,)), extrinsics,
    )  # fmt: skip
    size = np.array(
        [field(path, camera, key, (int, float, np.generic)) for key in ("width", "height")], dtype=np.float64
    )
    name = field(path, content, "name", str)
    whole = PreparedSequence(
        name, np.arange(count), size, numbers(path, camera, "intrinsics", (3, 3)), body.poses, body.betas, body.trans_m,
        "test", notes=body.notes,
    )  # fmt: skip
    mask = numbers(path, content, "good_frames_mask", (count,)) > 0
    yield from stretches(without(whole, mask, "frames that EMDB calls no good (good_frames_mask)", place))
