"""Pictures made for the tests: one smooth gray picture in every format, right and wrong."""

import base64
import io
import struct
import zlib

import cv2
import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
    SecondaryCaptureImageStorage,
    generate_uid,
)

# 96×64, pixel 2x + y/2, arithmetic coding (made once with libjpeg; no encoder that Python has writes it).
ARITHMETIC_JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgMCAgMDAwMEAwMEBQgFBQQEBQoHBwYIDAoMDAsKCwsNDhIQDQ4RDgsLEBYQERMUFRUVDA8XGBYU"
    "GBIUFRT/yQALCABAAGABAREA/8wABgAQEAX/2gAIAQEAAD8A/wDs7nc8/wCLVnw3Wy/6uk6Upm5P2p7DDB/n4fl337StLoTsHXJxGg0sNHbZyhNo"
    "dfRbX8IkwREjikRPziZQmqUz8pnOoxLUU+nUjOCKwRVSKaZnXRKsnTXpuVULnEgXE3nUIHFEa0sWlPYzgYY7LK9m+cBt4bu4O9BPwaUgFJB5qstw"
    "E+aCltIu2qKQ1NAmXai6hhM1Ba3UohduCSUEFhi5F0bI/wAtGkQb9nkAVClRj2BXzxTEx74sA4po4+JWCEU2QQ+Hb+VTYh4k3G/rNCMVyVPP50Oq"
    "5qnn86HA/9k="
)


def smooth(height: int = 180, width: int = 240) -> np.ndarray:
    """A ramp with a bright, off-centre disc: every turn and flip of it differs."""
    y, x = np.mgrid[0:height, 0:width]
    disc = 60 * np.exp(-(((x / width - 0.3) / 0.15) ** 2) - ((y / height - 0.25) / 0.2) ** 2)
    return (40 + 110 * x / width + 40 * y / height + disc).astype(np.uint8)


def radiograph(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Something like a lumbar film: a body before black air, a bright column with dark discs, blur and noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    y, x = y / height, x / width
    spine = np.exp(-(((x - 0.5 - 0.05 * np.sin(3 * y + seed)) / 0.09) ** 2)) * 60
    discs = (np.sin(2 * np.pi * y * 6.5) > 0.75) * spine * 0.55
    body = np.exp(-(((x - 0.5) / 0.33) ** 4)) * 150
    noise = cv2.GaussianBlur(rng.normal(0, 1, (height, width)).astype(np.float32), (0, 0), 1.0) * 6
    return np.clip(body + spine - discs + noise, 0, 255).astype(np.uint8)


def encoded(picture: Image.Image | np.ndarray, format: str = "JPEG", **options: object) -> bytes:
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    out = io.BytesIO()
    image.save(out, format, **({"quality": 95} if format == "JPEG" else {}), **options)
    return out.getvalue()


def with_orientation(picture: np.ndarray, orientation: int, format: str = "JPEG") -> bytes:
    image = Image.fromarray(picture)
    exif = image.getexif()
    exif[0x0112] = orientation
    return encoded(image, format, exif=exif.tobytes())


def ycck(gray: np.ndarray) -> bytes:
    """An Adobe YCCK JPEG: Pillow's CMYK with the colours turned to YCC and the marker saying so."""
    rgb = Image.fromarray(gray).convert("RGB")
    ycc = np.asarray(Image.fromarray(255 - np.asarray(rgb)).convert("YCbCr"))
    channels = [Image.fromarray(np.ascontiguousarray(255 - ycc[..., i])) for i in range(3)]
    data = encoded(Image.merge("CMYK", [*channels, Image.new("L", rgb.size, 0)]))
    at = data.index(b"Adobe") + 11
    assert data[at] == 0
    return data[:at] + b"\2" + data[at + 1 :]


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_declared(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"0"))
        + chunk(b"IEND", b"")
    )


