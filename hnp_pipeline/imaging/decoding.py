"""From a picture file to gray pixels: uint8 (H, W), upright, whatever the format and depth."""

import threading
from contextlib import nullcontext
from pathlib import Path

import cv2
import numpy as np

from hnp_pipeline.imaging.depth import eight_bits
from hnp_pipeline.imaging.files import open_regular, read_picture
from hnp_pipeline.imaging.formats import Format, Header, damaged, read_header
from hnp_pipeline.study import Intake

# A picture of 100 million pixels takes up to a gigabyte while it is decoded: those go one at a time.
LARGE_PIXELS = 25_000_000
_large = threading.Lock()

_JPEG_FLAGS = {
    1: cv2.IMREAD_GRAYSCALE,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
}


def read_gray(path: Path, maximum_pixels: int = Intake().maximum_pixels) -> np.ndarray:
    """The picture in a file, at full size.

    Raises:
        UnreadableImageError: not a JPEG, PNG or DICOM image, damaged, or over the limit. Holds no file name.
        OSError: the file cannot be opened.
    """
    with open_regular(path) as file:
        data = read_picture(file, maximum_pixels)
    return decode_gray(data, read_header(data, maximum_pixels))


def decode_gray(data: bytes, header: Header, reduction: int = 1) -> np.ndarray:
    """The picture in a file's bytes: uint8 (H, W), turned upright as EXIF says, first frame, without alpha.

    `reduction` (1, 2, 4 or 8) shrinks a JPEG while it is decoded, to sides of ceil(H/reduction) and
    ceil(W/reduction); other formats have no such way and come at full size. 16 bits become 8 by
    `depth.eight_bits`.

    Raises:
        UnreadableImageError: damaged.
    """
    with _large if header.width * header.height > LARGE_PIXELS else nullcontext():
        if header.format == Format.DICOM:
            from hnp_pipeline.imaging import dicom

            return dicom.decode(data)
        flags = (
            _JPEG_FLAGS[reduction]
            if header.format == Format.JPEG
            else cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH
        )
        try:
            # Orientation is ours: OpenCV forgets it with some flags, and it must be honoured once.
            pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
        except cv2.error:
            pixels = None
    if pixels is None:
        raise damaged(header.format)
    return _upright(eight_bits(pixels), header.orientation)


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Undo EXIF's orientation (tag 0x0112: where the stored picture's first row and column belong)."""
    if orientation >= 5:  # rows are columns
        pixels = cv2.transpose(pixels)
    flip = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}.get(orientation)
    return pixels if flip is None else cv2.flip(pixels, flip)
