"""Every format, depth and turn comes out as the same upright gray picture."""

import io

import cv2
import numpy as np
import pydicom
import pytest
from imaging_pictures import ARITHMETIC_JPEG, dicom, encoded, smooth, voi_table, with_orientation, ycck
from PIL import Image, ImageOps

from hnp_pipeline.imaging.decoding import decode_gray, read_gray
from hnp_pipeline.imaging.depth import eight_bits
from hnp_pipeline.imaging.formats import UnreadableImageError, read_header

GRAY = smooth()
RGB = np.stack([GRAY] * 3, -1)
WIDE = GRAY.astype(np.uint16)


def decode(data: bytes, reduction: int = 1) -> np.ndarray:
    return decode_gray(data, read_header(data, 10**8), reduction)


def apng(**options: object) -> bytes:
    image = Image.fromarray(GRAY)
    return encoded(image, "PNG", save_all=True, append_images=[Image.fromarray(255 - GRAY)], **options)


def cv_png(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".png", pixels)[1].tobytes()


# name → (bytes, largest mean difference in gray levels)
RIGHT = {
    "JPEG": (encoded(GRAY), 1),
    "JPEG in colour": (encoded(RGB), 1),
    "progressive JPEG": (encoded(RGB, progressive=True), 1),
    "JPEG with restarts": (encoded(GRAY, restart_marker_rows=1), 1),
    "JPEG and more bytes after it": (encoded(GRAY) + b"tail" * 100, 1),
    "CMYK JPEG": (encoded(Image.fromarray(RGB).convert("CMYK")), 2),
    "YCCK JPEG": (ycck(GRAY), 2),
    "PNG": (encoded(GRAY, "PNG"), 0),
    "PNG in colour": (encoded(RGB, "PNG"), 0),
    "PNG with alpha": (encoded(np.dstack([RGB, 255 - GRAY]), "PNG"), 0),
    "gray PNG with alpha": (encoded(Image.fromarray(GRAY).convert("LA"), "PNG"), 0),
    "palette PNG": (encoded(Image.fromarray(GRAY).convert("P"), "PNG"), 0),
    "palette PNG, transparent": (encoded(Image.fromarray(GRAY).convert("P"), "PNG", transparency=100), 0),
    "interlaced PNG": (encoded(Image.fromarray(GRAY), "PNG", interlace=True), 0),
    "16-bit PNG": (cv_png(WIDE * 257), 0),
    "16-bit PNG in colour": (cv_png(np.stack([WIDE * 257] * 3, -1)), 0),
    "16-bit PNG with alpha": (cv_png(np.stack([WIDE * 257] * 4, -1)), 0),
    "12 bits in a 16-bit PNG": (cv_png(WIDE * 16), 0),
    "animated PNG": (apng(), 0),
    "animated PNG with a still": (apng(default_image=True), 0),
    "DICOM": (dicom(GRAY), 0),
    "DICOM, implicit": (dicom(GRAY, implicit=True), 0),
    "DICOM, RLE": (dicom(GRAY, compress="rle"), 0),
    "DICOM in colour": (dicom(RGB), 0),
    "DICOM of 12 bits": (dicom(WIDE * 16, BitsStored=12), 0),
    "DICOM of 16 bits": (dicom(WIDE * 257), 0),
    "DICOM of 12 bits called 16": (dicom(WIDE * 16), 0),
    "DICOM, first of two frames": (dicom(np.stack([GRAY, 255 - GRAY])), 0),
    "DICOM, MONOCHROME1": (dicom(255 - GRAY, PhotometricInterpretation="MONOCHROME1"), 0),
    "DICOM with a window": (dicom(1000 + 8 * WIDE, BitsStored=12, WindowCenter=2020.5, WindowWidth=2041), 1),
    "DICOM with two windows": (
        dicom(1000 + 8 * WIDE, BitsStored=12, WindowCenter=[2020.5, 5], WindowWidth=[2041, 9]),
        1,
    ),
    "DICOM, rescaled and windowed": (
        dicom(
            (1024 + 8 * WIDE).astype(np.int16),
            RescaleSlope=1,
            RescaleIntercept=-1024,
            WindowCenter=1020.5,
            WindowWidth=2041,
        ),
        1,
    ),
    "DICOM with a table": (
        dicom(WIDE**2 // 16, BitsStored=12, VOILUTSequence=voi_table(np.sqrt(np.arange(4096) * 16) * 257)),
        1,
    ),
    "DICOM with a table that turns": (
        dicom(4080 - WIDE * 16, BitsStored=12, VOILUTSequence=voi_table(np.linspace(65535, 0, 4096))),
        1,
    ),
    "DICOM with a table from 1000 on, before a window": (
        dicom(
            1000 + WIDE,
            BitsStored=12,
            VOILUTSequence=voi_table(np.arange(256) * 257, first=1000),
            WindowCenter=9,
            WindowWidth=3,
        ),
        0,
    ),
    "DICOM with a window of nothing": (dicom(GRAY, WindowCenter=None, WindowWidth=None), 0),
    "DICOM with half a window": (dicom(GRAY, WindowCenter=40), 0),
    "DICOM with a window of no width": (dicom(GRAY, WindowCenter=40, WindowWidth=0), 0),
    "DICOM with empty display": (
        dicom(
            GRAY,
            RescaleSlope=None,
            RescaleIntercept=None,
            VOILUTFunction="",
            VOILUTSequence=pydicom.Sequence([]),
        ),
        0,
    ),
    "DICOM with an empty function": (
        dicom(1000 + 8 * WIDE, BitsStored=12, WindowCenter=2020.5, WindowWidth=2041, VOILUTFunction=""),
        1,
    ),
}


@pytest.mark.parametrize("name", RIGHT)
def test_reads_right(name: str) -> None:
    data, tolerance = RIGHT[name]
    pixels = decode(data)
    assert pixels.dtype == np.uint8
    assert pixels.shape == GRAY.shape
    assert np.abs(pixels.astype(int) - GRAY).mean() <= tolerance


def test_arithmetic_coding() -> None:
    y, x = np.mgrid[0:64, 0:96]
    assert np.abs(decode(ARITHMETIC_JPEG).astype(int) - (2 * x + y // 2)).mean() < 2


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_honoured_once(orientation: int, format: str) -> None:
    data = with_orientation(GRAY, orientation, format)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    assert np.array_equal(decode(data), upright)
    if format == "JPEG":
        half = cv2.resize(upright, upright.shape[::-1], dst=None, fx=0, fy=0)
        half = cv2.resize(half, (upright.shape[1] // 2, upright.shape[0] // 2), interpolation=cv2.INTER_AREA)
        assert np.abs(decode(data, 2).astype(int) - half).mean() < 1


def test_dicom_without_window_is_stretched_where_it_is_signed() -> None:
    pixels = decode(dicom(GRAY.astype(np.int16) - 500))
    stretched = (GRAY - GRAY.min()) / (GRAY.max() - GRAY.min()) * 255
    assert np.abs(pixels - stretched).max() < 1


def test_depth() -> None:
    for bits, expected in [(8, 255), (9, 127), (10, 255), (12, 255), (13, 127), (14, 255), (16, 255)]:
        assert eight_bits(np.array([2**bits - 1], np.uint16))[0] == expected
    assert eight_bits(np.array([4095], np.uint16), 16)[0] == 15


def test_reads_a_path(tmp_path) -> None:
    path = tmp_path / "요추 😀.jpg"
    path.write_bytes(encoded(GRAY, "PNG"))
    assert np.array_equal(read_gray(path), GRAY)
    with pytest.raises(UnreadableImageError, match="not a file"):
        read_gray(tmp_path)
    with pytest.raises(UnreadableImageError, match="over the limit"):
        read_gray(path, maximum_pixels=10)


def test_dicom_says_which_compression_is_missing() -> None:
    with pytest.raises(UnreadableImageError, match="JPEG 2000"):
        decode(dicom(GRAY, compress="jpeg2000"))
