"""Which code makes pixels. Another may make other pixels of the same file."""

import hashlib
from functools import cache

import cv2

from hnp_pipeline.fingerprint import source_hash

MODULES = ("area", "clahe", "decoding", "depth", "dicom", "files", "formats")


@cache
def pixel_code() -> str:
    """16 hex digits that change with the code between a file and its cached pixels, and with OpenCV's version."""
    code = source_hash(*(f"imaging/{module}" for module in MODULES))
    return hashlib.sha256(f"{code} {cv2.__version__}".encode()).hexdigest()[:16]
