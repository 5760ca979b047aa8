"""DICOM pictures to 8-bit gray: uncompressed, RLE, and what else pydicom decodes with what is installed."""

import io
import logging
import struct
import warnings

import cv2
import numpy as np
import pydicom
from pydicom.encaps import get_frame
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi_lut
from pydicom.pixels.utils import pixel_array
from pydicom.uid import RLELossless

from hnp_pipeline.imaging.depth import eight_bits
from hnp_pipeline.imaging.formats import Format, UnreadableImageError, damaged

# pydicom quotes odd values when it warns, and a value may be a patient's name.
warnings.filterwarnings("ignore", module=r"pydicom(\.|$)")
logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)

# Read by name, so that nothing that identifies the patient is even parsed.
TAGS = [
    "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames", "Rows",
    "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "RescaleIntercept",
    "RescaleSlope", "RescaleType", "ModalityLUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction",
    "VOILUTSequence", "RedPaletteColorLookupTableDescriptor", "RedPaletteColorLookupTableData",
    "GreenPaletteColorLookupTableDescriptor", "GreenPaletteColorLookupTableData",
    "BluePaletteColorLookupTableDescriptor", "BluePaletteColorLookupTableData", "PixelData",
]  # fmt: skip
_DISPLAY = [
    "RescaleIntercept", "RescaleSlope", "ModalityLUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction",
    "VOILUTSequence",
]  # fmt: skip


def read_size(data: bytes) -> tuple[int, int]:
    """Width and height in pixels.

    Raises:
        UnreadableImageError: not readable as DICOM, or a DICOM object without a picture.
    """
    dataset = _read(data, stop_before_pixels=True)
    try:
        return int(dataset.Columns), int(dataset.Rows)
    except (AttributeError, TypeError, ValueError):
        raise UnreadableImageError("a DICOM file without a picture") from None


def decode(data: bytes) -> np.ndarray:
    """The first frame, uint8 (H, W), as a viewer shows it: bone bright, in the first window that is named.

    Modality and VOI transformations follow PS3.3 C.11.1 and C.11.2; MONOCHROME1 is turned.

    Raises:
        UnreadableImageError: truncated, damaged, or of a compression that is not installed.
    """
    dataset = _read(data)
    try:
        _require_no_bomb(dataset)
        frame = pixel_array(dataset, index=0)
    except Exception:  # whatever a damaged file makes of a parser
        syntax = dataset.file_meta.get("TransferSyntaxUID")
        if syntax is not None and syntax.is_compressed:
            name = syntax.name if syntax.name != syntax else "unknown"  # a UID of the standard has a name
            raise UnreadableImageError(
                f"damaged, or of a DICOM compression that is not read ({name})"
            ) from None
        raise damaged(Format.DICOM) from None
    try:
        _drop_unusable(dataset)
        photometric = str(dataset.PhotometricInterpretation)
        if photometric == "PALETTE COLOR":
            frame = apply_color_lut(frame, dataset)
        if frame.ndim == 3:
            return eight_bits(cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY))
        gray = _shown(frame, dataset)
        return cv2.bitwise_not(gray) if photometric == "MONOCHROME1" else gray
    except Exception:
        raise damaged(Format.DICOM) from None


def _read(data: bytes, stop_before_pixels: bool = False) -> pydicom.FileDataset:
    if b"1.2.840.10008.1.2.1.99" in data[132:2048]:  # a small file can inflate to any size
        raise UnreadableImageError("deflated DICOM is not read")
    try:
        return pydicom.dcmread(io.BytesIO(data), stop_before_pixels=stop_before_pixels, specific_tags=TAGS)
    except Exception:
        raise damaged(Format.DICOM) from None


def _require_no_bomb(dataset: pydicom.FileDataset) -> None:
    """Refuse runs (RLE, PS3.5 annex G) that unpack to far more than the picture: two bytes can make 128.

    Raises:
        ValueError: they do. Others of pydicom and struct: the file is damaged.
    """
    if dataset.file_meta.get("TransferSyntaxUID") != RLELossless:
        return
    frame = get_frame(dataset.PixelData, 0, number_of_frames=int(dataset.get("NumberOfFrames") or 1))
    count, *offsets = struct.unpack_from("<16L", frame)
    ends = [*offsets[1:count], len(frame)]
    plane = dataset.Rows * dataset.Columns
    if count > 12 or any(
        _unpacked(frame[a:b], 2 * plane) > 2 * plane for a, b in zip(offsets, ends, strict=False)
    ):
        raise ValueError("more runs than the picture has pixels")


def _unpacked(runs: bytes, limit: int) -> int:
    """The bytes that runs unpack to, as far as `limit`."""
    at = size = 0
    while at < len(runs) and size <= limit:
        sign = runs[at]
        if sign < 128:  # so many bytes and one more as they stand
            at, size = at + sign + 2, size + sign + 1
        elif sign > 128:  # the next byte, repeated
            at, size = at + 2, size + 257 - sign
        else:
            at += 1
    return size


def _drop_unusable(dataset: pydicom.Dataset) -> None:
    """Take out what is there and says nothing: an empty rescaling, window or table, a window without a width."""
    for name in _DISPLAY:
        if name in dataset and dataset[name].is_empty:
            del dataset[name]
    window = ("WindowCenter", "WindowWidth")
    if not all(name in dataset for name in window) or np.atleast_1d(dataset.WindowWidth)[0] <= 0:
        for name in window:
            dataset.pop(name, None)


def _shown(frame: np.ndarray, dataset: pydicom.Dataset) -> np.ndarray:
    """Stored values through modality and VOI transformation to uint8; a VOI table goes before a window."""
    values = apply_modality_lut(frame, dataset)
    if "VOILUTSequence" in dataset:
        bits = int(dataset.VOILUTSequence[0].LUTDescriptor[2])
        return _scaled(apply_voi_lut(values, dataset), 0, 2**bits - 1)
    if "WindowCenter" in dataset:
        with np.errstate(over="ignore"):
            # where the window sends what lies below and above everything: the ends of its range
            ends = apply_voi_lut(np.array([-(2**24), 2**24], np.int32), dataset)
            if ends.max() > ends.min():
                return _scaled(apply_voi_lut(values, dataset), float(ends.min()), float(ends.max()))
    least, most = values.min(), values.max()
    whole = least >= 0 and most < 2**16 and np.array_equal(values, frame)
    if whole:
        stored = int(dataset.get("BitsStored", 16))
        return eight_bits(frame.astype(np.uint16), max(stored, 8) if stored < 16 else None)
    normal: np.ndarray = cv2.normalize(
        np.asarray(values, np.float32), np.empty(0), 0, 255, cv2.NORM_MINMAX, cv2.CV_8U
    )
    return normal


def _scaled(values: np.ndarray, low: float, high: float) -> np.ndarray:
    scaled = (np.asarray(values, np.float32) - low) * (255 / (high - low))
    shown: np.ndarray = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
    return shown
