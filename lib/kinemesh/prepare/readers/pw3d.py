"""3DPW, von Marcard et al., ECCV 2018: `sequenceFiles/{train,validation,test}/<sequence>.pkl`, pickles of Python 2.

Of P people and F pictures: `poses` P x (F, 72) and `trans` P x (F, 3) in the world, m; `betas` P x (10 or more,) and
`genders` ('m', 'f') of the body that they are for; `poses2d` P x (F, 3, 18), COCO-18; `cam_intrinsics` (3, 3), `cam_poses`
(F, 4, 4) world to camera, `campose_valid` P x (F,). Pictures are `imageFiles/<sequence>/image_00000.jpg`. The layout is as
SPIN's `datasets/preprocess/pw3d.py`, mmhuman3d's `data_converters/pw3d.py` and WHAM's `threedpw_train_utils.py` read it.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from kinemesh.errors import UserError, fail
from kinemesh.files.pickles import load_pickle
from kinemesh.prepare.datasets.bodies import camera_body
from kinemesh.prepare.datasets.sequences import (
    Item,
    PreparedSequence,
    Workplace,
    field,
    numbers,
    require,
    stretches,
    without,
)

_SPLITS = {"train": "train", "test": "test", "validation": None}
_GENDERS = {"m": "male", "f": "female", "n": "neutral"}
_WHERE = "3DPW's sequenceFiles with train and test, of sequenceFiles.zip (virtualhumans.mpi-inf.mpg.de/3DPW)"


def find_3dpw(raw: Path) -> list[Item]:
    """A part for each sequence of train and test. Raises UserError where a split's folder is missing."""
    folder = raw if (raw / "test").is_dir() and raw.name == "sequenceFiles" else raw / "sequenceFiles"
    if not folder.is_dir():
        require(raw, ("sequenceFiles",), _WHERE)
    there = [split for split in _SPLITS if any((folder / split).glob("*.pkl"))]
    if not {"train", "test"} & set(there):
        raise UserError(f"--raw {raw}: no .pkl in {folder}/train or {folder}/test. Expected {_WHERE}.")
    return [
        Item(f"{split}/{path.stem}", (path,), split)
        for split in there
        for path in sorted((folder / split).glob("*.pkl"))
    ]


def read_3dpw(item: Item, place: Workplace) -> Iterator[PreparedSequence]:
    """Everybody of a sequence. The validation split is left out: training here takes train, and tests on test."""
    path = item.paths[0]
    content = load_pickle(path, what="a sequence of 3DPW", encoding="latin1")
    people = field(path, content, "poses", list)
    if _SPLITS[item.key] is None:
        place.drop("validation split", sum(len(poses) for poses in people if isinstance(poses, np.ndarray)))
        return
    sequence = str(field(path, content, "sequence", str))
    camera = numbers(path, content, "cam_poses", (None, 4, 4))
    count = len(camera)
    K = numbers(path, content, "cam_intrinsics", (3, 3))
    # The picture is the camera's centre twice: 1920 x 1080, held across or upright.
    size = np.array([1920, 1080]) if K[0, 2] > K[1, 2] else np.array([1080, 1920])
    for person in range(len(people)):
        values = {
            key: numbers(path, field(path, content, key, list), person, shape, f"{key!r} of person {person}")
            for key, shape in (
                ("poses", (count, 72)), ("trans", (count, 3)), ("betas", (None,)), ("poses2d", (count, 3, 18)),
                ("campose_valid", (count,)),
            )
        }  # fmt: skip
        genders = field(path, content, "genders", (list, tuple))
        gender = _GENDERS.get(str(genders[person])) if len(genders) > person else None
        if gender is None:
            fail(path, f"'genders' of person {person} is missing or none of m, f", "a gender a person")
        body = camera_body(place, gender, values["poses"], values["trans"], values["betas"], camera)
        whole = PreparedSequence(
            f"{sequence}_{person}", np.arange(count), size, K, body.poses, body.betas, body.trans_m, _SPLITS[item.key],
            values["poses2d"].transpose(0, 2, 1), "coco18", video=sequence, notes=body.notes,
        )  # fmt: skip
        valid = without(whole, values["campose_valid"] > 0, "camera not valid (campose_valid)", place)
        yield from stretches(valid)
