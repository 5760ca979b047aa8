"""Small files that unpack to gigabytes: memory stays bounded, whether they can be read or not."""

import struct
import subprocess
import sys
from pathlib import Path

from imaging_pictures import (
    chunk,
    dicom,
    encoded,
    jpeg_declared,
    jpeg_within,
    png_declared,
    rle,
    smooth,
    zeros,
)

from hnp_pipeline.study import Intake

SIDE = 30_000
GIGABYTE = zeros(SIDE * (SIDE + 1) // 10**6 + 1)  # less than 4 MB
GRAY = smooth()
PNG = encoded(GRAY, "PNG")
OVER = f"{SIDE}×{SIDE} pixels are over the limit"

# Memory is counted from after a good picture of each format, with all that is loaded for it.
LOOK = """
import resource, sys
from pathlib import Path
import pyarrow as pa
from hnp_pipeline.imaging.inspection import inspect_files

def look(names):
    found = inspect_files(Path(sys.argv[1]), pa.array(names), None, int(sys.argv[2]), 2)
    print(*(why or "" for why in found["unreadable"].to_pylist()), sep="\\n")
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)

names = sys.argv[3:]
look(names[:3])
look(names[3:])
"""


def _png(width: int, height: int, before: bytes = b"", pixels: bytes = GIGABYTE) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = chunk(b"IHDR", header), before, chunk(b"IDAT", pixels), chunk(b"IEND", b"")
    return PNG[:8] + b"".join(parts)


def bombs() -> dict[str, tuple[bytes, str]]:
    """Name → (bytes, the reason why it is not read; blank: it is)."""
    return {
        "jpeg declared": (jpeg_declared(SIDE, SIDE), OVER),
        "png declared": (png_declared(SIDE, SIDE), OVER),
        "dicom declared": (dicom(GRAY, Rows=SIDE, Columns=SIDE), OVER),
        "png that is as large": (_png(SIDE, SIDE), OVER),
        "png, more pixels than declared": (_png(240, 180), ""),
        "png, a text": (PNG[:33] + chunk(b"zTXt", b"Comment\0\0" + GIGABYTE) + PNG[33:], ""),
        "png, a colour profile": (PNG[:33] + chunk(b"iCCP", b"x\0\0" + GIGABYTE) + PNG[33:], ""),
        "dicom, runs": (rle(GRAY, b"\x81\0" * 8_000_000), "RLE Lossless"),
        "dicom, frames": (dicom(GRAY, NumberOfFrames=10**9), "truncated or damaged DICOM"),
        "dicom, jpeg declared": (jpeg_within(GRAY, jpeg_declared(SIDE, SIDE)), "JPEG Baseline"),
    }


def test_memory_stays_bounded(tmp_path: Path) -> None:
    good = {"jpeg": encoded(GRAY), "png": PNG, "dicom": rle(GRAY, b"\x81\0" * (GRAY.size // 128 + 1))}
    bad = bombs()
    files = good | {name: data for name, (data, _) in bad.items()}
    for name, data in files.items():
        assert len(data) < 20e6
        (tmp_path / name).write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-c", LOOK, str(tmp_path), str(Intake().maximum_pixels), *files],
        capture_output=True,
        text=True,
        check=True,
    )
    told = done.stdout.splitlines()
    reasons, (before, peak) = told[:3] + told[4:-1], (int(told[3]), int(told[-1]))
    for name, reason, expected in zip(
        files, reasons, [""] * 3 + [why for _, why in bad.values()], strict=True
    ):
        assert (expected in reason) if expected else not reason, (name, reason)
    assert peak - before < 500  # MB; each would be 900 or more
