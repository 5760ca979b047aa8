"""From a picture file to gray pixels: uint8 (H, W), upright, whatever the format and depth."""

import threading
from contextlib import nullcontext
from pathlib import Path

import cv2
import numpy as np

from hnp_pipeline.imaging.formats import Format, Header, UnreadableImageError, damaged, read_header
from hnp_pipeline.study import Intake

# A picture of 100 million pixels takes up to a gigabyte while it is decoded: those go one at a time.
_LARGE_PIXELS = 25_000_000
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
    data = path.read_bytes()
    return decode_gray(data, read_header(data, maximum_pixels))


def decode_gray(data: bytes, header: Header, reduction: int = 1) -> np.ndarray:
    """The picture in a file's bytes: uint8 (H, W), turned upright as EXIF says, first frame, without alpha.

    `reduction` (1, 2, 4 or 8) shrinks a JPEG while it is decoded, to sides of ceil(H/reduction) and
    ceil(W/reduction); other formats have no such way and come at full size. 16 bits become 8 by
    `dicom.eight_bits`.

    Raises:
        UnreadableImageError: damaged.
    """
    with _large if header.width * header.height > _LARGE_PIXELS else nullcontext():
        if header.format == Format.DICOM:
            from hnp_pipeline.imaging import dicom

            return dicom.decode(data)
        flags = cv2.IMREAD_GRAYSCALE
        if header.format == Format.JPEG:
            flags = _JPEG_FLAGS[reduction]
        elif header.sixteen:
            flags = cv2.IMREAD_UNCHANGED
        try:
            # Orientation is ours: OpenCV forgets it with some flags, and it must be honoured once.
            pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
        except cv2.error:
            pixels = None
    if pixels is None:
        raise damaged(header.format)
    if header.sixteen:
        pixels = _gray_of_sixteen(pixels)
    return _upright(pixels, header.orientation)
