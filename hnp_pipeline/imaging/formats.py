"""What a picture file says of itself, known by its content and never by its name: JPEG, PNG or DICOM."""

import struct
import zlib
from dataclasses import dataclass
from enum import StrEnum

from hnp_pipeline.errors import StudyError


class UnreadableImageError(StudyError):
    """A file is no picture that can be used. The message is a short phrase without any name in it."""


class Format(StrEnum):
    """The formats that are read."""

    JPEG = "JPEG"
    PNG = "PNG"
    DICOM = "DICOM"


@dataclass(frozen=True)
class Header:
    """Declared before anything is decoded.

    Attributes:
        width: pixels, as stored (before `orientation`).
        height: pixels, as stored.
        orientation: EXIF's 1 to 8; 1 is upright.
    """

    format: Format
    width: int
    height: int
    orientation: int = 1


def sniff(data: bytes) -> Format:
    """The format by the first bytes (132 are enough).

    Raises:
        UnreadableImageError: none of the three.
    """
    if data.startswith(b"\xff\xd8\xff"):
        return Format.JPEG
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return Format.PNG
    if data[128:132] == b"DICM":
        return Format.DICOM
    raise UnreadableImageError("not a JPEG, PNG or DICOM image" if data else "empty file")


def damaged(format: Format) -> UnreadableImageError:
    """Says that a file of this format cannot be read to its end."""
    return UnreadableImageError(f"truncated or damaged {format}")


def read_header(data: bytes, maximum_pixels: int) -> Header:
    """Parse a whole file's header, and see that the file has an end.

    Raises:
        UnreadableImageError: not one of the formats, truncated, damaged, or larger than `maximum_pixels`.
    """
    format = sniff(data)
    try:
        header = {Format.JPEG: _jpeg, Format.PNG: _png, Format.DICOM: _dicom}[format](data)
    except (struct.error, IndexError):  # the file ends where a field should be
        raise damaged(format) from None
    if header.width < 1 or header.height < 1:
        raise damaged(format)
    if header.width * header.height > maximum_pixels:
        raise UnreadableImageError(
            f"{header.width}×{header.height} pixels are over the limit of {maximum_pixels:,} (a setting)"
        )
    return header


def _jpeg(data: bytes) -> Header:
    """Walk the segments (ITU-T T.81, annex B) up to the first scan."""
    at, size, orientation, progressive = 2, None, 1, False
    while True:
        while data[at + 1] == 0xFF:  # fill bytes
            at += 1
        if data[at] != 0xFF:
            raise damaged(Format.JPEG)
        marker = data[at + 1]
        if 0xD0 <= marker <= 0xD9:  # restarts and ends have no place before the scan
            raise damaged(Format.JPEG)
        (length,) = struct.unpack_from(">H", data, at + 2)
        body = data[at + 4 : at + 2 + length]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            size = struct.unpack_from(">HH", body, 1)
            progressive = marker & 3 == 2
        elif marker == 0xE1 and body.startswith(b"Exif\0\0"):
            orientation = _orientation(body[6:])
        elif marker == 0xDA:
            break
        at += 2 + length
    # The end mark cannot stand inside a scan's data, where every 0xFF is escaped.
    if size is None or data.rfind(b"\xff\xd9", at) < 0:
        raise damaged(Format.JPEG)
    # Every scan costs a pass over the whole picture; real files have ten or so.
    if progressive and data.count(b"\xff\xda", at) > 200:
        raise UnreadableImageError("a JPEG of more than 200 scans")
    return Header(Format.JPEG, width=size[1], height=size[0], orientation=orientation)


def _png(data: bytes) -> Header:
    """Walk all chunks to the last, with their checksums (PNG, third edition, section 5)."""
    at, header, orientation, pixels = 8, None, 1, False
    while True:
        length, kind = struct.unpack_from(">I4s", data, at)
        body = memoryview(data)[at + 8 : at + 8 + length]
        (checksum,) = struct.unpack_from(">I", data, at + 8 + length)
        if zlib.crc32(body, zlib.crc32(kind)) != checksum or (header is None) != (kind == b"IHDR"):
            raise damaged(Format.PNG)
        if kind == b"IHDR":
            header = struct.unpack_from(">II", body)
        elif kind == b"eXIf":
            orientation = _orientation(bytes(body))
        elif kind == b"IDAT":
            pixels = True
        elif kind == b"IEND":
            break
        at += 12 + length
    if header is None or not pixels:
        raise damaged(Format.PNG)
    return Header(Format.PNG, header[0], header[1], orientation)


def _dicom(data: bytes) -> Header:
    from hnp_pipeline.imaging import dicom  # pydicom is slow to load and most collections have no DICOM

    width, height = dicom.read_size(data)
    return Header(Format.DICOM, width, height)


def _orientation(exif: bytes) -> int:
    """Tag 0x0112 of the first directory of a TIFF structure; 1 where it cannot be read."""
    try:
        order = {b"II": "<", b"MM": ">"}[exif[:2]]
        (directory,) = struct.unpack_from(f"{order}I", exif, 4)
        (entries,) = struct.unpack_from(f"{order}H", exif, directory)
        for i in range(entries):
            tag, kind, count, value = struct.unpack_from(f"{order}HHIH", exif, directory + 2 + 12 * i)
            if tag == 0x0112 and (kind, count) == (3, 1) and 1 <= value <= 8:
                return int(value)
    except (KeyError, struct.error):
        pass
    return 1