def jpeg_declared(width: int, height: int) -> bytes:
    data = encoded(smooth())
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def voi_table(table: np.ndarray, first: int = 0) -> pydicom.Sequence:
    """What stored values are shown as, from the value `first` on: 16 bits each."""
    item = pydicom.Dataset()
    item.add_new("LUTDescriptor", "US", [len(table), first, 16])
    item.add_new("LUTData", "OW", np.rint(table).astype("<u2").tobytes())
    return pydicom.Sequence([item])


def dicom(
    pixels: np.ndarray, compress: str | None = None, implicit: bool = False, **elements: object
) -> bytes:
    """A secondary capture of these pixels; any element can be given by its keyword."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = (
        SecondaryCaptureImageStorage,
        generate_uid(),
    )
    meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    data = pydicom.Dataset()
    data.file_meta = meta
    data.PatientName, data.PatientID, data.PatientBirthDate = "CANARY^NAME", "CANARY", "19700101"
    data.SamplesPerPixel = 3 if pixels.ndim == 3 and pixels.shape[-1] == 3 else 1
    data.PhotometricInterpretation = "RGB" if data.SamplesPerPixel == 3 else "MONOCHROME2"
    if data.SamplesPerPixel == 3:
        data.PlanarConfiguration = 0
    frames = pixels.shape[0] if data.SamplesPerPixel == 1 and pixels.ndim == 3 else None
    if frames:
        data.NumberOfFrames = frames
    data.Rows, data.Columns = pixels.shape[1:3] if frames else pixels.shape[:2]
    data.BitsAllocated = data.BitsStored = pixels.dtype.itemsize * 8
    data.HighBit = data.BitsStored - 1
    data.PixelRepresentation = int(pixels.dtype.kind == "i")
    data.PixelData = pixels.tobytes()
    for name, value in elements.items():
        setattr(data, name, value)
        if name == "BitsStored":
            data.HighBit = value - 1
    if compress == "rle":
        data.compress(RLELossless)
    elif compress == "jpeg2000":  # no decoder of it need be there: it is only called so
        meta.TransferSyntaxUID = JPEG2000Lossless
        data.PixelData = pydicom.encaps.encapsulate([b"\xff\x4f\xff\x51" + bytes(100)])
        data["PixelData"].is_undefined_length = True
    out = io.BytesIO()
    pydicom.dcmwrite(out, data, enforce_file_format=True)
    return out.getvalue()


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    error = float(np.mean((a.astype(float) - b) ** 2))
    return 10 * np.log10(255**2 / error) if error else np.inf


def zeros(millions: int) -> bytes:
    """So many million zero bytes, deflated (zlib), without ever being there."""
    press = zlib.compressobj(wbits=-15)
    block = press.compress(bytes(10**6)) + press.flush(zlib.Z_FULL_FLUSH)  # stands on its own
    checksum = (millions * 10**6 % 65521) << 16 | 1  # Adler-32
    return b"\x78\x9c" + block * millions + b"\3\0" + struct.pack(">I", checksum)


def rle(pixels: np.ndarray, runs: bytes) -> bytes:
    """A DICOM file of this picture's size whose compressed pixels are these runs."""
    data = pydicom.dcmread(io.BytesIO(dicom(pixels)))
    data.file_meta.TransferSyntaxUID = RLELossless
    return _encapsulated(data, struct.pack("<16L", 1, 64, *[0] * 14) + runs)


def jpeg_within(pixels: np.ndarray, jpeg: bytes) -> bytes:
    """A DICOM file of this picture's size that holds this JPEG."""
    data = pydicom.dcmread(io.BytesIO(dicom(pixels)))
    data.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    return _encapsulated(data, jpeg)


def _encapsulated(data: pydicom.Dataset, frame: bytes) -> bytes:
    data.PixelData = pydicom.encaps.encapsulate([frame])
    data["PixelData"].is_undefined_length = True
    out = io.BytesIO()
    pydicom.dcmwrite(out, data, enforce_file_format=True)
    return out.getvalue()
