"""A folder of images as the frames of a video."""

import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from kinemesh.errors import UserError

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")


def image_paths(folder: Path | str) -> list[Path]:
    """The folder's images in the order of their names, numbers by value.

    Raises UserError if the names' last numbers leave some out: keypoints count frames by them.
    """
    paths = [path for path in Path(folder).iterdir() if path.suffix.lower() in IMAGE_ENDINGS and path.name[0] != "."]
    if not paths:
        raise UserError(f"{folder}: a folder without images. Expected frames as {', '.join(IMAGE_ENDINGS)}.")
    if odd := [path for path in paths if not path.is_file()]:  # a pipe would be waited for
        raise UserError(f"{odd[0]}: is no regular file, or a link that leads to none. Expected an image.")
    paths.sort(key=lambda path: [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", path.name)])
    numbers = [int(found[-1]) for path in paths if (found := re.findall(r"\d+", path.stem))]
    if len(numbers) == len(paths) and (numbers[0] > 1 or numbers != list(range(numbers[0], numbers[0] + len(paths)))):
        raise UserError(
            f"{folder}: {len(paths)} images, numbered from {numbers[0]} to {numbers[-1]}. Expected every number from 0 or "
            "1 on, as keypoints count frames by them. Rename the images, or give a video."
        )
    return paths


def read_images(folder: Path | str, only_sizes: bool = False, first: int = 0) -> Iterator[np.ndarray]:
    """The images (H, W, 3) uint8, RGB, upright, each read when it is asked for; `only_sizes`: of no content, in no time.

    `first` is the number of the first, from 0.

    Raises UserError for what is no image, too large, or of another size than the first.
    """
    size = None
    for path in image_paths(folder)[first:]:
        try:
            with warnings.catch_warnings(), Image.open(path) as image:
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                width, height = image.size
                if image.getexif().get(0x0112, 1) > 4:  # lies on its side
                    width, height = height, width
                if size not in (None, (width, height)):
                    raise UserError(
                        f"{path}: {width}x{height} pixels, expected {size[0]}x{size[1]} as the first. "
                        "Give images of one size."
                    )
                size = (width, height)
                if only_sizes:
                    picture = np.broadcast_to(np.uint8(0), (height, width, 3))
                else:
                    picture = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
        except (OSError, ValueError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError) as error:
            raise UserError(f"{path}: cannot be read as an image ({str(error)[:120]}). Expected an image.") from None
        except Image.DecompressionBombWarning:
            raise UserError(f"{path}: claims {width}x{height} pixels. Expected a video's frame.") from None
        yield picture
