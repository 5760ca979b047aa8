"""Image files as they are, or as they should not be."""

import struct
from pathlib import Path

from hnp_pipeline.phantom.rows import Damage


def damaged(path: Path, jpeg: bytes, damage: Damage) -> None:
    """Write a JPEG file to `path`, with some damage done to it."""
    match damage:
        case Damage.NONE:
            path.write_bytes(jpeg)
        case Damage.TRUNCATED:
            path.write_bytes(jpeg[: len(jpeg) * 55 // 100])
        case Damage.EMPTY:
            path.write_bytes(b"")
        case Damage.TEXT:
            path.write_text("<html><body>404: the archive has no such image</body></html>\n")
        case Damage.OVERSIZED:
            path.write_bytes(_declared(jpeg, 30_000, 30_000))
        case Damage.LINK:
            path.symlink_to("../../withdrawn.csv")
        case Damage.ABSENT | Damage.OUTSIDE:
            pass


def _declared(jpeg: bytes, height: int, width: int) -> bytes:
    """The same JPEG with another size in its frame header."""
    at = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:at] + struct.pack(">HH", height, width) + jpeg[at + 4 :]
